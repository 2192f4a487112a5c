import { describe, expect, it } from 'vitest'
import { strongerExitCode } from '../../src/base/exit-codes.ts'

describe('of two exit codes', () => {
  it.each([
    ['violated integrity over a disk that is full', 1, 12, 12],
    ['violated integrity over Ctrl-C', 130, 12, 12],
    ['Ctrl-C over what cannot be judged because of it', 14, 130, 130],
    ['an invalid run over a failed threshold', 10, 13, 13],
    ['Ctrl-C over a file that could not be written', 1, 130, 130],
    ['a failure over nothing', 0, 1, 1],
    ['a code of the table over one of another program', 42, 1, 1],
    ['the first of two that are the same', 3, 3, 3],
  ])('%s', (_, one, other, expected) => {
    expect([strongerExitCode(one, other), strongerExitCode(other, one)]).toEqual([
      expected,
      expected,
    ])
  })
})

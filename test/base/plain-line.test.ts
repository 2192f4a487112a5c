import { expect, test } from 'vitest'
import { plainLine } from '../../src/base/plain-line.ts'

test('a stranger can neither drive the terminal nor begin a line of the log', () => {
  expect(plainLine('a\u001b]0;pwned\u0007\r\n2026 forged\u2028x')).toBe(
    'a·]0;pwned···2026 forged·x',
  )
})

test('nor fill it', () => {
  expect(plainLine('x'.repeat(10_000))).toBe(`${'x'.repeat(300)}…`)
})

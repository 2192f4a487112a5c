/** The checker of the kill loop finds what it is there to find. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { removeFolder, temporaryFolder } from '../interop/peers.ts'
import { gapsIn, lostOf, placesIn } from './read-back.ts'

const acknowledged = new Map([
  ['0 0', 'a'],
  ['0 1', 'b'],
  ['1 0', 'c'],
])

describe('the verdict over what was read back', () => {
  it('names what is missing and what holds something else', () => {
    const found = new Map([
      ['0 0', 'a'],
      ['1 0', 'other'],
    ])
    expect(lostOf(acknowledged, found)).toEqual(['0 1', '1 0'])
    expect(lostOf(acknowledged, acknowledged)).toEqual([])
  })

  it('names a queue that does not count from 0 without a gap', () => {
    expect(gapsIn(acknowledged, 2)).toEqual([])
    expect(gapsIn(new Map([['0 0', 'a'], ['0 2', 'b']]), 2)).toEqual(['queue 0']) // prettier-ignore
  })

  it('finds two messages acknowledged at one place', () => {
    const folder = temporaryFolder('verdict')
    try {
      const file = join(folder, 'journal')
      fs.writeFileSync(file, '0 0 a\n0 1 b\n0 0 c\n')
      expect(() => placesIn(file)).toThrow('two different messages')
    } finally {
      removeFolder(folder)
    }
  })
})

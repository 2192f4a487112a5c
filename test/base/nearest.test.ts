import { describe, expect, it } from 'vitest'
import { editDistance, nearest } from '../../src/base/nearest.ts'

describe('nearest', () => {
  it('finds a word with a typo, a swap or another case', () => {
    expect(nearest('topc', ['topic', 'group'])).toBe('topic')
    expect(nearest('strat', ['stop', 'start'])).toBe('start')
    expect(nearest('TOPIC', ['topic'])).toBe('topic')
  })

  it('stays silent when nothing is close', () => {
    expect(nearest('zebra', ['topic', 'group'])).toBeNull()
  })

  it('counts a swap of neighbours as one step', () => {
    expect(editDistance('form', 'from')).toBe(1)
    expect(editDistance('', 'abc')).toBe(3)
  })
})

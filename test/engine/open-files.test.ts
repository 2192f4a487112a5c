import { describe, expect, it } from 'vitest'
import { openFilesMax } from '../../src/engine/roles/open-files.ts'

const limits = (
  soft: string,
) => `Limit                     Soft Limit           Hard Limit           Units
Max processes             96000                96000                processes
Max open files            ${soft.padEnd(21)}1048576              files
Max locked memory         65536                65536                bytes
`

describe('files that a broker keeps open', () => {
  it.each([
    ['120', 60],
    ['1024', 512],
    ['4096', 1024],
    ['20000', 8976],
    ['1048576', 16_384],
    ['unlimited', 512],
  ])('of a limit of %s are %d', (soft, expected) => {
    expect(openFilesMax(limits(soft))).toBe(expected)
  })

  it('are few where no limit can be read', () => {
    expect(openFilesMax('')).toBe(512)
  })
})

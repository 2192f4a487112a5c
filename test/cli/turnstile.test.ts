import { describe, expect, it } from 'vitest'
import { Turnstile } from '../../src/cli/turnstile.ts'

describe('a turnstile', () => {
  it('lets only so many pieces of work go on, in their order, also when some fail', async () => {
    const turnstile = new Turnstile(2)
    const begun: number[] = []
    const endings = new Map<number, (failed: boolean) => void>()
    const all = [0, 1, 2, 3].map((number) =>
      turnstile.through(
        () =>
          new Promise<number>((resolve, reject) => {
            begun.push(number)
            endings.set(number, (failed) => {
              if (failed) reject(new Error('failed'))
              else resolve(number)
            })
          }),
      ),
    )
    const outcomes = Promise.allSettled(all)
    expect(begun).toEqual([0, 1])
    expect(turnstile.waitingCount).toBe(2)
    endings.get(1)?.(true)
    await expect.poll(() => begun).toEqual([0, 1, 2])
    endings.get(0)?.(false)
    await expect.poll(() => begun).toEqual([0, 1, 2, 3])
    endings.get(2)?.(false)
    endings.get(3)?.(false)
    expect((await outcomes).map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ])
    expect(await turnstile.through(() => Promise.resolve('again'))).toBe('again')
  })
})

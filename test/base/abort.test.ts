import { getEventListeners } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { orAborted } from '../../src/base/abort.ts'

describe('waiting for a promise or for a signal', () => {
  it('comes to the value, to the error, or to null once the signal is raised', async () => {
    const { signal } = new AbortController()
    expect(await orAborted(Promise.resolve(1), signal)).toBe(1)
    await expect(orAborted(Promise.reject(new Error('no')), signal)).rejects.toThrow('no')
    expect(getEventListeners(signal, 'abort')).toEqual([])

    const ending = new AbortController()
    const never = orAborted(new Promise(() => undefined), ending.signal)
    ending.abort()
    expect(await never).toBeNull()
    expect(await orAborted(new Promise(() => undefined), ending.signal)).toBeNull()
  })

  it('keeps nothing of what it has waited for', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const { signal } = new AbortController()
    const seen: WeakRef<object>[] = []
    for (let i = 0; i < 100; i++) {
      const value = await orAborted(Promise.resolve({ body: Buffer.alloc(10) }), signal)
      if (value !== null) seen.push(new WeakRef(value))
    }
    await expect
      .poll(() => {
        collect()
        return seen.slice(0, -1).filter((one) => one.deref() !== undefined).length
      })
      .toBe(0)
    expect(signal.aborted).toBe(false)
  })
})

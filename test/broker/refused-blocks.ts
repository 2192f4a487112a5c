import { vi } from 'vitest'
import type { Queue } from '../../src/store/queue.ts'
import type { Store } from '../../src/store/store.ts'

/**
 * From now on the disk gives back no block of the log for the queue, and single records of it, but for the
 * one at the offset.
 */
export function refuseBlocks(store: Store, queue: Queue, damagedOffset: number): void {
  const eio = () => Promise.reject(new Error('EIO: i/o error, read'))
  const pullNow = store.pullNow.bind(store)
  const pull = store.pull.bind(store)
  const recordAt = store.recordAt.bind(store)
  vi.spyOn(store, 'pullNow').mockImplementation((of, ...rest) =>
    of === queue ? null : pullNow(of, ...rest),
  )
  vi.spyOn(store, 'pull').mockImplementation((of, ...rest) =>
    of === queue ? eio() : pull(of, ...rest),
  )
  vi.spyOn(store, 'recordAt').mockImplementation(async (at) => {
    const unit = await store.unitAt(queue, damagedOffset)
    return at === unit?.physicalOffset ? eio() : recordAt(at)
  })
}

import { describe, expect, it } from 'vitest'
import { BATCH_KEYS, KeyBatch } from '../../src/store/key-batch.ts'

const SLOTS = 5_000_000

function aBatch(): KeyBatch {
  const batch = new KeyBatch()
  for (let n = 0, hash = 1; !batch.full; n++) {
    hash = (Math.imul(hash, 1_103_515_245) + 12_345) & 0x7fff_ffff
    batch.add(hash % (SLOTS / 100), n, 0)
  }
  return batch
}

describe('a batch of keys', () => {
  it('names each of its keys once, and those of one slot in the order in which they came', () => {
    const batch = aBatch()
    const order = [...batch.inOrderOfSlots(1_000, BATCH_KEYS, SLOTS)]
    expect([...order].sort((a, b) => a - b)).toEqual(
      Array.from({ length: BATCH_KEYS - 1_000 }, (_, n) => 1_000 + n),
    )
    const last = new Map<number, number>()
    const backwards = order.filter((i) => {
      const slot = (batch.hashes[i] ?? 0) % SLOTS
      const before = last.get(slot) ?? -1
      last.set(slot, i)
      return before > i
    })
    expect(backwards).toEqual([])
  })

  it('keeps keys of one part of the table together', () => {
    const batch = aBatch()
    const order = batch.inOrderOfSlots(0, BATCH_KEYS, SLOTS)
    const slotOf = (n: number) => (batch.hashes[order[n] ?? 0] ?? 0) % SLOTS
    for (let n = 1; n < BATCH_KEYS; n++) {
      // 512 parts of the table; within one, any order.
      expect(slotOf(n)).toBeGreaterThan(slotOf(n - 1) - Math.ceil(SLOTS / 512))
    }
  })
})

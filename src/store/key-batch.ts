/**
 * Keys of many records, for the index to take in one go. The slot table is 20 MB that is hit at
 * random: a key by itself waits for memory (0.35–0.8 µs measured), 32,768 of them sorted by the part
 * of the table that they fall into do not (0.06 µs).
 */

/** Keys that one batch holds. */
export const BATCH_KEYS = 32_768
/** Parts of the slot table that keys are sorted by. */
const PARTS = 512

export class KeyBatch {
  count = 0
  /** Not negative, as units carry them. */
  readonly hashes = new Int32Array(BATCH_KEYS)
  readonly physicalOffsets = new Float64Array(BATCH_KEYS)
  readonly storeTimestamps = new Float64Array(BATCH_KEYS)
  /** Filled by the index: number of the unit, and where it stands in memory; −1 when it needs none. */
  readonly units = new Int32Array(BATCH_KEYS)
  readonly places = new Int32Array(BATCH_KEYS)
  readonly #order = new Int32Array(BATCH_KEYS)
  readonly #ends = new Int32Array(PARTS + 1)

  get full(): boolean {
    return this.count === BATCH_KEYS
  }

  add(hash: number, physicalOffset: number, storeTimestamp: number): void {
    const i = this.count++
    this.hashes[i] = hash
    this.physicalOffsets[i] = physicalOffset
    this.storeTimestamps[i] = storeTimestamp
  }

  /** Keys [from, to) by the part of a table of `slots` slots, and within a part as they came. */
  inOrderOfSlots(from: number, to: number, slots: number): Int32Array {
    const ends = this.#ends.fill(0)
    const perPart = Math.ceil(slots / PARTS)
    const { hashes } = this
    for (let i = from; i < to; i++) {
      const part = Math.floor(((hashes[i] ?? 0) % slots) / perPart)
      ends[part + 1] = (ends[part + 1] ?? 0) + 1
    }
    for (let part = 1; part <= PARTS; part++) ends[part] = (ends[part] ?? 0) + (ends[part - 1] ?? 0)
    for (let i = from; i < to; i++) {
      const part = Math.floor(((hashes[i] ?? 0) % slots) / perPart)
      const at = ends[part] ?? 0
      this.#order[at] = i
      ends[part] = at + 1
    }
    return this.#order.subarray(0, to - from)
  }
}

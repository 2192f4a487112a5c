/**
 * Which half messages are neither committed nor rolled back, by their offset in the half queue and
 * in its order; two numbers each. A half that was stored again for a check is known by its newest
 * offset, and by the offset that it had first.
 */
export class OpenHalves {
  /** Offset → wall time from which on its producers may be asked, ms. Grows at its end only. */
  readonly #dueMs = new Map<number, number>()
  /** First offset → newest offset, of those that were stored again. */
  readonly #newest = new Map<number, number>()

  get size(): number {
    return this.#dueMs.size
  }

  /** Offset of the oldest one; null when there is none. */
  get first(): number | null {
    for (const offset of this.#dueMs.keys()) return offset
    return null
  }

  /** Offsets and due times in the order of offsets. It may be added and closed meanwhile. */
  entries(): IterableIterator<[offset: number, dueMs: number]> {
    return this.#dueMs.entries()
  }

  /** A half at the end of the queue; `root` is the offset that it had first. */
  add(offset: number, root: number, dueMs: number): void {
    if (root !== offset) {
      this.#dueMs.delete(this.#newest.get(root) ?? root)
      this.#newest.set(root, offset)
    }
    this.#dueMs.set(offset, dueMs)
  }

  /** The newest offset of the half that began at `root`; null when it is not open. */
  current(root: number): number | null {
    const offset = this.#newest.get(root) ?? root
    return this.#dueMs.has(offset) ? offset : null
  }

  has(offset: number): boolean {
    return this.#dueMs.has(offset)
  }

  clear(): void {
    this.#dueMs.clear()
    this.#newest.clear()
  }

  /** It was ended, or is gone. */
  close(offset: number, root: number): void {
    this.#dueMs.delete(offset)
    this.#newest.delete(root)
  }

  /** The same by offset alone, when nothing else is known: what an operation record names. */
  closeOffset(offset: number): void {
    if (!this.#dueMs.delete(offset)) return
    for (const [root, newest] of this.#newest) {
      if (newest !== offset) continue
      this.#newest.delete(root)
      return
    }
  }
}

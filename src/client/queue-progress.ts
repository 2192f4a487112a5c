/**
 * Which messages of a queue are being processed. Progress is the lowest queue offset that is not
 * finished, so that nothing is skipped when this process ends, however far others are.
 */

export class QueueProgress {
  /** Offsets in growing order; finished ones in the middle wait for those before them. */
  readonly #offsets: number[] = []
  readonly #sizes: number[] = []
  readonly #finished: boolean[] = []
  #head = 0
  #unfinishedCount = 0
  #unfinishedBytes = 0
  #next: number

  /** @param next the queue offset that will be fetched first */
  constructor(next: number) {
    this.#next = next
  }

  /** Messages that were added and are not finished. */
  get count(): number {
    return this.#unfinishedCount
  }

  get bytes(): number {
    return this.#unfinishedBytes
  }

  /** From the lowest unfinished offset to the highest added. */
  get span(): number {
    if (this.#head >= this.#offsets.length) return 0
    return (this.#offsets.at(-1) ?? 0) - (this.#offsets[this.#head] ?? 0)
  }

  /** What to report: everything before it is finished. */
  get position(): number {
    return this.#offsets[this.#head] ?? this.#next
  }

  /** A message that was fetched; offsets must grow. False for one that is not beyond the last. */
  add(offset: number, sizeBytes: number): boolean {
    const last = this.#offsets.at(-1)
    if (last !== undefined && offset <= last) return false
    this.#offsets.push(offset)
    this.#sizes.push(sizeBytes)
    this.#finished.push(false)
    this.#unfinishedCount += 1
    this.#unfinishedBytes += sizeBytes
    return true
  }

  /** Everything before `next` has been fetched, filtered messages included. */
  fetchedUpTo(next: number): void {
    this.#next = next
  }

  finish(offset: number): void {
    const index = this.#indexOf(offset)
    if (index < 0 || this.#finished[index] === true) return
    this.#finished[index] = true
    this.#unfinishedCount -= 1
    this.#unfinishedBytes -= this.#sizes[index] ?? 0
    while (this.#finished[this.#head] === true) this.#head += 1
    this.#trim()
  }

  #indexOf(offset: number): number {
    let low = this.#head
    let high = this.#offsets.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const found = this.#offsets[middle] ?? 0
      if (found === offset) return middle
      if (found < offset) low = middle + 1
      else high = middle - 1
    }
    return -1
  }

  /** Gives finished rows back once they are most of the arrays. */
  #trim(): void {
    if (this.#head < 1024 || this.#head * 2 < this.#offsets.length) {
      if (this.#head < this.#offsets.length || this.#head === 0) return
    }
    this.#offsets.splice(0, this.#head)
    this.#sizes.splice(0, this.#head)
    this.#finished.splice(0, this.#head)
    this.#head = 0
  }
}

/**
 * The units of a second while it is delivered, in the order in which they were added: 8 bytes each,
 * because a million messages may be due in one second.
 */
const FIRST_CAPACITY = 64

export class DueUnits {
  /** Place in the log; −1 − place when the message is stored again on its way. */
  #units = new Float64Array(FIRST_CAPACITY)
  #count = 0

  get count(): number {
    return this.#count
  }

  /** @param physicalOffset of the message's record in the log, bytes */
  add(physicalOffset: number, rolls: boolean): void {
    if (this.#count === this.#units.length) {
      const larger = new Float64Array(this.#count * 2)
      larger.set(this.#units)
      this.#units = larger
    }
    this.#units[this.#count++] = rolls ? -1 - physicalOffset : physicalOffset
  }

  physicalOffsetAt(index: number): number {
    const value = this.#units[index] ?? 0
    return value < 0 ? -1 - value : value
  }

  rollsAt(index: number): boolean {
    return (this.#units[index] ?? 0) < 0
  }
}

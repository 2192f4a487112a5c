/**
 * What a producer knows of its messages at the end: how many it sent, and which of them were not
 * acknowledged. Every other number below `sent` was. The exceptions are few in a healthy run; in a
 * broken one the list is cut and says so.
 */
const EXCEPTIONS_MAX = 4_000_000

export interface PackedLedger {
  readonly sent: number
  /** Sequences that were not acknowledged: refused, timed out, lost with a connection, or still under way. */
  readonly unacknowledged: Uint32Array
  /** The list is not whole: what is missing cannot be judged. */
  readonly truncated: boolean
}

export class Ledger {
  #sequences = new Uint32Array(1024)
  #count = 0
  #truncated = false

  add(sequence: number): void {
    if (this.#count >= EXCEPTIONS_MAX) {
      this.#truncated = true
      return
    }
    if (this.#count === this.#sequences.length) {
      const larger = new Uint32Array(this.#sequences.length * 2)
      larger.set(this.#sequences)
      this.#sequences = larger
    }
    this.#sequences[this.#count] = sequence
    this.#count += 1
  }

  pack(sent: number): PackedLedger {
    return {
      sent,
      unacknowledged: this.#sequences.slice(0, this.#count),
      truncated: this.#truncated,
    }
  }
}

/**
 * The bytes that go out on one connection in one turn. Writers reserve room and put bytes straight
 * into `bytes` at `length`; the connection hands the whole to its socket once a turn. When the
 * kernel took everything at once, as it nearly always does, the same memory serves the next turn.
 */
const INITIAL_BYTES = 16 * 1024
/** A buffer that grew beyond this is given back after use. */
const KEPT_BYTES_MAX = 512 * 1024

/** Idle connections hold no memory. */
const NO_BYTES = Buffer.alloc(0)

export class OutBuffer {
  bytes: Buffer = NO_BYTES
  length = 0

  /** Makes room for `count` more bytes and returns where they start; the caller advances `length`. */
  reserve(count: number): number {
    const needed = this.length + count
    if (needed > this.bytes.length) this.#grow(needed)
    return this.length
  }

  append(part: Buffer): void {
    const at = this.reserve(part.length)
    this.bytes.set(part, at)
    this.length = at + part.length
  }

  /** The filled part, for the socket. */
  filled(): Buffer {
    return this.bytes.subarray(0, this.length)
  }

  /** Starts over in the same memory: the socket is done with it. */
  reuse(): void {
    this.length = 0
    if (this.bytes.length > KEPT_BYTES_MAX) this.bytes = NO_BYTES
  }

  /** Starts over in fresh memory: the socket still reads from the old. */
  replace(): void {
    this.length = 0
    this.bytes = NO_BYTES
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2, INITIAL_BYTES))
    this.bytes.copy(larger, 0, 0, this.length)
    this.bytes = larger
  }
}

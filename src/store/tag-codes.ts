/**
 * The tags that a reader wants, as the hashes that units of a consume queue carry (queue.ts): a run of
 * units is gone through where it lies, 20 bytes a step, and most of those that are not wanted are told
 * by one byte of their code.
 */
import { readI32 } from '../base/bytes.ts'
import { UNIT_BYTES } from './queue.ts'

/** Where the lower half of the code stands in a unit; 32 bits are all that a hash has. */
export const TAGS_CODE_AT = 16
const LOW_BYTE_AT = TAGS_CODE_AT + 3

export class TagCodes {
  readonly #codes: ReadonlySet<number>
  /** Bit n: a code is wanted whose lowest five bits are n. */
  readonly #low: number

  /** `codes` are Java hashes: signed, of 32 bits. */
  constructor(codes: Iterable<number>) {
    this.#codes = new Set(codes)
    let low = 0
    for (const code of this.#codes) low |= 1 << code
    this.#low = low
  }

  has(code: number): boolean {
    return this.#codes.has(code)
  }

  /** How many of the `count` units from byte `at` on come before the first that is wanted; `count` when none is. */
  unwanted(bytes: Buffer, at: number, count: number): number {
    const low = this.#low
    const codes = this.#codes
    let lowByteAt = at + LOW_BYTE_AT
    for (let n = 0; n < count; n++) {
      // Shifts look at five bits of the byte.
      if (((low >>> (bytes[lowByteAt] ?? 0)) & 1) === 1) {
        if (codes.has(readI32(bytes, lowByteAt - 3))) return n
      }
      lowByteAt += UNIT_BYTES
    }
    return count
  }
}

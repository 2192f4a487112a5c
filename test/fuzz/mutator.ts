/** A small mutator with a seed: the same seed gives the same inputs, so a failure can be replayed. */
export class Mutator {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1
  }

  /** A whole number in [0, bound). xorshift32. */
  below(bound: number): number {
    let state = this.#state
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    this.#state = state >>> 0
    return this.#state % bound
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }

  /** A copy with one to four changes: flipped bits, interesting numbers, cuts, repeats, splices. */
  mutate(input: Buffer, other: Buffer): Buffer {
    let bytes: Buffer = Buffer.from(input)
    for (let changes = 1 + this.below(4); changes > 0; changes--) {
      bytes = this.#change(bytes, other)
    }
    return bytes
  }

  #change(bytes: Buffer, other: Buffer): Buffer {
    if (bytes.length < 8) return Buffer.concat([bytes, other.subarray(0, this.below(64))])
    const at = this.below(bytes.length)
    switch (this.below(7)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << this.below(8))
        return bytes
      case 1:
        bytes[at] = this.pick([0, 1, 2, 0x22, 0x5c, 0x7b, 0x7d, 0x7f, 0x80, 0xff])
        return bytes
      case 2:
        bytes.writeInt32BE(
          this.pick([0, 1, -1, 4, 0x7fff_ffff, -0x8000_0000, 0xff_ffff, bytes.length]),
          Math.min(at, bytes.length - 4),
        )
        return bytes
      case 3:
        return bytes.subarray(0, at)
      case 4:
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(this.below(bytes.length))])
      case 5: {
        const from = this.below(Math.max(1, other.length))
        return Buffer.concat([
          bytes.subarray(0, at),
          other.subarray(from, from + this.below(100)),
          bytes.subarray(at),
        ])
      }
      default:
        // Repair the frame's lengths, so that the mutation gets behind the first check.
        if (bytes.length >= 9) {
          bytes.writeInt32BE(bytes.length - 4, 0)
          const header = this.below(bytes.length - 8 + 1)
          if (this.below(2) === 0) bytes.writeInt32BE((this.below(2) << 24) | header, 4)
        }
        return bytes
    }
  }
}

/** How long each fuzz test runs; longer by FUZZ_SECONDS. */
export const fuzzMs = 1000 * Number(process.env['FUZZ_SECONDS'] ?? 8)

/** The seed of this run; FUZZ_SEED repeats one. */
export const fuzzSeed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 0x7fff_ffff)

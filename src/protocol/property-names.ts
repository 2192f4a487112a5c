/**
 * Pairs of properties looked at as bytes, by their names: for what the broker reads or rewrites of each
 * message of a kind. Nothing is made but what goes on.
 */
import { copyBytes } from '../base/bytes.ts'
import { NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR, isName, nextPairEnd } from './properties.ts'

interface Known {
  readonly bytes: Buffer
  readonly index: number
}

/** A few names, found by their bytes. */
export class PropertyNames {
  readonly count: number
  /** By length: most names of others have a length that none of these has. */
  readonly #byLength: Known[][] = []

  constructor(names: readonly string[]) {
    this.count = names.length
    for (const [index, name] of names.entries()) {
      const bytes = Buffer.from(name, 'latin1')
      while (this.#byLength.length <= bytes.length) this.#byLength.push([])
      this.#byLength[bytes.length]?.push({ bytes, index })
    }
  }

  /** Which of the names, in the order given, stands in bytes [start, end); −1 for another. */
  indexOf(bytes: Buffer, start: number, end: number): number {
    const known = this.#byLength[end - start]
    if (known === undefined) return -1
    for (const { bytes: name, index } of known) if (isName(bytes, start, name)) return index
    return -1
  }
}

/** Where the name of the pair [start, end) ends; `end` when the pair has no separator. */
function nameEnd(bytes: Buffer, start: number, end: number): number {
  let at = start
  while (at < end && bytes[at] !== NAME_VALUE_SEPARATOR) at++
  return at
}

/**
 * Copies the pairs in bytes [start, end) to `at` of another buffer, each closed by 0x02: all but those
 * that are empty or named in `dropped`. Returns the position behind them; one byte more than the pairs
 * have is enough room.
 */
export function copyPairs(
  bytes: Buffer,
  start: number,
  end: number,
  dropped: PropertyNames,
  target: Buffer,
  at: number,
): number {
  // What is kept is copied in runs: most often that is one, or all of it.
  let runStart = start
  for (let pair = start; pair < end;) {
    const closed = nextPairEnd(bytes, pair, end)
    const name = nameEnd(bytes, pair, closed)
    if (closed === pair || (name < closed && dropped.indexOf(bytes, pair, name) >= 0)) {
      at = copyBytes(bytes, runStart, pair, target, at)
      runStart = closed + 1
    }
    pair = closed + 1
  }
  if (runStart >= end) return at
  at = copyBytes(bytes, runStart, end, target, at)
  if (bytes[end - 1] !== PROPERTY_SEPARATOR) target[at++] = PROPERTY_SEPARATOR
  return at
}

/**
 * Where the values of a few properties are. Made once and reused; valid until the next `find`. Of two pairs
 * with one name the last counts, and one without a value is none.
 */
export class PropertyValues {
  readonly #names: PropertyNames
  readonly #starts: number[]
  readonly #ends: number[]
  #bytes: Buffer = Buffer.alloc(0)

  constructor(names: readonly string[]) {
    this.#names = new PropertyNames(names)
    this.#starts = names.map(() => -1)
    this.#ends = names.map(() => -1)
  }

  find(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes
    this.#starts.fill(-1)
    for (let pair = start; pair < end;) {
      const closed = nextPairEnd(bytes, pair, end)
      const name = nameEnd(bytes, pair, closed)
      if (name > pair && name < closed - 1) {
        const index = this.#names.indexOf(bytes, pair, name)
        if (index >= 0) {
          this.#starts[index] = name + 1
          this.#ends[index] = closed
        }
      }
      pair = closed + 1
    }
  }

  has(index: number): boolean {
    return this.start(index) >= 0
  }

  /** Where the value of the name with this index begins; −1 when it is absent. */
  start(index: number): number {
    return this.#starts[index] ?? -1
  }

  end(index: number): number {
    return this.#ends[index] ?? -1
  }

  /** The value; null when it is absent. */
  text(index: number): string | null {
    return this.has(index) ? this.#bytes.toString('utf8', this.start(index), this.end(index)) : null
  }
}

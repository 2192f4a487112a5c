/** Every message of a run by a small number, in send order, and what is known of it: 40 bytes each. */
import { MqError } from '../base/errors.ts'
import { Floats, Ints } from './columns.ts'
import { splitValue } from './history.ts'

/** A message that nobody sent. */
export const NOBODY = -1

export const Outcome = { open: 0, ok: 1, fail: 2, info: 3 } as const

export class MessageBook {
  /** Nanoseconds; NaN: not yet. */
  readonly invokedAt = new Floats(Number.NaN)
  readonly okAt = new Floats(Number.NaN)
  /** Where it was acknowledged: queue by its number, and offset; −1: nowhere. */
  readonly queue = new Ints(-1)
  readonly offset = new Floats(-1)
  readonly outcome = new Ints(Outcome.open)
  readonly key = new Ints(-1)
  readonly line = new Ints(-1)
  /** Nanoseconds after the send before which nobody may see it; by message, few have one. */
  readonly delayNs = new Map<number, number>()
  /** Readers that get it, when not all do. */
  readonly readers = new Map<number, ReadonlySet<string>>()
  readonly #byWriter: Ints[] = []
  readonly #values = { writer: new Ints(0), counter: new Ints(0) }
  readonly #counts: number[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** A new message. Throws INPUT_BROKEN when its writer left out or repeated a number. */
  add(value: string): number {
    const [writer, counter] = splitValue(value) ?? [-1, -1]
    if (writer < 0 || counter !== (this.#counts[writer] ?? 0)) {
      throw new MqError('INPUT_BROKEN', {
        what: `this history is damaged: the send of ${JSON.stringify(value)} is not the next of its writer`,
        hint: 'judge the file as verify wrote it',
      })
    }
    const index = this.#size++
    this.#counts[writer] = counter + 1
    this.#writerOf(writer).set(counter, index)
    this.#values.writer.set(index, writer)
    this.#values.counter.set(index, counter)
    return index
  }

  /** Its number, or NOBODY. */
  find(value: string | null): number {
    const parts = value === null ? null : splitValue(value)
    return parts === null ? NOBODY : (this.#byWriter[parts[0]]?.get(parts[1]) ?? NOBODY)
  }

  valueOf(index: number): string {
    return `${this.#values.writer.get(index)}-${this.#values.counter.get(index)}`
  }

  isFor(index: number, reader: string): boolean {
    return this.readers.get(index)?.has(reader) ?? true
  }

  #writerOf(writer: number): Ints {
    return (this.#byWriter[writer] ??= new Ints(NOBODY))
  }
}

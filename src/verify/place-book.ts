/** What stands where: for each queue, which message was seen at which offset. Four bytes a place. */
import { NOBODY } from './message-book.ts'

const CHUNK = 4_096

export class PlaceBook {
  readonly #numbers = new Map<string, number>()
  readonly #queues: { readonly name: string; readonly chunks: Map<number, Int32Array> }[] = []

  /** The number of a queue, by its name. */
  numberOf(queue: string): number {
    let number = this.#numbers.get(queue)
    if (number === undefined) {
      number = this.#queues.length
      this.#numbers.set(queue, number)
      this.#queues.push({ name: queue, chunks: new Map() })
    }
    return number
  }

  nameOf(number: number): string {
    return this.#queues[number]?.name ?? '?'
  }

  /** Notes a message; gives the one that was seen there first, or NOBODY when this is the first. */
  note(queue: number, offset: number, message: number): number {
    const chunks = this.#queues[queue]?.chunks
    if (chunks === undefined) return NOBODY
    const at = Math.floor(offset / CHUNK)
    let chunk = chunks.get(at)
    if (chunk === undefined) {
      chunk = new Int32Array(CHUNK).fill(NOBODY)
      chunks.set(at, chunk)
    }
    const before = chunk[offset % CHUNK] ?? NOBODY
    if (before === NOBODY) chunk[offset % CHUNK] = message
    return before
  }

  /** All places of all queues, the highest offset of each first. */
  *downwards(): Generator<{ queue: number; offset: number; message: number }> {
    for (const [queue, { chunks }] of this.#queues.entries()) {
      for (const at of [...chunks.keys()].sort((a, b) => b - a)) {
        const chunk = chunks.get(at) ?? []
        for (let i = chunk.length - 1; i >= 0; i--) {
          const message = chunk[i] ?? NOBODY
          if (message !== NOBODY) yield { queue, offset: at * CHUNK + i, message }
        }
      }
    }
  }
}

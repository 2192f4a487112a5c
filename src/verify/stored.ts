/** What was found in the topic when all was over, place by place. */
import type { HistoryEvent } from './history.ts'
import { type MessageBook, NOBODY } from './message-book.ts'
import { PlaceBook } from './place-book.ts'
import { Ints } from './columns.ts'
import type { Findings } from './verdict.ts'

interface QueueSpan {
  first: number
  last: number
  count: number
}

export class Stored {
  readonly #messages: MessageBook
  readonly #places: PlaceBook
  readonly #findings: Findings
  /** How often each message is there. */
  readonly #times = new Ints(0)
  readonly #spans = new Map<string, QueueSpan>()
  /** Places that were read: a second reading of the same one counts once. */
  readonly #seen = new PlaceBook()
  #count = 0
  #copies = 0

  constructor(messages: MessageBook, places: PlaceBook, findings: Findings) {
    this.#messages = messages
    this.#places = places
    this.#findings = findings
  }

  get count(): number {
    return this.#count
  }

  /** Beyond the first of a message. */
  get copies(): number {
    return this.#copies
  }

  has(message: number): boolean {
    return this.#times.get(message) > 0
  }

  add(event: Extract<HistoryEvent, { f: 'read' }>): void {
    const { q, o, v, i, bad } = event
    if (this.#seen.note(this.#seen.numberOf(q), o, 0) !== NOBODY) return
    this.#count += 1
    const span = this.#spans.get(q)
    if (span === undefined) this.#spans.set(q, { first: o, last: o, count: 1 })
    else {
      span.first = Math.min(span.first, o)
      span.last = Math.max(span.last, o)
      span.count += 1
    }
    const place = `${q}:${o}`
    if (bad !== undefined) {
      const kind = bad === 'stranger' ? 'phantom' : 'corrupted'
      this.#findings.add(kind, v ?? place, `in the topic at ${place}: ${bad}`, [i])
      return
    }
    const message = this.#messages.find(v)
    if (message === NOBODY) {
      this.#findings.add('phantom', v ?? place, `in the topic at ${place}: never sent`, [i])
      return
    }
    if (this.#times.get(message) > 0) this.#copies += 1
    this.#times.set(message, this.#times.get(message) + 1)
    const there = this.#places.note(this.#places.numberOf(q), o, message)
    if (there === NOBODY || there === message) return
    const names = `${this.#messages.valueOf(there)} and ${this.#messages.valueOf(message)}`
    this.#findings.add('divergent', place, names, [i])
  }

  /** Queues of RocketMQ have no holes. */
  judgeGaps(): void {
    for (const [queue, { first, last, count }] of this.#spans) {
      const holes = last - first + 1 - count
      if (holes > 0) this.#findings.add('gap', queue, `${holes} of ${first} … ${last}`, [])
    }
  }

  /**
   * Whatever was acknowledged before another was sent stands before it in their queue. Walked from the
   * highest offset down, keeping the earliest acknowledgement above.
   */
  judgeOrder(): void {
    const { okAt, invokedAt, queue: queueOf, offset: offsetOf, line } = this.#messages
    let queueNow = -1
    let earliest = NOBODY
    for (const { queue, offset, message } of this.#places.downwards()) {
      if (queue !== queueNow) {
        queueNow = queue
        earliest = NOBODY
      }
      // Only where it was acknowledged: a copy may stand anywhere.
      if (queueOf.get(message) !== queue || offsetOf.get(message) !== offset) continue
      if (earliest !== NOBODY && okAt.get(earliest) < invokedAt.get(message)) {
        const behind = `${this.#places.nameOf(queue)}:${offset}`
        this.#findings.add(
          'reorderedLog',
          this.#messages.valueOf(earliest),
          `${this.#messages.valueOf(message)}, sent after it, stands before it at ${behind}`,
          [line.get(earliest), line.get(message)],
        )
      }
      if (earliest === NOBODY || okAt.get(message) < okAt.get(earliest)) earliest = message
    }
  }
}

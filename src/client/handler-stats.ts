/** How the handler of a consumer does, by topic, over the life of the consumer. */
import type { ConsumeStatus } from '../protocol/bodies/consumer-running-info.ts'
import type { Clock } from '../world/clock.ts'

interface Row {
  ok: number
  failed: number
  totalMs: number
}

export class HandlerStats {
  readonly #clock: Clock
  readonly #startMs: number
  readonly #rows = new Map<string, Row>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#startMs = clock.monotonicMs()
  }

  count(topic: string, tookMs: number, ok: boolean): void {
    let row = this.#rows.get(topic)
    if (row === undefined) {
      row = { ok: 0, failed: 0, totalMs: 0 }
      this.#rows.set(topic, row)
    }
    row.totalMs += tookMs
    if (ok) row.ok += 1
    else row.failed += 1
  }

  statuses(): ConsumeStatus[] {
    const seconds = Math.max(1, (this.#clock.monotonicMs() - this.#startMs) / 1_000)
    return [...this.#rows].map(([topic, row]) => ({
      topic,
      pullRT: 0,
      pullTPS: (row.ok + row.failed) / seconds,
      consumeRT: row.totalMs / Math.max(1, row.ok + row.failed),
      consumeOKTPS: row.ok / seconds,
      consumeFailedTPS: row.failed / seconds,
      consumeFailedMsgs: row.failed,
    }))
  }
}

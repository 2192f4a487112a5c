/**
 * Which brokers to leave aside for a while: those that answered slowly, and those that did not
 * answer. When all are left aside, none is.
 * Source: apache/rocketmq client/…/latency/{MQFaultStrategy,LatencyFaultToleranceImpl}.java.
 */
import type { Clock } from '../world/clock.ts'

/** Answers that took this long (ms) keep a broker aside for so long (ms); the last row that fits counts. */
const rows: readonly (readonly [latencyMs: number, asideMs: number])[] = [
  [50, 0],
  [100, 0],
  [550, 2_000],
  [1_800, 5_000],
  [3_000, 6_000],
  [5_000, 10_000],
  [15_000, 30_000],
]

/** A broker that failed counts as one that took ten seconds. */
const FAILURE_LATENCY_MS = 10_000

export class BrokerHealth {
  readonly #clock: Clock
  readonly #asideUntilMs = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  answered(brokerName: string, latencyMs: number): void {
    const asideMs = asideFor(latencyMs)
    if (asideMs > 0) this.#asideUntilMs.set(brokerName, this.#clock.monotonicMs() + asideMs)
    else if (this.#asideUntilMs.size > 0) this.#asideUntilMs.delete(brokerName)
  }

  failed(brokerName: string): void {
    this.answered(brokerName, FAILURE_LATENCY_MS)
  }

  isUsable(brokerName: string): boolean {
    const untilMs = this.#asideUntilMs.get(brokerName)
    return untilMs === undefined || untilMs <= this.#clock.monotonicMs()
  }
}

function asideFor(latencyMs: number): number {
  let asideMs = 0
  for (const [fromMs, rowMs] of rows) if (latencyMs >= fromMs) asideMs = rowMs
  return asideMs
}

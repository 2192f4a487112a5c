/** Lags that are looked at again and again: how fast they grow or shrink, and when they will be gone. */
import { formatCount, formatDurationMs } from '../base/units.ts'
import type { GroupLag } from '../client/group-admin.ts'
import { renderTable } from './table.ts'
import type { Terminal } from './terminal.ts'

export interface LagSample {
  readonly name: string
  readonly lag: number
  readonly lagSeconds: number | null
  /** Messages a second since the look before; null at the first. */
  readonly storedPerSecond: number | null
  readonly processedPerSecond: number | null
  /** At these rates; 0 without lag, null when it does not shrink or nothing is known yet. */
  readonly catchUpSeconds: number | null
}

interface Look {
  readonly atMs: number
  readonly stored: number
  readonly processed: number
}

export class LagTrend {
  readonly #before = new Map<string, Look>()

  /** @param nowMs on a monotonic clock */
  add(groups: readonly GroupLag[], nowMs: number): LagSample[] {
    return groups.map(({ name, lag, lagSeconds, queues }) => {
      const sum = (of: (queue: GroupLag['queues'][number]) => number) =>
        queues.reduce((total, queue) => total + of(queue), 0)
      const look = {
        atMs: nowMs,
        stored: sum(({ brokerOffset }) => brokerOffset),
        processed: sum(({ consumerOffset }) => Math.max(0, consumerOffset)),
      }
      const before = this.#before.get(name)
      this.#before.set(name, look)
      const rates = before === undefined ? null : ratesBetween(before, look)
      return {
        ...{ name, lag, lagSeconds },
        storedPerSecond: rates?.stored ?? null,
        processedPerSecond: rates?.processed ?? null,
        catchUpSeconds: catchUp(lag, rates),
      }
    })
  }
}

function ratesBetween(before: Look, now: Look): { stored: number; processed: number } | null {
  const seconds = (now.atMs - before.atMs) / 1_000
  if (seconds <= 0) return null
  // A reset moves progress back: that is no rate.
  if (now.processed < before.processed || now.stored < before.stored) return null
  return {
    stored: (now.stored - before.stored) / seconds,
    processed: (now.processed - before.processed) / seconds,
  }
}

function catchUp(lag: number, rates: { stored: number; processed: number } | null): number | null {
  if (lag === 0) return 0
  if (rates === null || rates.processed <= rates.stored) return null
  return lag / (rates.processed - rates.stored)
}

/** Text without a final newline. */
export function trendText(
  at: string | null,
  rows: readonly LagSample[],
  terminal: Terminal,
): string {
  const seconds = (value: number | null) =>
    value === null ? null : formatDurationMs(value * 1_000)
  const rate = (value: number | null) => (value === null ? null : formatCount(Math.round(value)))
  const table = renderTable(
    terminal,
    [
      { head: 'GROUP' },
      { head: 'LAG', align: 'right' },
      { head: 'BEHIND', align: 'right' },
      { head: 'STORED/S', align: 'right' },
      { head: 'PROCESSED/S', align: 'right' },
      { head: 'CAUGHT UP IN', align: 'right' },
    ],
    rows.map((row) => [
      row.name,
      row.lag,
      seconds(row.lagSeconds),
      rate(row.storedPerSecond),
      rate(row.processedPerSecond),
      row.storedPerSecond !== null && row.catchUpSeconds === null
        ? 'not at this rate'
        : seconds(row.catchUpSeconds),
    ]),
  )
  return `${at ?? ''}\n${table}`
}

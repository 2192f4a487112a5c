/**
 * What is missing in the latencies of a rate that was tried. A percentile is the rank of what was
 * answered, or received: a message that was swallowed, or that nobody has had an answer to yet, has
 * no latency, and a promise would be kept by the survivors alone. So it counts as one above every
 * limit. Pure.
 */
import type { LatencyHistogram } from './histogram.ts'
import type { PhaseSums } from './phase-sums.ts'
import { type Threshold, percentileOf } from './threshold.ts'

/** A mean is told of at least this share of the messages. */
const MEAN_MISSING_MAX = 0.001
const ROUNDING = 1e-6

type Kind = 'response' | 'service' | 'sendDelay' | 'endToEnd'

export interface Expected {
  readonly sums: PhaseSums
  /** Each receives every message. */
  readonly groups: number
  /** Messages at the edges of the phase that clocks of several hosts may count to another one. */
  readonly astray: number
}

/** Messages that should have a latency of a kind. */
function expectedOf(kind: Kind, { sums, groups }: Expected): number {
  switch (kind) {
    // What the generator never sent has a limit of its own.
    case 'response':
    case 'sendDelay':
    case 'service':
      return sums.sent
    case 'endToEnd':
      return sums.acked * groups
  }
}

const wanting: Readonly<Record<Kind, string>> = {
  response: 'were not acknowledged',
  service: 'were not acknowledged',
  sendDelay: 'were not sent',
  endToEnd: 'were not received',
}

function kindOf({ metric }: Threshold): Kind | null {
  const [kind = ''] = metric.split('.')
  return kind in wanting ? (kind as Kind) : null
}

/** Whether anything that a promise on latency asks about may still come: what failed never does. */
export function isAwaited(sla: readonly Threshold[], expected: Expected): boolean {
  const { sent, acked, failed, unanswered } = expected.sums
  return sla.some((threshold) => {
    const kind = kindOf(threshold)
    if (kind === null || kind === 'sendDelay') return false
    if (sent > acked + failed + unanswered) return true
    return kind === 'endToEnd' && missingOf(threshold, expected) > 0
  })
}

function missingOf(threshold: Threshold, expected: Expected): number {
  const kind = kindOf(threshold)
  if (kind === null) return 0
  const missing = expectedOf(kind, expected) - (expected.sums.latency(kind)?.count ?? 0)
  return Math.max(0, kind === 'endToEnd' ? missing - expected.astray : missing)
}

/** Why a promise that holds of what has a latency does not when what has none counts as above the limit; null when it does. */
export function brokenByMissing(threshold: Threshold, expected: Expected): string | null {
  const { expression, metric, operator } = threshold
  const kind = kindOf(threshold)
  const missing = missingOf(threshold, expected)
  if (kind === null || missing === 0 || operator.startsWith('>')) return null
  const all = expectedOf(kind, expected)
  const percentile = percentileOf(threshold)
  const isBroken =
    percentile === null
      ? metric.endsWith('.max') || (metric.endsWith('.mean') && missing > all * MEAN_MISSING_MAX)
      : isAbove(percentile, threshold, expected.sums.latency(kind), missing)
  return isBroken ? `${expression}: ${missing} of ${all} messages ${wanting[kind]}` : null
}

/** Whether the percentile of all lies above the limit, or among those that are missing. */
function isAbove(
  percentile: number,
  { limit }: Threshold,
  histogram: LatencyHistogram | null,
  missing: number,
): boolean {
  if (histogram === null) return true
  // The same rank, among those alone that have a value.
  const among = percentile * (1 + missing / histogram.count)
  return among > 100 + ROUNDING || histogram.atMs(Math.min(100, among)) > limit
}

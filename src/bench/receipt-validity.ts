/**
 * Whether those who were to receive did: before the end of a run is believed, each group must have
 * got something from every queue that had something for it, and each phase an outcome. Pure.
 *
 * A consumer that is only slow is no fault: lag says how far it is behind, and a warning that the
 * rest was not looked at. One that stands still has measured nothing, whatever was acknowledged.
 */
import type { ValidityCheck } from './result.ts'
import type { Scenario } from './scenario-schema.ts'

/** What a group did with one queue, from the beginning of the run to the end of its drain. */
export interface QueueReading {
  /** BROKER/QUEUE, behind its topic when there are several. */
  readonly queue: string
  /** Messages by which it moved on, and those that it had not read in the end. */
  readonly read: number
  readonly remaining: number
  /** Messages by which it moved on while nothing was sent any more. */
  readonly readInDrain: number
}

export interface GroupReading {
  readonly name: string
  /** Messages that came to its consumers. */
  readonly received: number
  readonly queues: readonly QueueReading[]
}

export interface PhaseOutcome {
  readonly name: string
  readonly sent: number
  /** Acknowledged; of one-way messages, handed to the network. */
  readonly acked: number
}

export interface ReceiptInput {
  readonly scenario: Scenario
  readonly groups: readonly GroupReading[]
  /** Length of the drain, milliseconds. */
  readonly drainMs: number
  /** Requests of consumers that failed, by the name of the failure. */
  readonly troubles: Readonly<Record<string, number>>
  /** Of the window: acknowledged or handed over, and end-to-end latencies. */
  readonly acked: number
  readonly endToEndCount: number
  /** Phases that count and send at a rate of their own; those that a search tries may fail. */
  readonly phases: readonly PhaseOutcome[]
  /** One-way messages that were handed over, and by what the queues grew; null where nobody knows. */
  readonly oneWay: { readonly handed: number; readonly stored: number | null } | null
}

/** Names in one sentence. */
const NAMES_MAX = 3
/** Of one-way messages, the share that may be missing in the queues before the report says so. */
const UNSTORED_MAX = 0.001

export function receiptChecks(input: ReceiptInput): ValidityCheck[] {
  const checks: ValidityCheck[] = []
  if (input.phases.length > 1) checks.push(phasesCheck(input.phases))
  if (input.oneWay !== null && input.oneWay.stored !== null && input.oneWay.handed > 0) {
    checks.push(storedCheck(input.oneWay.handed, input.oneWay.stored))
  }
  const found = input.groups.map((group) => readingOf(group, input))
  const worst = found.reduce<Finding | null>(
    (most, one) => (most === null || isWorse(one, most) ? one : most),
    null,
  )
  if (worst === null) return checks
  checks.push({
    check: 'received',
    value: worst.share,
    limit: input.scenario.validity.minReceived,
    unit: 'share',
    ok: worst.rank === 0,
    severity: worst.rank === 1 ? 'warning' : 'error',
    text: worst.text + (worst.rank === 0 ? '' : troublesText(input.troubles)),
  })
  // Without their identity messages tell no time; consumers that got nothing at all are found above.
  if (input.scenario.verify.sequence && input.acked > 0 && worst.rank < 2) {
    checks.push({
      check: 'end-to-end-samples',
      value: input.endToEndCount,
      limit: 1,
      unit: 'messages',
      ok: input.endToEndCount > 0,
      // Slow consumers may not have come to the messages of the window.
      severity: worst.rank === 0 ? 'error' : 'warning',
      text:
        input.endToEndCount > 0
          ? `${input.endToEndCount} messages of the window were received`
          : 'no message of the window was received, so there is no end-to-end latency',
    })
  }
  return checks
}

/** Every phase by itself: the others may hide that one measured nothing. */
function phasesCheck(phases: readonly PhaseOutcome[]): ValidityCheck {
  const empty = phases.filter(({ acked }) => acked === 0)
  const said = empty.map(({ name, sent }) =>
    sent === 0
      ? `nothing was sent in phase ${name}`
      : `none of the ${sent} messages of phase ${name} was acknowledged`,
  )
  return {
    check: 'phase-samples',
    value: empty.length,
    limit: 0,
    unit: 'phases',
    ok: empty.length === 0,
    severity: 'error',
    text: empty.length === 0 ? 'each phase has acknowledged messages' : listed(said, '; '),
  }
}

/** Nobody answers to one-way messages: only the queues tell whether they came there. */
function storedCheck(handed: number, stored: number): ValidityCheck {
  const share = stored / handed
  return {
    check: 'one-way-stored',
    value: share,
    limit: 1 - UNSTORED_MAX,
    unit: 'share',
    ok: share >= 1 - UNSTORED_MAX,
    severity: stored === 0 ? 'error' : 'warning',
    text:
      stored === 0
        ? `none of the ${handed} one-way messages that were handed to the network came to a queue`
        : `the queues grew by ${stored} for ${handed} one-way messages that were handed to the network`,
  }
}

interface Finding {
  /** 0 good, 1 to be said, 2 not to be believed. */
  readonly rank: 0 | 1 | 2
  /** Received of what lay in the queues for the group. */
  readonly share: number
  readonly text: string
}

function isWorse(one: Finding, other: Finding): boolean {
  return one.rank > other.rank || (one.rank === other.rank && one.share < other.share)
}

function readingOf(group: GroupReading, input: ReceiptInput): Finding {
  const { name, queues, received } = group
  const { consumers, validity } = input.scenario
  const sum = (of: (queue: QueueReading) => number) =>
    queues.reduce((total, queue) => total + of(queue), 0)
  const remaining = sum((queue) => queue.remaining)
  const due = remaining + sum(({ read }) => read)
  const share = due === 0 ? 1 : Math.min(1, received / due)
  const seconds = (input.drainMs / 1000).toFixed(1)
  const text = `group ${name} received ${received} of the ${due} messages in its queues`
  if (due === 0) return { rank: 0, share, text: `there was nothing for group ${name}` }
  if (received === 0) {
    return {
      rank: 2,
      share,
      text: `group ${name} received none of the ${due} messages in its queues`,
    }
  }
  const waiting = queues.filter((queue) => queue.remaining > 0)
  const silent = waiting.filter(({ read }) => read === 0)
  if (silent.length > 0) {
    return { rank: 2, share, text: `group ${name} read nothing from ${queuesText(silent)}` }
  }
  // Who works on what he has asks for no more before it is done.
  const workMs = consumers.prefetch * consumers.processingTime + consumers.retryAfter
  const still = waiting.filter(({ readInDrain }) => readInDrain === 0)
  if (still.length > 0 && isRefused(input.troubles) && input.drainMs > 2 * workMs) {
    const what = `in the ${seconds} s after the load group ${name} read nothing from`
    return { rank: 2, share, text: `${what} ${queuesText(still)}` }
  }
  // Whom the scenario makes slow, and who moved on in every queue to the end, is believed.
  const { processingTime, failRate, startAt } = consumers
  const isMeant = processingTime > 0 || failRate > 0 || startAt !== 'end'
  const isSlow = isMeant && waiting.length > 0 && still.length === 0
  if (share < validity.minReceived && !isSlow) {
    return { rank: 2, share, text: `${text} until ${seconds} s after the load` }
  }
  if (remaining === 0) return { rank: 0, share, text }
  const rest = `${remaining} were not read ${seconds} s after the load (drain.timeout) and nothing is known of them`
  return { rank: 1, share, text: `${text}; ${rest}` }
}

/** Whether requests failed for another reason than that a message could not be worked on. */
function isRefused(troubles: ReceiptInput['troubles']): boolean {
  return Object.entries(troubles).some(([name, count]) => name !== 'PROCESSING_FAILED' && count > 0)
}

function troublesText(troubles: ReceiptInput['troubles']): string {
  const said = Object.entries(troubles).flatMap(([name, count]) =>
    count > 0 ? [`${count} × ${name}`] : [],
  )
  return said.length === 0 ? '' : `; what failed: ${listed(said, ', ')}`
}

function queuesText(queues: readonly QueueReading[]): string {
  const messages = queues.reduce((total, { remaining }) => total + remaining, 0)
  const names = listed(
    queues.map(({ queue }) => queue),
    ', ',
  )
  const of = queues.length === 1 ? 'one queue' : `${queues.length} queues`
  return `${of} with ${messages} messages (${names})`
}

function listed(parts: readonly string[], between: string): string {
  const shown = parts.slice(0, NAMES_MAX).join(between)
  return parts.length > NAMES_MAX ? `${shown} and ${parts.length - NAMES_MAX} more` : shown
}

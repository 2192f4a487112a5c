/**
 * The verdict on what happened to the messages, from the producers' ledgers, the consumers'
 * receipts and the growth of the broker's own queues. Pure.
 *
 * - *lost*: acknowledged, and received by no consumer of the group; what came damaged is corrupted, not lost
 * - *unconfirmed but stored*: no acknowledgement (a time-out, a lost connection), yet received;
 *   that is allowed, and the reason why a retry may duplicate
 * - *unreceived*: of one-way messages, which nobody acknowledges: sent, and received by no consumer.
 *   Nobody has promised them, nor their order, so neither is a violation
 * - *conservation*: sent = acknowledged + failed + unanswered + under way; and the broker's queues grew by at
 *   least what was acknowledged and at most what was sent
 */
import type { PackedLedger } from './ledger.ts'
import type { Receipts } from './receipt-check.ts'
import { SeenSet } from './seen-set.ts'

export interface LostRange {
  readonly producer: number
  readonly from: number
  readonly to: number
}

export interface Integrity {
  /** What was looked at, in words; warm-up and drain are part of it. */
  readonly scope: string
  /** Null when it could not be judged; `why` says it. */
  readonly lost: number | null
  /** Null, like the next ones, when nobody looked at messages that say who they are. */
  readonly duplicated: number | null
  readonly reordered: number | null
  /** Null also when messages carry no checksum. */
  readonly corrupted: number | null
  readonly foreign: number | null
  readonly misplaced: number | null
  readonly unconfirmedStored: number
  /** One-way messages that nobody received; null for others, or when it could not be judged. */
  readonly unreceived: number | null
  /** Messages whose loss could not be judged. */
  readonly unverified: number
  readonly lostRanges: readonly LostRange[]
  readonly conservation: {
    readonly sent: number
    readonly acked: number
    readonly failed: number
    /** One-way messages that were handed to the network. */
    readonly unanswered: number
    readonly pending: number
    readonly balanced: boolean
    /** Messages by which the broker's queues grew; null when the broker did not say. */
    readonly stored: number | null
    readonly storedExplained: boolean | null
  }
  readonly violations: readonly string[]
  readonly why: string | null
  /** Each consumer group by itself; empty when there is only one. */
  readonly groups: readonly GroupIntegrity[]
}

export interface GroupIntegrity {
  readonly name: string
  readonly received: number
  readonly lost: number | null
  readonly duplicated: number | null
  readonly reordered: number | null
  readonly corrupted: number | null
}

export interface IntegrityInput {
  /** By producer. */
  readonly ledgers: readonly PackedLedger[]
  readonly acked: number
  readonly failed: number
  readonly pending: number
  /** One-way messages that were handed to the network; none, unless said otherwise. */
  readonly unanswered?: number
  /** Messages are one-way: nobody acknowledges them. */
  readonly oneWay?: boolean
  /** By consumer of the one group; empty when nobody consumed. */
  readonly receipts: readonly Receipts[]
  /** False when messages do not carry their identity: nothing can be told about them. */
  readonly sequenced: boolean
  /** They carry a checksum; they do, unless said otherwise. */
  readonly sealed?: boolean
  /** Growth of the broker's queues; null when unknown. */
  readonly stored: number | null
  /** The topic is used by this run alone. */
  readonly exclusive: boolean
  /** Acknowledged to producers that ended without a last report, as far as they had told; null when none did. */
  readonly untold?: number | null
  /** False when the consumers were stopped before they had everything. */
  readonly drained: boolean
}

const RANGES_MAX = 20

export function judgeIntegrity(input: IntegrityInput): Integrity {
  const sent = input.ledgers.reduce((sum, ledger) => sum + ledger.sent, 0)
  const { acked, failed, pending, stored, unanswered = 0, oneWay = false } = input
  const sums = sumReceipts(input.receipts)
  const balanced = sent === acked + failed + unanswered + pending
  const storedExplained =
    stored === null ? null : stored >= acked && (!input.exclusive || stored <= sent)
  const judged = judgeLoss(input)
  const duplicated = sums.duplicated + judged.duplicatedAcross
  // That nothing was found says nothing where nobody looked.
  const isLooked = input.sequenced && input.receipts.length > 0
  const found = (count: number) => (isLooked ? count : null)
  const violations: string[] = []
  if (judged.lost !== null && judged.lost > 0) {
    violations.push(`${judged.lost} acknowledged messages were never received`)
  }
  if (duplicated > 0) violations.push(`${duplicated} messages were received more than once`)
  if (sums.reordered > 0 && !oneWay)
    violations.push(`${sums.reordered} messages came out of their sender's order`)
  if (sums.corrupted > 0) violations.push(`${sums.corrupted} messages were corrupted`)
  if (sums.misplaced > 0)
    violations.push(`${sums.misplaced} messages came from another queue than they were sent to`)
  if (sums.foreign > 0 && input.exclusive) {
    violations.push(`${sums.foreign} messages are not of this run, though the topic is its own`)
  }
  if (!balanced)
    violations.push(
      `${sent} sent is not ${acked} acknowledged + ${failed} failed + ${unanswered} unanswered + ${pending} pending`,
    )
  if (stored !== null && stored < acked) {
    violations.push(`the broker's queues grew by ${stored}, less than the ${acked} it acknowledged`)
  } else if (storedExplained === false) {
    violations.push(
      `the broker's queues grew by ${String(stored)}, more than the ${sent} that were sent`,
    )
  }
  return {
    scope: 'every message of the run, warm-up and drain included',
    lost: judged.lost,
    duplicated: found(duplicated),
    reordered: found(sums.reordered),
    corrupted: input.sealed === false ? null : found(sums.corrupted),
    foreign: found(sums.foreign),
    misplaced: found(sums.misplaced),
    unconfirmedStored: judged.unconfirmedStored,
    unreceived: judged.unreceived,
    unverified: judged.unverified,
    lostRanges: judged.ranges,
    conservation: { sent, acked, failed, unanswered, pending, balanced, stored, storedExplained },
    violations,
    why: judged.why,
    groups: [],
  }
}

/** What several groups, each of which must receive everything, found together. */
export function judgeGroups(
  input: Omit<IntegrityInput, 'receipts'>,
  groups: readonly { readonly name: string; readonly receipts: readonly Receipts[] }[],
): Integrity {
  const [only] = groups
  if (only === undefined || groups.length === 1) {
    return judgeIntegrity({ ...input, receipts: only?.receipts ?? [] })
  }
  const each = groups.map(({ name, receipts }) => ({
    name,
    received: receipts.reduce((sum, one) => sum + one.received, 0),
    ...judgeIntegrity({ ...input, receipts }),
  }))
  // What has nothing to do with receiving is the same for all.
  const common = judgeIntegrity({ ...input, receipts: [] }).violations
  const sum = (of: (one: Integrity) => number) => each.reduce((total, one) => total + of(one), 0)
  const all = (of: (one: Integrity) => number | null) =>
    each.some((one) => of(one) === null) ? null : sum((one) => of(one) ?? 0)
  const [first] = each
  return {
    ...judgeIntegrity({ ...input, receipts: [] }),
    lost: all(({ lost }) => lost),
    duplicated: all(({ duplicated }) => duplicated),
    reordered: all(({ reordered }) => reordered),
    corrupted: all(({ corrupted }) => corrupted),
    foreign: all(({ foreign }) => foreign),
    misplaced: all(({ misplaced }) => misplaced),
    unconfirmedStored: Math.max(...each.map(({ unconfirmedStored }) => unconfirmedStored)),
    unreceived: all(({ unreceived }) => unreceived),
    unverified: sum(({ unverified }) => unverified),
    lostRanges: each.flatMap(({ lostRanges }) => lostRanges).slice(0, RANGES_MAX),
    violations: [
      ...common,
      ...each.flatMap(({ name, violations }) =>
        violations.filter((one) => !common.includes(one)).map((one) => `group ${name}: ${one}`),
      ),
    ],
    why: each.find(({ why }) => why !== null)?.why ?? first?.why ?? null,
    groups: each.map(({ name, received, lost, duplicated, reordered, corrupted }) => ({
      name,
      received,
      lost,
      duplicated,
      reordered,
      corrupted,
    })),
  }
}

interface Loss {
  readonly lost: number | null
  readonly ranges: LostRange[]
  readonly duplicatedAcross: number
  readonly unconfirmedStored: number
  readonly unreceived: number | null
  readonly unverified: number
  readonly why: string | null
}

const ONE_WAY =
  'one-way messages are never acknowledged, so none of them can be called lost, and no order is promised between them'

function judgeLoss(input: IntegrityInput): Loss {
  const unjudged = (why: string): Loss => ({
    lost: null,
    ranges: [],
    duplicatedAcross: 0,
    unconfirmedStored: 0,
    unreceived: null,
    unverified: input.acked,
    why,
  })
  if (!input.sequenced)
    return unjudged('messages did not carry their identity (verify.sequence is off)')
  if (input.receipts.length === 0) return unjudged('nobody consumed')
  let lost = 0
  let duplicatedAcross = 0
  let unconfirmedStored = 0
  const ranges: LostRange[] = []
  for (const [producer, ledger] of input.ledgers.entries()) {
    const seen = new SeenSet()
    for (const receipts of input.receipts) {
      duplicatedAcross += seen.merge(receipts.seen[producer] ?? [])
    }
    const excused = new Set(ledger.unacknowledged)
    for (const sequence of excused) if (seen.has(sequence)) unconfirmedStored += 1
    const damaged = new Set(
      input.receipts.flatMap((one) =>
        one.damaged.flatMap(([of, sequence]) => (of === producer ? [sequence] : [])),
      ),
    )
    const missing = seen.missingBelow(
      ledger.sent,
      (sequence) => excused.has(sequence) || damaged.has(sequence),
      RANGES_MAX - ranges.length,
    )
    lost += missing.count
    for (const range of missing.ranges) ranges.push({ producer, ...range })
  }
  if (input.oneWay === true) {
    const unreceived = input.drained ? lost : null
    return { ...unjudged(ONE_WAY), duplicatedAcross, unreceived, unverified: 0 }
  }
  if (typeof input.untold === 'number') {
    return {
      ...unjudged(
        'a producer ended without its last report, so nobody knows what was acknowledged to it',
      ),
      duplicatedAcross,
      unconfirmedStored,
      unverified: lost + input.untold,
    }
  }
  if (!input.drained && lost > 0) {
    return {
      ...unjudged('the consumers were stopped before they had read everything'),
      duplicatedAcross,
      unconfirmedStored,
      unverified: lost,
    }
  }
  if (input.ledgers.some((ledger) => ledger.truncated) && lost > 0) {
    return {
      ...unjudged('too many messages failed to keep a list of them'),
      duplicatedAcross,
      unconfirmedStored,
      unverified: lost,
    }
  }
  return {
    lost,
    ranges,
    duplicatedAcross,
    unconfirmedStored,
    unreceived: null,
    unverified: 0,
    why: null,
  }
}

function sumReceipts(receipts: readonly Receipts[]) {
  const sum = { duplicated: 0, reordered: 0, corrupted: 0, foreign: 0, misplaced: 0 }
  for (const one of receipts) {
    sum.duplicated += one.duplicated
    sum.reordered += one.reordered
    sum.corrupted += one.corrupted
    sum.foreign += one.foreign
    sum.misplaced += one.misplaced
  }
  return sum
}

/** What a checker says of a history. */
import { ExitCode } from '../base/exit-codes.ts'
import type { Feature } from './history.ts'

/** Every promise that is judged, in the order of reports: kind and what a breach of it means. */
export const violationTexts = {
  lost: 'acknowledged, and not in the topic',
  undelivered: 'in the topic or committed, and never delivered',
  unfinished: 'delivered, and neither processed nor a dead letter in the end',
  twoPlaces: 'processed and a dead letter of the same group',
  phantom: 'came although nobody sent it, or its send had been refused',
  corrupted: 'is not what was sent',
  divergent: 'one place, two different messages',
  gap: 'places of a queue that nothing stands in',
  reorderedLog: 'stored behind a message that was sent after its acknowledgement',
  reordered: 'delivered first behind a message that was sent after its acknowledgement',
  overtaken: 'delivered while an earlier one of its queue was not done',
  early: 'delivered before its time',
  halfVisible: 'delivered before anybody committed it',
  rolledBackVisible: 'delivered although it was rolled back',
  unresolved: 'a half message that nobody ended, and about which no broker asked',
  excluded: 'delivered to a reader that does not get it',
  attempts: 'delivered more often than its group allows',
} as const

export type ViolationKind = keyof typeof violationTexts

export interface Witness {
  /** The message; for a gap or a divergence its place. */
  readonly value: string
  readonly text: string
  /** Lines of the history: the `i` of its events. */
  readonly lines: readonly number[]
}

export interface Violation {
  readonly kind: ViolationKind
  readonly meaning: string
  readonly count: number
  /** The first ones. */
  readonly witnesses: readonly Witness[]
}

export interface VerdictCounts {
  /** Sends, and what was answered. */
  readonly sent: number
  readonly acknowledged: number
  readonly refused: number
  readonly unknown: number
  /** Transactions. */
  readonly committed: number
  readonly rolledBack: number
  readonly checks: number
  /** Deliveries to readers, those of a message for the first time, and further ones. */
  readonly delivered: number
  readonly firstDeliveries: number
  readonly redelivered: number
  readonly processed: number
  readonly failedTries: number
  readonly deadLetters: number
  /** Pairs of message and reader that the reader was not to get. */
  readonly excluded: number
  /** Messages in the topic in the end, and copies beyond the first. */
  readonly stored: number
  readonly storedTwice: number
  readonly kills: number
}

export interface Outage {
  readonly on: string
  /** From the last acknowledgement before to the first of a send that began after; null: none came. */
  readonly gapMs: number | null
}

export interface Verdict {
  readonly verdict: 'valid' | 'violated' | 'unknown'
  readonly exitCode: ExitCode
  readonly feature: Feature
  readonly run: string
  readonly seed: number
  readonly topic: string
  readonly counts: VerdictCounts
  readonly violations: readonly Violation[]
  /** Why it cannot be called valid although nothing was found. */
  readonly reasons: readonly string[]
  readonly outages: readonly Outage[]
  /** Where the history is; null: not kept. */
  readonly history: string | null
}

const WITNESSES_MAX = 8

/** Collects what was found, by kind. */
export class Findings {
  readonly #found = new Map<ViolationKind, { count: number; witnesses: Witness[] }>()

  add(kind: ViolationKind, value: string, text: string, lines: readonly number[]): void {
    let found = this.#found.get(kind)
    if (found === undefined) {
      found = { count: 0, witnesses: [] }
      this.#found.set(kind, found)
    }
    found.count += 1
    if (found.witnesses.length < WITNESSES_MAX) {
      found.witnesses.push({ value, text, lines: lines.filter((line) => line >= 0) })
    }
  }

  drop(kind: ViolationKind): void {
    this.#found.delete(kind)
  }

  list(): Violation[] {
    return (Object.keys(violationTexts) as ViolationKind[]).flatMap((kind) => {
      const found = this.#found.get(kind)
      return found === undefined ? [] : [{ kind, meaning: violationTexts[kind], ...found }]
    })
  }
}

/** Violated beats unknown beats valid. */
export function judgement(
  violations: readonly Violation[],
  reasons: readonly string[],
): Pick<Verdict, 'verdict' | 'exitCode'> {
  if (violations.length > 0) return { verdict: 'violated', exitCode: ExitCode.integrity }
  if (reasons.length > 0) return { verdict: 'unknown', exitCode: ExitCode.inconclusive }
  return { verdict: 'valid', exitCode: ExitCode.ok }
}

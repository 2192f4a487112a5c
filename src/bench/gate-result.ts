/** What a gate found: one versioned document, as `result.ts` is for a run. */

export type GateVerdict = 'ok' | 'regressed' | 'improved' | 'inconclusive'

/** The two places of a pair. */
export type Side = 'base' | 'head'

export interface JudgedMetric {
  readonly metric: string
  readonly primary: boolean
  readonly higherIsBetter: boolean
  readonly pairs: number
  /** Means over the runs. */
  readonly base: number
  readonly head: number
  /** Head over base minus one, from the mean of the logarithms. */
  readonly change: number
  readonly low: number
  readonly high: number
  /** From the Hodges–Lehmann centre of the logarithms. */
  readonly medianChange: number
  readonly p: number
  /** After Holm; null for metrics that only inform. */
  readonly pCorrected: number | null
  /** What two runs of the same thing differ by on this machine, averaged over as many pairs; null when unknown. */
  readonly floor: number | null
  /** The larger of floor and smallest change that matters. */
  readonly limit: number
  readonly verdict: GateVerdict
  readonly why: string
  /** Pairs with which a change of nothing would be called ok; null when there are enough. */
  readonly pairsNeeded: number | null
}

/** What one run says of each metric; null when it does not. */
export type GateValues = Readonly<Record<string, number | null>>

/** What a gate keeps of one run. */
export interface GateRun {
  readonly runId: string
  readonly values: GateValues
  /** Thresholds of the scenario that did not hold, and `errors.rate <= 0.1%`, which always must. */
  readonly broken: readonly string[]
}

export interface GatePair {
  readonly same: boolean
  readonly first: Side
  readonly base: GateRun
  readonly head: GateRun
}

/** A threshold that some run broke, by a one-sided sign test over the pairs in which one side alone did. */
export interface JudgedThreshold {
  readonly threshold: string
  readonly pairs: number
  /** Runs that broke it. */
  readonly base: number
  readonly head: number
  /** Pairs in which the head broke it and the base did not, and the other way round. */
  readonly onlyHead: number
  readonly onlyBase: number
  readonly p: number
  readonly verdict: 'ok' | 'regressed' | 'inconclusive'
  readonly why: string
}

export interface GateLook {
  readonly pairs: number
  readonly alpha: number
  readonly verdict: GateVerdict
}

/** The gate tried on itself: a slow-down that was planted, and nothing at all. */
export interface GateQualification {
  /** The base against itself with its brokers slowed down by this share. */
  readonly plantedShare: number
  /** Must be `regressed`. */
  readonly planted: GateVerdict | 'interrupted' | 'stopped'
  /** The base against itself; must be neither `regressed` nor `improved`. */
  readonly same: GateVerdict | 'interrupted' | 'stopped'
  readonly qualified: boolean
}

export interface GateResult {
  readonly schemaVersion: 1
  readonly kind: 'gate'
  readonly startedAt: string
  readonly endedAt: string
  readonly base: string
  readonly head: string
  readonly scenario: { readonly name: string; readonly base: string; readonly head: string }
  readonly machine: string
  readonly durability: string
  readonly seed: number
  readonly minEffect: number
  readonly metrics: readonly JudgedMetric[]
  /** Those that some run broke; empty when all held everywhere. */
  readonly thresholds: readonly JudgedThreshold[]
  /** Metrics that would decide and have no value in some run, for want of samples or of a look inside the broker. */
  readonly unmeasured: readonly string[]
  readonly looks: readonly GateLook[]
  /** What the confirming runs said; null when there were none. */
  readonly confirmation: {
    readonly metrics: readonly JudgedMetric[]
    readonly thresholds: readonly JudgedThreshold[]
    readonly verdict: GateVerdict
  } | null
  readonly pairs: readonly GatePair[]
  /** Whether the gate can tell on this machine; null when it was not tried. */
  readonly qualification: GateQualification | null
  readonly verdict: GateVerdict | 'interrupted' | 'stopped' | 'unqualified'
  readonly exitCode: number
  readonly reasons: readonly string[]
}

/** What a run is given, what it tells while it goes on, and everything that it has gathered at its end. */
import type { BrokerFacts, Driver, Durability, Lane } from '../drivers/driver.ts'
import type { HostWarning } from '../host/checks.ts'
import type { HostFacts } from '../host/facts.ts'
import type { HostSnapshot } from '../host/snapshot.ts'
import type { AgentRecord, AgentsOptions } from './agent/agents.ts'
import type { Ceiling } from './ceiling.ts'
import type { Crew } from './crew.ts'
import type { LaneLag } from './lag-book.ts'
import type { Load } from './load-program.ts'
import type { PhaseRecord } from './phase-runner.ts'
import type { Plan } from './plan.ts'
import type { Prediction } from './prediction.ts'
import type { BalanceRecord } from './rate-balance.ts'
import type { CurveRecord } from './rate-curve.ts'
import type { SearchRecord } from './rate-search.ts'
import type { SeriesRow } from './result.ts'
import type { ConsumerReport, ProducerReport } from './role-messages.ts'
import type { LoadedScenario } from './scenario.ts'
import type { Series } from './series.ts'
import type { TargetWatch } from './target-watch.ts'
import { type InsideMark, type KnownProcess } from './target-watch.ts'

export interface BenchOptions {
  readonly loaded: LoadedScenario
  /** Name servers of the target, HOST:PORT. */
  readonly endpoints: readonly string[]
  /** Processes of the target that the caller has started. */
  readonly known: readonly KnownProcess[]
  /** Where the brokers keep their data, when it is on this host and the caller knows it. */
  readonly dataDir: string | null
  readonly toolVersion: string
  /** Measure the null target first. */
  readonly ceiling: boolean
  /** Ctrl-C: stop, and report what there is. */
  readonly interrupted: AbortSignal
  readonly onProgress: (progress: Progress) => void
  /** Agents on other hosts; absent or null without. */
  readonly agents?: AgentsOptions | null
  /** The laboratory in which it runs, in words; absent outside of one. */
  readonly lab?: string | null
  /** It has an id now; nothing was sent yet. */
  readonly onBegin?: (run: { readonly runId: string; readonly startedMs: number }) => void
  /** What the run will cost and where its ceiling should be, before it begins. */
  readonly onPrediction?: (text: string) => void
}

export type PhaseName = 'prepare' | 'ceiling' | 'warmup' | 'measure' | 'drain'

export interface Progress {
  readonly phase: PhaseName
  /** Of the phase. */
  readonly elapsedMs: number
  /** Planned; null when it is over when it is over. */
  readonly totalMs: number | null
  readonly row: SeriesRow | null
  /** The last seconds, the newest last. */
  readonly recent: readonly SeriesRow[]
  readonly totalAcked: number
  readonly totalReceived: number
}

/** Everything that a run has gathered, for `assembleResult`. */
export interface RunRecord {
  readonly options: BenchOptions
  readonly plan: Plan
  readonly driver: Driver
  readonly lanes: readonly Lane[]
  readonly facts: readonly BrokerFacts[]
  readonly hostFacts: HostFacts
  readonly durability: Durability
  readonly watch: TargetWatch
  readonly exclusive: boolean
  readonly ceiling: Ceiling | null
  readonly prediction: Prediction | null
  readonly series: Series
  readonly phases: readonly PhaseOfRun[]
  readonly startedMs: number
  readonly endedMs: number
  readonly windowMs: number
  /** Acknowledged and received in the window, in phases that count and between them. */
  readonly windowAcked: number
  readonly windowReceived: number
  readonly firstSnapshot: HostSnapshot
  readonly lastSnapshot: HostSnapshot
  readonly firstMarks: ReadonlyMap<string, InsideMark>
  readonly lastMarks: ReadonlyMap<string, InsideMark>
  readonly samplerCores: number
  readonly processes: Crew['processes']
  readonly agents: readonly AgentRecord[]
  readonly producerReports: readonly (ProducerReport | null)[]
  readonly consumerReports: readonly (ConsumerReport | null)[]
  /** Messages by which each lane of the target grew; null when it could not be read. */
  readonly growth: readonly number[] | null
  readonly drained: boolean
  /** How long consumers took to read the rest; null when they did not come to the end. */
  readonly drainMs: number | null
  /** How long they were given. */
  readonly drainTookMs: number
  /** By group. */
  readonly lagAtEnd: readonly number[]
  /** By group, at the end of the window. */
  readonly laneLags: readonly (readonly LaneLag[])[]
  /** By group, when the drain was over. */
  readonly laneRests: readonly (readonly LaneLag[])[]
  readonly interrupted: boolean
  /** What was lost on the way: name and why. */
  readonly lost: readonly string[]
  readonly warnings: readonly HostWarning[]
  /** How the warm-up ended, when it waited for a steady rate. */
  readonly steadyText: string | null
  readonly search: SearchRecord | null
  readonly curve: CurveRecord | null
  readonly balance: BalanceRecord | null
}

/** A phase as it was. */
export interface PhaseOfRun {
  readonly name: string
  readonly repetition: number
  /** Number among the phases that count; null for the others. */
  readonly index: number | null
  readonly load: Load
  readonly startNs: number
  readonly startedMs: number
  readonly durationMs: number
  readonly excluded: string | null
  readonly drain: PhaseRecord['drain']
  readonly usage: PhaseRecord['usage']
  readonly agents: PhaseRecord['agents']
}

/**
 * Takes the crew through the phases of a run and keeps the book: which phase was when. Phases that
 * are known beforehand follow each other without a gap. All moments lie on the host's monotonic
 * clock; a phase begins at a whole second of the run's grid.
 */
import type { HostUsage } from '../host/usage.ts'
import type { Clock } from '../world/clock.ts'
import type { Crew } from './crew.ts'
import type { Load, LoadProgram, Segment } from './load-program.ts'
import type { Series } from './series.ts'

/** A new segment must reach every process before it begins. */
const NOTICE_NS = 60e6
/** Over a network it takes longer. */
const AGENT_NOTICE_NS = 500e6

export interface PhaseRecord {
  readonly name: string
  readonly repetition: number
  /** Number among the phases that count; null for the others. */
  readonly index: number | null
  readonly load: Load
  readonly startNs: number
  endNs: number
  /** Why it counts nowhere; null when it counts. */
  readonly excluded: string | null
  /** How a phase ended that lasts until everything is read. */
  drain: { readonly done: boolean; readonly remaining: number } | null
  /** What this host did meanwhile; null when nobody looked at its edges. */
  usage: HostUsage | null
  /** The same of the agents' hosts, by address; without those that did not tell. */
  agents: ReadonlyMap<string, HostUsage>
}

export class PhaseRunner {
  readonly phases: PhaseRecord[] = []
  readonly #clock: Clock
  readonly #crew: Crew
  readonly #early: AbortSignal
  readonly #gridNs: number
  readonly #noticeNs: number
  readonly program: LoadProgram
  #counted = 0

  constructor(clock: Clock, crew: Crew, program: LoadProgram, gridNs: number, early: AbortSignal) {
    this.#noticeNs = crew.processes.some(({ host }) => host !== null) ? AGENT_NOTICE_NS : NOTICE_NS
    this.#clock = clock
    this.#crew = crew
    this.program = program
    this.#gridNs = gridNs
    this.#early = early
  }

  get nowNs(): number {
    return Number(this.#clock.monotonicNs())
  }

  /** Load at full strength that counts nowhere, until the first phase. */
  warmUp(startNs: number, load: Load, excluded: string): void {
    this.#begin([{ phase: null, startNs, endNs: Number.POSITIVE_INFINITY, load }])
    this.#record('warm-up', 1, null, load, startNs, Number.POSITIVE_INFINITY, excluded)
    this.#crew.start(this.#gridNs, this.program.segments)
  }

  /** The first whole second of the grid that everybody can still be told of. */
  nextStartNs(): number {
    const seconds = Math.ceil((this.nowNs + this.#noticeNs - this.#gridNs) / 1e9)
    return this.#gridNs + Math.max(0, seconds) * 1e9
  }

  /** Phases of known length, one after the other from `startNs`; returns their records. */
  schedule(
    startNs: number,
    wanted: readonly {
      readonly name: string
      readonly repetition: number
      readonly load: Load
      readonly durationMs: number
      readonly excluded?: string
      readonly consumersPaused?: boolean
    }[],
    final: boolean,
  ): PhaseRecord[] {
    this.#closeOpen(startNs)
    let atNs = startNs
    const segments: Segment[] = []
    const records: PhaseRecord[] = []
    for (const { name, repetition, load, durationMs, excluded, consumersPaused } of wanted) {
      const endNs = atNs + durationMs * 1e6
      const phase = excluded === undefined ? this.#counted++ : null
      segments.push({
        phase,
        startNs: atNs,
        endNs,
        load,
        consumersPaused: consumersPaused === true,
      })
      records.push(this.#record(name, repetition, phase, load, atNs, endNs, excluded ?? null))
      atNs = endNs
    }
    this.#begin(segments)
    this.#crew.extend(segments, final)
    return records
  }

  /** What runs ends now; nothing is sent until the next phase. */
  cut(): void {
    const nowNs = this.nowNs
    this.#closeOpen(nowNs)
    const load = { model: 'idle' } as const
    const gap = [{ phase: null, startNs: nowNs, endNs: Number.POSITIVE_INFINITY, load }]
    this.#begin(gap)
    this.#crew.extend(gap, false)
  }

  /** Nothing comes any more; what runs ends now. */
  finish(): void {
    const nowNs = this.nowNs
    this.#closeOpen(nowNs)
    this.#crew.halt()
  }

  /** Waits for a moment, or until the run must end early. */
  until(atNs: number): Promise<void> {
    const signal = this.#early
    return new Promise((resolve) => {
      if (signal.aborted) {
        resolve()
        return
      }
      const stop = this.#clock.after(Math.max(0, (atNs - this.nowNs) / 1e6), () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
      const onAbort = () => {
        stop()
        resolve()
      }
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /**
   * Waits until the acknowledged rate is steady: between the two halves of a window it moves less
   * than a share. Returns in words how it ended.
   */
  async untilSteady(
    series: () => Series,
    steady: { readonly share: number; readonly windowMs: number },
    untilNs: number,
  ): Promise<string> {
    const counts: number[] = []
    const window = Math.max(2, Math.round(steady.windowMs / 1000))
    for (;;) {
      counts.push(series().totalAcked)
      const change = changeOf(counts, window)
      if (change !== null && Math.abs(change) <= steady.share) {
        return `steady: the rate moved ${(change * 100).toFixed(1)} % in ${window} s`
      }
      if (this.#early.aborted) return 'interrupted'
      if (this.nowNs >= untilNs) {
        const moved = change === null ? '' : `; it still moved ${(change * 100).toFixed(1)} %`
        return `not steady within the longest warm-up${moved}`
      }
      await this.until(this.nowNs + 1e9)
    }
  }

  #begin(segments: readonly Segment[]): void {
    this.program.append(segments)
  }

  #closeOpen(atNs: number): void {
    for (const record of this.phases) if (record.endNs > atNs) record.endNs = atNs
  }

  #record(
    name: string,
    repetition: number,
    index: number | null,
    load: Load,
    startNs: number,
    endNs: number,
    excluded: string | null,
  ): PhaseRecord {
    const [drain, usage] = [null, null]
    const agents = new Map<string, HostUsage>()
    const record = { name, repetition, index, load, startNs, endNs, excluded, drain, usage, agents }
    this.phases.push(record)
    return record
  }
}

/** How much the rate of the second half of the last `window` seconds differs from the first. */
function changeOf(counts: readonly number[], window: number): number | null {
  if (counts.length <= window) return null
  const at = (back: number) => counts[counts.length - 1 - back] ?? 0
  const half = Math.floor(window / 2)
  const second = (at(0) - at(half)) / half
  const first = (at(half) - at(window)) / (window - half)
  return first > 0 ? second / first - 1 : null
}

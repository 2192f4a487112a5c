/**
 * What the same producers reach against a target that only acknowledges, for a moment before the
 * run. The target takes CPU as well, so on a machine where all share few cores the figure is a
 * lower bound of what the generator could do; its CPU a message is the better yardstick there.
 */
import type { Clock } from '../world/clock.ts'
import { Crew } from './crew.ts'
import { type LoadPlace, thisHost } from './role-process.ts'
import { NullTargetProcess } from './null-target-process.ts'
import type { ProducerSetup } from './role-messages.ts'

const WARMUP_MS = 600
const MEASURE_MS = 1_000
const START_DELAY_MS = 50
/** Orders go over a network first. */
export const AGENT_START_DELAY_MS = 500

export interface Ceiling {
  readonly perSecond: number
  readonly cpuUsPerMessage: number
}

export interface CeilingTimes {
  readonly warmupMs: number
  readonly measureMs: number
}

/**
 * Each producer against a target on its own host. Null when nothing came back, so that nothing is
 * known. Rejects with MqError START_FAILED.
 *
 * @param places by producer; empty for this host
 */
export async function measureCeiling(
  clock: Clock,
  producers: readonly ProducerSetup[],
  times: CeilingTimes = { warmupMs: WARMUP_MS, measureMs: MEASURE_MS },
  places: readonly LoadPlace[] = [],
): Promise<Ceiling | null> {
  const placeOf = (producer: number) => places[producer] ?? thisHost
  const targets = new Map<LoadPlace, NullTargetProcess>()
  try {
    for (const { producer } of producers) {
      const place = placeOf(producer)
      if (!targets.has(place)) targets.set(place, await NullTargetProcess.start(clock, place))
    }
    let acked = 0
    const crew = await Crew.gather(
      clock,
      producers.map((setup) => ({
        name: `producer-${setup.producer + 1}`,
        setup: {
          ...setup,
          driver: 'null' as const,
          endpoints: [targets.get(placeOf(setup.producer))?.address ?? ''],
        },
        place: placeOf(setup.producer),
      })),
      {
        onTick: (_name, tick) => {
          if (tick.kind !== 'producer-tick') return
          // One-way messages have done all they ever will when the network has taken them.
          for (const tally of tick.tallies) acked += tally.acked + tally.unanswered
        },
        onLost: () => undefined,
      },
    )
    try {
      const delayMs = places.length > 0 ? AGENT_START_DELAY_MS : START_DELAY_MS
      const startNs = Number(clock.monotonicNs()) + (delayMs + times.warmupMs) * 1e6
      const endNs = startNs + times.measureMs * 1e6
      const load = { model: 'closed' } as const
      const warmup = { phase: null, startNs: startNs - times.warmupMs * 1e6, endNs: startNs, load }
      crew.start(startNs, [warmup])
      crew.extend([{ phase: 0, startNs, endNs, load }], true)
      const reports = await crew.producerReports(times.warmupMs + times.measureMs + 10_000)
      let cpuMs = 0
      for (const report of reports) {
        if (report === null) continue
        const { start, end } = report.figures
        cpuMs += end.cpuUserMs + end.cpuSystemMs - start.cpuUserMs - start.cpuSystemMs
      }
      if (acked === 0) return null
      return {
        perSecond: (acked * 1000) / times.measureMs,
        cpuUsPerMessage: (cpuMs * 1000) / acked,
      }
    } finally {
      crew.end()
    }
  } finally {
    for (const target of targets.values()) target.end()
  }
}

/** What a run says about its receivers and its phases, for the checks of `receipt-validity.ts`. */
import type { PhaseSums } from './phase-sums.ts'
import type { GroupReading, ReceiptInput } from './receipt-validity.ts'
import type { RunRecord } from './run-record.ts'

/** Null when the run was cut short: then nobody was given the time to read. */
export function receiptInputOf(
  run: RunRecord,
  sums: PhaseSums,
  troubles: ReceiptInput['troubles'],
): ReceiptInput | null {
  if (run.interrupted || run.lost.length > 0) return null
  const { scenario } = run.options.loaded
  const isOneWay = scenario.producers.mode === 'one-way'
  const handed = (one: PhaseSums) => (isOneWay ? one.unanswered : one.acked)
  const tried = new Set(
    [run.search?.trials, run.balance?.steps, run.curve?.steps].flatMap(
      (trials) => trials?.map(({ phase }) => phase) ?? [],
    ),
  )
  const total = run.producerReports.reduce((sum, report) => sum + (report?.unanswered ?? 0), 0)
  const stored = run.growth?.reduce((sum, messages) => sum + messages, 0) ?? null
  return {
    scenario,
    // A target that keeps nothing gives nothing.
    groups:
      scenario.consumers.instances === 0 || run.growth === null
        ? []
        : run.plan.groups.map((name, group) => readingOf(run, name, group)),
    drainMs: run.drainTookMs,
    troubles,
    acked: handed(sums),
    endToEndCount: sums.latency('endToEnd')?.count ?? 0,
    phases: run.phases.flatMap(({ name, index, load }) => {
      if (index === null || load.model === 'idle' || tried.has(name)) return []
      const one = run.series.phase(index)
      return [{ name, sent: one.sent, acked: handed(one) }]
    }),
    oneWay: isOneWay ? { handed: total, stored } : null,
  }
}

function readingOf(run: RunRecord, name: string, group: number): GroupReading {
  const before = new Map(run.laneLags[group]?.map(({ lane, read }) => [lane, read]))
  return {
    name,
    // Of each second, not of the last reports: one of those may not have come in time.
    received: run.series.receivedBy(group),
    queues: (run.laneRests[group] ?? []).map(({ lane, read, atEnd }) => ({
      queue: queueName(run, lane),
      read,
      // What others have sent since everything was read is not this run's.
      remaining: run.drained ? 0 : atEnd,
      readInDrain: read - (before.get(lane) ?? 0),
    })),
  }
}

function queueName({ lanes }: RunRecord, lane: number): string {
  const of = lanes[lane]
  const topic = lanes[0]?.topic === lanes.at(-1)?.topic ? '' : `${of?.topic ?? ''} `
  return `${topic}${of?.broker ?? ''}/${of?.queueId ?? lane}`
}

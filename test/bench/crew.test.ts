/** The load processes of a run, played by a test. */
import { describe, expect, it } from 'vitest'
import { Crew } from '../../src/bench/crew.ts'
import type {
  ConsumerSetup,
  FromRole,
  ProducerSetup,
  ToRole,
} from '../../src/bench/role-messages.ts'
import type { LoadPlace, LoadRole } from '../../src/bench/role-process.ts'
import { SimClock } from '../sim/sim-clock.ts'

const REPORTS_WITHIN_MS = 13_000

/** A process that is ready at once, and says the rest when a test says so. */
class PlayedRole implements LoadRole {
  readonly pid = 1
  readonly name: string
  onReport: (report: FromRole) => void = () => undefined
  onEnd: (why: string) => void = () => undefined

  constructor(name: string) {
    this.name = name
  }

  order(order: ToRole): void {
    if (order.kind === 'setup') this.onReport({ kind: 'ready' })
  }

  end(): void {
    // Nothing runs.
  }
}

const lastReport = { kind: 'producer-report', broken: null } as unknown as FromRole

async function aCrew(...names: string[]) {
  const clock = new SimClock()
  const roles = new Map<string, PlayedRole>()
  const lost: string[] = []
  const place: LoadPlace = {
    host: null,
    lost: null,
    openRole: (name) => {
      const role = new PlayedRole(name)
      roles.set(name, role)
      return role
    },
  }
  const members = names.map((name) => {
    const kind = name.startsWith('producer') ? 'producer' : 'consumer'
    return { name, setup: { kind } as ProducerSetup | ConsumerSetup, place }
  })
  const crew = await Crew.gather(clock, members, {
    onTick: () => undefined,
    onLost: (name, why) => lost.push(`${name}: ${why}`),
  })
  return { clock, crew, lost, roleOf: (name: string) => roles.get(name) }
}

describe('a crew', () => {
  it('names a producer that gives no last report, and goes on with the others', async () => {
    const { clock, crew, lost, roleOf } = await aCrew('producer-1', 'producer-2')
    const reports = crew.producerReports(REPORTS_WITHIN_MS)
    roleOf('producer-2')?.onReport(lastReport)
    expect(lost).toEqual([])
    await clock.advance(REPORTS_WITHIN_MS)
    expect((await reports).map((report) => report === null)).toEqual([true, false])
    expect(lost).toEqual(['producer-1: it gave no last report within 13 s'])
  })

  it('names a consumer that gives no last report', async () => {
    const { clock, crew, lost } = await aCrew('consumer-1')
    const reports = crew.consumerReports()
    await clock.advance(60_000)
    expect(await reports).toEqual([null])
    expect(lost).toEqual(['consumer-1: it gave no last report within 20 s'])
  })

  it('names nobody when all have given theirs', async () => {
    const { clock, crew, lost, roleOf } = await aCrew('producer-1', 'producer-2')
    const reports = crew.producerReports(REPORTS_WITHIN_MS)
    for (const name of ['producer-1', 'producer-2']) roleOf(name)?.onReport(lastReport)
    expect(await reports).toHaveLength(2)
    await clock.advance(REPORTS_WITHIN_MS)
    expect(lost).toEqual([])
  })

  it('says of one that died only that', async () => {
    const { crew, lost, roleOf } = await aCrew('producer-1')
    roleOf('producer-1')?.onEnd('producer-1 ended with signal SIGKILL')
    expect(await crew.producerReports(REPORTS_WITHIN_MS)).toEqual([null])
    expect(lost).toEqual(['producer-1: producer-1 ended with signal SIGKILL'])
  })
})

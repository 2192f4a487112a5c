/**
 * The load processes of one run, together: all are ready before any begins, all know the same
 * window, and every one gives its last report or is named as lost.
 */
import { MqError } from '../base/errors.ts'
import type { Clock } from '../world/clock.ts'
import type { Segment } from './load-program.ts'
import type {
  ConsumerReport,
  ConsumerSetup,
  ConsumerTick,
  FromRole,
  ProducerClocks,
  ProducerReport,
  ProducerSetup,
  ProducerTick,
} from './role-messages.ts'
import { type LoadPlace, type LoadRole, errorOf, thisHost } from './role-process.ts'

const READY_TIMEOUT_MS = 30_000
const REPORT_TIMEOUT_MS = 20_000

type Report = ProducerReport | ConsumerReport

export interface CrewEvents {
  onTick(name: string, tick: ProducerTick | ConsumerTick): void
  /** A member cannot go on: its line is broken, or the process is gone. Called once for each. */
  onLost(name: string, why: string): void
}

/** A load process to be, and where. */
export interface CrewMember {
  readonly name: string
  readonly setup: ProducerSetup | ConsumerSetup
  /** Absent for this host. */
  readonly place?: LoadPlace
}

/** A load process as a result names it. */
export interface CrewProcess {
  readonly name: string
  readonly role: 'producer' | 'consumer'
  readonly pid: number | null
  /** The agent that it runs at; null for this host. */
  readonly host: string | null
}

interface Member {
  readonly process: LoadRole
  readonly host: string | null
  readonly setup: ProducerSetup | ConsumerSetup
  ready: boolean
  report: Report | null
  lost: string | null
  /** The process can give no report any more. */
  gone: boolean
}

export class Crew {
  readonly #clock: Clock
  readonly #events: CrewEvents
  readonly #members: Member[] = []
  /** Called whenever something changed that somebody may wait for. */
  #onChange: () => void = () => undefined
  #failure: Error | null = null

  /** Starts all processes; resolves when all are connected. Rejects with what a role says; nothing runs then. */
  static async gather(
    clock: Clock,
    members: readonly CrewMember[],
    events: CrewEvents,
  ): Promise<Crew> {
    const crew = new Crew(clock, events)
    for (const member of members) crew.#add(member)
    try {
      await crew.#until(
        () => crew.#failure !== null || crew.#members.every((member) => member.ready),
        READY_TIMEOUT_MS,
      )
      crew.#throwFailure()
      const late = crew.#members
        .filter((member) => !member.ready)
        .map(({ process }) => process.name)
      if (late.length > 0) {
        throw new MqError('START_FAILED', {
          what: late.join(', '),
          why: `not ready within ${READY_TIMEOUT_MS / 1000} s`,
          hint: 'the machine may be overloaded',
        })
      }
      return crew
    } catch (error) {
      crew.end()
      throw error
    }
  }

  private constructor(clock: Clock, events: CrewEvents) {
    this.#clock = clock
    this.#events = events
  }

  get processes(): CrewProcess[] {
    return this.#members.map(({ process, setup, host }) => ({
      name: process.name,
      role: setup.kind,
      pid: process.pid,
      host,
    }))
  }

  /** Consumers first: they wait for what producers will send. */
  start(gridNs: number, segments: readonly Segment[]): void {
    for (const kind of ['consumer', 'producer'] as const) {
      for (const member of this.#members) {
        if (member.setup.kind === kind) member.process.order({ kind: 'start', gridNs, segments })
      }
    }
  }

  /** More to do for everybody; nothing comes after the final segments. */
  extend(segments: readonly Segment[], final: boolean): void {
    for (const { process } of this.#members) process.order({ kind: 'extend', segments, final })
  }

  /** Tells a consumer how the clocks of its producers stand now. */
  tellClocks(consumer: string, clocks: ProducerClocks): void {
    const member = this.#members.find(({ process }) => process.name === consumer)
    member?.process.order({ kind: 'clocks', clocks })
  }

  halt(): void {
    for (const { process } of this.#members) process.order({ kind: 'halt' })
  }

  /** Asks consumers for their progress now. */
  poll(): void {
    this.#orderConsumers('poll')
  }

  /** The producers' last reports in order; null for one that is gone, or gave none in this time. */
  async producerReports(timeoutMs: number): Promise<(ProducerReport | null)[]> {
    const producers = this.#members.filter(({ setup }) => setup.kind === 'producer')
    await this.#lastReports(producers, timeoutMs)
    return producers.map(({ report }) => (report?.kind === 'producer-report' ? report : null))
  }

  async consumerReports(): Promise<(ConsumerReport | null)[]> {
    this.#orderConsumers('finish')
    const consumers = this.#members.filter(({ setup }) => setup.kind === 'consumer')
    await this.#lastReports(consumers, REPORT_TIMEOUT_MS)
    return consumers.map(({ report }) => (report?.kind === 'consumer-report' ? report : null))
  }

  /** One that is silent to the end (stopped, or cut off) is as lost as one that died: nobody knows its part. */
  async #lastReports(members: readonly Member[], timeoutMs: number): Promise<void> {
    await this.#until(() => members.every(isDone), timeoutMs)
    for (const member of members) {
      if (isDone(member)) continue
      this.#lose(member, `it gave no last report within ${timeoutMs / 1000} s`)
    }
  }

  end(): void {
    for (const { process } of this.#members) process.end()
  }

  #add({ name, setup, place = thisHost }: CrewMember): void {
    const process = place.openRole(name, setup.kind)
    const { host } = place
    const state = { ready: false, report: null, lost: null, gone: false }
    const member: Member = { process, host, setup, ...state }
    this.#members.push(member)
    process.onReport = (report) => {
      this.#onReport(member, report)
    }
    process.onEnd = (why) => {
      if (!member.ready) {
        this.#failure ??=
          place.lost === null
            ? new MqError('START_FAILED', { what: name, why, hint: '' })
            : new MqError('AGENT_UNREACHABLE', {
                address: host ?? '',
                why: place.lost,
                hint: 'does it still run there, and is the network between whole?',
              })
      }
      member.gone = true
      this.#lose(member, why)
    }
    process.order({ kind: 'setup', setup })
  }

  #onReport(member: Member, report: FromRole): void {
    switch (report.kind) {
      case 'ready':
        member.ready = true
        break
      case 'producer-tick':
      case 'consumer-tick':
        this.#events.onTick(member.process.name, report)
        if (report.broken !== null) this.#lose(member, report.broken)
        break
      case 'producer-report':
      case 'consumer-report':
        member.report = report
        if (report.broken !== null) this.#lose(member, report.broken)
        break
      case 'failed': {
        const error = errorOf(member.process.name, report)
        this.#failure ??= error
        member.gone = true
        this.#lose(member, error.message)
        break
      }
      case 'listening':
    }
    this.#onChange()
  }

  #lose(member: Member, why: string): void {
    if (member.lost === null) {
      member.lost = why
      this.#events.onLost(member.process.name, why)
    }
    this.#onChange()
  }

  #orderConsumers(kind: 'poll' | 'finish'): void {
    for (const { setup, process } of this.#members) {
      if (setup.kind === 'consumer') process.order({ kind })
    }
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure
  }

  /** Resolves when the condition holds, or after the time-out. */
  #until(condition: () => boolean, timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.#clock.after(timeoutMs, () => {
        this.#onChange = () => undefined
        resolve()
      })
      this.#onChange = () => {
        if (!condition()) return
        stop()
        this.#onChange = () => undefined
        resolve()
      }
      this.#onChange()
    })
  }
}

function isDone(member: Member): boolean {
  return member.report !== null || member.gone
}

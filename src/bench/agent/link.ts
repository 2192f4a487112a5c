/**
 * One agent as its controller sees it: load processes that run there, the state of its host, and
 * its clock. Moments that go there and come back are on this host's clock: the link adds and takes
 * away what the other clock is ahead.
 */
import { MqError, messageOf } from '../../base/errors.ts'
import type { HostUsage } from '../../host/usage.ts'
import type { Clock, Stop } from '../../world/clock.ts'
import { isLoopback } from '../../base/loopback.ts'
import { plainLine } from '../../base/plain-line.ts'
import type { ByteStream, Net } from '../../world/net.ts'
import type { SecureNet } from '../../world/secure-net.ts'
import { type LoadPlace, type LoadRole, type RoleKind } from '../role-process.ts'
import type { FromRole, RoleSetup, ToRole } from '../role-messages.ts'
import { ClockGauge, type ClockReading } from './clock-gauge.ts'
import {
  type AgentAnswer,
  ORDER_BYTES_MAX,
  PROTOCOL_VERSION,
  REPORT_BYTES_MAX,
  STRANGER_BYTES_MAX,
  type Span,
  WELCOME_BYTES_MAX,
  answerSchema,
  challengeSchema,
  refusedSchema,
  welcomeSchema,
} from './messages.ts'
import { orderAhead, reportAhead } from './moments.ts'
import { drawNonce, isProof, proofOf } from './token.ts'
import { FrameReader, encodeFrame } from './wire.ts'

export interface LinkOptions {
  readonly clock: Clock
  readonly net: Net
  readonly secureNet: SecureNet
  /** HOST:PORT. */
  readonly address: string
  readonly token: Buffer
  /** PEM of the authority that the agent's certificate must be from; null for those that Node trusts. */
  readonly authority: Buffer | null
  /** Called once, when the agent can be reached no more. */
  readonly onLost: (why: string) => void
}

/** The agent's host at a mark. */
export interface AgentMark {
  /** Since the mark before of the same span; null at the first. */
  readonly usage: HostUsage | null
  readonly samplerCores: number
  readonly jvms: (AgentAnswer & { kind: 'marked' })['jvms']
}

export interface SampleRequest {
  readonly periodMs: number
  /** A moment of this host's clock: samples are taken at whole periods from it. */
  readonly gridNs: number
  /** Of the brokers' link, where it is known better than there; null otherwise. */
  readonly linkBitsPerSecond: number | null
  /** HOST:PORT of those that may run there. */
  readonly brokers: readonly string[]
}

export interface AgentBroker {
  readonly address: string
  readonly pid: number | null
}

const CONNECT_TIMEOUT_MS = 5_000
const ANSWER_TIMEOUT_MS = 10_000
/** The questions for its clock, which follow how it drifts; so late a silence is noticed. */
const PING_MS = 250
/** Round trips of one reading of the clock. */
const CLOCK_ROUNDS = 24
/** What it tells of has happened: a moment that is later than this from now is none. */
const AHEAD_NS_MAX = 1e9

export class AgentLink implements LoadPlace {
  readonly host: string
  /** What the machine is, as it says of itself. */
  facts: Readonly<Record<string, unknown>> & { readonly name: string } = { name: '' }
  /** Gets what the host did in each period, with the end of it on this host's clock. */
  onUsage: (atNs: number, usage: HostUsage) => void = () => undefined
  readonly #options: LinkOptions
  readonly #stream: ByteStream
  readonly #reader: FrameReader
  readonly #roles = new Map<number, RemoteRole>()
  /** Questions that were not answered yet. */
  readonly #asked = new Map<number, (answer: AgentAnswer | null) => void>()
  /** When each question for its clock left. */
  readonly #pings = new Map<number, number>()
  readonly #gauge = new ClockGauge()
  #isSampled = false
  #stranger: ((value: unknown) => void) | null = null
  #lost: string | null = null
  #closed = false
  #nextId = 1
  #nextRole = 1
  #heardMs: number
  #stopPings: Stop = () => undefined
  #clock: ClockReading = { offsetNs: 0, uncertaintyNs: 0 }

  /** Rejects with MqError AGENT_UNREACHABLE or AGENT_REFUSED. */
  static async open(options: LinkOptions): Promise<AgentLink> {
    const { address } = options
    const colon = address.lastIndexOf(':')
    const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
    const port = Number(address.slice(colon + 1))
    // Nothing leaves this machine in plain text.
    const isPlain = isLoopback(host) && options.authority === null
    let stream: ByteStream
    try {
      stream = isPlain
        ? await options.net.connect(host, port, CONNECT_TIMEOUT_MS)
        : await options.secureNet.connect(host, port, CONNECT_TIMEOUT_MS, options.authority)
    } catch (error) {
      throw unreachable(address, messageOf(error), isPlain ? START_HINT : TLS_HINT)
    }
    const link = new AgentLink(options, stream)
    try {
      await link.#prove()
      await link.readClock()
      const clock = link.tellClock()
      if (clock === null) throw unreachable(address, link.lost ?? '', START_HINT)
      link.#clock = clock
      return link
    } catch (error) {
      link.close()
      throw error
    }
  }

  private constructor(options: LinkOptions, stream: ByteStream) {
    this.host = options.address
    this.#options = options
    this.#stream = stream
    this.#heardMs = options.clock.monotonicMs()
    this.#reader = new FrameReader(STRANGER_BYTES_MAX, (value) => {
      this.#onFrame(value)
    })
    stream.onData = (chunk) => {
      this.#onData(chunk)
    }
    stream.onClose = (error) => {
      this.#lose(error === null ? 'it closed the connection' : messageOf(error))
    }
  }

  /** How its clock stood when the link was made: the moments of orders and reports are moved by that. */
  get clock(): ClockReading {
    return this.#clock
  }

  /** Why it can be reached no more; null while it can. */
  get lost(): string | null {
    return this.#lost
  }

  /** How its clock stands now, for others to reckon with until they are told again; null when it is lost. */
  tellClock(): ClockReading | null {
    return this.#lost === null ? this.#gauge.tell() : null
  }

  /** What was told of its clock was never farther off than this; null when it is lost. */
  get clockErrorNs(): number | null {
    return this.#lost === null ? this.#gauge.errorNs : null
  }

  /** Its clock was never farther than this from how it stood when the link was made. */
  get clockMovedNs(): number {
    return this.#gauge.movedNs
  }

  /** Some round trips at once, for a good reading of its clock; null when it is lost. */
  async readClock(): Promise<ClockReading | null> {
    for (let round = 0; round < CLOCK_ROUNDS; round += 1) {
      const answer = await this.#ping()
      if (answer === null) return null
    }
    return this.#gauge.reading
  }

  openRole(name: string, kind: RoleKind): LoadRole {
    const number = this.#nextRole
    this.#nextRole += 1
    const role = new RemoteRole(name, {
      order: (order) => {
        this.#send({ kind: 'order', role: number, order: orderAhead(order, this.#clock.offsetNs) })
      },
      end: () => {
        this.#roles.delete(number)
        this.#send({ kind: 'close', role: number })
      },
    })
    this.#roles.set(number, role)
    if (this.#lost === null) this.#send({ kind: 'open', role: number, name, what: kind })
    else this.#options.clock.after(0, () => role.gone(this.#lost ?? ''))
    return role
  }

  /** Samples its host from now on. @returns those of the brokers that run there */
  async sample({ gridNs, ...asked }: SampleRequest): Promise<readonly AgentBroker[]> {
    const answer = await this.#ask((id) => ({
      kind: 'sample',
      id,
      gridNs: gridNs + this.#clock.offsetNs,
      ...asked,
    }))
    this.#isSampled = answer?.kind === 'sampling'
    return answer?.kind === 'sampling' ? answer.brokers : []
  }

  /**
   * Whether it would take these setups and so many load processes. Rejects with MqError
   * TARGET_NOT_ALLOWED, LOAD_NOT_TAKEN or AGENT_UNREACHABLE.
   *
   * @returns those of the brokers that run there
   */
  async check(
    setups: readonly RoleSetup[],
    roles: number,
    brokers: readonly string[],
  ): Promise<readonly AgentBroker[]> {
    const answer = await this.#ask((id) => ({ kind: 'check', id, roles, setups, brokers }))
    if (answer?.kind !== 'checked') throw unreachable(this.host, this.#lost ?? '', START_HINT)
    const { refusal } = answer
    if (refusal === null) return answer.brokers
    if (refusal.target === null) {
      throw new MqError('LOAD_NOT_TAKEN', { address: this.host, why: plainLine(refusal.why) })
    }
    const agent = `agent ${this.host}`
    throw new MqError('TARGET_NOT_ALLOWED', { agent, address: refusal.target })
  }

  /** Null when it is lost, or not sampled. */
  async mark(of: Span): Promise<AgentMark | null> {
    if (!this.#isSampled) return null
    const answer = await this.#ask((id) => ({ kind: 'mark', id, of }))
    return answer?.kind === 'marked' ? answer : null
  }

  /** Leaves it; what was started there ends. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#lost ??= 'the link was closed'
    this.#stopPings()
    this.#stream.end()
    this.#answerAll()
  }

  async #prove(): Promise<void> {
    const { token, address } = this.#options
    const nonce = drawNonce()
    const challenge = await this.#hear(() => {
      this.#send({ kind: 'hello', version: PROTOCOL_VERSION, nonce })
    }, challengeSchema)
    const nonces = [nonce, challenge.nonce] as const
    this.#reader.limitBytes = WELCOME_BYTES_MAX
    const welcome = await this.#hear(() => {
      this.#send({ kind: 'proof', proof: proofOf(token, 'controller', nonces) })
    }, welcomeSchema)
    if (!isProof(welcome.proof, token, 'agent', nonces)) {
      throw refused(address, 'it does not have the token itself', 'is this the right agent?')
    }
    this.#reader.limitBytes = REPORT_BYTES_MAX
    this.facts = welcome.facts
    this.#heardMs = this.#options.clock.monotonicMs()
    this.#stopPings = this.#options.clock.every(PING_MS, () => {
      const silentMs = this.#options.clock.monotonicMs() - this.#heardMs
      if (silentMs > ANSWER_TIMEOUT_MS) this.#lose(`no word for ${ANSWER_TIMEOUT_MS / 1000} s`)
      else void this.#ping()
    })
  }

  /** The next thing that it says, while it is a stranger. */
  #hear<Heard>(
    say: () => void,
    schema: { safeParse(value: unknown): { success: boolean; data?: Heard } },
  ): Promise<Heard> {
    const { address, clock } = this.#options
    return new Promise((resolve, reject) => {
      const settle = (done: () => void) => {
        this.#stranger = null
        stop()
        done()
      }
      const stop = clock.after(ANSWER_TIMEOUT_MS, () => {
        settle(() => {
          reject(unreachable(address, `no word within ${ANSWER_TIMEOUT_MS / 1000} s`, START_HINT))
        })
      })
      this.#stranger = (value) => {
        settle(() => {
          const heard = schema.safeParse(value)
          const no = refusedSchema.safeParse(value)
          if (heard.success && heard.data !== undefined) resolve(heard.data)
          else if (no.success)
            reject(refused(address, plainLine(no.data.why), plainLine(no.data.hint)))
          else reject(unreachable(address, this.#lost ?? 'this is no agent', TLS_HINT))
        })
      }
      say()
    })
  }

  #onData(chunk: Buffer): void {
    if (this.#lost !== null) return
    // A long report over a slow link is no silence.
    if (this.#stranger === null) this.#heardMs = this.#options.clock.monotonicMs()
    try {
      this.#reader.push(chunk)
    } catch (error) {
      // Whatever it says that cannot be used ends it, and not the run's data.
      this.#lose(`it said what is not understood: ${messageOf(error)}`)
    }
  }

  #onFrame(value: unknown): void {
    if (this.#lost !== null) return
    this.#heardMs = this.#options.clock.monotonicMs()
    if (this.#stranger !== null) {
      this.#stranger(value)
      return
    }
    const answer = answerSchema.safeParse(value)
    if (answer.success) this.#onAnswer(answer.data)
    else this.#lose(`it said what is not understood (${answer.error.issues[0]?.message ?? ''})`)
  }

  #onAnswer(answer: AgentAnswer): void {
    switch (answer.kind) {
      case 'pong':
        // Read here and now: whoever waits for it runs later.
        if (this.#jumps(this.#pings.get(answer.id) ?? 0, answer.atNs)) return
        this.#pings.delete(answer.id)
        this.#asked.get(answer.id)?.(answer)
        return
      case 'sampling':
      case 'checked':
      case 'marked':
        this.#asked.get(answer.id)?.(answer)
        return
      case 'opened': {
        const role = this.#roles.get(answer.role)
        if (role !== undefined) role.pid = answer.pid
        return
      }
      case 'report': {
        const { report } = answer
        if ('atNs' in report && this.#isToCome(report.atNs)) return
        this.#roles.get(answer.role)?.onReport(reportAhead(report, -this.#clock.offsetNs))
        return
      }
      case 'ended':
        this.#roles.get(answer.role)?.gone(answer.why)
        this.#roles.delete(answer.role)
        return
      case 'usage': {
        if (this.#isToCome(answer.atNs)) return
        this.onUsage(answer.atNs - this.#clockNow.offsetNs, answer.usage)
        return
      }
      case 'refused':
        this.#lose(answer.why)
    }
  }

  /** How its clock stands now, however far it has drifted since the link was made. */
  get #clockNow(): ClockReading {
    return this.#gauge.reading ?? this.#clock
  }

  /** Whether a moment on the agent's clock is still to come: then that clock has jumped, and it is lost. */
  #isToCome(theirNs: number): boolean {
    const { offsetNs, uncertaintyNs } = this.#clockNow
    const aheadNs = theirNs - offsetNs - this.#nowNs()
    if (aheadNs <= AHEAD_NS_MAX + uncertaintyNs) return false
    this.#lose(`its clock has jumped: it tells of a moment that is ${seconds(aheadNs)} s away`)
    return true
  }

  /** Takes the answer to a ping. Whether its clock is far ahead of the one before: no drift, and it is lost. */
  #jumps(leftNs: number, theirNs: number): boolean {
    const before = this.#gauge.reading
    this.#gauge.add(leftNs, theirNs, this.#nowNs())
    const after = this.#gauge.reading
    if (before === null || after === null) return false
    const aheadNs = after.offsetNs - before.offsetNs
    if (aheadNs <= AHEAD_NS_MAX + before.uncertaintyNs + after.uncertaintyNs) return false
    this.#lose(`its clock has jumped: it is ${seconds(aheadNs)} s ahead of itself`)
    return true
  }

  #ping(): Promise<AgentAnswer | null> {
    return this.#ask((id) => {
      this.#pings.set(id, this.#nowNs())
      return { kind: 'ping', id }
    })
  }

  #ask(questionOf: (id: number) => unknown): Promise<AgentAnswer | null> {
    if (this.#lost !== null) return Promise.resolve(null)
    const id = this.#nextId
    this.#nextId = (this.#nextId % 0xffff_ffff) + 1
    return new Promise((resolve) => {
      this.#asked.set(id, (answer) => {
        this.#asked.delete(id)
        resolve(answer)
      })
      this.#send(questionOf(id))
    })
  }

  #nowNs(): number {
    return Number(this.#options.clock.monotonicNs())
  }

  #send(value: unknown): void {
    if (this.#lost === null) this.#stream.write(encodeFrame(value, ORDER_BYTES_MAX))
  }

  #lose(why: string): void {
    if (this.#lost !== null) return
    this.#lost = why
    this.#stopPings()
    this.#stream.destroy()
    this.#stranger?.(null)
    this.#answerAll()
    for (const role of this.#roles.values()) role.gone(`agent ${this.host}: ${why}`)
    this.#roles.clear()
    this.#options.onLost(why)
  }

  #answerAll(): void {
    for (const answer of [...this.#asked.values()]) answer(null)
  }
}

/** A load process at an agent. */
class RemoteRole implements LoadRole {
  readonly name: string
  pid: number | null = null
  onReport: (report: FromRole) => void = () => undefined
  onEnd: (why: string) => void = () => undefined
  readonly #to: { order(order: ToRole): void; end(): void }
  #over = false

  constructor(name: string, to: { order(order: ToRole): void; end(): void }) {
    this.name = name
    this.#to = to
  }

  order(order: ToRole): void {
    if (!this.#over) this.#to.order(order)
  }

  end(): void {
    if (this.#over) return
    this.#over = true
    this.#to.end()
  }

  /** It ended by itself, or its agent is gone. */
  gone(why: string): void {
    if (this.#over) return
    this.#over = true
    this.onEnd(why)
  }
}

function seconds(ns: number): string {
  return String(Number((ns / 1e9).toPrecision(3)))
}

const START_HINT = 'is it running? start it there: mqctl bench agent --token-file FILE'
const TLS_HINT =
  'agents on other hosts are reached by TLS alone: name the authority of its certificate with --agent-ca FILE'

function unreachable(address: string, why: string, hint: string): MqError {
  return new MqError('AGENT_UNREACHABLE', { address, why, hint })
}

function refused(address: string, why: string, hint: string): MqError {
  return new MqError('AGENT_REFUSED', { address, why, hint })
}

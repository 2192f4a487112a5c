/**
 * One controller at an agent: it proves that it has the token, and then has load processes started
 * and this host sampled. Whatever it started ends with it.
 */
import { type ErrorCode, MqError, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { readHostFacts } from '../../host/facts.ts'
import { openHostProbe } from '../../host/host.ts'
import { type JvmGc, readJvmGc } from '../../host/jvm-perfdata.ts'
import { isLocalHost, listenerPid, processName } from '../../host/listener-process.ts'
import { hasOwnNetwork } from '../../host/network-namespace.ts'
import { HostSampler } from '../../host/sampler.ts'
import type { HostSnapshot } from '../../host/snapshot.ts'
import { usageBetween } from '../../host/usage.ts'
import { isAllowed } from '../../world/fenced-net.ts'
import type { ByteStream } from '../../world/net.ts'
import type { World } from '../../world/world.ts'
import type { FromRole, ToRole } from '../role-messages.ts'
import { type LoadRole, thisHost } from '../role-process.ts'
import {
  type AgentAnswer,
  type AgentRequest,
  ORDER_BYTES_MAX,
  PROTOCOL_VERSION,
  REPORT_BYTES_MAX,
  STRANGER_BYTES_MAX,
  type Span,
  helloSchema,
  proofSchema,
  requestSchema,
} from './messages.ts'
import { readSetup } from './order-schema.ts'
import { drawNonce, isProof, proofOf } from './token.ts'
import { FrameFault, FrameReader, encodeFrame } from './wire.ts'

export interface AgentOptions {
  readonly token: Buffer
  /** Targets that load may go to, as HOST:PORT or HOST; none: this agent only samples. */
  readonly allow: readonly string[]
  /** The disk under this path is sampled; null for none. */
  readonly diskPath: string | null
  readonly toolVersion: string
  readonly logger: Logger
}

/** Load processes of one session. */
const ROLES_MAX = 256
/** A stranger has so long to prove itself. */
const PROOF_TIMEOUT_MS = 5_000
/** A controller says something every second; after so long without a word it is gone. */
const SILENCE_MS_MAX = 15_000
/** Reports that a controller does not take any more. */
const PENDING_BYTES_MAX = 2 * REPORT_BYTES_MAX

export class AgentSession {
  readonly #world: World
  readonly #stream: ByteStream
  readonly #options: AgentOptions
  readonly #reader: FrameReader
  /** Asks for the agent; false when another controller has it. */
  readonly #claim: () => boolean
  readonly #onEnd: () => void
  readonly #bornMs: number
  readonly #nonce = drawNonce()
  #theirNonce: string | null = null
  #isProved = false
  #heardMs: number
  #ended = false
  readonly #roles = new Map<number, LoadRole>()
  /** Null targets that this session has started: its own load may go there. */
  readonly #ownTargets: string[] = []
  #sampler: HostSampler | null = null
  readonly #lastMarks = new Map<Span, HostSnapshot>()
  #brokers: readonly { readonly address: string; readonly pid: number | null }[] = []

  constructor(
    world: World,
    stream: ByteStream,
    options: AgentOptions,
    hooks: { readonly claim: () => boolean; readonly onEnd: () => void },
  ) {
    this.#world = world
    this.#stream = stream
    this.#options = options
    this.#claim = hooks.claim
    this.#onEnd = hooks.onEnd
    this.#bornMs = world.clock.monotonicMs()
    this.#heardMs = this.#bornMs
    this.#reader = new FrameReader(STRANGER_BYTES_MAX, (value) => {
      this.#onFrame(value)
    })
    stream.onData = (chunk) => {
      this.#onData(chunk)
    }
    stream.onClose = () => {
      this.end('the controller is gone')
    }
  }

  get isProved(): boolean {
    return this.#isProved
  }

  /** Once a second: whoever says nothing has no session for long. */
  tick(nowMs: number): void {
    if (!this.#isProved) {
      if (nowMs - this.#bornMs > PROOF_TIMEOUT_MS) this.end('it did not prove itself in time')
    } else if (nowMs - this.#heardMs > SILENCE_MS_MAX) {
      this.end(`the controller said nothing for ${SILENCE_MS_MAX / 1000} s`)
    }
    for (const role of this.#roles.values()) role.order({ kind: 'alive' })
  }

  /** Ends everything that was started for it; harmless twice. */
  end(why: string): void {
    if (this.#ended) return
    this.#ended = true
    for (const role of this.#roles.values()) role.end()
    this.#roles.clear()
    void this.#sampler?.stop()
    this.#stream.end()
    // What does not leave soon never will.
    this.#world.clock.after(1_000, () => {
      this.#stream.destroy()
    })
    this.#log('session over', { why })
    this.#onEnd()
  }

  #onData(chunk: Buffer): void {
    if (this.#ended) return
    // A long order over a slow link is no silence.
    if (this.#isProved) this.#heardMs = this.#world.clock.monotonicMs()
    try {
      this.#reader.push(chunk)
    } catch (error) {
      if (!(error instanceof FrameFault)) throw error
      this.#refuse(error.message, 'is this a controller of the same version?')
    }
  }

  #onFrame(value: unknown): void {
    if (this.#ended) return
    this.#heardMs = this.#world.clock.monotonicMs()
    if (this.#isProved) this.#onRequest(value)
    else if (this.#theirNonce === null) this.#onHello(value)
    else this.#onProof(value, this.#theirNonce)
  }

  #onHello(value: unknown): void {
    const hello = helloSchema.safeParse(value)
    if (!hello.success) {
      this.#refuse('this is no greeting', 'is this a controller of the same version?')
    } else if (hello.data.version !== PROTOCOL_VERSION) {
      this.#refuse('it is of another version', 'use the same mqctl on both sides')
    } else {
      this.#theirNonce = hello.data.nonce
      this.#write({ kind: 'challenge', nonce: this.#nonce })
    }
  }

  #onProof(value: unknown, theirNonce: string): void {
    const { token, toolVersion, diskPath } = this.#options
    const nonces = [theirNonce, this.#nonce] as const
    const given = proofSchema.safeParse(value)
    if (!given.success || !isProof(given.data.proof, token, 'controller', nonces)) {
      this.#refuse('the token is wrong', 'give the file with the agent’s token as --token-file')
      return
    }
    if (!this.#claim()) {
      this.#refuse('it serves another run', 'wait for its end, or start another agent')
      return
    }
    this.#isProved = true
    this.#reader.limitBytes = ORDER_BYTES_MAX
    this.#log('session begins')
    this.#write({
      kind: 'welcome',
      proof: proofOf(token, 'agent', nonces),
      tool: toolVersion,
      facts: readHostFacts(diskPath),
    })
  }

  #onRequest(value: unknown): void {
    const request = requestSchema.safeParse(value)
    if (!request.success) {
      const [issue] = request.error.issues
      const where = issue === undefined ? '' : `${issue.path.join('.')}: ${issue.message}`
      this.#refuse(`an order that it does not take (${where})`, 'use the same mqctl on both sides')
      return
    }
    this.#serve(request.data)
  }

  #serve(request: AgentRequest): void {
    switch (request.kind) {
      case 'ping': {
        const atNs = Number(this.#world.clock.monotonicNs())
        this.#send({ kind: 'pong', id: request.id, atNs })
        return
      }
      case 'open':
        this.#openRole(request.role, request.name, request.what)
        return
      case 'order':
        this.#order(request.role, request.order)
        return
      case 'close':
        this.#roles.get(request.role)?.end()
        this.#roles.delete(request.role)
        return
      case 'sample':
        this.#sample(request)
        return
      case 'mark':
        this.#mark(request.id, request.of).catch((error: unknown) => {
          this.end(messageOf(error))
        })
        return
      case 'check':
        this.#check(request)
    }
  }

  #openRole(number: number, name: string, what: 'producer' | 'consumer' | 'null-target'): void {
    if (this.#roles.has(number) || this.#roles.size >= ROLES_MAX) {
      const why = this.#roles.has(number) ? 'there is one already' : `at most ${ROLES_MAX} run here`
      this.#send({ kind: 'ended', role: number, why: `${name} was not started: ${why}` })
      return
    }
    const role = thisHost.openRole(name, what)
    this.#roles.set(number, role)
    role.onReport = (report) => {
      this.#onReport(number, report)
    }
    role.onEnd = (why) => {
      this.#roles.delete(number)
      this.#send({ kind: 'ended', role: number, why: clipped(why) })
    }
    if (role.pid !== null) this.#sampler?.watch(role.pid)
    this.#send({ kind: 'opened', role: number, pid: role.pid })
  }

  #onReport(role: number, report: FromRole): void {
    if (report.kind === 'listening') this.#ownTargets.push(`127.0.0.1:${report.port}`)
    const plain =
      report.kind === 'failed' ? { ...report, message: clipped(report.message) } : report
    this.#send({ kind: 'report', role, report: plain })
  }

  /** A setup goes on only when every target in it is on the list, and the process is held to the list as well. */
  #order(number: number, order: ToRole): void {
    const role = this.#roles.get(number)
    if (role === undefined) return
    if (order.kind !== 'setup') {
      role.order(order)
      return
    }
    const wrong = this.#forbiddenOf(order.setup)
    if (wrong === undefined) {
      role.order({ kind: 'setup', setup: order.setup, allowed: this.#allowed })
      return
    }
    const error = new MqError('TARGET_NOT_ALLOWED', { agent: 'this agent', address: wrong })
    this.#send({
      kind: 'report',
      role: number,
      report: {
        kind: 'failed',
        code: 'TARGET_NOT_ALLOWED' satisfies ErrorCode,
        details: { ...error.details },
        message: error.message,
      },
    })
  }

  /** Says what of a run would be refused, before anything of it is made anywhere. */
  #check({ id, roles, setups, brokers }: AgentRequest & { kind: 'check' }): void {
    this.#send({
      kind: 'checked',
      id,
      refusal: this.#refusalOf(roles, setups),
      brokers: brokersHere(brokers),
    })
  }

  #refusalOf(roles: number, setups: readonly unknown[]) {
    if (roles > ROLES_MAX) {
      return { why: `${roles} load processes; at most ${ROLES_MAX} run here`, target: null }
    }
    for (const written of setups) {
      const read = readSetup(written)
      if ('fault' in read) return { why: clipped(read.fault), target: null }
      const target = this.#forbiddenOf(read.setup)
      if (target !== undefined) return { why: '', target }
    }
    return null
  }

  get #allowed(): readonly string[] {
    return [...this.#options.allow, ...this.#ownTargets]
  }

  /** The first target that is not on the list. */
  #forbiddenOf({ endpoints }: { readonly endpoints: readonly string[] }): string | undefined {
    return endpoints.find((endpoint) => !allows(this.#allowed, endpoint))
  }

  #sample({
    id,
    periodMs,
    gridNs,
    linkBitsPerSecond,
    brokers,
  }: AgentRequest & { kind: 'sample' }): void {
    const { clock } = this.#world
    void this.#sampler?.stop()
    this.#brokers = brokersHere(brokers)
    const pids = this.#brokers.flatMap(({ pid }) => (pid === null ? [] : [pid]))
    const probe = openHostProbe(clock, {
      diskPath: this.#options.diskPath,
      networkOf: pids.find(hasOwnNetwork) ?? null,
      // It is that of the brokers.
      linkBitsPerSecond,
    })
    const sampler = new HostSampler(clock, probe, (usage) => {
      this.#send({
        kind: 'usage',
        atNs: Number(clock.monotonicNs()),
        usage,
      })
    })
    this.#sampler = sampler
    this.#lastMarks.clear()
    const roles = [...this.#roles.values()].flatMap(({ pid }) => (pid === null ? [] : [pid]))
    for (const pid of [...pids, ...roles, process.pid]) sampler.watch(pid)
    sampler.start(periodMs, gridNs / 1e6)
    this.#send({ kind: 'sampling', id, brokers: [...this.#brokers] })
  }

  async #mark(id: number, of: Span): Promise<void> {
    const sampler = this.#sampler
    if (sampler === null) return
    const snapshot = await sampler.mark()
    const last = this.#lastMarks.get(of)
    const usage = last === undefined ? null : usageBetween(last, snapshot)
    this.#lastMarks.set(of, snapshot)
    this.#send({
      kind: 'marked',
      id,
      usage,
      samplerCores: sampler.cost().cores,
      jvms: this.#brokers.map(({ address, pid }) => ({ address, gc: gcOf(pid) })),
    })
  }

  /** Says why, and ends. */
  #refuse(why: string, hint: string): void {
    this.#write({ kind: 'refused', why, hint })
    this.end(why)
  }

  #send(answer: AgentAnswer): void {
    this.#write(answer)
  }

  #write(value: unknown): void {
    if (this.#ended) return
    try {
      this.#stream.write(encodeFrame(value, REPORT_BYTES_MAX))
    } catch (error) {
      this.end(messageOf(error))
      return
    }
    if (this.#stream.pendingBytes() > PENDING_BYTES_MAX) this.end('the controller reads nothing')
  }

  #log(text: string, fields: Readonly<Record<string, string>> = {}): void {
    const { remoteAddress } = this.#stream
    if (this.#isProved) this.#options.logger.info(text, { controller: remoteAddress, ...fields })
    else this.#options.logger.warn('connection refused', { from: remoteAddress, ...fields })
  }
}

/** Of these brokers, those that run on this host. */
function brokersHere(addresses: readonly string[]) {
  return addresses.flatMap((address) => {
    const colon = address.lastIndexOf(':')
    if (!isLocalHost(address.slice(0, colon))) return []
    return [{ address, pid: listenerPid(Number(address.slice(colon + 1))) }]
  })
}

function allows(allowed: readonly string[], endpoint: string): boolean {
  const colon = endpoint.lastIndexOf(':')
  return isAllowed(allowed, endpoint.slice(0, colon), endpoint.slice(colon + 1))
}

function gcOf(pid: number | null) {
  const gc: JvmGc | null = pid !== null && processName(pid) === 'java' ? readJvmGc(pid) : null
  return gc === null ? null : { ...gc, collectors: gc.collectors.map((one) => ({ ...one })) }
}

function clipped(text: string): string {
  return text.slice(0, 10_000)
}

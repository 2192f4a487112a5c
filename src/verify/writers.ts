/** Sends the messages of a run, each writer one after the other, and notes what became of each send. */
import { MqError } from '../base/errors.ts'
import type { OutgoingMessage } from '../client/outgoing-message.ts'
import { Producer, type SendReceipt } from '../client/producer.ts'
import { responseCodeOf } from '../client/answers.ts'
import { TransactionProducer } from '../client/transaction-producer.ts'
import { ResponseCode } from '../protocol/codes.ts'
import { sleep } from '../world/node-clock.ts'
import type { World } from '../world/world.ts'
import type { FeatureSetup } from './features/setup.ts'
import { provingBody, readProof } from './proof.ts'
import type { Recorder } from './recorder.ts'

export interface WritersOptions {
  readonly nameServers: string
  readonly requestTimeoutMs: number
  readonly writers: number
  /** Whether enough was acknowledged. */
  readonly mayEnd: () => boolean
  readonly sizeBytes: number
  readonly signal: AbortSignal
}

/** After a send that failed: a broker that is gone must not be asked without end. */
const PAUSE_MS = 50
/** Without an acknowledgement for so long, nobody goes on. */
const PATIENCE_MS = 60_000

/** Nothing was stored: said before anything was written, or by a broker that looks before it stores. */
const refusals: ReadonlySet<number> = new Set([
  ResponseCode.TOPIC_NOT_EXIST,
  ResponseCode.MESSAGE_ILLEGAL,
  ResponseCode.NO_PERMISSION,
])

export class Writers {
  readonly #world: World
  readonly #recorder: Recorder
  readonly #setup: FeatureSetup
  readonly #options: WritersOptions
  readonly #producer: Producer | null
  readonly #transactions: TransactionProducer | null
  #lastOkMs: number

  constructor(world: World, recorder: Recorder, setup: FeatureSetup, options: WritersOptions) {
    this.#world = world
    this.#recorder = recorder
    this.#setup = setup
    this.#options = options
    this.#lastOkMs = world.clock.monotonicMs()
    const { nameServers, requestTimeoutMs } = options
    const group = `${recorder.head.plan.topic}-writers`
    // One attempt a send: an error then is about this message and no copy of it.
    const common = { nameServers, requestTimeoutMs, group, retries: 0, avoidSlowBrokers: false }
    const { decide } = setup
    this.#producer = decide === undefined ? Producer.open(world, common) : null
    this.#transactions =
      decide === undefined
        ? null
        : TransactionProducer.open(world, {
            ...common,
            check: (message) => {
              const { value } = readProof(recorder.head.run, message.body)
              if (value === null) return 'unknown'
              const { fate } = decide(value)
              recorder.note({ f: 'check', v: value, is: fate })
              return fate
            },
          })
  }

  /** Resolves when enough was acknowledged, or nothing is any more. */
  async run(): Promise<void> {
    const { writers } = this.#options
    await Promise.all(Array.from({ length: writers }, (_, writer) => this.#write(writer)))
  }

  /** Brokers still ask about open transactions until then. */
  async close(): Promise<void> {
    await this.#producer?.close()
    await this.#transactions?.close()
  }

  async #write(writer: number): Promise<void> {
    const { clock } = this.#world
    for (let counter = 0; this.#goesOn(); counter++) {
      const value = `${writer}-${counter}`
      const { dueMs, to, ...shape } = this.#setup.shape(value, writer, counter)
      const { run, plan } = this.#recorder.head
      this.#recorder.note({
        f: 'send',
        e: 'invoke',
        v: value,
        ...(shape.orderKey === undefined ? {} : { k: shape.orderKey }),
        ...(dueMs === undefined ? {} : { d: dueMs }),
        ...(to === undefined ? {} : { to }),
      })
      const body = provingBody(run, value, this.#options.sizeBytes)
      const message = { topic: plan.topic, keys: value, body, ...shape }
      try {
        if (this.#transactions === null) await this.#send(value, message, dueMs !== undefined)
        else await this.#sendTransaction(this.#transactions, value, message)
        this.#lastOkMs = clock.monotonicMs()
      } catch (error) {
        if (!(error instanceof MqError)) throw error
        const e = isRefusal(error) ? 'fail' : 'info'
        this.#recorder.note({ f: 'send', e, v: value, why: error.message })
        await sleep(clock, PAUSE_MS)
      }
    }
  }

  #goesOn(): boolean {
    const { mayEnd, signal } = this.#options
    if (signal.aborted || mayEnd()) return false
    return this.#world.clock.monotonicMs() - this.#lastOkMs < PATIENCE_MS
  }

  async #send(value: string, message: OutgoingMessage, waits: boolean): Promise<void> {
    const receipt = await this.#producer?.send(message)
    if (receipt !== undefined) this.#stored(value, receipt, !waits)
  }

  /** @param isPlace whether the receipt names a place of the topic */
  #stored(value: string, receipt: SendReceipt, isPlace: boolean): void {
    if (receipt.status !== 'SEND_OK') {
      this.#recorder.note({ f: 'send', e: 'info', v: value, why: receipt.status })
      return
    }
    const { broker, queueId, queueOffset } = receipt
    this.#recorder.note({
      f: 'send',
      e: 'ok',
      v: value,
      ...(isPlace ? { q: `${broker}/${queueId}`, o: queueOffset } : {}),
    })
  }

  async #sendTransaction(
    producer: TransactionProducer,
    value: string,
    message: OutgoingMessage,
  ): Promise<void> {
    const { first } = this.#setup.decide?.(value) ?? { first: 'unknown' as const }
    const receipt = await producer.sendTransaction(message, (half) => {
      this.#stored(value, half, false)
      if (first !== 'unknown') this.#recorder.note({ f: 'end', e: 'invoke', v: value, is: first })
      return first
    })
    if (receipt.status !== 'SEND_OK') this.#stored(value, receipt, false)
    else if (first !== 'unknown') {
      this.#recorder.note({ f: 'end', e: receipt.ended ? 'ok' : 'info', v: value, is: first })
    }
  }
}

function isRefusal(error: MqError): boolean {
  if (error.code === 'BROKER_UNREACHABLE' || error.code === 'NAMESRV_UNREACHABLE') return true
  const code = responseCodeOf(error)
  return code !== null && refusals.has(code)
}

/**
 * Which transactions are open at the brokers of a cluster. Brokers do not list them: this reads
 * what they would read, the half queue from its noted progress on and the operation records that
 * say which halves are done with.
 */
import { MqError } from '../base/errors.ts'
import type { MessageQueue } from '../protocol/bodies/message-queue.ts'
import { SystemTopic } from '../protocol/names.ts'
import { PropertyName } from '../protocol/properties.ts'
import type { MqClient } from './client.ts'
import { TOOLS_GROUP } from './group-admin.ts'
import type { QueueAccess } from './queue-access.ts'
import type { ReceivedMessage } from './received-message.ts'
import type { TopicRoute } from './routes.ts'

/** Under which brokers note how far both queues are done with. */
const TRANSACTION_GROUP = 'CID_RMQ_SYS_TRANS'

export interface OpenTransaction {
  readonly messageId: string
  readonly topic: string
  readonly queueId: number
  readonly producerGroup: string
  readonly broker: string
  /** Milliseconds since 1970. */
  readonly bornAt: number
  readonly ageMs: number
  /** How often its producers were asked. */
  readonly checks: number
  /** Where its newest record lies in the half queue. */
  readonly halfOffset: number
  readonly offsetMessageId: string
  readonly keys: string
}

export class TransactionAdmin {
  readonly #client: MqClient
  readonly #queues: QueueAccess

  constructor(client: MqClient, queues: QueueAccess) {
    this.#client = client
    this.#queues = queues
  }

  /** Open transactions of all brokers, the oldest first. Throws MqError when a broker does not answer. */
  async list(): Promise<OpenTransaction[]> {
    const nowMs = this.#client.world.clock.wallMs()
    let route: TopicRoute
    try {
      route = await this.#client.routes.refresh(SystemTopic.transactionHalf)
    } catch (error) {
      // No broker has had a transaction yet.
      if (error instanceof MqError && error.code === 'TOPIC_NOT_FOUND') return []
      throw error
    }
    const lists = await Promise.all(
      [...route.brokers.keys()].map((brokerName) => this.#listOf(brokerName, nowMs)),
    )
    return lists.flat().sort((a, b) => a.bornAt - b.bornAt)
  }

  async #listOf(brokerName: string, nowMs: number): Promise<OpenTransaction[]> {
    const half = { topic: SystemTopic.transactionHalf, brokerName, queueId: 0 }
    const op = { topic: SystemTopic.transactionOp, brokerName, queueId: 0 }
    // Where the operations begin is asked first: as long as the halves are read from a progress not
    // older than that, what ended them is among the operations. And those are read last, so that a half
    // that is ended meanwhile is left out.
    const opFrom = await this.#start(op)
    const halves = new Halves()
    await this.#read(half, await this.#start(half), (message) => {
      halves.add(message)
    })
    const ended = new Set<number>()
    await this.#read(op, opFrom, ({ body }) => {
      for (const text of body.toString('latin1').split(',')) {
        if (/^\d{1,15}$/.test(text)) ended.add(Number(text))
      }
    })
    return halves.open(ended).map((message) => openTransaction(message, nowMs))
  }

  async #start(queue: MessageQueue): Promise<number> {
    const noted = await this.#queues.progress(TRANSACTION_GROUP, queue, true)
    return Math.max(noted ?? 0, await this.#queues.minOffset(queue))
  }

  async #read(
    queue: MessageQueue,
    from: number,
    each: (message: ReceivedMessage) => void,
  ): Promise<void> {
    let offset = from
    const end = await this.#queues.maxOffset(queue)
    while (offset < end) {
      const pulled = await this.#queues.pull(queue, { group: TOOLS_GROUP, offset })
      for (const message of pulled.messages) each(message)
      if (pulled.nextOffset <= offset) return
      offset = pulled.nextOffset
    }
  }
}

/** The records of one half: a check stores it again behind the others. */
interface Half {
  readonly offsets: number[]
  newest: ReceivedMessage
}

/** Halves by their unique id: a send that was tried twice may have left two of one id. */
class Halves {
  readonly #byId = new Map<string, Half[]>()

  add(message: ReceivedMessage): void {
    const { messageId, properties, queueOffset } = message
    const same = this.#byId.get(messageId) ?? []
    this.#byId.set(messageId, same)
    const checks = checksOf(message)
    const first = properties[PropertyName.transactionFirstOffset]
    const before =
      first === undefined
        ? checks === 0
          ? undefined
          : same.find((one) => checksOf(one.newest) < checks)
        : (same.find((one) => one.offsets.includes(Number(first))) ??
          same.find((one) => checksOf(one.newest) <= checks))
    if (before === undefined) {
      same.push({ offsets: [queueOffset], newest: message })
      return
    }
    before.offsets.push(queueOffset)
    before.newest = message
  }

  /** The newest records of those of which no record was ended. */
  open(ended: ReadonlySet<number>): ReceivedMessage[] {
    return [...this.#byId.values()]
      .flat()
      .filter(({ offsets }) => !offsets.some((offset) => ended.has(offset)))
      .map(({ newest }) => newest)
  }
}

function checksOf({ properties }: ReceivedMessage): number {
  const text = properties[PropertyName.transactionCheckTimes] ?? ''
  return /^\d{1,9}$/.test(text) ? Number(text) : 0
}

function openTransaction(message: ReceivedMessage, nowMs: number): OpenTransaction {
  const { properties } = message
  return {
    messageId: message.messageId,
    topic: properties[PropertyName.realTopic] ?? '',
    queueId: Number(properties[PropertyName.realQueueId] ?? 0),
    producerGroup: properties[PropertyName.producerGroup] ?? '',
    broker: message.broker,
    bornAt: message.bornTimestamp,
    ageMs: Math.max(0, Math.round(nowMs - message.bornTimestamp)),
    checks: checksOf(message),
    halfOffset: message.queueOffset,
    offsetMessageId: message.offsetMessageId,
    keys: message.keys,
  }
}

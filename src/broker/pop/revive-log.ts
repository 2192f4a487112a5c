/**
 * Writes checkpoints and acknowledgements of POP consumption. Each is a message of the revive topic
 * that the timer delivers when the messages' time out of sight ends, a checkpoint one second before
 * that: so what has to be judged comes by itself, after any restart, and costs no memory until then.
 * Source: apache/rocketmq broker/…/processor/{PopMessageProcessor,AckMessageProcessor}.java (buildCkMsg,
 * appendAck).
 */
import { ResponseCode } from '../../protocol/codes.ts'
import { POP_MESSAGES_MAX, ReviveTag, reviveTopicOf } from '../../protocol/pop-names.ts'
import {
  type Ack,
  type Checkpoint,
  ackKey,
  checkpointKey,
  encodeAck,
  encodeCheckpoint,
  reviveMsOf,
} from '../../protocol/pop-records.ts'
import { PropertyName } from '../../protocol/properties.ts'
import { AppendRequest, AppendStatus } from '../../store/append.ts'
import type { Store } from '../../store/store.ts'
import type { Clock } from '../../world/clock.ts'
import type { BrokerSettings } from '../options.ts'
import { Refusal } from '../refusal.ts'
import { hideTimed } from '../timer/timed-message.ts'

/** Queues of the revive topic. Source: reviveQueueNum. */
export const REVIVE_QUEUES = 8
/** A checkpoint comes this long before its messages are due. Source: ackTimeInterval. */
const AHEAD_MS = 1_000
const NO_PLACE = 'the log takes nothing right now'

export interface ReviveLogParts {
  readonly store: Store
  readonly clock: Clock
  readonly settings: BrokerSettings
  /** The broker's own address, as records carry it. */
  readonly bornHost: Buffer
}

export class ReviveLog {
  readonly topic: string
  readonly #parts: ReviveLogParts
  readonly #append = new AppendRequest()
  #turn = 0

  constructor(parts: ReviveLogParts) {
    this.#parts = parts
    this.topic = reviveTopicOf(parts.settings.clusterName)
  }

  /** The queue for the next checkpoint. */
  nextQueue(): number {
    this.#turn = (this.#turn + 1) % REVIVE_QUEUES
    return this.#turn
  }

  /** Returns the end of the log behind the checkpoint, which counts once that is confirmed. Throws a Refusal. */
  putCheckpoint(checkpoint: Checkpoint, reviveQueueId: number): number {
    if (checkpoint.distances.length > POP_MESSAGES_MAX) {
      throw new Refusal(ResponseCode.SYSTEM_ERROR, 'too many messages for one checkpoint')
    }
    const dueMs = reviveMsOf(checkpoint) - AHEAD_MS
    const key = checkpointKey(checkpoint)
    return this.#put(ReviveTag.checkpoint, key, encodeCheckpoint(checkpoint), dueMs, reviveQueueId)
  }

  /** The same for an acknowledgement; `reviveMs` is when the messages would come again. */
  putAck(ack: Ack, reviveMs: number, reviveQueueId: number): number {
    const tag = ack.isBatch ? ReviveTag.batchAck : ReviveTag.ack
    return this.#put(tag, ackKey(ack), encodeAck(ack), reviveMs, reviveQueueId)
  }

  #put(tag: string, key: string, body: Buffer, dueMs: number, queueId: number): number {
    const { store, clock, settings, bornHost } = this.#parts
    const append = this.#append
    const nowMs = Math.floor(clock.wallMs())
    const properties = Buffer.from(
      `${PropertyName.tags}\u0001${tag}\u0002${PropertyName.uniqKey}\u0001${key}\u0002` +
        `${PropertyName.timerDeliverMs}\u0001${dueMs}\u0002`,
    )
    append.queue = store.queue(this.topic, queueId)
    append.bornTimestamp = nowMs
    append.bornHost = bornHost
    append.body = body
    append.bodyStart = 0
    append.bodyEnd = body.length
    append.setProperties(properties, 0, properties.length)
    const { timerWheelEnable, timerMaxDelaySec } = settings
    const rules = { nowMs, timerWheelEnable, timerMaxDelayMs: timerMaxDelaySec * 1_000 }
    hideTimed(append, rules, (topic, id) => store.queue(topic, id))
    const status = store.append(append)
    if (status === AppendStatus.ok) return store.lastAppend.end
    throw new Refusal(
      status === AppendStatus.busy ? ResponseCode.SYSTEM_BUSY : ResponseCode.SYSTEM_ERROR,
      NO_PLACE,
    )
  }
}

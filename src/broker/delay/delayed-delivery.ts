/**
 * The delay levels of a broker, and how far each is: kept in `config/delayOffset.json` in Apache's
 * format, the queue offset of the first message that was not delivered, by level.
 *
 * The file follows the disk: an offset is written only once everything in front of it lies flushed
 * in its own topic. What was delivered since the last write is delivered again after a crash.
 * Source: apache/rocketmq broker/…/schedule/{ScheduleMessageService,DelayOffsetSerializeWrapper}.java.
 */
import type { Logger } from '../../base/logger.ts'
import {
  type DataVersion,
  dataVersionFromJson,
  dataVersionToJson,
  initialDataVersion,
  nextDataVersion,
} from '../../protocol/bodies/data-version.ts'
import { integerOf, objectOf, parseBody } from '../../protocol/bodies/fields.ts'
import { Perm } from '../../protocol/bodies/topic-config.ts'
import { DELAY_LEVEL_MAX } from '../../protocol/delay-levels.ts'
import { jsonBody } from '../../protocol/lenient-json.ts'
import { SystemTopic } from '../../protocol/names.ts'
import type { Queue } from '../../store/queue.ts'
import type { Store } from '../../store/store.ts'
import type { Clock, Stop } from '../../world/clock.ts'
import type { TableFile } from '../table-file.ts'
import { TableSaver } from '../table-saver.ts'
import type { TopicTable } from '../topics.ts'
import { TurnBudget } from '../turn-budget.ts'
import { DelayQueue } from './delay-queue.ts'

export interface DelayedDeliveryParts {
  readonly clock: Clock
  readonly store: Store
  readonly topics: TopicTable
  readonly file: TableFile
  readonly logger: Logger
  readonly flushMs: number
  /** Levels that the broker is set to have. */
  readonly levelMax: number
}

export class DelayedDelivery {
  readonly #parts: DelayedDeliveryParts
  /** By queue id: level − 1. */
  readonly #levels: readonly DelayQueue[]
  readonly #saver: TableSaver
  #dataVersion: DataVersion
  #saved: readonly number[]
  #stopSaving: Stop = () => undefined

  private constructor(
    parts: DelayedDeliveryParts,
    kept: ReadonlyMap<number, number>,
    dataVersion: DataVersion,
  ) {
    const { clock, store, topics, logger } = parts
    this.#parts = parts
    this.#dataVersion = dataVersion
    this.#saver = new TableSaver('delay offsets', () => this.#write(), logger)
    const budget = new TurnBudget(clock)
    // What waits in a level that the broker has no longer is delivered as well, and its progress kept.
    const timedMax = Math.max(DELAY_LEVEL_MAX, parts.levelMax)
    const stored = store.queuesOf(SystemTopic.schedule).map(({ queueId }) => queueId + 1)
    const count = Math.max(timedMax, ...kept.keys(), ...stored)
    this.#levels = Array.from({ length: count }, (_, queueId) => {
      const level = queueId + 1
      const queue = store.queue(SystemTopic.schedule, queueId)
      const onDeliver = (topic: string, toQueueId: number) => {
        // A topic that was made just before the process died has no configuration any more.
        topics.ensure(topic, toQueueId + 1, Perm.readWrite)
      }
      const isTimed = level <= timedMax
      return new DelayQueue(
        { level, isTimed, queue, store, clock, logger, budget, onDeliver },
        kept.get(level) ?? 0,
      )
    })
    this.#saved = this.#durable()
  }

  /** Reads how far the levels are. Rejects with the disk's error. */
  static async load(parts: DelayedDeliveryParts): Promise<DelayedDelivery> {
    const content = await parts.file.load()
    const kept = new Map<number, number>()
    if (content === null) return new DelayedDelivery(parts, kept, initialDataVersion)
    const table = parseBody(content)
    for (const [level, offset] of Object.entries(objectOf(table['offsetTable']))) {
      if (/^\d{1,2}$/.test(level)) kept.set(Number(level), Math.max(0, integerOf(offset)))
    }
    return new DelayedDelivery(parts, kept, dataVersionFromJson(table['dataVersion']))
  }

  /** Messages that wait, all levels together. */
  get waiting(): number {
    return this.#levels.reduce((sum, level) => sum + level.waiting, 0)
  }

  /** Begins to deliver, and to write the progress every few seconds. */
  start(): void {
    for (const level of this.#levels) level.wake()
    this.#stopSaving = this.#parts.clock.every(this.#parts.flushMs, () => {
      if (this.#moved() || this.#saver.failed) this.#saver.saveSoon()
    })
  }

  /** A queue of SCHEDULE_TOPIC_XXXX has new messages. */
  onDispatched(queue: Queue): void {
    this.#levels[queue.queueId]?.onDispatched()
  }

  /** Everything appended behind the position is gone from the log. */
  onLost(fromOffset: number): void {
    for (const level of this.#levels) level.onLost(fromOffset)
  }

  /** Delivers nothing more; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopSaving()
    await Promise.all(this.#levels.map((level) => level.stop()))
  }

  /** Writes the progress a last time. Rejects with the disk's error. */
  async save(): Promise<void> {
    if (this.#moved() || this.#saver.failed) await this.#saver.save()
  }

  /** DelayOffsetSerializeWrapper: the answer to GET_ALL_DELAY_OFFSET, and the content of the file. */
  table(): Buffer {
    const rows = this.#durable().map((offset, queueId) => [queueId + 1, offset] as const)
    return jsonBody({
      dataVersion: dataVersionToJson(this.#dataVersion),
      offsetTable: Object.fromEntries(rows.filter(([, offset]) => offset > 0)),
    })
  }

  #durable(): number[] {
    const { flushed } = this.#parts.store.watermarks
    return this.#levels.map((level) => level.durableNext(flushed))
  }

  #moved(): boolean {
    return this.#durable().some((offset, index) => offset !== this.#saved[index])
  }

  async #write(): Promise<void> {
    const offsets = this.#durable()
    this.#dataVersion = nextDataVersion(this.#dataVersion, Math.floor(this.#parts.clock.wallMs()))
    await this.#parts.file.save(this.table())
    this.#saved = offsets
  }
}

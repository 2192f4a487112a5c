/**
 * How far each consumer group is in each queue: the next queue offset it will process. Kept in
 * `config/consumerOffset.json` in Apache's format, written every few seconds and at the stop. What
 * was reported since the last write is lost with the process, and consumed once more. The log is put on
 * the disk before each write: a group may have gone on because a message that it could not process was
 * stored once more, and a power cut must not leave it behind the one and without the other.
 *
 * A reset by an administrator stands in the table at once, and beside it in a list of resets that
 * consumers have not heard of: the next pull is answered with it, and until then reports of the
 * group are ignored, so that a late one cannot undo the reset.
 * Source: apache/rocketmq broker/…/offset/ConsumerOffsetManager.java.
 */
import {
  type DataVersion,
  dataVersionToJson,
  initialDataVersion,
  nextDataVersion,
} from '../protocol/bodies/data-version.ts'
import { decodeConsumerOffsetTable } from '../protocol/bodies/queue-offsets.ts'
import { writeJson } from '../protocol/lenient-json.ts'
import { faultOfGroup, faultOfTopic } from '../protocol/names.ts'
import { FlushedTable, type FlushedTableParts } from './flushed-table.ts'
import { LongBody } from './long-body.ts'
import { TurnBudget } from './turn-budget.ts'

/** Commits after which the table counts as a new version. Source: consumerOffsetUpdateVersionStep. */
const VERSION_STEP = 500
const QUEUES_MAX = 65_536
/** Pairs of group and topic that are kept; beyond it reports of new pairs are refused. */
const PAIRS_MAX = 1_000_000

export interface ConsumerOffsetsParts extends FlushedTableParts {
  /** Puts the log on the disk up to now; false when that cannot be. */
  readonly flushLog: () => Promise<boolean>
}

/** Offsets by queue id. */
export type QueueOffsets = ReadonlyMap<number, number>

/** Offsets by queue under a key of the file, `topic@group`. */
type LeftOut = readonly [key: string, offsets: (readonly [number, number])[]]

export class ConsumerOffsets {
  /** Told of every reset: pulls that are held in that queue have something to hear. */
  onReset: (topic: string, queueId: number) => void = () => undefined
  readonly #parts: ConsumerOffsetsParts
  /** Group → topic → queue id → offset. */
  readonly #groups = new Map<string, Map<string, Map<number, number>>>()
  /** Resets of which no consumer has heard, in the same shape. */
  readonly #resets = new Map<string, Map<string, Map<number, number>>>()
  /** Where the last pulls of groups ended; bounded by the groups and topics that there are. */
  readonly #pulls = new Map<string, Map<string, Map<number, number>>>()
  /** What the file has under names that cannot be here: another broker may have the directory next. */
  readonly #leftOut: LeftOut[] = []
  readonly #kept: FlushedTable
  #pairs = 0
  #dataVersion: DataVersion = initialDataVersion
  #commits = 0

  private constructor(parts: ConsumerOffsetsParts) {
    this.#parts = parts
    this.#kept = new FlushedTable('consumer offsets', parts, () => this.#fileBody())
  }

  static async load(parts: ConsumerOffsetsParts): Promise<ConsumerOffsets> {
    const table = new ConsumerOffsets(parts)
    const content = await parts.file.load()
    if (content === null) return table
    const { dataVersion, offsets } = decodeConsumerOffsetTable(content)
    table.#dataVersion = dataVersion
    for (const [key, queues] of offsets) {
      const [topic = '', group = ''] = key.split('@')
      if (faultOfTopic(topic) !== null || faultOfGroup(group) !== null) {
        table.#leftOut.push([key, [...queues]])
        continue
      }
      for (const [queueId, offset] of queues) table.#set(group, topic, queueId, offset)
    }
    return table
  }

  /** Begins to write the table every few seconds. */
  start(): void {
    this.#kept.start()
  }

  /** Writes the table a last time. Rejects with the disk's error. */
  close(): Promise<void> {
    return this.#kept.close()
  }

  get dataVersion(): DataVersion {
    return this.#dataVersion
  }

  /** The offset that was stored; null when the group never reported one. */
  get(group: string, topic: string, queueId: number): number | null {
    return this.#groups.get(group)?.get(topic)?.get(queueId) ?? null
  }

  /** What a consumer that starts should be told: a reset it has not heard of, or what was stored. */
  query(group: string, topic: string, queueId: number): number | null {
    return this.pendingReset(group, topic, queueId) ?? this.get(group, topic, queueId)
  }

  /**
   * Notes the progress of a group. False when it is ignored, because a reset is pending or the
   * numbers cannot be. A smaller offset than before is taken: a group may go back.
   */
  commit(group: string, topic: string, queueId: number, offset: number): boolean {
    if (!Number.isSafeInteger(offset) || offset < 0) return false
    if (this.#resets.size > 0 && this.pendingReset(group, topic, queueId) !== null) return false
    return this.#set(group, topic, queueId, offset)
  }

  /** Notes up to where a group was given messages; kept in memory, told as "in flight". */
  notePull(group: string, topic: string, queueId: number, offset: number): void {
    let topics = this.#pulls.get(group)
    if (topics === undefined) {
      topics = new Map()
      this.#pulls.set(group, topics)
    }
    let queues = topics.get(topic)
    if (queues === undefined) {
      queues = new Map()
      topics.set(topic, queues)
    }
    queues.set(queueId, offset)
  }

  /** Up to where the group was given messages, at least where it is. */
  pulled(group: string, topic: string, queueId: number): number {
    const given = this.#pulls.get(group)?.get(topic)?.get(queueId) ?? 0
    return Math.max(given, this.get(group, topic, queueId) ?? 0)
  }

  /** Sets the offset, and has the next pull answered with it. */
  reset(group: string, topic: string, queueId: number, offset: number): void {
    if (!this.#set(group, topic, queueId, offset)) return
    const topics = this.#resets.get(group) ?? new Map<string, Map<number, number>>()
    const queues = topics.get(topic) ?? new Map<number, number>()
    queues.set(queueId, offset)
    topics.set(topic, queues)
    this.#resets.set(group, topics)
    this.onReset(topic, queueId)
  }

  pendingReset(group: string, topic: string, queueId: number): number | null {
    if (this.#resets.size === 0) return null
    return this.#resets.get(group)?.get(topic)?.get(queueId) ?? null
  }

  /** The reset that a pull must be answered with; from now on consumers have heard of it. */
  takeReset(group: string, topic: string, queueId: number): number | null {
    if (this.#resets.size === 0) return null
    const topics = this.#resets.get(group)
    const queues = topics?.get(topic)
    const offset = queues?.get(queueId)
    if (topics === undefined || queues === undefined || offset === undefined) return null
    queues.delete(queueId)
    if (queues.size === 0) topics.delete(topic)
    if (topics.size === 0) this.#resets.delete(group)
    return offset
  }

  /** Topics in which a group has progress. */
  topicsOf(group: string): string[] {
    return [...(this.#groups.get(group)?.keys() ?? [])]
  }

  /** Groups that have progress in a topic. */
  groupsOf(topic: string): string[] {
    const groups: string[] = []
    for (const [group, topics] of this.#groups) if (topics.has(topic)) groups.push(group)
    return groups
  }

  queuesOf(group: string, topic: string): QueueOffsets {
    return this.#groups.get(group)?.get(topic) ?? new Map()
  }

  /** Gives one group the progress of another in a topic. */
  clone(sourceGroup: string, targetGroup: string, topic: string): void {
    const queues = [...this.queuesOf(sourceGroup, topic)]
    for (const [queueId, offset] of queues) this.#set(targetGroup, topic, queueId, offset)
  }

  forgetGroup(group: string): void {
    const topics = this.#groups.get(group)
    if (topics !== undefined) this.#pairs -= topics.size
    if (this.#groups.delete(group)) this.#kept.changed()
    this.#resets.delete(group)
    this.#pulls.delete(group)
  }

  forgetTopic(topic: string): void {
    for (const [group, topics] of this.#groups) {
      if (!topics.delete(topic)) continue
      this.#pairs--
      this.#kept.changed()
      if (topics.size === 0) this.#groups.delete(group)
    }
    for (const topics of this.#pulls.values()) topics.delete(topic)
    for (const [group, topics] of this.#resets) {
      if (topics.delete(topic) && topics.size === 0) this.#resets.delete(group)
    }
  }

  /** Resolves once the table as it is now is on the disk. */
  save(): Promise<void> {
    return this.#kept.save()
  }

  /** The whole table, as in the file. Integer keys are bare, as Apache writes them. */
  tableBody(): Promise<Buffer> {
    return this.#body([])
  }

  async #body(leftOut: readonly LeftOut[]): Promise<Buffer> {
    const budget = new TurnBudget(this.#parts.clock)
    const body = new LongBody()
    body.add(`{"dataVersion":${writeJson(dataVersionToJson(this.#dataVersion))},"offsetTable":{`)
    let first = true
    for (const [group, topics] of [...this.#groups]) {
      for (const [topic, queues] of [...topics]) {
        // Legal names need no escapes.
        body.add(`${first ? '' : ','}"${topic}@${group}":{`)
        first = false
        let comma = ''
        for (const [queueId, offset] of queues) {
          body.add(`${comma}${queueId}:${offset}`)
          comma = ','
          if (budget.spent) await budget.nextTurn()
        }
        body.add('}')
        if (budget.spent) await budget.nextTurn()
      }
    }
    for (const [key, queues] of leftOut) {
      const offsets = queues.map(([queueId, offset]) => `${queueId}:${offset}`)
      body.add(`${first ? '' : ','}${JSON.stringify(key)}:{${offsets.join(',')}}`)
      first = false
    }
    body.add('}}')
    return body.end(budget)
  }

  /** The table as it is now, once all that it may rest on is on the disk. Rejects when that cannot be. */
  async #fileBody(): Promise<Buffer> {
    const body = await this.#body(this.#leftOut)
    if (await this.#parts.flushLog()) return body
    throw new Error('the log cannot be flushed, and progress must not be ahead of it')
  }

  #set(group: string, topic: string, queueId: number, offset: number): boolean {
    if (queueId < 0 || queueId >= QUEUES_MAX) return false
    let topics = this.#groups.get(group)
    let queues = topics?.get(topic)
    if (queues === undefined) {
      // The file is written without escapes: other names would make it unreadable.
      if (faultOfTopic(topic) !== null || faultOfGroup(group) !== null) return false
      if (this.#pairs >= PAIRS_MAX) return false
      if (topics === undefined) {
        topics = new Map()
        this.#groups.set(group, topics)
      }
      queues = new Map()
      topics.set(topic, queues)
      this.#pairs++
    }
    if (queues.get(queueId) === offset) return true
    queues.set(queueId, offset)
    this.#kept.changed()
    if (++this.#commits % VERSION_STEP === 0) this.#bumpVersion()
    return true
  }

  #bumpVersion(): void {
    this.#dataVersion = nextDataVersion(this.#dataVersion, Math.floor(this.#parts.clock.wallMs()))
  }
}

/**
 * The SQL92 filters of consumer groups, by origin topic. Pulls are judged by what their group
 * subscribes to now (`consumer-group.ts`); this is what is remembered beyond that, for messages that
 * come again through the group's retry topic when nobody may subscribe to their origin any more.
 * Kept in `config/consumerFilter.json` in Apache's format; a filter is forgotten when its group has
 * been away for a day.
 * Source: apache/rocketmq broker/…/filter/{ConsumerFilterManager,ExpressionForRetryMessageFilter}.java.
 */
import {
  type ConsumerFilter,
  consumerFilterToJson,
  decodeConsumerFilters,
} from '../protocol/bodies/consumer-filters.ts'
import type { SubscriptionData } from '../protocol/bodies/subscription-data.ts'
import { writeJson } from '../protocol/lenient-json.ts'
import { faultOfGroup, faultOfTopic, isRetryTopic, RETRY_PREFIX } from '../protocol/names.ts'
import { parseProperties, PropertyName } from '../protocol/properties.ts'
import type { RecordTest, Select } from '../store/pull.ts'
import { FlushedTable, type FlushedTableParts } from './flushed-table.ts'
import { LongBody } from './long-body.ts'
import { filterOfExpression, isTagType, MessageFilter } from './message-filter.ts'
import { TurnBudget } from './turn-budget.ts'

/** Source: BrokerConfig.filterDataCleanTimeSpan. */
const FORGET_MS = 24 * 3_600_000
/** After a start nobody is there yet: groups count as away since a moment ago. Source: ConsumerFilterManager.decode. */
const AWAY_AT_START_MS = 30_000
/** Pairs of topic and group that are kept; those beyond it are filtered, and not remembered. */
const FILTERS_MAX = 100_000
/** Characters of all their expressions together. */
const EXPRESSION_CHARS_MAX = 16 * 1024 * 1024

interface Row {
  filter: ConsumerFilter
  /** Made when it is first needed; a text says why there is none. */
  select: Select | string | undefined
}

export class ConsumerFilters {
  readonly #parts: FlushedTableParts
  /** Group → topic → filter. */
  readonly #groups = new Map<string, Map<string, Row>>()
  readonly #kept: FlushedTable
  #count = 0
  #chars = 0

  private constructor(parts: FlushedTableParts) {
    this.#parts = parts
    this.#kept = new FlushedTable('filters of consumers', parts, () => this.#body())
  }

  /** Rejects with the disk's error. */
  static async load(parts: FlushedTableParts): Promise<ConsumerFilters> {
    const filters = new ConsumerFilters(parts)
    const content = await parts.file.load()
    if (content === null) return filters
    const nowMs = Math.floor(parts.clock.wallMs())
    for (const filter of decodeConsumerFilters(content)) {
      const { topic, group, bornMs, deadMs } = filter
      if (faultOfTopic(topic) !== null || faultOfGroup(group) !== null) continue
      const sinceMs = deadMs === 0 ? Math.max(bornMs, nowMs - AWAY_AT_START_MS) : deadMs
      if (nowMs - sinceMs < FORGET_MS) filters.#put({ ...filter, deadMs: sinceMs })
    }
    return filters
  }

  /** Begins to write the table every few seconds. */
  start(): void {
    this.#kept.start()
  }

  /** Writes the table a last time. Rejects with the disk's error. */
  close(): Promise<void> {
    return this.#kept.close()
  }

  /** A member of the group says what the group subscribes to: all of it. */
  register(group: string, subscriptions: readonly SubscriptionData[]): void {
    const topics = new Set<string>()
    for (const data of subscriptions) {
      topics.add(data.topic)
      if (!isTagType(data.expressionType)) this.#registerOne(group, data)
      else if (data.subVersion > (this.get(data.topic, group)?.clientVersion ?? Infinity)) {
        this.#forget(group, data.topic)
      }
    }
    this.#leave(group, (topic) => !topics.has(topic))
  }

  /** The group has no members any more. */
  unregister(group: string): void {
    this.#leave(group, () => true)
  }

  /** What the group wanted of the topic the last time; null when that was everything, or tags. */
  get(topic: string, group: string): ConsumerFilter | null {
    return this.#groups.get(group)?.get(topic)?.filter ?? null
  }

  /**
   * The filter of a pull, where the pull is of a retry topic: also by what the group wants of the topic
   * from which a message came in the first place. What has no filter there passes.
   */
  forRetries(retryTopic: string, filter: MessageFilter): MessageFilter {
    if (!isRetryTopic(retryTopic)) return filter
    const group = retryTopic.slice(RETRY_PREFIX.length)
    if (!this.#groups.has(group)) return filter
    const { accept, select } = filter
    const test: RecordTest = (bytes, view) => {
      if (select !== null && !select(bytes, view)) return false
      const text = bytes.toString('utf8', view.propertiesStart, view.propertiesEnd)
      const origin = parseProperties(text)[PropertyName.retryTopic]
      const wanted = origin === undefined ? null : this.#selectOf(origin, group)
      return wanted === null || wanted(bytes, view)
    }
    const steps = (select?.steps ?? 1) + this.#stepsOf(group)
    return new MessageFilter(accept, Object.assign(test, { steps }))
  }

  /** What the longest filter of the group takes for a record. */
  #stepsOf(group: string): number {
    let most = 1
    for (const topic of this.#groups.get(group)?.keys() ?? []) {
      most = Math.max(most, this.#selectOf(topic, group)?.steps ?? 1)
    }
    return most
  }

  #selectOf(topic: string, group: string): Select {
    const row = this.#groups.get(group)?.get(topic)
    if (row === undefined) return null
    row.select ??= selectOf(row.filter.expressionType, row.filter.expression)
    return typeof row.select === 'string' ? null : row.select
  }

  #registerOne(group: string, data: SubscriptionData): void {
    const { topic, subString: expression, expressionType, subVersion: clientVersion } = data
    if (expression === '') return
    const row = this.#groups.get(group)?.get(topic)
    const known = row?.filter
    if (known !== undefined && clientVersion <= known.clientVersion) {
      if (clientVersion === known.clientVersion && known.deadMs > 0) this.#revive(group, known)
      return
    }
    if (known?.expression === expression && known.expressionType === expressionType) {
      this.#revive(group, { ...known, clientVersion })
      return
    }
    const select = selectOf(expressionType, expression)
    if (typeof select === 'string') {
      // The members are told when they pull.
      this.#forget(group, topic)
      return
    }
    const bornMs = Math.floor(this.#parts.clock.wallMs())
    const fresh = { topic, group, expression, expressionType, bornMs, deadMs: 0, clientVersion }
    this.#put(fresh)
    this.#kept.changed()
  }

  #revive(group: string, filter: ConsumerFilter): void {
    const row = this.#groups.get(group)?.get(filter.topic)
    if (row === undefined) return
    row.filter = { ...filter, deadMs: 0 }
    this.#kept.changed()
  }

  #leave(group: string, isLeft: (topic: string) => boolean): void {
    const nowMs = Math.floor(this.#parts.clock.wallMs())
    for (const [topic, row] of this.#groups.get(group) ?? []) {
      const { filter } = row
      if (filter.deadMs > 0 || !isLeft(topic)) continue
      row.filter = { ...filter, deadMs: Math.max(nowMs, filter.bornMs) }
      this.#kept.changed()
    }
  }

  #forget(group: string, topic: string): void {
    if (this.#drop(group, topic)) this.#kept.changed()
  }

  #drop(group: string, topic: string): boolean {
    const topics = this.#groups.get(group)
    const row = topics?.get(topic)
    if (topics === undefined || row === undefined) return false
    topics.delete(topic)
    this.#count--
    this.#chars -= row.filter.expression.length
    if (topics.size === 0) this.#groups.delete(group)
    return true
  }

  #put(filter: ConsumerFilter): void {
    this.#drop(filter.group, filter.topic)
    const chars = this.#chars + filter.expression.length
    if (this.#count >= FILTERS_MAX || chars > EXPRESSION_CHARS_MAX) return
    const topics = this.#groups.get(filter.group) ?? new Map<string, Row>()
    this.#count++
    this.#chars = chars
    topics.set(filter.topic, { filter, select: undefined })
    this.#groups.set(filter.group, topics)
  }

  /** Puts the file together a few milliseconds a turn, and forgets those who are away for long. */
  async #body(): Promise<Buffer> {
    const { clock } = this.#parts
    const nowMs = clock.wallMs()
    const budget = new TurnBudget(clock)
    const byTopic = new Map<string, ConsumerFilter[]>()
    for (const [group, topics] of this.#groups) {
      for (const [topic, { filter }] of topics) {
        if (filter.deadMs > 0 && nowMs - filter.deadMs >= FORGET_MS) this.#drop(group, topic)
        else {
          const filters = byTopic.get(topic)
          if (filters === undefined) byTopic.set(topic, [filter])
          else filters.push(filter)
        }
        if (budget.spent) await budget.nextTurn()
      }
    }
    const body = new LongBody()
    body.add('{"filterDataByTopic":{')
    let first = true
    for (const [topic, filters] of byTopic) {
      // Legal names need no escapes.
      body.add(`${first ? '' : ','}"${topic}":{"groupFilterData":{`)
      first = false
      let comma = ''
      for (const filter of filters) {
        body.add(`${comma}"${filter.group}":${writeJson(consumerFilterToJson(filter))}`)
        comma = ','
        if (budget.spent) await budget.nextTurn()
      }
      body.add(`},"topic":"${topic}"}`)
    }
    body.add('}}')
    return body.end(budget)
  }
}

function selectOf(expressionType: string, expression: string): Select | string {
  const filter = filterOfExpression(expressionType, expression)
  return typeof filter === 'string' ? filter : filter.select
}

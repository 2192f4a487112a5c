/**
 * The topics of the broker, kept in `config/topics.json` in Apache's format. Name servers hear of
 * each change through `onChange`.
 * Source of the rules: apache/rocketmq broker/…/topic/TopicConfigManager.java.
 */
import { assert } from '../base/assert.ts'
import type { Logger } from '../base/logger.ts'
import {
  type DataVersion,
  dataVersionToJson,
  initialDataVersion,
  nextDataVersion,
} from '../protocol/bodies/data-version.ts'
import { parseBody } from '../protocol/bodies/fields.ts'
import {
  Perm,
  type TopicConfig,
  hasBatchQueues,
  sameTopicConfig,
  topicConfig,
  topicConfigTableFromJson,
  topicConfigToJson,
} from '../protocol/bodies/topic-config.ts'
import { ResponseCode } from '../protocol/codes.ts'
import { writeJson } from '../protocol/lenient-json.ts'
import {
  SystemTopic,
  faultOfTopic,
  isDlqTopic,
  isRetryTopic,
  remarkOnTopic,
} from '../protocol/names.ts'
import type { Clock } from '../world/clock.ts'
import type { BrokerSettings } from './options.ts'
import { Refusal } from './refusal.ts'
import { isSystemTopicOf, systemTopics } from './system-topics.ts'
import type { TableFile } from './table-file.ts'
import { TableSaver } from './table-saver.ts'
import { type OpenQueue, Topic } from './topic.ts'
import { attributesOfQueues, changedAttributes, faultOfTopicConfig } from './topic-rules.ts'
import { TurnBudget } from './turn-budget.ts'

export type { Topic } from './topic.ts'

export interface TopicTableParts {
  readonly clock: Clock
  readonly settings: BrokerSettings
  readonly file: TableFile
  readonly openQueue: OpenQueue
  /** Whether what is stored of a topic lies in batch queues; null when there is nothing. */
  readonly storedAsBatch: (topic: string) => boolean | null
  /** Removes what is stored of a topic. */
  readonly removeStored: (topic: string) => Promise<void>
  readonly logger: Logger
}

/** What became of some topics. */
export interface TopicChange {
  readonly changed: readonly Topic[]
  readonly deleted: readonly string[]
}

export class TopicTable {
  /** Told of every change, after it is in effect here. */
  onChange: (change: TopicChange) => void = () => undefined
  readonly #parts: TopicTableParts
  readonly #topics = new Map<string, Topic>()
  /** What the file has of topics that cannot be served here: another broker may have the directory next. */
  readonly #leftOut = new Map<string, TopicConfig>()
  /** Topics whose messages are being removed: their names are not free yet. */
  readonly #deleting = new Set<string>()
  readonly #saver: TableSaver
  #dataVersion: DataVersion = initialDataVersion
  /** Topics that people name: not those of groups, nor the system's. */
  #ordinary = 0

  private constructor(parts: TopicTableParts) {
    this.#parts = parts
    this.#saver = new TableSaver('topics', () => this.#write(), parts.logger)
  }

  /**
   * Reads the table and adds the system's topics.
   * @param stored topics of which messages are stored, with their number of queues: a topic that was
   * made just before the process died has messages before it has a configuration; and whether those
   * are batch queues
   */
  static async load(
    parts: TopicTableParts,
    stored: Iterable<readonly [topic: string, queues: number, areBatch?: boolean]> = [],
  ): Promise<TopicTable> {
    const table = new TopicTable(parts)
    const content = await parts.file.load()
    if (content !== null) {
      const { dataVersion, topics } = topicConfigTableFromJson(parseBody(content))
      table.#dataVersion = dataVersion
      for (const config of topics) table.#addLoaded(config)
    }
    let added = 0
    for (const [name, queues, areBatch = false] of stored) {
      if (table.#topics.has(name) || faultOfTopic(name) !== null) continue
      parts.logger.warn('topic with messages had no configuration', { topic: name, queues })
      const attributes = attributesOfQueues(areBatch)
      table.#put(topicConfig(name, { readQueueNums: queues, writeQueueNums: queues, attributes }))
      added++
    }
    for (const config of systemTopics(parts.settings)) {
      const known = table.#topics.get(config.topicName)
      if (known !== undefined && config.topicName !== SystemTopic.autoCreate) continue
      if (known !== undefined && sameTopicConfig(known.config, config)) continue
      table.#put(config)
      added++
    }
    if (!parts.settings.autoCreateTopic && table.#remove(SystemTopic.autoCreate)) added++
    if (added > 0 || content === null) {
      table.#bumpVersion()
      await table.save()
    }
    return table
  }

  /**
   * The topics that a file has, and whether they have batch queues: what the store has to know before
   * the table can be loaded. Empty when it cannot be read, which `load` says then.
   */
  static async kinds(file: TableFile): Promise<ReadonlyMap<string, boolean>> {
    try {
      const content = await file.load()
      const topics = content === null ? [] : topicConfigTableFromJson(parseBody(content)).topics
      return new Map(topics.map((topic) => [topic.topicName, hasBatchQueues(topic.attributes)]))
    } catch {
      return new Map()
    }
  }

  get dataVersion(): DataVersion {
    return this.#dataVersion
  }

  get size(): number {
    return this.#topics.size
  }

  get(name: string): Topic | null {
    return this.#topics.get(name) ?? null
  }

  values(): IterableIterator<Topic> {
    return this.#topics.values()
  }

  names(): IterableIterator<string> {
    return this.#topics.keys()
  }

  /** Why a name is illegal for a topic; null when it is legal. */
  faultOfName(name: string): string | null {
    return faultOfTopic(name)
  }

  isSystem(name: string): boolean {
    return isSystemTopicOf(this.#parts.settings, name)
  }

  /**
   * Makes a topic for its first message, from a template that may be inherited from. Says why not
   * as text: the name is illegal (see `faultOfName`), or the topic does not exist and stays so.
   */
  autoCreate(
    name: string,
    templateName: string,
    clientQueueNums: number,
    sysFlag: number,
  ): Topic | string {
    const known = this.#topics.get(name)
    if (known !== undefined) return known
    const illegal = remarkOnTopic(name)
    if (illegal !== null) return illegal
    const { settings } = this.#parts
    const missing = `topic[${name}] not exist, apply first please!`
    if (!settings.autoCreateTopic || this.#deleting.has(name)) return missing
    const template = this.#topics.get(templateName)
    if (template === undefined || (template.perm & Perm.inherit) === 0) return missing
    if (this.#ordinary >= settings.autoCreateTopicsMax) {
      return `${missing} This broker makes no more than ${settings.autoCreateTopicsMax} topics by itself`
    }
    const queues = Math.max(1, Math.min(clientQueueNums, template.writeQueueNums))
    const topic = this.#put(
      topicConfig(name, {
        readQueueNums: queues,
        writeQueueNums: queues,
        perm: template.perm & ~Perm.inherit,
        topicFilterType: template.config.topicFilterType,
        topicSysFlag: sysFlag,
      }),
    )
    this.#parts.logger.info('topic made for its first message', { topic: name, queues })
    this.#announce([topic], [])
    this.#saver.saveSoon()
    return topic
  }

  /**
   * The topic, made when it is missing: retry and dead-letter topics of groups. Null when the name
   * is illegal or not free yet, or when there are too many topics.
   */
  ensure(name: string, queues: number, perm: number, sysFlag = 0): Topic | null {
    const known = this.#topics.get(name)
    if (known !== undefined) return known
    const { topicsMax } = this.#parts.settings
    if (faultOfTopic(name) !== null || this.#deleting.has(name)) return null
    if (this.#topics.size >= topicsMax && !this.isSystem(name)) return null
    const topic = this.#put(
      topicConfig(name, {
        readQueueNums: queues,
        writeQueueNums: queues,
        perm,
        topicSysFlag: sysFlag,
      }),
    )
    this.#announce([topic], [])
    this.#saver.saveSoon()
    return topic
  }

  /** The same, with at least so many queues to read and to write; it never loses any. */
  ensureWide(name: string, queues: number, perm: number): Topic | null {
    const known = this.ensure(name, queues, perm)
    if (known === null || Math.min(known.readQueueNums, known.writeQueueNums) >= queues) {
      return known
    }
    const topic = this.#put({
      ...known.config,
      readQueueNums: Math.max(known.readQueueNums, queues),
      writeQueueNums: Math.max(known.writeQueueNums, queues),
    })
    this.#announce([topic], [])
    this.#saver.saveSoon()
    return topic
  }

  /**
   * Creates a topic or changes it, by an administrator's wish; attributes come as `+key` and `-key`.
   * Resolves once the table is on the disk. Rejects with a Refusal, or the disk's error.
   */
  async update(config: TopicConfig): Promise<void> {
    await this.updateAll([config])
  }

  /** The same for several topics: all of them, or none when one is refused. */
  async updateAll(configs: readonly TopicConfig[]): Promise<void> {
    let wanted = this.#checked(configs)
    const unfit = wanted.filter((config) => this.#isUnfit(config))
    if (unfit.length > 0) {
      for (const config of unfit) {
        const { topicName } = config
        if (!this.#isUnfit(config)) continue
        await this.delete(topicName, () => this.#parts.removeStored(topicName))
      }
      wanted = this.#checked(configs)
      for (const config of wanted) if (this.#isUnfit(config)) throw notFree(config.topicName)
    }
    if (wanted.length > 0) {
      const topics = wanted.map((config) => this.#put(config))
      this.#announce(topics, [])
    }
    // Also when nothing changed: an earlier change may not have reached the disk yet.
    if (wanted.length > 0 || this.#saver.failed) await this.#saver.save()
  }

  /** What of it has to be changed, with all attributes. Throws a Refusal. */
  #checked(configs: readonly TopicConfig[]): TopicConfig[] {
    const { settings } = this.#parts
    const wanted: TopicConfig[] = []
    let fresh = 0
    for (const config of configs) {
      const known = this.#topics.get(config.topicName)
      const fault =
        remarkOnTopic(config.topicName) ??
        (this.isSystem(config.topicName)
          ? `The topic[${config.topicName}] is conflict with system topic.`
          : null)
      if (fault !== null) throw new Refusal(ResponseCode.INVALID_PARAMETER, fault)
      if (this.#deleting.has(config.topicName)) throw notFree(config.topicName)
      const wrong = faultOfTopicConfig(config, settings.topicQueuesMax)
      if (wrong !== null) throw new Refusal(ResponseCode.INVALID_PARAMETER, wrong)
      const attributes = changedAttributes(known?.attributes ?? null, config.attributes)
      const whole = { ...config, attributes }
      if (known === undefined) fresh++
      else if (sameTopicConfig(known.config, whole)) continue
      wanted.push(whole)
    }
    if (this.#topics.size + fresh > settings.topicsMax) {
      throw new Refusal(
        ResponseCode.SYSTEM_ERROR,
        `this broker has no room for more than ${settings.topicsMax} topics`,
      )
    }
    return wanted
  }

  /**
   * Whether messages of a topic that is not there yet lie in queues of the other kind: such as came due
   * while it was deleted. Nobody could read what is sent to it then.
   */
  #isUnfit({ topicName, attributes }: TopicConfig): boolean {
    if (this.#topics.has(topicName)) return false
    const stored = this.#parts.storedAsBatch(topicName)
    return stored !== null && stored !== hasBatchQueues(attributes)
  }

  /**
   * Removes a topic's configuration at once, then what `removeMessages` removes; until both are done
   * nobody can make the topic anew, so that no message of a new one goes with those of the old.
   * Whether there was one. Rejects with the disk's error.
   */
  async delete(name: string, removeMessages: () => Promise<void>): Promise<boolean> {
    const topic = this.#topics.get(name)
    this.#deleting.add(name)
    const wasLeftOut = this.#leftOut.delete(name)
    try {
      if (topic !== undefined) {
        topic.deleted = true
        this.#remove(name)
        this.#announce([], [name])
      }
      await removeMessages()
      if (topic !== undefined || wasLeftOut) await this.#saver.save()
    } finally {
      this.#deleting.delete(name)
    }
    return topic !== undefined
  }

  /** Counts as changed, so that name servers take what is registered next: what clients may do changed. */
  touch(): void {
    this.#bumpVersion()
    this.#saver.saveSoon()
  }

  /** Resolves once the table as it is now is on the disk. */
  save(): Promise<void> {
    return this.#saver.save()
  }

  /** Called now and then: writes what could not be written before. */
  tick(): void {
    this.#saver.retry()
  }

  /**
   * TopicConfigSerializeWrapper as JSON text: of all topics, or of some. `permMask` takes away what
   * the broker as a whole does not permit.
   */
  async wrapperJson(only: Iterable<Topic> | null = null, permMask = -1): Promise<string> {
    const version = writeJson(dataVersionToJson(this.#dataVersion))
    const table = await this.#tableJson(only ?? [...this.#topics.values()], permMask)
    return (
      `{"dataVersion":${version},"mappingDataVersion":${initialVersionJson},` +
      `"topicConfigTable":${table},"topicQueueMappingDetailMap":{},"topicQueueMappingInfoMap":{}}`
    )
  }

  async #tableJson(topics: Iterable<Topic>, permMask: number): Promise<string> {
    const budget = new TurnBudget(this.#parts.clock)
    const rows: string[] = []
    for (const topic of topics) {
      // Legal names need no escapes.
      rows.push(`"${topic.name}":${topic.json(permMask)}`)
      if (budget.spent) await budget.nextTurn()
    }
    return `{${rows.join(',')}}`
  }

  async #write(): Promise<void> {
    const version = writeJson(dataVersionToJson(this.#dataVersion))
    const table = await this.#tableJson([...this.#topics.values()], -1)
    const leftOut = [...this.#leftOut]
      .filter(([name]) => !this.#topics.has(name))
      .map(([name, config]) => `${JSON.stringify(name)}:${writeJson(topicConfigToJson(config))}`)
    const rows = [table.slice(1, -1), ...leftOut].filter((row) => row !== '')
    await this.#parts.file.save(
      Buffer.from(`{"dataVersion":${version},"topicConfigTable":{${rows.join(',')}}}`),
    )
  }

  /** Names and sizes in a file are as little trusted as those from the wire. */
  #addLoaded(config: TopicConfig): void {
    const fault =
      faultOfTopic(config.topicName) ??
      faultOfTopicConfig(config, this.#parts.settings.topicQueuesMax)
    if (fault === null) {
      const { unserved: why } = this.#put(config)
      if (why !== null) this.#parts.logger.warn('topic is kept as it is, and refused', { why })
      return
    }
    this.#leftOut.set(config.topicName, config)
    this.#parts.logger.error('topic in topics.json is left out, and stays in the file', {
      topic: config.topicName.slice(0, 255),
      why: fault,
    })
  }

  #put(config: TopicConfig): Topic {
    const known = this.#topics.get(config.topicName)
    if (known !== undefined) {
      known.change(config)
      return known
    }
    assert(faultOfTopic(config.topicName) === null, 'only legal topic names enter the table')
    const topic = new Topic(config, this.#parts.openQueue)
    this.#topics.set(config.topicName, topic)
    if (this.#isOrdinary(config.topicName)) this.#ordinary++
    return topic
  }

  /** Whether it was there. */
  #remove(name: string): boolean {
    if (!this.#topics.delete(name)) return false
    if (this.#isOrdinary(name)) this.#ordinary--
    return true
  }

  #isOrdinary(name: string): boolean {
    return !isRetryTopic(name) && !isDlqTopic(name) && !this.isSystem(name)
  }

  #announce(changed: readonly Topic[], deleted: readonly string[]): void {
    this.#bumpVersion()
    this.onChange({ changed, deleted })
  }

  #bumpVersion(): void {
    this.#dataVersion = nextDataVersion(this.#dataVersion, Math.floor(this.#parts.clock.wallMs()))
  }
}

const initialVersionJson = writeJson(dataVersionToJson(initialDataVersion))

function notFree(name: string): Refusal {
  return new Refusal(
    ResponseCode.SYSTEM_ERROR,
    `The topic[${name}] is being deleted; try again in a moment.`,
  )
}

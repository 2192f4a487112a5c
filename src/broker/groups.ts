/**
 * The consumer groups that the broker knows, kept in `config/subscriptionGroup.json` in Apache's
 * format: how a group may consume, not who its members are (`clients.ts`) or how far it is
 * (`consumer-offsets.ts`).
 * Source of the rules: apache/rocketmq broker/…/subscription/SubscriptionGroupManager.java.
 */
import type { Logger } from '../base/logger.ts'
import {
  type DataVersion,
  dataVersionToJson,
  initialDataVersion,
  nextDataVersion,
} from '../protocol/bodies/data-version.ts'
import {
  type SubscriptionGroupConfig,
  decodeSubscriptionGroupTable,
  subscriptionGroupConfig,
  subscriptionGroupConfigToJson,
} from '../protocol/bodies/subscription-group-config.ts'
import { ResponseCode } from '../protocol/codes.ts'
import { writeJson } from '../protocol/lenient-json.ts'
import { faultOfGroup, remarkOnGroup, systemGroups } from '../protocol/names.ts'
import type { Clock } from '../world/clock.ts'
import type { BrokerSettings } from './options.ts'
import { Refusal } from './refusal.ts'
import type { TableFile } from './table-file.ts'
import { TableSaver } from './table-saver.ts'
import { TurnBudget } from './turn-budget.ts'

/** Bit of the forbidden table: the group may not read the topic. Source: SubscriptionGroupManager.updateForbidden. */
const FORBIDDEN_TO_READ = 0

const RETRY_QUEUES_MAX = 1_024
const GROUPS_MAX = 200_000
export interface GroupTableParts {
  readonly clock: Clock
  readonly settings: BrokerSettings
  readonly file: TableFile
  readonly logger: Logger
}

interface GroupEntry {
  readonly config: SubscriptionGroupConfig
  /** Made when it is first needed. */
  json: string | null
}

export class GroupTable {
  readonly #parts: GroupTableParts
  /** What the file has under names that cannot be here: another broker may have the directory next. */
  readonly #leftOut: SubscriptionGroupConfig[] = []
  readonly #groups = new Map<string, GroupEntry>()
  /** Group → topic → bits of what is forbidden. */
  readonly #forbidden = new Map<string, Map<string, number>>()
  readonly #saver: TableSaver
  #dataVersion: DataVersion = initialDataVersion

  private constructor(parts: GroupTableParts) {
    this.#parts = parts
    this.#saver = new TableSaver('groups', () => this.#write(), parts.logger)
  }

  /** Reads the table and adds the system's groups. */
  static async load(parts: GroupTableParts): Promise<GroupTable> {
    const table = new GroupTable(parts)
    const content = await parts.file.load()
    if (content !== null) {
      const { dataVersion, groups, forbidden } = decodeSubscriptionGroupTable(content)
      table.#dataVersion = dataVersion
      for (const config of groups) table.#addLoaded(config)
      for (const [group, topics] of Object.entries(forbidden)) {
        table.#forbidden.set(group, new Map(Object.entries(topics)))
      }
    }
    let added = 0
    for (const name of systemGroups) {
      if (table.#groups.has(name)) continue
      table.#put(subscriptionGroupConfig(name))
      added++
    }
    if (added > 0 || content === null) {
      table.#bumpVersion()
      await table.save()
    }
    return table
  }

  get dataVersion(): DataVersion {
    return this.#dataVersion
  }

  get size(): number {
    return this.#groups.size
  }

  get(name: string): SubscriptionGroupConfig | null {
    return this.#groups.get(name)?.config ?? null
  }

  names(): IterableIterator<string> {
    return this.#groups.keys()
  }

  /** The group, made when that is allowed. Throws a Refusal: 26 without auto-creation, 29 for an illegal name. */
  findOrCreate(name: string): SubscriptionGroupConfig {
    const known = this.#groups.get(name)
    if (known !== undefined) return known.config
    const remark = remarkOnGroup(name)
    if (remark !== null) throw new Refusal(ResponseCode.INVALID_PARAMETER, remark)
    const { autoCreateGroup, autoCreateGroupsMax } = this.#parts.settings
    if (!autoCreateGroup || this.#groups.size >= autoCreateGroupsMax) {
      const why = autoCreateGroup
        ? `: this broker makes no more than ${autoCreateGroupsMax} groups by itself`
        : ''
      throw new Refusal(
        ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
        `subscription group [${name}] does not exist${why}`,
      )
    }
    const { config } = this.#put(subscriptionGroupConfig(name))
    this.#bumpVersion()
    this.#parts.logger.info('consumer group made for its first member', { group: name })
    this.#saver.saveSoon()
    return config
  }

  /** Creates groups or changes them: all, or none when one is refused. Resolves once they are on the disk. */
  async updateAll(configs: readonly SubscriptionGroupConfig[]): Promise<void> {
    for (const config of configs) {
      const remark = remarkOnGroup(config.groupName)
      if (remark !== null) throw new Refusal(ResponseCode.INVALID_PARAMETER, remark)
      const fault = faultOfGroupConfig(config)
      if (fault === null) continue
      throw new Refusal(
        ResponseCode.INVALID_PARAMETER,
        `The consumer group[${config.groupName}] is illegal: ${fault}`,
      )
    }
    const fresh = configs.filter((config) => !this.#groups.has(config.groupName)).length
    if (this.#groups.size + fresh > GROUPS_MAX) {
      throw new Refusal(
        ResponseCode.SYSTEM_ERROR,
        `this broker has no room for more than ${GROUPS_MAX} consumer groups`,
      )
    }
    for (const config of configs) this.#put({ ...config })
    this.#bumpVersion()
    await this.#saver.save()
  }

  /** Whether there was one. */
  async delete(name: string): Promise<boolean> {
    const known = this.#groups.delete(name)
    this.#forbidden.delete(name)
    if (!known) return false
    this.#bumpVersion()
    await this.#saver.save()
    return true
  }

  /** Whether a group may read a topic, as far as UPDATE_AND_GET_GROUP_FORBIDDEN goes. */
  mayRead(group: string, topic: string): boolean {
    if (this.#forbidden.size === 0) return true
    const bits = this.#forbidden.get(group)?.get(topic) ?? 0
    return (bits & (1 << FORBIDDEN_TO_READ)) === 0
  }

  async setMayRead(group: string, topic: string, readable: boolean): Promise<void> {
    if (this.mayRead(group, topic) === readable) return
    const topics = this.#forbidden.get(group) ?? new Map<string, number>()
    const bits = topics.get(topic) ?? 0
    const mask = 1 << FORBIDDEN_TO_READ
    const next = readable ? bits & ~mask : bits | mask
    if (next === 0) topics.delete(topic)
    else topics.set(topic, next)
    if (topics.size === 0) this.#forbidden.delete(group)
    else this.#forbidden.set(group, topics)
    this.#bumpVersion()
    await this.#saver.save()
  }

  save(): Promise<void> {
    return this.#saver.save()
  }

  /** Called now and then: writes what could not be written before. */
  tick(): void {
    this.#saver.retry()
  }

  /** The whole table as SubscriptionGroupWrapper, as in the file. */
  tableJson(): Promise<string> {
    return this.#json([])
  }

  async #json(leftOut: Iterable<SubscriptionGroupConfig>): Promise<string> {
    const budget = new TurnBudget(this.#parts.clock)
    const version = writeJson(dataVersionToJson(this.#dataVersion))
    const rows: string[] = []
    for (const [name, entry] of [...this.#groups]) {
      entry.json ??= writeJson(subscriptionGroupConfigToJson(entry.config))
      // Legal names need no escapes.
      rows.push(`"${name}":${entry.json}`)
      if (budget.spent) await budget.nextTurn()
    }
    for (const config of leftOut) {
      const row = writeJson(subscriptionGroupConfigToJson(config))
      rows.push(`${JSON.stringify(config.groupName)}:${row}`)
    }
    const forbidden = writeJson(
      Object.fromEntries(
        [...this.#forbidden].map(([group, topics]) => [group, Object.fromEntries(topics)]),
      ),
    )
    return (
      `{"dataVersion":${version},"forbiddenTable":${forbidden},` +
      `"subscriptionGroupTable":{${rows.join(',')}}}`
    )
  }

  async #write(): Promise<void> {
    await this.#parts.file.save(Buffer.from(await this.#json(this.#leftOut)))
  }

  #addLoaded(config: SubscriptionGroupConfig): void {
    const fault = faultOfGroup(config.groupName)
    if (fault === null) {
      this.#put(config)
      return
    }
    this.#leftOut.push(config)
    this.#parts.logger.error('group in subscriptionGroup.json is left out, and stays in the file', {
      group: config.groupName.slice(0, 150),
      why: fault,
    })
  }

  #put(config: SubscriptionGroupConfig): GroupEntry {
    const entry: GroupEntry = { config: Object.freeze(config), json: null }
    this.#groups.set(config.groupName, entry)
    return entry
  }

  #bumpVersion(): void {
    this.#dataVersion = nextDataVersion(this.#dataVersion, Math.floor(this.#parts.clock.wallMs()))
  }
}

function faultOfGroupConfig(config: SubscriptionGroupConfig): string | null {
  const { retryQueueNums, retryMaxTimes, brokerId, whichBrokerWhenConsumeSlowly } = config
  if (!(retryQueueNums >= 0 && retryQueueNums <= RETRY_QUEUES_MAX)) {
    return `retryQueueNums must be 0 … ${RETRY_QUEUES_MAX}, not ${retryQueueNums}`
  }
  if (!(retryMaxTimes >= -1)) return `retryMaxTimes must be at least -1, not ${retryMaxTimes}`
  if (!(brokerId >= 0) || !(whichBrokerWhenConsumeSlowly >= 0)) {
    return 'broker ids must not be negative'
  }
  return null
}

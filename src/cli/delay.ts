/** Delays: the 18 levels that every RocketMQ has, and any time that brokers of line 5 can do. */
import { MqError } from '../base/errors.ts'
import { formatDurationMs } from '../base/units.ts'
import type { Admin } from '../client/admin.ts'
import { type BrokerAddress, askEach } from '../client/cluster-view.ts'
import type { OutgoingMessage } from '../client/outgoing-message.ts'
import { mastersOf as mastersOfRoute } from '../client/topic-admin.ts'
import {
  delayLevelOf,
  delayLevelsMs,
  nearestDelaysMs,
  parseDelayLevels,
} from '../protocol/delay-levels.ts'

/** What brokers are asked with. */
export type Asked = Pick<Admin, 'client' | 'cluster' | 'brokers'>

type Delay = Pick<OutgoingMessage, 'delayLevel' | 'delayMs' | 'deliverAtMs'>

/**
 * The level with exactly this time. Throws VALUE_INVALID, naming the nearest, when there is none.
 * @param flag whose value it is
 * @param broker whose levels these are; null: every RocketMQ's
 */
export function delayLevelFor(
  delayMs: number,
  flag: string,
  broker: string | null = null,
  levelsMs = delayLevelsMs,
): number {
  const level = delayLevelOf(delayMs, levelsMs)
  if (level !== null) return level
  const of = broker === null ? '' : ` of broker ${broker}`
  throw new MqError('VALUE_INVALID', {
    what: `no delay level${of} waits ${formatDurationMs(delayMs)}`,
    hint: nearestHint(delayMs, flag, levelsMs),
  })
}

/**
 * The level that waits so long at each broker of a topic, by the broker's name; those that did not tell, or
 * come later, have every RocketMQ's. Throws VALUE_INVALID when one of them has no such level.
 */
export async function delayLevelsFor(
  admin: Asked,
  topic: string,
  delayMs: number,
  flag: string,
): Promise<(broker: string) => number> {
  const levels = new Map<string, number>()
  for (const [broker, levelsMs] of await levelTablesOf(admin, topic)) {
    levels.set(broker, delayLevelFor(delayMs, flag, broker, levelsMs))
  }
  if (levels.size === 0) delayLevelFor(delayMs, flag)
  return (broker) => levels.get(broker) ?? delayLevelOf(delayMs) ?? 0
}

/** Which of them a message gets: `--delay` that is a level's time is sent as that level, for every broker. */
export function delayOf(flags: {
  readonly delayMs: number | undefined
  readonly level: number | undefined
  readonly deliverAtMs: number | undefined
}): Delay {
  const { delayMs, deliverAtMs } = flags
  const level = flags.level ?? (delayMs === undefined ? null : delayLevelOf(delayMs))
  if (level !== null) return { delayLevel: level }
  if (delayMs !== undefined && delayMs > 0) return { delayMs }
  return deliverAtMs === undefined ? {} : { deliverAtMs }
}

/**
 * The delay for the brokers of a topic. Levels can be set otherwise there (messageDelayLevel): the time that was
 * asked for then goes as the level that waits so long, or else as a time of its own. Brokers that do
 * not tell have the levels of every RocketMQ, and so have those that nobody can name now.
 */
export async function delayOnBrokers(
  admin: Asked,
  topic: string,
  delay: Delay,
  askedMs: number | undefined,
): Promise<Delay> {
  if (askedMs === undefined || askedMs <= 0) return delay
  const tables = await levelTablesOf(admin, topic)
  const levels = [...tables.values()].map((table) => delayLevelOf(askedMs, table))
  const [level] = levels
  if (level === undefined) return delay
  if (level === null || levels.some((other) => other !== level)) return { delayMs: askedMs }
  return { delayLevel: level }
}

/** For a topic that is yet to be made, all there are. Throws what asking name servers does. */
async function mastersOf(admin: Asked, topic: string): Promise<readonly BrokerAddress[]> {
  try {
    return mastersOfRoute(await admin.client.routes.get(topic))
  } catch (error) {
    if (!(error instanceof MqError && error.code === 'TOPIC_NOT_FOUND')) throw error
    return admin.cluster.masters()
  }
}

/** Milliseconds of each level, by broker; none when nobody says who has the topic. */
async function levelTablesOf(
  admin: Asked,
  topic: string,
): Promise<ReadonlyMap<string, readonly number[]>> {
  try {
    const masters = await mastersOf(admin, topic)
    const tables = masters.map(
      async ({ address, broker }) => [broker, await levelsOf(admin, address)] as const,
    )
    return new Map(await Promise.all(tables))
  } catch (error) {
    if (error instanceof MqError) return new Map()
    throw error
  }
}

async function levelsOf(admin: Asked, address: string): Promise<readonly number[]> {
  try {
    const config = await admin.brokers.config(address)
    return parseDelayLevels(config.get('messageDelayLevel') ?? '') ?? delayLevelsMs
  } catch (error) {
    if (error instanceof MqError) return delayLevelsMs
    throw error
  }
}

/** Whether a message waits for a time that is no level's. */
export function hasOwnTime({ delayMs, deliverAtMs }: Delay): boolean {
  return delayMs !== undefined || deliverAtMs !== undefined
}

/**
 * A broker of the topic that has delay levels only, as those of line 4 do: it would deliver at once what has
 * a time of its own. Null when none says so. Throws while nobody tells.
 */
export async function brokerWithoutTimers(
  admin: Asked,
  topic: string,
): Promise<{ readonly broker: string; readonly version: string } | null> {
  const masters = await mastersOf(admin, topic)
  const answers = await askEach(masters, async ({ address, broker }) => {
    const { brokerVersionDesc: version = '' } = await admin.brokers.runtimeInfo(address)
    return { broker, version }
  })
  const told = answers.filter((one) => one.ok).map(({ value }) => value)
  const [silent] = answers.filter((one) => !one.ok)
  if (told.length === 0 && silent !== undefined) throw silent.error
  return told.find(({ version }) => /^V[0-4]_/.test(version)) ?? null
}

/** Makes sure that brokers understand a time that is no level's. Throws VALUE_INVALID, and while nobody tells. */
export async function checkBrokersHaveTimers(
  admin: Asked,
  topic: string,
  delay: Delay,
  nowMs: number,
): Promise<void> {
  if (!hasOwnTime(delay)) return
  const old = await brokerWithoutTimers(admin, topic)
  if (old === null) return
  const { delayMs, deliverAtMs } = delay
  const waitMs = delayMs ?? Math.max(0, (deliverAtMs ?? nowMs) - nowMs)
  throw new MqError('VALUE_INVALID', {
    what: `broker ${old.broker} (${old.version}) has delay levels only, and none waits ${formatDurationMs(waitMs)}: it would deliver to ${topic} at once`,
    hint: nearestHint(waitMs, '--delay'),
  })
}

/** `use --delay 10s (level 3) or --delay 30s (level 4)` */
export function nearestHint(delayMs: number, flag: string, levelsMs = delayLevelsMs): string {
  const nearest = nearestDelaysMs(delayMs, levelsMs).map(
    (ms) =>
      `${flag} ${formatDurationMs(ms).replaceAll(' ', '')} (level ${delayLevelOf(ms, levelsMs) ?? ''})`,
  )
  return `use ${nearest.join(' or ')}`
}

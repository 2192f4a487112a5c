/** Delays: the 18 levels that every RocketMQ has, and any time that brokers of line 5 can do. */
import { MqError } from '../base/errors.ts'
import { formatDurationMs } from '../base/units.ts'
import type { Admin } from '../client/admin.ts'
import type { OutgoingMessage } from '../client/outgoing-message.ts'
import {
  delayLevelOf,
  delayLevelsMs,
  nearestDelaysMs,
  parseDelayLevels,
} from '../protocol/delay-levels.ts'

const MASTER_ID = 0

type Delay = Pick<OutgoingMessage, 'delayLevel' | 'delayMs' | 'deliverAtMs'>

/**
 * The level with exactly this time. Throws VALUE_INVALID, naming the nearest, when there is none.
 * @param flag whose value it is
 */
export function delayLevelFor(delayMs: number, flag: string): number {
  const level = delayLevelOf(delayMs)
  if (level !== null) return level
  throw new MqError('VALUE_INVALID', {
    what: `no delay level waits ${formatDurationMs(delayMs)}`,
    hint: nearestHint(delayMs, flag),
  })
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
  admin: Admin,
  topic: string,
  delay: Delay,
  askedMs: number | undefined,
): Promise<Delay> {
  if (askedMs === undefined || askedMs <= 0) return delay
  const masters = await mastersOf(admin, topic)
  const levels = await Promise.all(
    masters.map(async (address) => delayLevelOf(askedMs, await levelsOf(admin, address))),
  )
  const [level] = levels
  if (level === undefined) return delay
  if (level === null || levels.some((other) => other !== level)) return { delayMs: askedMs }
  return { delayLevel: level }
}

/** Addresses; of all brokers for a topic that is yet to be made, none when no name server tells. */
async function mastersOf(admin: Admin, topic: string): Promise<readonly string[]> {
  try {
    const { brokers } = await admin.client.routes.get(topic)
    return [...brokers.values()].flatMap(({ brokerAddrs }) => brokerAddrs.get(MASTER_ID) ?? [])
  } catch (error) {
    if (!(error instanceof MqError)) throw error
    if (error.code !== 'TOPIC_NOT_FOUND') return []
    return (await admin.brokers.list()).map(({ address }) => address)
  }
}

async function levelsOf(admin: Admin, address: string): Promise<readonly number[]> {
  try {
    const config = await admin.brokers.config(address)
    return parseDelayLevels(config.get('messageDelayLevel') ?? '') ?? delayLevelsMs
  } catch (error) {
    if (error instanceof MqError) return delayLevelsMs
    throw error
  }
}

/**
 * Makes sure that brokers understand a time that is no level's: those of line 4 would deliver such a
 * message at once. Throws VALUE_INVALID.
 */
export async function checkBrokersHaveTimers(
  admin: Admin,
  topic: string,
  delay: Delay,
  nowMs: number,
): Promise<void> {
  const { delayMs, deliverAtMs } = delay
  if (delayMs === undefined && deliverAtMs === undefined) return
  const all = await admin.brokers.list()
  const old = all.find(({ version }) => version !== null && /^V[0-4]_/.test(version))
  if (old === undefined) return
  const waitMs = delayMs ?? Math.max(0, (deliverAtMs ?? nowMs) - nowMs)
  throw new MqError('VALUE_INVALID', {
    what: `broker ${old.broker} (${String(old.version)}) has delay levels only, and none waits ${formatDurationMs(waitMs)}: it would deliver to ${topic} at once`,
    hint: nearestHint(waitMs, '--delay'),
  })
}

/** `use --delay 10s (level 3) or --delay 30s (level 4)` */
export function nearestHint(delayMs: number, flag: string): string {
  const nearest = nearestDelaysMs(delayMs).map(
    (ms) => `${flag} ${formatDurationMs(ms).replaceAll(' ', '')} (level ${delayLevelOf(ms) ?? ''})`,
  )
  return `use ${nearest.join(' or ')}`
}

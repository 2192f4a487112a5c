/** Consuming for a person as one member of a group: one message at a time, in the order of arrival. */
import { MqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { StartPosition } from '../client/assignment.ts'
import { Consumer } from '../client/consumer.ts'
import type { ReceivedMessage } from '../client/received-message.ts'
import type { World } from '../world/world.ts'
import type { Position } from './position.ts'

export interface GroupConsumerOptions {
  readonly nameServers: readonly string[]
  readonly group: string
  readonly topic: string
  readonly tags: string
  /** SQL92 expression; null: by tags. */
  readonly sql: string | null
  /** The file with the progress of a broadcast member; null: a member that shares the queues. */
  readonly broadcastFile: string | null
  /** Where a group begins that has no progress; null: RocketMQ's default. */
  readonly from: Position | null
  readonly exitAtEnd: boolean
  readonly countMax: number | null
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** How often a member looks whether it has reached the end. */
const LOOK_MS = 100

/** Ends on the signal, after `countMax` messages, or at the end; progress has been reported then. */
export async function consumeAsGroup(
  world: World,
  options: GroupConsumerOptions,
  print: (message: ReceivedMessage) => Promise<void>,
): Promise<void> {
  const over = new AbortController()
  options.signal.addEventListener('abort', () => {
    over.abort()
  })
  const enough = () => options.countMax !== null && printed >= options.countMax
  let printed = 0
  const consumer = await Consumer.start(world, {
    nameServers: options.nameServers,
    logger: options.logger,
    group: options.group,
    subscriptions: [
      options.sql === null
        ? { topic: options.topic, tags: options.tags }
        : { topic: options.topic, sql: options.sql },
    ],
    ...(options.broadcastFile === null
      ? {}
      : { model: 'broadcast' as const, progressFile: options.broadcastFile }),
    concurrency: 1,
    ...(options.from === null ? {} : { from: startPosition(options.from) }),
    handler: async (message) => {
      // What comes after the last one stays for whoever gets the queue next.
      if (enough() || over.signal.aborted) return 'leave'
      printed += 1
      await print(message)
      if (enough()) over.abort()
      return undefined
    },
  })
  const stopLooking = options.exitAtEnd
    ? world.clock.every(LOOK_MS, () => {
        if (consumer.isCaughtUp) over.abort()
      })
    : () => undefined
  await aborted(over.signal)
  stopLooking()
  await consumer.close()
}

function startPosition(position: Position): StartPosition {
  if (position.kind === 'start') return 'first'
  if (position.kind === 'end') return 'end'
  if (position.kind === 'time') return { timeMs: position.ms }
  throw new MqError('VALUE_INVALID', {
    what: 'a group begins at start, end or @TIME',
    hint: 'mqctl group reset GROUP --topic TOPIC --to 1200 --execute moves a group to an offset',
  })
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else {
      signal.addEventListener('abort', () => {
        resolve()
      })
    }
  })
}

/**
 * Consuming for a person as one member of a group: by default one message at a time, in the order of
 * arrival. A message whose handling fails goes back to the broker and comes again later.
 */
import { MqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { StartPosition } from '../client/assignment.ts'
import { Consumer } from '../client/consumer.ts'
import { PopConsumer } from '../client/pop-consumer.ts'
import type { MessageHandler } from '../client/handler-loop.ts'
import type { ReceivedMessage } from '../client/received-message.ts'
import type { TraceLoss } from '../client/tracer.ts'
import type { Clock } from '../world/clock.ts'
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
  /** Messages that are handled at once. */
  readonly parallel: number
  /** Tries after the first; null: 16, in order as many as it takes. */
  readonly retriesMax: number | null
  /** Delay level of each further try, by the name of its broker; 0: as the broker has it. */
  readonly retryLevel: (broker: string) => number
  /**
   * One message of a queue after the other, a failed one again before the next, after so many ms; null:
   * in the library's growing pauses.
   */
  readonly orderly: { readonly suspendMs: number | null } | null
  /** Takes messages from all queues, out of sight of others for so long; null: has queues of its own. */
  readonly pop: { readonly invisibleMs: number | null } | null
  /** Whether the trace topic is told of each try. */
  readonly trace: boolean
  /** How long handlers that run may go on after the signal. */
  readonly closeTimeoutMs: number
}

/** `left`: stays unprocessed for whoever gets the queue next. */
export type Handled = 'done' | 'failed' | 'left'

export interface GroupOutcome {
  readonly done: number
  readonly failed: number
  /** Null: nothing was traced. */
  readonly traces: TraceLoss | null
}

/** How often a member looks whether it has reached the end. */
const LOOK_MS = 100
/** A broker that does not answer may be on its way back. */
const UNREACHABLE_MS_MAX = 10_000
/** Brokers keep the locks of a member that vanished for a minute, and it may have taken them late. */
const LOCKED_MS_MAX = 90_000

/**
 * Ends on the signal, after `countMax` messages, or at the end; progress has been reported then.
 * Rejects with what `handle` rejects with: that ends all of it, and the message stays unprocessed.
 */
export async function consumeAsGroup(
  world: World,
  options: GroupConsumerOptions,
  handle: (message: ReceivedMessage) => Promise<Handled>,
): Promise<GroupOutcome> {
  const over = new AbortController()
  options.signal.addEventListener('abort', () => {
    over.abort()
  })
  const counts = { begun: 0, done: 0, failed: 0 }
  let failure: { readonly error: unknown } | null = null
  const enough = () => options.countMax !== null && counts.begun >= options.countMax
  const consumer = await start(world, options, async (message) => {
    // What comes after the last one stays for whoever gets the queue next.
    if (enough() || over.signal.aborted) return 'leave'
    counts.begun += 1
    let handled: Handled
    try {
      handled = await handle(message)
    } catch (error) {
      failure ??= { error }
      over.abort()
      return 'leave'
    }
    if (handled !== 'left') counts[handled] += 1
    if (enough()) over.abort()
    if (handled === 'failed') throw new Error('its handling failed')
    return handled === 'left' ? 'leave' : undefined
  })
  const stopLooking = options.exitAtEnd
    ? world.clock.every(LOOK_MS, () => {
        if (consumer.isCaughtUp) over.abort()
        const error = endCannotBeTold(world.clock, consumer)
        if (error === null) return
        failure ??= { error }
        over.abort()
      })
    : () => undefined
  await aborted(over.signal)
  stopLooking()
  await consumer.close()
  throwIfAny(failure)
  const traces = consumer instanceof Consumer ? consumer.tracer : null
  return { done: counts.done, failed: counts.failed, traces }
}

function start(
  world: World,
  options: GroupConsumerOptions,
  handler: MessageHandler,
): Promise<Consumer | PopConsumer> {
  const { topic, tags, sql, pop, from } = options
  const shared = {
    nameServers: options.nameServers,
    logger: options.logger,
    group: options.group,
    subscriptions: [sql === null ? { topic, tags } : { topic, sql }],
    concurrency: options.parallel,
    closeTimeoutMs: options.closeTimeoutMs,
    retryLevel: ({ broker }: ReceivedMessage) => options.retryLevel(broker),
    ...(options.retriesMax === null ? {} : { retriesMax: options.retriesMax }),
    handler,
  }
  if (pop !== null) {
    return PopConsumer.start(world, {
      ...shared,
      ...(pop.invisibleMs === null ? {} : { invisibleMs: pop.invisibleMs }),
      ...(from === null ? {} : { from: popPosition(from) }),
    })
  }
  return Consumer.start(world, {
    ...shared,
    ...(options.broadcastFile === null
      ? {}
      : { model: 'broadcast' as const, progressFile: options.broadcastFile }),
    ...orderedOptions(options),
    trace: options.trace,
    ...(from === null ? {} : { from: startPosition(from) }),
  })
}

function orderedOptions({ orderly }: GroupConsumerOptions) {
  if (orderly === null) return {}
  const { suspendMs } = orderly
  return { ordered: true, ...(suspendMs === null ? {} : { suspendMs }) }
}

/**
 * Why a member does not get what it would have to process first; null: it has it, may get it yet, or has
 * other work meanwhile.
 */
function endCannotBeTold(clock: Clock, consumer: Consumer | PopConsumer): unknown {
  const { hindrance, group } = consumer
  if (hindrance === null || consumer.hasWork) return null
  const { passes, sinceMs, error } = hindrance
  const forMs = clock.monotonicMs() - sinceMs
  if (passes === 0 || forMs < (error === null ? LOCKED_MS_MAX : UNREACHABLE_MS_MAX)) return null
  if (error !== null) return error
  const why = 'it does not get all of its queues; other members may keep them'
  return new MqError('NOT_AT_END', { group, why })
}

function throwIfAny(failure: { readonly error: unknown } | null): void {
  if (failure !== null) throw failure.error
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

/** Brokers know two places for a group that is new. */
function popPosition(position: Position): 'first' | 'last' {
  if (position.kind === 'start') return 'first'
  if (position.kind === 'end') return 'last'
  throw new MqError('VALUE_INVALID', {
    what: 'with --mode pop a group begins at start or end',
    hint: 'mqctl group reset GROUP --topic TOPIC --to @TIME --execute moves a group to a time',
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

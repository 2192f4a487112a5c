import { expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { Assignment } from '../../src/client/assignment.ts'
import type { MqClient } from '../../src/client/client.ts'
import type { OrderLocks } from '../../src/client/order-locks.ts'
import type { ProgressStore } from '../../src/client/progress-store.ts'
import type { QueueAccess } from '../../src/client/queue-access.ts'
import type { MessageQueue } from '../../src/protocol/bodies/message-queue.ts'
import { tagSubscription } from '../../src/protocol/bodies/subscription-data.ts'
import { ManualClock } from '../world/manual-clock.ts'

it('gives back the locks of queues that it was taking when it was closed', async () => {
  const queue = { topic: 'T', brokerName: 'b', queueId: 0 }
  const held = new Set<MessageQueue>()
  let tellOffset: (offset: number) => void = () => undefined
  const offset = new Promise<number>((resolve) => {
    tellOffset = resolve
  })
  const client = {
    world: { clock: new ManualClock() },
    clientId: 'c',
    logger: silentLogger,
    routes: { get: () => Promise.resolve({ subscribeQueues: [queue], brokers: new Map() }) },
  } as unknown as MqClient
  const locks = {
    take: (queues: readonly MessageQueue[]) => {
      for (const one of queues) held.add(one)
      return Promise.resolve(queues)
    },
    release: (queues: readonly MessageQueue[]) => {
      for (const one of queues) held.delete(one)
      return Promise.resolve()
    },
  } as unknown as OrderLocks
  const progress = { read: () => offset } as unknown as ProgressStore
  const assignment = new Assignment(client, {} as QueueAccess, progress, {
    group: 'G',
    broadcast: true,
    from: 'first',
    subscriptions: new Map([['T', tagSubscription('T', '*', 1)]]),
    pullBatch: 32,
    limits: { messagesMax: 1, bytesMax: 1, spanMax: 1 },
    locks,
    onMessages: () => undefined,
  })
  const rebalancing = assignment.rebalance()
  await expect.poll(() => held.size).toBe(1)
  const closing = assignment.close()
  tellOffset(0)
  await closing
  await assignment.unlock()
  await rebalancing
  expect(held.size).toBe(0)
})

it('counts the time of a hindrance anew when others no longer are the reason, but an error is', async () => {
  const clock = new ManualClock()
  const queue = { topic: 'T', brokerName: 'b', queueId: 0 }
  let failure: Error | null = null
  const client = {
    world: { clock },
    clientId: 'c',
    logger: silentLogger,
    routes: {
      get: () =>
        failure === null
          ? Promise.resolve({ subscribeQueues: [queue], brokers: new Map() })
          : Promise.reject(failure),
    },
  } as unknown as MqClient
  const locks = { take: () => Promise.resolve([]) } as unknown as OrderLocks
  const assignment = new Assignment(client, {} as QueueAccess, {} as ProgressStore, {
    group: 'G',
    broadcast: true,
    from: 'first',
    subscriptions: new Map([['T', tagSubscription('T', '*', 1)]]),
    pullBatch: 32,
    limits: { messagesMax: 1, bytesMax: 1, spanMax: 1 },
    locks,
    onMessages: () => undefined,
  })
  await assignment.rebalance()
  const startMs = clock.monotonicMs()
  clock.advance(900)
  await assignment.rebalance()
  expect(assignment.hindrance).toEqual({ passes: 2, sinceMs: startMs, error: null })
  failure = new Error('no answer in time')
  await assignment.rebalance()
  expect(assignment.hindrance).toEqual({ passes: 1, sinceMs: startMs + 900, error: failure })
  await assignment.close()
})

it('does not take for the end what a broker had that the name servers forgot, until it is back', async () => {
  const queues = ['a', 'b'].map((brokerName) => ({ topic: 'T', brokerName, queueId: 0 }))
  let there = queues
  const client = {
    world: { clock: new ManualClock() },
    clientId: 'c',
    logger: silentLogger,
    routes: {
      get: () =>
        Promise.resolve({
          subscribeQueues: there,
          brokers: new Map(there.map(({ brokerName }) => [brokerName, {}])),
        }),
    },
  } as unknown as MqClient
  const end = { status: 'none', messages: [], nextOffset: 0, minOffset: 0, maxOffset: 0 }
  const access = {
    // `a` is empty; `b` never answers.
    pull: ({ brokerName }: MessageQueue, { holdMs }: { holdMs: number }) =>
      brokerName === 'a' && holdMs === 0 ? Promise.resolve(end) : new Promise(() => undefined),
  } as unknown as QueueAccess
  const progress = { read: () => Promise.resolve(0) } as unknown as ProgressStore
  const assignment = new Assignment(client, access, progress, {
    group: 'G',
    broadcast: true,
    from: 'first',
    subscriptions: new Map([['T', tagSubscription('T', '*', 1)]]),
    pullBatch: 32,
    limits: { messagesMax: 1, bytesMax: 1, spanMax: 1 },
    locks: null,
    onMessages: () => undefined,
  })
  const errorAfterPass = async () => {
    await assignment.rebalance()
    return assignment.hindrance?.error
  }
  expect(await errorAfterPass()).toBeUndefined()
  await expect
    .poll(() => [...assignment.queues].map(({ isCaughtUp }) => isCaughtUp))
    .toEqual([true, false])
  there = queues.slice(0, 1)
  expect(await errorAfterPass()).toMatchObject({
    code: 'NOT_AT_END',
    message: expect.stringContaining('broker b went away'),
  })
  there = queues
  expect(await errorAfterPass()).toBeUndefined()
  there = queues.slice(1)
  expect(await errorAfterPass()).toBeUndefined()
  await assignment.close()
})

import { describe, expect, it } from 'vitest'
import { MqClient } from '../../src/client/client.ts'
import type { MessageHandler } from '../../src/client/handler-loop.ts'
import { OrderLocks } from '../../src/client/order-locks.ts'
import type { ReceivedMessage } from '../../src/client/received-message.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { aBrokerForThisFile } from './real-broker.ts'

const broker = aBrokerForThisFile()

const turn = () => new Promise(setImmediate)

/** Notes what several members handle, and whether two of them ever had messages of one queue at once. */
class Watch {
  readonly seen: ReceivedMessage[] = []
  readonly #busy = new Set<number>()
  overlaps = 0

  readonly handler: MessageHandler = async (message) => {
    const { queueId } = message
    if (this.#busy.has(queueId)) this.overlaps += 1
    this.#busy.add(queueId)
    await turn()
    this.seen.push(message)
    this.#busy.delete(queueId)
  }

  offsets(queueId: number): number[] {
    return this.seen.filter((one) => one.queueId === queueId).map((one) => one.queueOffset)
  }
}

const ordered = (watch: Watch, group: string) => ({
  group,
  ordered: true,
  concurrency: 4,
  pullBatch: 4,
  handler: watch.handler,
})

function locksOf(group: string, clientId: string | null = null) {
  const client = new MqClient(nodeWorld, {
    nameServers: broker.nameServers,
    ...(clientId === null ? {} : { clientId }),
  })
  const lost: number[] = []
  const locks = new OrderLocks(client, {
    group,
    onLost: (queues) => lost.push(...queues.map(({ queueId }) => queueId)),
    onRenewed: () => undefined,
  })
  return { client, locks, lost }
}

const queue = (topic: string, queueId = 0) => ({ topic, brokerName: 'broker-a', queueId })

describe('members that consume in order', () => {
  it('share the queues so that each has one owner, also while they come and go', async () => {
    const topic = await broker.aTopic(4, 400)
    const group = broker.aGroup()
    const watch = new Watch()
    const first = await broker.consume(ordered(watch, group), topic)
    await expect.poll(() => watch.seen.length).toBeGreaterThan(20)
    const second = await broker.consume(ordered(watch, group), topic)
    await expect.poll(() => second.consumer.queues.length).toBeGreaterThanOrEqual(2)
    await first.consumer.close()
    await expect.poll(() => watch.seen.length).toBe(400)
    expect(watch.overlaps).toBe(0)
    for (const queueId of [0, 1, 2, 3]) {
      // Whole and in order: nothing comes twice, because a queue changes hands with its progress.
      expect(watch.offsets(queueId)).toEqual(Array.from({ length: 100 }, (_, i) => i))
    }
  })

  it('leave a queue alone that another member has locked, until it lets go', async () => {
    const topic = await broker.aTopic(2, 4)
    const group = broker.aGroup()
    const { client, locks } = locksOf(group)
    await client.routes.get(topic)
    expect(await locks.take([queue(topic)])).toHaveLength(1)
    const watch = new Watch()
    await broker.consume(ordered(watch, group), topic)
    await expect.poll(() => watch.offsets(1)).toEqual([0, 1])
    expect(watch.offsets(0)).toEqual([])
    await locks.release([queue(topic)])
    await expect.poll(() => watch.offsets(0)).toEqual([0, 1])
    client.close()
  })

  it('get a failed message again before the next one, and see which try it is', async () => {
    const topic = await broker.aTopic(1, 3)
    const tries: string[] = []
    await broker.consume(
      {
        group: broker.aGroup(),
        ordered: true,
        suspendMs: 1,
        handler: (message) => {
          tries.push(`${message.body.toString()} ${message.reconsumeTimes}`)
          if (message.body.toString() === 'm1' && message.reconsumeTimes < 3) throw new Error('no')
        },
      },
      topic,
    )
    await expect.poll(() => tries).toEqual(['m0 0', 'm1 0', 'm1 1', 'm1 2', 'm1 3', 'm2 0'])
  })

  it('let nothing overtake a message that becomes a dead letter', async () => {
    const topic = await broker.aTopic(1, 2)
    const tries: string[] = []
    const group = broker.aGroup()
    await broker.consume(
      {
        group,
        ordered: true,
        suspendMs: 1,
        retriesMax: 1,
        handler: (message) => {
          tries.push(message.body.toString())
          if (message.body.toString() === 'm0') throw new Error('no')
        },
      },
      topic,
    )
    await expect.poll(() => tries).toEqual(['m0', 'm0', 'm1'])
    const dead = await broker.admin.queues.maxOffset(queue(`%DLQ%${group}`))
    expect(dead).toBe(1)
  })

  it('give their queues back when they end', async () => {
    const topic = await broker.aTopic(1, 1)
    const group = broker.aGroup()
    const watch = new Watch()
    const { consumer } = await broker.consume(ordered(watch, group), topic)
    await expect.poll(() => watch.seen.length).toBe(1)
    const { client, locks } = locksOf(group)
    await client.routes.get(topic)
    expect(await locks.take([queue(topic)])).toEqual([])
    await consumer.close()
    expect(await locks.take([queue(topic)])).toEqual([queue(topic)])
    client.close()
  })
})

describe('locks of queues', () => {
  it('that cannot be renewed are lost, and whoever has them hears it', async () => {
    const topic = await broker.aTopic(2)
    const group = broker.aGroup()
    const mine = locksOf(group)
    await mine.client.routes.get(topic)
    await mine.locks.take([queue(topic), queue(topic, 1)])
    // As after a restart of the broker: it knows of nothing, and another member is faster.
    const other = locksOf(group)
    await other.client.routes.get(topic)
    const forgetting = locksOf(group, mine.client.clientId)
    await forgetting.client.routes.get(topic)
    await forgetting.locks.release([queue(topic, 1)])
    expect(await other.locks.take([queue(topic, 1)])).toHaveLength(1)
    await mine.locks.renew()
    expect(mine.lost).toEqual([1])
    expect([mine.locks.has(queue(topic)), mine.locks.has(queue(topic, 1))]).toEqual([true, false])
    for (const { client } of [mine, other, forgetting]) client.close()
  })
})

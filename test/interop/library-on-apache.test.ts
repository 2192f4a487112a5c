/**
 * Our client library against a real Apache broker that is registered with our own name server: what
 * one of them gets wrong about the other shows here.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { resolveOptions } from '../../src/base/options.ts'
import { Admin } from '../../src/client/admin.ts'
import { Consumer, type ConsumerOptions } from '../../src/client/consumer.ts'
import { PopConsumer } from '../../src/client/pop-consumer.ts'
import { Producer } from '../../src/client/producer.ts'
import type { ReceivedMessage } from '../../src/client/received-message.ts'
import { SendBack } from '../../src/client/send-back.ts'
import { TopicReader } from '../../src/client/topic-reader.ts'
import { startNameServer } from '../../src/nameserver/nameserver.ts'
import { nameServerOptions } from '../../src/nameserver/options.ts'
import { TransactionProducer } from '../../src/client/transaction-producer.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { type Cluster, apacheClassPath, skipBecause, startApache, until } from './peers.ts'

const peers = await apacheClassPath()

describe.skipIf(skipBecause('library on Apache', peers.missing))('the library on Apache', () => {
  let cluster: Cluster
  let admin: Admin
  let producer: Producer
  let nameServers = ''
  const open: { close(): unknown }[] = []
  const stops: (() => Promise<void>)[] = []

  beforeAll(async () => {
    if (peers.missing !== null) return
    const options = resolveOptions(nameServerOptions, { port: 0 })
    const nameServer = await startNameServer(nodeWorld, options, silentLogger)
    stops.push(() => nameServer.close())
    nameServers = `127.0.0.1:${nameServer.port}`
    cluster = await startApache({
      classPath: peers.classPath,
      namesrv: nameServers,
      brokerConf: {
        transactionTimeOut: '4000',
        transactionCheckInterval: '2000',
        transactionOpBatchInterval: '50',
      },
    })
    stops.push(() => cluster.stop())
    admin = Admin.open(nodeWorld, { nameServers })
    producer = Producer.open(nodeWorld, { nameServers, compressAboveBytes: 4_096 })
    stops.push(() => {
      admin.close()
      return producer.close()
    })
  })

  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.close()
  })

  afterAll(async () => {
    for (const stop of stops.splice(0).reverse()) await stop()
  })

  async function aTopic(topic: string, queues = 2, messages = 0): Promise<string> {
    await admin.topics.create({ topic, readQueues: queues, writeQueues: queues })
    for (let i = 0; i < messages; i++) {
      const queue = { brokerName: 'broker-a', queueId: i % queues }
      await producer.send({ topic, body: `m${i}`, queue })
    }
    return topic
  }

  async function consume(topic: string, group: string, given: Partial<ConsumerOptions> = {}) {
    const messages: ReceivedMessage[] = []
    const consumer = await Consumer.start(nodeWorld, {
      nameServers,
      group,
      subscriptions: [{ topic }],
      from: 'first',
      handler: (message) => {
        messages.push(message)
      },
      ...given,
    })
    open.push(consumer)
    return { consumer, messages, bodies: () => messages.map((one) => one.body.toString()) }
  }

  const wait = { timeout: 10_000 }

  it('sends single messages, batches and one way, and reads them back', async () => {
    const topic = await aTopic('single', 1)
    const large = 'large '.repeat(2_000)
    await producer.send({ topic, body: 'one', tags: 'A', keys: ['k'], properties: { x: 'y' } })
    const batch = await producer.sendBatch(['two', 'three'].map((body) => ({ topic, body })))
    await producer.send({ topic, body: large })
    await producer.sendOneway({ topic, body: 'one way' })
    expect(batch.map((receipt) => receipt.queueOffset)).toEqual([1, 2])
    const { messages, bodies } = await consume(topic, 'single-group')
    await expect.poll(bodies, wait).toEqual(['one', 'two', 'three', large, 'one way'])
    expect(messages[0]).toMatchObject({ tags: 'A', keys: 'k', flag: 0, broker: 'broker-a' })
    expect(messages[1]?.messageId).toBe(batch[0]?.messageId)
  })

  it('creates a topic by sending to it', async () => {
    const receipt = await producer.send({ topic: 'made-by-send', body: 'x' })
    expect(receipt.status).toBe('SEND_OK')
    await expect.poll(async () => (await admin.topics.names()).includes('made-by-send')).toBe(true)
  })

  it('shares queues among members, also when one leaves', async () => {
    const topic = await aTopic('shared', 4)
    const one = await consume(topic, 'shared-group')
    const two = await consume(topic, 'shared-group')
    const share = ({ consumer }: typeof one) =>
      consumer.queues.filter((queue) => queue.topic === topic).length
    await expect.poll(() => [share(one), share(two)], wait).toEqual([2, 2])
    await one.consumer.close()
    await expect.poll(() => share(two), wait).toBe(4)
  })

  it('gives a failed message back, and gets it again after ten seconds', async () => {
    const topic = await aTopic('failing', 1, 3)
    const seen: ReceivedMessage[] = []
    const { consumer } = await consume(topic, 'failing-group', {
      handler: (message) => {
        seen.push(message)
        if (message.body.toString() === 'm1' && message.reconsumeTimes === 0) throw new Error('no')
      },
    })
    await expect.poll(() => seen.length, { timeout: 30_000 }).toBe(4)
    expect(seen[3]).toMatchObject({ topic, reconsumeTimes: 1 })
    await consumer.close()
    expect((await admin.groups.lag('failing-group', topic)).lag).toBe(0)
  })

  it('sends to the retry topic what the broker does not take back', async () => {
    const topic = await aTopic('resent', 1, 1)
    const { messages } = await consume(topic, 'resent-group')
    await expect.poll(() => messages.length, wait).toBe(1)
    const [message] = messages
    if (message === undefined) throw new Error('unreachable')
    const back = new SendBack(admin.client, {
      group: 'resent-group',
      retriesMax: 1,
      levelOf: () => 1,
    })
    // There is no record at this place.
    expect(await back.send({ ...message, physicalOffset: 1 })).toBe(true)
    await expect.poll(() => messages.length, { timeout: 30_000 }).toBe(2)
    expect(messages[1]).toMatchObject({ topic, messageId: message.messageId, reconsumeTimes: 1 })
    expect(await back.send({ ...message, physicalOffset: 1, reconsumeTimes: 1 })).toBe(true)
    await back.close()
    const dead = { topic: '%DLQ%resent-group', brokerName: 'broker-a', queueId: 0 }
    const letter = await until('the dead letter', () =>
      admin.messages.at(dead, 0).catch(() => null),
    )
    expect(letter).toMatchObject({ messageId: message.messageId, reconsumeTimes: 2 })
  })

  it('goes back when the progress of a running group is reset', async () => {
    const topic = await aTopic('reset', 2, 6)
    const { messages } = await consume(topic, 'reset-group')
    await expect.poll(() => messages.length, wait).toBe(6)
    const plan = await admin.progress.planReset('reset-group', topic, { kind: 'start' })
    await admin.progress.apply('reset-group', plan)
    await expect.poll(() => messages.length, { timeout: 40_000 }).toBe(12)
  })

  it('starts at a time, although the broker would say 0', async () => {
    const topic = await aTopic('timed', 1, 1)
    const queue = { topic, brokerName: 'broker-a', queueId: 0 }
    // Apache shows a message some milliseconds after it acknowledged it.
    const at = (offset: number) =>
      until('the message', () => admin.messages.at(queue, offset).catch(() => null))
    const first = await at(0)
    let last = first
    for (let offset = 1; last.storeTimestamp === first.storeTimestamp; offset++) {
      await producer.send({ topic, body: 'later' })
      last = await at(offset)
    }
    const { bodies } = await consume(topic, 'timed-group', {
      from: { timeMs: last.storeTimestamp },
    })
    await expect.poll(() => bodies().length, wait).toBeGreaterThan(0)
    expect(bodies()).not.toContain('m0')
  })

  it('consumes in order: each queue has one owner, also when another member comes', async () => {
    const topic = await aTopic('Ordered', 4, 200)
    const seen = new Map<number, number[]>()
    const busy = new Set<number>()
    let overlaps = 0
    let failed = false
    const ordered: Partial<ConsumerOptions> = {
      ordered: true,
      suspendMs: 50,
      pullBatch: 4,
      handler: async ({ queueId, queueOffset }) => {
        if (busy.has(queueId)) overlaps += 1
        busy.add(queueId)
        await new Promise((resolve) => setTimeout(resolve, 5))
        busy.delete(queueId)
        if (queueId === 2 && queueOffset === 7 && !failed) {
          failed = true
          throw new Error('once')
        }
        seen.set(queueId, [...(seen.get(queueId) ?? []), queueOffset])
      },
    }
    const first = await consume(topic, 'CG_ordered', ordered)
    const second = await consume(topic, 'CG_ordered', ordered)
    await expect.poll(() => second.consumer.queues.length, wait).toBeGreaterThan(1)
    await first.consumer.close()
    const count = () => [...seen.values()].flat().length
    await expect.poll(count, { timeout: 30_000 }).toBe(200)
    const inOrder = Array.from({ length: 50 }, (_, i) => i)
    expect([0, 1, 2, 3].map((queueId) => seen.get(queueId))).toEqual(Array(4).fill(inOrder))
    expect([overlaps, failed]).toEqual([0, true])
  })

  it('takes messages by POP: all of them, a failed one once more, in the end as a dead letter', async () => {
    const topic = await aTopic('popped', 4, 20)
    const group = 'popped-group'
    const messages: ReceivedMessage[] = []
    const times = (body: string) =>
      messages.filter((one) => one.body.toString() === body).map((one) => one.reconsumeTimes)
    const consumer = await PopConsumer.start(nodeWorld, {
      nameServers,
      group,
      subscriptions: [{ topic }],
      from: 'first',
      invisibleMs: 60_000,
      retriesMax: 1,
      retryLevel: () => 1,
      handler: (message) => {
        messages.push(message)
        if (message.body.toString() === 'm7') throw new Error('never')
      },
    })
    open.push(consumer)
    // Apache looks for what is due every few seconds.
    await expect.poll(() => times('m7'), { timeout: 40_000 }).toEqual([0, 1])
    await expect.poll(() => consumer.isCaughtUp, { timeout: 30_000 }).toBe(true)
    expect(new Set(messages.map((one) => one.body.toString())).size).toBe(20)
    expect(messages).toHaveLength(21)
    const id = messages.find((one) => one.body.toString() === 'm7')?.messageId ?? ''
    await expect
      .poll(async () => {
        const dead = await admin.messages.byUniqueId(`%DLQ%${group}`, id)
        return dead.map(({ properties }) => properties['RETRY_TOPIC'])
      }, wait)
      .toEqual([topic])
  })

  it('sends transactions, answers the broker’s questions, and sees which are open', async () => {
    const topic = await aTopic('Paid', 1)
    const asked: string[] = []
    const transactions = TransactionProducer.open(nodeWorld, {
      nameServers,
      group: 'PG_paid',
      check: ({ body }) => {
        asked.push(body.toString())
        return body.toString() === 'late yes' ? 'commit' : 'rollback'
      },
    })
    open.push(transactions)
    const { bodies } = await consume(topic, 'CG_paid')
    await transactions.sendTransaction({ topic, body: 'no' }, () => 'rollback')
    await transactions.sendTransaction({ topic, body: 'yes' }, () => 'commit')
    await expect.poll(bodies, wait).toEqual(['yes'])
    for (const body of ['late yes', 'late no']) {
      await transactions.sendTransaction({ topic, body, keys: 'k' }, () => 'unknown')
    }
    const listed = await admin.transactions.list()
    expect(listed.filter(({ keys }) => keys === 'k')).toMatchObject([
      { topic, producerGroup: 'PG_paid', broker: 'broker-a', checks: 0 },
      { topic, producerGroup: 'PG_paid', broker: 'broker-a', checks: 0 },
    ])
    await expect.poll(bodies, { timeout: 30_000 }).toEqual(['yes', 'late yes'])
    await expect.poll(() => admin.transactions.list(), { timeout: 30_000 }).toEqual([])
    expect([...new Set(asked)].sort()).toEqual(['late no', 'late yes'])
  })

  it('reads a topic without a group', async () => {
    const topic = await aTopic('read', 2, 20)
    const reader = await TopicReader.open(admin.client, {
      topic,
      from: { kind: 'beforeEnd', count: 5 },
      to: { kind: 'end' },
    })
    const bodies: string[] = []
    for await (const messages of reader) bodies.push(...messages.map((one) => one.body.toString()))
    expect(bodies.sort()).toEqual(Array.from({ length: 10 }, (_, i) => `m${i + 10}`))
  })

  it('finds messages by id, key and place, and says how far groups are', async () => {
    const topic = await aTopic('found', 1)
    const receipt = await producer.send({ topic, body: 'x', keys: 'the-key' })
    expect(await admin.messages.get(receipt.offsetMessageId)).toMatchObject({ topic })
    await expect
      .poll(async () => (await admin.messages.byKey(topic, 'the-key')).length, wait)
      .toBe(1)
    expect(await admin.messages.get(receipt.messageId)).toMatchObject({ topic, keys: 'the-key' })
    expect(await admin.topics.get(topic)).toMatchObject({ queues: 1, messages: 1, perm: 'rw' })
    const { messages } = await consume(topic, 'found-group')
    await expect.poll(() => messages.length, wait).toBe(1)
    expect(await admin.groups.connections('found-group')).toMatchObject({
      consumeType: 'CONSUME_PASSIVELY',
      connections: [{ language: 'NODE_JS' }],
    })
    const [status] = await admin.brokers.list()
    expect(status).toMatchObject({ version: 'V5_5_0', error: null })
  })

  it('sees at once at our name server that the broker was killed', async () => {
    await cluster.kill()
    await expect.poll(async () => (await admin.cluster.brokers()).length, wait).toBe(0)
    await expect(admin.topics.route('single')).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' })
  })
})

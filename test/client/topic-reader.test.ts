import { describe, expect, it } from 'vitest'
import { TopicReader, type TopicReaderOptions } from '../../src/client/topic-reader.ts'
import { aBrokerForThisFile, numbered } from './real-broker.ts'

const broker = aBrokerForThisFile()

async function read(options: TopicReaderOptions): Promise<string[]> {
  const reader = await TopicReader.open(broker.admin.client, options)
  const bodies: string[] = []
  for await (const messages of reader) bodies.push(...messages.map((one) => one.body.toString()))
  return bodies
}

const start = { kind: 'start' } as const
const end = { kind: 'end' } as const

describe('a reader', () => {
  it('reads everything that is there and stops, and no group knows of it', async () => {
    const topic = await broker.aTopic(3, 50)
    expect((await read({ topic, from: start, to: end })).sort()).toEqual(numbered(50))
    expect(await broker.admin.topics.groupsOf(topic)).toEqual([])
  })

  it.each([
    ['an offset to another', { kind: 'offset', offset: 2 }, { kind: 'offset', offset: 4 }, 4],
    ['some after the start', { kind: 'afterStart', count: 8 }, end, 4],
    ['some before the end', { kind: 'beforeEnd', count: 3 }, end, 6],
    ['before the first', { kind: 'beforeEnd', count: 100 }, end, 20],
    ['beyond the last', { kind: 'offset', offset: 100 }, end, 0],
    ['the end to the end', end, end, 0],
    ['a time long ago to a time to come', { kind: 'time', ms: 0 }, { kind: 'time', ms: 4e12 }, 20],
  ] as const)('reads from %s', async (_, from, to, count) => {
    const topic = await broker.aTopic(2, 20)
    const reader = await TopicReader.open(broker.admin.client, { topic, from, to })
    expect(reader.messageCount).toBe(count)
    expect(await read({ topic, from, to })).toHaveLength(count)
  })

  it('keeps the order of each queue', async () => {
    const topic = await broker.aTopic(2, 40)
    const reader = await TopicReader.open(broker.admin.client, { topic, from: start, to: end })
    const offsets: number[][] = [[], []]
    for await (const messages of reader) {
      for (const message of messages) offsets[message.queueId]?.push(message.queueOffset)
    }
    const inOrder = Array.from({ length: 20 }, (_, i) => i)
    expect(offsets).toEqual([inOrder, inOrder])
  })

  it('reads chosen queues and tags only', async () => {
    const topic = await broker.aTopic(2, 4)
    await broker.producer.send({
      topic,
      body: 'tagged',
      tags: 'A',
      queue: { brokerName: 'broker-a', queueId: 1 },
    })
    expect(await read({ topic, from: start, to: end, queueIds: [0] })).toEqual(['m0', 'm2'])
    expect(await read({ topic, from: start, to: end, tags: 'A' })).toEqual(['tagged'])
    await expect(read({ topic, from: start, to: end, queueIds: [7] })).rejects.toMatchObject({
      code: 'USAGE',
    })
  })

  it('goes on as messages come when it has no end, until it is left', async () => {
    const topic = await broker.aTopic(1, 1)
    const reader = await TopicReader.open(broker.admin.client, { topic, from: end })
    const bodies: string[] = []
    const sending = broker.producer.send({ topic, body: 'live 1' })
    for await (const messages of reader) {
      bodies.push(...messages.map((one) => one.body.toString()))
      if (bodies.length === 2) break
      await broker.producer.send({ topic, body: 'live 2' })
    }
    await sending
    expect(bodies).toEqual(['live 1', 'live 2'])
  })

  it('reads queues that a topic gets while it is read', async () => {
    const topic = await broker.aTopic(1)
    const reader = await TopicReader.open(broker.admin.client, { topic, from: end })
    const bodies: string[] = []
    const reading = (async () => {
      for await (const messages of reader) {
        bodies.push(...messages.map((one) => one.body.toString()))
      }
    })()
    await broker.admin.topics.alter(topic, { readQueues: 2, writeQueues: 2 })
    await broker.producer.send({
      topic,
      body: 'in the new queue',
      queue: { brokerName: 'broker-a', queueId: 1 },
    })
    await expect.poll(() => bodies).toEqual(['in the new queue'])
    reader.close()
    await reading
  })

  it('says when the topic does not exist', async () => {
    await expect(read({ topic: 'nope', from: start, to: end })).rejects.toMatchObject({
      code: 'TOPIC_NOT_FOUND',
    })
  })
})

import { describe, expect, it } from 'vitest'
import { MqClient } from '../../src/client/client.ts'
import type { ReceivedMessage } from '../../src/client/received-message.ts'
import { SendBack } from '../../src/client/send-back.ts'
import { dlqTopicOf } from '../../src/protocol/names.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { aBrokerForThisFile } from './real-broker.ts'

const broker = aBrokerForThisFile()

async function deadLettersOf(group: string): Promise<ReceivedMessage[]> {
  const queue = { topic: dlqTopicOf(group), brokerName: 'broker-a', queueId: 0 }
  const offsets = await broker.admin.topics.offsets(queue.topic).catch(() => [])
  const count = offsets[0]?.maxOffset ?? 0
  return Promise.all(Array.from({ length: count }, (_, i) => broker.admin.messages.at(queue, i)))
}

describe('a failed message', () => {
  it('comes again through the retry topic, under the name of its own topic, after the level’s time', async () => {
    const topic = await broker.aTopic(1)
    const headers = { topic, body: 'x', tags: 'A', keys: ['k'], properties: { own: 'header' } }
    const sent = await broker.producer.send(headers)
    const seen: ReceivedMessage[] = []
    await broker.consume(
      {
        group: broker.aGroup(),
        retryLevel: () => 1,
        handler: (message) => {
          seen.push(message)
          if (seen.length === 1) throw new Error('not now')
        },
      },
      topic,
    )
    await expect.poll(() => seen.length).toBe(2)
    const [first, second] = seen
    expect(second).toMatchObject({ topic, tags: 'A', keys: 'k', reconsumeTimes: 1 })
    expect(second?.messageId).toBe(sent.messageId)
    expect(second?.properties['own']).toBe('header')
    expect(second?.body.toString()).toBe('x')
    expect((second?.storeTimestamp ?? 0) - (first?.storeTimestamp ?? 0)).toBeGreaterThanOrEqual(
      1000,
    )
  })

  it('is a dead letter after the last try, and the group is not behind', async () => {
    const topic = await broker.aTopic(1, 1)
    const group = broker.aGroup()
    let tries = 0
    const { consumer } = await broker.consume(
      {
        group,
        retriesMax: 1,
        retryLevel: () => 1,
        handler: () => {
          tries += 1
          throw new Error('never')
        },
      },
      topic,
    )
    await expect.poll(() => deadLettersOf(group)).toHaveLength(1)
    await consumer.close()
    expect(tries).toBe(2)
    const [dead] = await deadLettersOf(group)
    expect(dead?.properties['RETRY_TOPIC']).toBe(topic)
    expect((await broker.admin.groups.lag(group, topic)).lag).toBe(0)
  })

  it('is a dead letter at once when its handler wants no further try', async () => {
    const topic = await broker.aTopic(1, 1)
    const group = broker.aGroup()
    const retryLevel = () => -1
    const handler = () => Promise.reject(new Error('poison'))
    await broker.consume({ group, retryLevel, handler }, topic)
    await expect.poll(() => deadLettersOf(group)).toHaveLength(1)
  })

  it('of an ordered consumer blocks its queue until its last try, and is a dead letter then', async () => {
    const topic = await broker.aTopic(1, 2)
    const group = broker.aGroup()
    const seen: string[] = []
    await broker.consume(
      {
        group,
        ordered: true,
        retriesMax: 1,
        handler: (message) => {
          seen.push(message.body.toString())
          if (seen.at(-1) === 'm0') throw new Error('never')
        },
      },
      topic,
    )
    await expect.poll(() => seen).toEqual(['m0', 'm0', 'm1'])
    await expect.poll(() => deadLettersOf(group)).toHaveLength(1)
  })

  it('that is on its way back is waited for at close, so that it does not come twice', async () => {
    const topic = await broker.aTopic(1, 1)
    const group = broker.aGroup()
    let fail: (error: Error) => void = () => undefined
    const { consumer } = await broker.consume(
      {
        group,
        handler: () =>
          new Promise<void>((_, reject) => {
            fail = reject
          }),
      },
      topic,
    )
    await expect.poll(() => consumer.isCaughtUp).toBe(false)
    await expect.poll(() => fail.length).toBe(1)
    const closing = consumer.close()
    fail(new Error('late'))
    await closing
    expect((await broker.admin.groups.lag(group, topic)).lag).toBe(0)
  })
})

describe('a message that its broker does not take back', () => {
  it('is sent to the retry topic, with its try counted and its way told', async () => {
    const topic = await broker.aTopic(1)
    const group = broker.aGroup()
    const { messages } = await broker.consume({ group }, topic)
    await broker.producer.send({ topic, body: 'x', tags: 'A', properties: { own: 'header' } })
    await expect.poll(() => messages.length).toBe(1)
    const [message] = messages
    if (message === undefined) throw new Error('unreachable')
    const client = new MqClient(nodeWorld, { nameServers: broker.nameServers })
    await client.routes.get(topic)
    const back = new SendBack(client, { group, retriesMax: 16, levelOf: () => 1 })
    // No record stands at this place: the broker refuses.
    expect(await back.send({ ...message, physicalOffset: 1 })).toBe(true)
    await expect.poll(() => messages.length).toBe(2)
    expect(messages[1]).toMatchObject({ topic, reconsumeTimes: 1, tags: 'A' })
    expect(messages[1]?.messageId).toBe(message.messageId)
    expect(messages[1]?.properties).toMatchObject({
      own: 'header',
      RETRY_TOPIC: topic,
      ORIGIN_MESSAGE_ID: message.offsetMessageId,
    })
    await back.close()
    client.close()
  })

  it('is a dead letter when that was its last try', async () => {
    const topic = await broker.aTopic(1, 1)
    const group = broker.aGroup()
    const { messages } = await broker.consume({ group }, topic)
    await expect.poll(() => messages.length).toBe(1)
    const [message] = messages
    if (message === undefined) throw new Error('unreachable')
    const client = new MqClient(nodeWorld, { nameServers: broker.nameServers })
    await client.routes.get(topic)
    const back = new SendBack(client, { group, retriesMax: 0, levelOf: () => 0 })
    expect(await back.send({ ...message, physicalOffset: 1 })).toBe(true)
    await expect.poll(() => deadLettersOf(group)).toHaveLength(1)
    await back.close()
    client.close()
  })

  it('is kept when no broker takes it in any way', async () => {
    const topic = await broker.aTopic(1, 1)
    const { messages } = await broker.consume({ group: broker.aGroup() }, topic)
    await expect.poll(() => messages.length).toBe(1)
    const [message] = messages
    if (message === undefined) throw new Error('unreachable')
    const client = new MqClient(nodeWorld, { nameServers: '127.0.0.1:1' })
    const back = new SendBack(client, { group: 'G', retriesMax: 16, levelOf: () => 0 })
    expect(await back.send(message)).toBe(false)
    client.close()
  })
})

import { afterEach, describe, expect, it } from 'vitest'
import { PopConsumer, type PopConsumerOptions } from '../../src/client/pop-consumer.ts'
import type { ReceivedMessage } from '../../src/client/received-message.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import { respond } from '../../src/protocol/command.ts'
import { aBrokerForThisFile, numbered } from './real-broker.ts'
import { ScriptedPeer, type Script, nameServerScript, routeBody, storing } from './scripted-peer.ts'

const broker = aBrokerForThisFile()
const open: { close(): Promise<unknown> }[] = []

afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

async function consume(topic: string, given: Partial<PopConsumerOptions> = {}) {
  const messages: ReceivedMessage[] = []
  const { handler } = given
  const consumer = await PopConsumer.start(nodeWorld, {
    nameServers: broker.nameServers,
    group: broker.aGroup(),
    subscriptions: [{ topic }],
    from: 'first',
    ...given,
    handler: (message) => {
      messages.push(message)
      return handler?.(message)
    },
  })
  open.push(consumer)
  const bodies = () => messages.map(({ body }) => body.toString())
  return { consumer, messages, bodies }
}

describe('a consumer that takes messages by POP', () => {
  it('gets every message once, those that were there and those that come', async () => {
    const topic = await broker.aTopic(4, 50)
    const { bodies, consumer } = await consume(topic)
    await expect.poll(() => bodies().sort()).toEqual(numbered(50))
    await expect.poll(() => consumer.isCaughtUp).toBe(true)
    await broker.producer.send({ topic, body: 'later', tags: 'A', keys: ['k'] })
    await expect.poll(() => bodies().at(-1)).toBe('later')
    expect(bodies()).toHaveLength(51)
  })

  it('shares with others, and holds nothing up that another one is slow with', async () => {
    const topic = await broker.aTopic(1, 20)
    const group = broker.aGroup()
    let release: () => void = () => undefined
    const slow = await consume(topic, {
      group,
      concurrency: 1,
      handler: () => new Promise<void>((resolve) => (release = resolve)),
    })
    await expect.poll(() => slow.messages.length).toBe(1)
    const quick = await consume(topic, { group })
    await expect.poll(() => quick.messages.length).toBe(19)
    expect(quick.bodies()).not.toContain(slow.bodies()[0])
    release()
    await expect.poll(() => slow.consumer.isCaughtUp).toBe(true)
  })

  it('gets only messages with its tags, also when another tag has the same hash', async () => {
    const topic = await broker.aTopic(1)
    for (const tags of ['Aa', 'BB', 'C']) await broker.producer.send({ topic, body: tags, tags })
    const { bodies, consumer } = await consume(topic, { subscriptions: [{ topic, tags: 'Aa' }] })
    await expect.poll(bodies).toEqual(['Aa'])
    await expect.poll(() => consumer.isCaughtUp).toBe(true)
  })

  it('gets only what an SQL expression describes', async () => {
    const topic = await broker.aTopic(1)
    for (const price of ['5', '15']) {
      await broker.producer.send({ topic, body: price, properties: { price } })
    }
    const { bodies } = await consume(topic, { subscriptions: [{ topic, sql: 'price > 10' }] })
    await expect.poll(bodies).toEqual(['15'])
  })

  it('a message that fails comes again, with one try more', async () => {
    const topic = await broker.aTopic(1, 1)
    let failures = 1
    const { messages } = await consume(topic, {
      retryLevel: () => 1,
      handler: () => {
        if (failures-- > 0) throw new Error('not yet')
      },
    })
    await expect
      .poll(() => messages.map((one) => one.reconsumeTimes), { timeout: 15_000 })
      .toEqual([0, 1])
    expect(messages.map((one) => [one.topic, one.messageId])).toEqual([
      [topic, messages[0]?.messageId],
      [topic, messages[0]?.messageId],
    ])
  })

  it('a message that failed the last time is a dead letter of its own topic', async () => {
    const topic = await broker.aTopic(1, 1)
    const group = broker.aGroup()
    const { messages, consumer } = await consume(topic, {
      group,
      retriesMax: 0,
      handler: () => {
        throw new Error('never')
      },
    })
    await expect.poll(() => messages.length).toBe(1)
    await expect.poll(() => consumer.isCaughtUp).toBe(true)
    await expect
      .poll(async () => {
        const id = messages[0]?.messageId ?? ''
        const found = await broker.admin.messages.byUniqueId(`%DLQ%${group}`, id)
        return found.map(({ properties }) => properties['RETRY_TOPIC'])
      })
      .toEqual([topic])
  })

  it('what it leaves comes to another one', async () => {
    const topic = await broker.aTopic(1, 1)
    const group = broker.aGroup()
    const first = await consume(topic, { group, handler: () => 'leave' })
    await expect.poll(() => first.messages.length).toBe(1)
    await first.consumer.close()
    const second = await consume(topic, { group })
    await expect.poll(() => second.messages.length, { timeout: 15_000 }).toBe(1)
    expect(second.messages[0]?.reconsumeTimes).toBe(0)
  })

  it('takes a topic that comes into being later', async () => {
    const topic = `${await broker.aTopic(1)}_later`
    const { bodies } = await consume(topic)
    await broker.admin.topics.create({ topic, readQueues: 1, writeQueues: 1 })
    await broker.producer.send({ topic, body: 'first' })
    await expect.poll(bodies, { timeout: 10_000 }).toEqual(['first'])
  })

  it('a name that cannot be is refused', async () => {
    const start = consume('a b')
    await expect(start).rejects.toMatchObject({ code: 'NAME_ILLEGAL' })
    await expect(consume('T', { subscriptions: [] })).rejects.toMatchObject({ code: 'USAGE' })
  })
})

describe('a broker that goes away and is forgotten by the name servers', () => {
  /** Brokers `a`, which is empty, and `b`, which answers so; `b` goes when it was asked. */
  async function withoutB(pop: Script) {
    const answering = (script: Script): Script => {
      const others = storing()
      return (command, connection) =>
        command.code === RequestCode.POP_MESSAGE
          ? script(command, connection)
          : others(command, connection)
    }
    const a = await ScriptedPeer.start(answering(empty))
    const b = await ScriptedPeer.start(answering(pop))
    const routes = new Map([['T', routeBody([a.address, b.address])]])
    const names = await ScriptedPeer.start(nameServerScript(routes))
    const { consumer } = await consume('T', { nameServers: names.address })
    await expect.poll(() => b.countOf(RequestCode.POP_MESSAGE)).toBeGreaterThan(1)
    routes.set('T', routeBody([a.address]))
    await b.close()
    open.push({ close: () => Promise.all([a.close(), names.close()]) })
    return consumer
  }
  const empty: Script = (command) =>
    Number(command.ext['pollTime']) > 0 ? null : respond(command, ResponseCode.POLLING_TIMEOUT)
  const refusing: Script = (command) => respond(command, ResponseCode.SYSTEM_ERROR)

  it('was at its end when it had nothing to give', async () => {
    const consumer = await withoutB(empty)
    await expect.poll(() => consumer.isCaughtUp, { timeout: 10_000 }).toBe(true)
  })

  it('was not when it never said so', async () => {
    const consumer = await withoutB(refusing)
    await expect
      .poll(() => consumer.hindrance?.error, { timeout: 10_000 })
      .toMatchObject({ code: 'NOT_AT_END', message: expect.stringContaining('broker b went away') })
    expect([consumer.isCaughtUp, consumer.hasWork]).toEqual([false, false])
  })
})

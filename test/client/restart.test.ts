import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { MqError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { resolveOptions } from '../../src/base/options.ts'
import { startBroker } from '../../src/broker/broker.ts'
import { Admin } from '../../src/client/admin.ts'
import { Consumer } from '../../src/client/consumer.ts'
import { Producer } from '../../src/client/producer.ts'
import { startNameServer } from '../../src/nameserver/nameserver.ts'
import { nameServerOptions } from '../../src/nameserver/options.ts'
import { nodeWorld } from '../../src/world/node-world.ts'

const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

/** Name servers and a broker that can be stopped and started again on their ports. */
async function aCluster(nameServerCount = 1) {
  const dir = await mkdtemp(path.join(tmpdir(), 'mqctl-restart-'))
  open.push({ close: () => rm(dir, { recursive: true }) })
  const startNames = async (port: number) => {
    const options = resolveOptions(nameServerOptions, { port })
    const server = await startNameServer(nodeWorld, options, silentLogger)
    open.push(server)
    return server
  }
  const nameServers = []
  for (let i = 0; i < nameServerCount; i++) nameServers.push(await startNames(0))
  const namesrv = nameServers.map((server) => `127.0.0.1:${server.port}`).join(';')
  const startOn = async (port: number) => {
    const broker = await startBroker(
      nodeWorld,
      { port, fastPort: false, namesrv, store: { dir } },
      silentLogger,
    )
    open.push(broker)
    return broker
  }
  const broker = await startOn(0)
  const admin = Admin.open(nodeWorld, { nameServers: namesrv })
  const producer = Producer.open(nodeWorld, { nameServers: namesrv })
  open.push(admin, producer)
  await admin.topics.create({ topic: 'T', readQueues: 2, writeQueues: 2 })
  const bodies: string[] = []
  const startConsumer = async (topic = 'T') => {
    const consumer = await Consumer.start(nodeWorld, {
      nameServers: namesrv,
      group: 'G',
      subscriptions: [{ topic }],
      from: 'first',
      handler: (message) => {
        bodies.push(message.body.toString())
      },
    })
    open.push(consumer)
    return consumer
  }
  return { nameServers, startNames, broker, startOn, admin, producer, bodies, startConsumer }
}

describe('clients', () => {
  it('go on when their broker comes back', async () => {
    const { broker, startOn, producer, bodies, startConsumer } = await aCluster()
    await startConsumer()
    await producer.send({ topic: 'T', body: 'before' })
    await expect.poll(() => bodies).toEqual(['before'])
    const { port } = broker
    await broker.close()
    await expect(producer.send({ topic: 'T', body: 'meanwhile' })).rejects.toThrow()
    await startOn(port)
    await expect
      .poll(
        () =>
          producer.send({ topic: 'T', body: 'after' }).then(
            () => true,
            () => false,
          ),
        {
          timeout: 10_000,
        },
      )
      .toBe(true)
    await expect.poll(() => bodies.at(-1), { timeout: 10_000 }).toBe('after')
    expect(bodies.filter((body) => body === 'before')).toHaveLength(1)
  })

  it('say that their broker is away, not that the topic is unknown, when name servers forgot both', async () => {
    const { broker, admin } = await aCluster()
    const producer = Producer.over(admin.client)
    await producer.send({ topic: 'T', body: 'before' })
    await broker.close()
    const asked = () =>
      admin.client.routes.refresh('T').then(
        () => 'there',
        (error: unknown) => (error as MqError).code,
      )
    await expect.poll(asked).toBe('TOPIC_NOT_FOUND')
    await expect(producer.send({ topic: 'T', body: 'x' })).rejects.toMatchObject({ retry: true })
  })

  it('go on while all name servers are down', async () => {
    const { nameServers, producer, bodies, startConsumer } = await aCluster(2)
    await startConsumer()
    await producer.send({ topic: 'T', body: 'before' })
    for (const server of nameServers) await server.close()
    await producer.send({ topic: 'T', body: 'after' })
    await expect.poll(() => bodies.sort()).toEqual(['after', 'before'])
  })

  it('find their topics at the name server that is left', async () => {
    const { nameServers, bodies, producer, startConsumer } = await aCluster(2)
    await nameServers[0]?.close()
    await startConsumer()
    await producer.send({ topic: 'T', body: 'x' })
    await expect.poll(() => bodies).toEqual(['x'])
  })
})

describe('two brokers', () => {
  it('share a topic; when one goes, the other serves, and nothing of it is lost for good', async () => {
    const { nameServers, admin, producer, bodies, startConsumer } = await aCluster()
    const dir = await mkdtemp(path.join(tmpdir(), 'mqctl-restart-'))
    open.push({ close: () => rm(dir, { recursive: true }) })
    const startSecond = async (port: number) => {
      const namesrv = `127.0.0.1:${nameServers[0]?.port}`
      const options = { port, fastPort: false, namesrv, brokerName: 'broker-b', store: { dir } }
      const started = await startBroker(nodeWorld, options, silentLogger)
      open.push(started)
      return started
    }
    const second = await startSecond(0)
    const { port } = second
    await admin.topics.create({ topic: 'T2', readQueues: 2, writeQueues: 2 })
    const receipts = []
    for (let i = 0; i < 8; i++) receipts.push(await producer.send({ topic: 'T2', body: `${i}` }))
    expect(new Set(receipts.map((receipt) => receipt.broker))).toEqual(
      new Set(['broker-a', 'broker-b']),
    )
    await second.close()
    for (let i = 8; i < 12; i++) {
      expect(await producer.send({ topic: 'T2', body: `${i}` })).toMatchObject({
        broker: 'broker-a',
      })
    }
    const consumer = await startConsumer('T2')
    await expect.poll(() => bodies.length).toBeGreaterThanOrEqual(8)
    await consumer.close()
    await startSecond(port)
    await startConsumer('T2')
    const all = Array.from({ length: 12 }, (_, i) => String(i)).sort()
    await expect.poll(() => [...new Set(bodies)].sort(), { timeout: 10_000 }).toEqual(all)
  })
})

describe('a name server that comes back empty', () => {
  it('hears from its brokers soon', async () => {
    const { nameServers, startNames, admin } = await aCluster()
    const port = nameServers[0]?.port ?? 0
    await nameServers[0]?.close()
    await startNames(port)
    await expect
      .poll(
        () =>
          admin.topics.names().then(
            (names) => names.includes('T'),
            () => false,
          ),
        {
          timeout: 40_000,
          interval: 200,
        },
      )
      .toBe(true)
  }, 60_000)
})

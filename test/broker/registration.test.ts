import { afterEach, describe, expect, it, vi } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { resolveOptions } from '../../src/base/options.ts'
import { type BrokerOptions, brokerSettings, changeSettings } from '../../src/broker/options.ts'
import { Registration } from '../../src/broker/registration.ts'
import { TopicTable } from '../../src/broker/topics.ts'
import { startNameServer } from '../../src/nameserver/nameserver.ts'
import { nameServerOptions } from '../../src/nameserver/options.ts'
import { topicConfig } from '../../src/protocol/bodies/topic-config.ts'
import { decodeTopicRouteData } from '../../src/protocol/bodies/topic-route-data.ts'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import { request } from '../../src/protocol/command.ts'
import { RemotingClient } from '../../src/remoting/client.ts'
import { Queue } from '../../src/store/queue.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { MemoryFile } from './memory-file.ts'

const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

async function aNameServer(port = 0) {
  const server = await startNameServer(
    nodeWorld,
    resolveOptions(nameServerOptions, { port }),
    silentLogger,
  )
  open.push(server)
  return server
}

async function aBroker(namesrv: string, options: BrokerOptions = {}) {
  const settings = brokerSettings({ namesrv, registerPeriodMs: 200, ...options }, 10_911)
  const topics = await TopicTable.load({
    clock: nodeWorld.clock,
    settings,
    file: new MemoryFile(),
    openQueue: (topic, queueId) => new Queue(topic, queueId),
    storedAsBatch: () => null,
    removeStored: () => Promise.resolve(),
    logger: silentLogger,
  })
  const registration = new Registration({
    world: nodeWorld,
    settings,
    topics,
    logger: silentLogger,
  })
  topics.onChange = (change) => {
    registration.onTopicChange(change)
  }
  open.push(registration)
  return { settings, topics, registration }
}

function asker(port: number) {
  const client = new RemotingClient(nodeWorld)
  open.push(client)
  const address = `127.0.0.1:${port}`
  return async (topic: string) => {
    const answer = await client.invoke(
      address,
      request(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic }),
      3_000,
    )
    return answer.code === ResponseCode.SUCCESS ? decodeTopicRouteData(answer.body) : null
  }
}

describe('registration', () => {
  it('tells every name server all topics at the start', async () => {
    const servers = [await aNameServer(), await aNameServer()]
    const { registration } = await aBroker(servers.map((one) => `127.0.0.1:${one.port}`).join(';'))
    await registration.start()
    for (const { port } of servers) {
      const route = await asker(port)('TBW102')
      expect(route?.brokerDatas[0]?.brokerName).toBe('broker-a')
      expect(route?.queueDatas[0]?.perm).toBe(7)
    }
  })

  it('tells of a new topic at once', async () => {
    const { port } = await aNameServer()
    const { registration, topics } = await aBroker(`127.0.0.1:${port}`, {
      registerPeriodMs: 60_000,
    })
    await registration.start()
    const routeOf = asker(port)
    expect(await routeOf('T1')).toBeNull()
    await topics.update(topicConfig('T1', { readQueueNums: 3, writeQueueNums: 3 }))
    await vi.waitFor(async () => {
      expect((await routeOf('T1'))?.queueDatas[0]?.writeQueueNums).toBe(3)
    })
    await topics.update(topicConfig('T1', { readQueueNums: 5, writeQueueNums: 5 }))
    await vi.waitFor(async () => {
      expect((await routeOf('T1'))?.queueDatas[0]?.writeQueueNums).toBe(5)
    })
  })

  it('keeps up with many topics made in one turn', async () => {
    const { port } = await aNameServer()
    const { registration, topics } = await aBroker(`127.0.0.1:${port}`, {
      registerPeriodMs: 60_000,
    })
    await registration.start()
    for (let i = 0; i < 200; i++) topics.autoCreate(`T${i}`, 'TBW102', 4, 0)
    const routeOf = asker(port)
    await vi.waitFor(async () => {
      for (const topic of ['T0', 'T100', 'T199']) expect(await routeOf(topic)).not.toBeNull()
    })
  })

  it('goes on with one name server while another is dead', async () => {
    const dead = await aNameServer()
    const deadPort = dead.port
    await dead.close()
    const { port } = await aNameServer()
    const { registration } = await aBroker(`127.0.0.1:${deadPort};127.0.0.1:${port}`)
    await registration.start()
    expect(registration.registeredWith()).toEqual([`127.0.0.1:${port}`])
  })

  it('does not wait for a name server that takes the connection and says nothing', async () => {
    const listener = await nodeWorld.net.listen('127.0.0.1', 0, (stream) => {
      stream.onData = () => undefined
      stream.onClose = () => undefined
    })
    open.push(listener)
    const { registration } = await aBroker(`127.0.0.1:${listener.port}`)
    const before = nodeWorld.clock.monotonicMs()
    await registration.start()
    expect(nodeWorld.clock.monotonicMs() - before).toBeLessThan(3_000)
    expect(registration.registeredWith()).toEqual([])
  })

  it('finds a name server that comes later, or comes back', async () => {
    const first = await aNameServer()
    const { port } = first
    const { registration } = await aBroker(`127.0.0.1:${port}`)
    await registration.start()
    await first.close()
    await vi.waitFor(() => {
      expect(registration.registeredWith()).toEqual([])
    })
    await aNameServer(port)
    await vi.waitFor(
      () => {
        expect(registration.registeredWith()).toEqual([`127.0.0.1:${port}`])
      },
      { timeout: 8_000 },
    )
    expect(await asker(port)('TBW102')).not.toBeNull()
  })

  it('says goodbye at the stop', async () => {
    const { port } = await aNameServer()
    const { registration } = await aBroker(`127.0.0.1:${port}`)
    await registration.start()
    await registration.close()
    expect(await asker(port)('TBW102')).toBeNull()
  })

  it('tells clients not to write when the broker as a whole may not be written to', async () => {
    const { port } = await aNameServer()
    const { registration, topics, settings } = await aBroker(`127.0.0.1:${port}`)
    await topics.update(topicConfig('T1'))
    await registration.start()
    changeSettings(settings, { brokerPermission: 4 })
    topics.touch()
    registration.registerAll()
    const routeOf = asker(port)
    await vi.waitFor(async () => {
      expect((await routeOf('T1'))?.queueDatas[0]?.perm).toBe(4)
    })
  })
})

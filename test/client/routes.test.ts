import { afterEach, describe, expect, it } from 'vitest'
import { NameServers } from '../../src/client/name-servers.ts'
import { RouteCache, routeOf } from '../../src/client/routes.ts'
import { decodeTopicRouteData } from '../../src/protocol/bodies/topic-route-data.ts'
import { RequestCode } from '../../src/protocol/codes.ts'
import { RemotingClient } from '../../src/remoting/client.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { ManualClock } from '../world/manual-clock.ts'
import { ScriptedPeer, nameServerScript, routeBody } from './scripted-peer.ts'

const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

async function aCache(routes: Map<string, Buffer>, nameServers = 1) {
  const peers: ScriptedPeer[] = []
  for (let i = 0; i < nameServers; i++) {
    peers.push(await ScriptedPeer.start(nameServerScript(routes)))
  }
  const remoting = new RemotingClient(nodeWorld)
  open.push(...peers, remoting)
  const clock = new ManualClock()
  const addresses = peers.map((peer) => peer.address)
  const servers = new NameServers(addresses, remoting, nodeWorld.random)
  return { cache: new RouteCache(clock, servers, 2_000), peers, clock, servers }
}

describe('routes', () => {
  it('are asked once, however many want them', async () => {
    const { cache, peers } = await aCache(new Map([['T', routeBody(['1.1.1.1:1'])]]))
    const [first] = await Promise.all([cache.get('T'), cache.get('T'), cache.get('T')])
    await cache.get('T')
    expect(first.publishQueues).toHaveLength(2)
    expect(peers[0]?.countOf(RequestCode.GET_ROUTEINFO_BY_TOPIC)).toBe(1)
  })

  it('of an unknown topic are an error that names it', async () => {
    const { cache } = await aCache(new Map())
    await expect(cache.get('nope')).rejects.toMatchObject({
      code: 'TOPIC_NOT_FOUND',
      details: { topic: 'nope', responseCode: 17 },
    })
  })

  it('come from the next name server when one is down', async () => {
    const { cache, peers, servers } = await aCache(new Map([['T', routeBody(['1.1.1.1:1'])]]), 2)
    const down = peers.find((peer) => peer.address === servers.active)
    await down?.close()
    expect((await cache.get('T')).topic).toBe('T')
  })

  it('stay in use while all name servers are down', async () => {
    const { cache, peers } = await aCache(new Map([['T', routeBody(['1.1.1.1:1'])]]))
    await cache.get('T')
    await peers[0]?.close()
    await cache.refreshAll()
    expect((await cache.get('T')).publishQueues).toHaveLength(2)
    await expect(cache.get('other')).rejects.toMatchObject({ code: 'NAMESRV_UNREACHABLE' })
  })

  it('tell of a change, and only then', async () => {
    const routes = new Map([['T', routeBody(['1.1.1.1:1'])]])
    const { cache } = await aCache(routes)
    const changes: string[] = []
    cache.onChange = (topic) => changes.push(topic)
    await cache.get('T')
    await cache.refresh('T')
    expect(changes).toEqual(['T'])
    routes.set('T', routeBody(['1.1.1.1:1', '2.2.2.2:2']))
    await cache.refresh('T')
    expect(changes).toEqual(['T', 'T'])
  })

  it('stay in use while name servers know nothing of the topic, until one of its brokers denies it too', async () => {
    const routes = new Map([
      ['T', routeBody(['1.1.1.1:1'])],
      ['TBW102', routeBody(['2.2.2.2:2'], 8, 7)],
    ])
    const { cache } = await aCache(routes)
    await cache.get('T')
    const changes: string[] = []
    cache.onChange = (topic) => changes.push(topic)
    routes.delete('T')
    await expect(cache.refresh('T')).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' })
    expect((await cache.get('T')).publishQueues).toHaveLength(2)
    expect((await cache.forPublish('T')).isTemplate).toBe(false)
    expect(changes).toEqual([])
    cache.denied('T')
    await cache.refreshAll()
    expect(changes).toEqual(['T'])
    expect(cache.peek('T')).toBeNull()
  })

  it('of a topic that does not exist lead to the brokers that would create it, with four queues', async () => {
    const routes = new Map([['TBW102', routeBody(['1.1.1.1:1'], 8, 7)]])
    const { cache, clock } = await aCache(routes)
    const template = await cache.forPublish('new')
    expect([template.isTemplate, template.publishQueues.length]).toEqual([true, 4])
    routes.set('new', routeBody(['1.1.1.1:1'], 4))
    clock.advance(1_000)
    expect((await cache.forPublish('new')).isTemplate).toBe(false)
  })

  it('of a topic that nobody would create are an error', async () => {
    const { cache } = await aCache(new Map())
    await expect(cache.forPublish('new')).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' })
  })

  it('that are no JSON are an error of the peer', async () => {
    const { cache } = await aCache(new Map([['T', Buffer.from('{"queueDatas":[')]]))
    await expect(cache.get('T')).rejects.toMatchObject({ code: 'FRAME_MALFORMED' })
  })
})

describe('queues of a route', () => {
  const data = decodeTopicRouteData(routeBody(['1.1.1.1:1', '2.2.2.2:2']))

  it('can be sent to when they are writable and have a master', () => {
    const [, b] = data.brokerDatas
    const slaveOnly = { ...b, brokerName: 'b', brokerAddrs: new Map([[1, '3.3.3.3:3']]) }
    const route = routeOf(
      'T',
      { ...data, brokerDatas: [data.brokerDatas[0]!, { ...b!, ...slaveOnly }] },
      false,
    )
    expect(route.publishQueues.map((queue) => queue.brokerName)).toEqual(['a', 'a'])
    expect(route.subscribeQueues).toHaveLength(4)
  })

  it('are none to send to without write permission, none to read without read permission', () => {
    const withPerm = (perm: number) =>
      routeOf('T', { ...data, queueDatas: data.queueDatas.map((one) => ({ ...one, perm })) }, false)
    expect([withPerm(4).publishQueues.length, withPerm(4).subscribeQueues.length]).toEqual([0, 4])
    expect([withPerm(2).publishQueues.length, withPerm(2).subscribeQueues.length]).toEqual([4, 0])
  })

  it('are exactly those of the order configuration when there is one', () => {
    const route = routeOf('T', { ...data, orderTopicConf: 'a:1;b:3' }, false)
    expect(route.publishQueues.map((queue) => `${queue.brokerName}${queue.queueId}`)).toEqual([
      'a0',
      'b0',
      'b1',
      'b2',
    ])
  })
})

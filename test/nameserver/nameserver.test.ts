import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { resolveOptions } from '../../src/base/options.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { type RunningNameServer, startNameServer } from '../../src/nameserver/nameserver.ts'
import { type NameServerOptions, nameServerOptions } from '../../src/nameserver/options.ts'
import { decodeBrokerMemberGroup } from '../../src/protocol/bodies/broker-member-group.ts'
import { decodeClusterInfo } from '../../src/protocol/bodies/cluster-info.ts'
import { encodeDataVersion, decodeDataVersion } from '../../src/protocol/bodies/data-version.ts'
import { decodeKvTable } from '../../src/protocol/bodies/kv-table.ts'
import {
  bodyCrc32,
  encodeRegisterBrokerBody,
} from '../../src/protocol/bodies/register-broker-body.ts'
import { topicConfig } from '../../src/protocol/bodies/topic-config.ts'
import { decodeTopicList } from '../../src/protocol/bodies/topic-list.ts'
import { decodeTopicRouteData } from '../../src/protocol/bodies/topic-route-data.ts'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import { type ExtValues, request } from '../../src/protocol/command.ts'
import { RemotingClient } from '../../src/remoting/client.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { ManualClock } from '../world/manual-clock.ts'

const version = { stateVersion: 0, timestamp: 1_700_000_000_000, counter: 1 }
const identity = {
  clusterName: 'C',
  brokerName: 'broker-a',
  brokerId: 0,
  brokerAddr: '127.0.0.1:10911',
}
const registrationBody = (compressed = false) =>
  encodeRegisterBrokerBody(
    { dataVersion: version, topics: [topicConfig('T1'), topicConfig('T2')], filterServers: [] },
    compressed,
  )

const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

async function aNameServer(given: Partial<NameServerOptions> = {}, clock = new ManualClock()) {
  const options = resolveOptions(nameServerOptions, { port: 0, ...given })
  const server = await startNameServer({ ...nodeWorld, clock }, options, silentLogger)
  open.push(server)
  return { server, clock, ...aClient(server) }
}

function aClient(server: RunningNameServer) {
  const client = new RemotingClient(nodeWorld)
  open.push(client)
  const address = `127.0.0.1:${server.port}`
  return {
    client,
    ask: (code: number, ext: ExtValues = {}, body: Buffer | null = null) =>
      client.invoke(address, request(code, ext, body), 3_000),
    register: (ext: ExtValues = {}, body = registrationBody()) =>
      client.invoke(
        address,
        request(
          RequestCode.REGISTER_BROKER,
          { ...identity, haServerAddr: '127.0.0.1:10912', ...ext },
          body,
        ),
        3_000,
      ),
  }
}

describe('registration over the wire', () => {
  it('is found by GET_ROUTEINFO_BY_TOPIC at once', async () => {
    const { ask, register } = await aNameServer()
    expect((await register()).code).toBe(ResponseCode.SUCCESS)
    const answer = await ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' })
    const route = decodeTopicRouteData(answer.body)
    expect(route.brokerDatas[0]?.brokerAddrs.get(0)).toBe('127.0.0.1:10911')
    expect(route.queueDatas[0]?.writeQueueNums).toBe(8)
  })

  it('may come compressed and with a checksum', async () => {
    const { ask, register } = await aNameServer()
    const body = registrationBody(true)
    await register({ compressed: true, bodyCrc32: bodyCrc32(body) }, body)
    const answer = await ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T2' })
    expect(answer.code).toBe(ResponseCode.SUCCESS)
  })

  it.each([
    ['a wrong checksum', { bodyCrc32: 1 }, 'crc32 not match'],
    ['no broker name', { brokerName: null }, 'brokerName is missing'],
    ['an impossible broker name', { brokerName: '../x' }, 'is no legal name'],
    ['an impossible address', { brokerAddr: 'nowhere' }, 'brokerAddr is no address'],
    ['an impossible id', { brokerId: 'x' }, 'brokerId is no broker id'],
    ['an endless zone', { __ZONE_NAME: 'z'.repeat(1_000) }, '__ZONE_NAME has 1000 characters'],
  ])('is refused with %s', async (_, ext, remark) => {
    const { register } = await aNameServer()
    const answer = await register(ext)
    expect([answer.code, answer.remark]).toEqual([
      ResponseCode.SYSTEM_ERROR,
      expect.stringContaining(remark),
    ])
  })

  it('is refused with a body that is no JSON, and the server lives on', async () => {
    const { ask, register } = await aNameServer()
    const answer = await register({}, Buffer.from('{"topicConfig'))
    expect(answer.code).toBe(ResponseCode.SYSTEM_ERROR)
    expect((await ask(RequestCode.GET_BROKER_CLUSTER_INFO)).code).toBe(ResponseCode.SUCCESS)
  })

  it('leaves out topics with illegal names or impossible queue counts', async () => {
    const { ask, register } = await aNameServer()
    const topics = [
      topicConfig('good'),
      topicConfig('../bad'),
      topicConfig('many', { readQueueNums: 1e9 }),
    ]
    await register(
      {},
      encodeRegisterBrokerBody({ dataVersion: version, topics, filterServers: [] }),
    )
    const list = decodeTopicList((await ask(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER)).body)
    expect(list.topics).toEqual(['good'])
  })

  it('is answered with the order configuration of topics', async () => {
    const { ask, register } = await aNameServer()
    const entry = { namespace: 'ORDER_TOPIC_CONFIG', key: 'T1', value: 'broker-a:4' }
    await ask(RequestCode.PUT_KV_CONFIG, entry)
    expect(decodeKvTable((await register()).body)).toEqual({ T1: 'broker-a:4' })
  })

  it('ends with the connection of the broker', async () => {
    const { server, register } = await aNameServer()
    await register()
    const broker = aClient(server)
    await broker.register({ brokerName: 'broker-b', brokerAddr: '127.0.0.1:20911' })
    broker.client.close()
    const other = aClient(server)
    await expect
      .poll(async () => {
        const answer = await other.ask(RequestCode.GET_BROKER_CLUSTER_INFO)
        return [...decodeClusterInfo(answer.body).brokers.keys()]
      })
      .toEqual(['broker-a'])
  })

  it('ends after 120 s of silence, found by a scan every 10 s', async () => {
    const { server, clock, register } = await aNameServer()
    await register()
    // The registering connection must not be what ends it: it has to stay open over all this time.
    const brokers = async () => {
      const answer = await aClient(server).ask(RequestCode.GET_BROKER_CLUSTER_INFO)
      return decodeClusterInfo(answer.body).brokers.size
    }
    clock.advance(119_000)
    expect(await brokers()).toBe(1)
    clock.advance(7_000)
    expect(await brokers()).toBe(0)
  })

  it('lives on with heart-beats and data version queries', async () => {
    const { clock, ask, register } = await aNameServer()
    await register()
    clock.advance(100_000)
    expect((await ask(RequestCode.BROKER_HEARTBEAT, identity)).code).toBe(ResponseCode.SUCCESS)
    clock.advance(100_000)
    const answer = await ask(RequestCode.QUERY_DATA_VERSION, identity, encodeDataVersion(version))
    expect([answer.ext['changed'], decodeDataVersion(answer.body)]).toEqual(['false', version])
    clock.advance(100_000)
    const route = await ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' })
    expect(route.code).toBe(ResponseCode.SUCCESS)
  })

  it('says that a data version changed when it differs or the broker is unknown', async () => {
    const { ask, register } = await aNameServer()
    const unknown = await ask(RequestCode.QUERY_DATA_VERSION, identity, encodeDataVersion(version))
    await register()
    const other = encodeDataVersion({ ...version, counter: 2 })
    const changed = await ask(RequestCode.QUERY_DATA_VERSION, identity, other)
    expect([unknown.ext['changed'], unknown.body, changed.ext['changed']]).toEqual([
      'true',
      null,
      'true',
    ])
  })

  it('can be taken back', async () => {
    const { ask, register } = await aNameServer()
    await register()
    await ask(RequestCode.UNREGISTER_BROKER, identity)
    const answer = await ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' })
    expect([answer.code, answer.remark]).toEqual([
      ResponseCode.TOPIC_NOT_EXIST,
      'No topic route info in name server for the topic: T1',
    ])
  })
})

describe('routes', () => {
  it('have quoted keys for clients from 4.9.4 on and bare ones for older', async () => {
    const { client, server, register } = await aNameServer()
    await register()
    const ask = async (clientVersion: number, ext: ExtValues = {}) => {
      const command = request(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1', ...ext })
      command.version = clientVersion
      const answer = await client.invoke(`127.0.0.1:${server.port}`, command, 3_000)
      return answer.body?.toString()
    }
    expect(await ask(401)).toContain('"brokerAddrs":{"0":"127.0.0.1:10911"}')
    expect(await ask(400)).toContain('"brokerAddrs":{0:"127.0.0.1:10911"}')
    expect(await ask(400, { acceptStandardJsonOnly: true })).toContain('{"0":"127.0.0.1:10911"}')
  })

  it('carry the order configuration only when that is switched on', async () => {
    const { ask, register } = await aNameServer()
    await register()
    const entry = { namespace: 'ORDER_TOPIC_CONFIG', key: 'T1', value: 'broker-a:4' }
    await ask(RequestCode.PUT_KV_CONFIG, entry)
    const orders = async () => {
      const answer = await ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' })
      return decodeTopicRouteData(answer.body).orderTopicConf
    }
    expect(await orders()).toBeNull()
    await ask(RequestCode.UPDATE_NAMESRV_CONFIG, {}, Buffer.from('orderMessageEnable=true\n'))
    expect(await orders()).toBe('broker-a:4')
  })

  it('keep to the zone of a client that asks for it', async () => {
    const { ask, register } = await aNameServer()
    await register({ __ZONE_NAME: 'east' })
    await register({
      __ZONE_NAME: 'west',
      brokerName: 'broker-b',
      brokerAddr: '127.0.0.1:20911',
    })
    const brokers = async (ext: ExtValues) => {
      const answer = await ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1', ...ext })
      return decodeTopicRouteData(answer.body).brokerDatas.map((data) => data.zoneName)
    }
    expect(await brokers({})).toEqual(['east', 'west'])
    expect(await brokers({ __ZONE_MODE: true, __ZONE_NAME: 'WEST' })).toEqual(['west'])
  })

  it('lose and get back their write permission', async () => {
    const { ask, register } = await aNameServer()
    await register()
    const perm = async () => {
      const answer = await ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' })
      return decodeTopicRouteData(answer.body).queueDatas[0]?.perm
    }
    const brokerName = 'broker-a'
    const wiped = await ask(RequestCode.WIPE_WRITE_PERM_OF_BROKER, { brokerName })
    expect([wiped.ext['wipeTopicCount'], await perm()]).toEqual(['2', 4])
    const added = await ask(RequestCode.ADD_WRITE_PERM_OF_BROKER, { brokerName })
    expect([added.ext['addTopicCount'], await perm()]).toEqual(['2', 6])
  })
})

describe('lists and lookups', () => {
  it('answer for clusters, members and topics', async () => {
    const { ask, register } = await aNameServer()
    await register()
    const topics = async (code: number, ext: ExtValues = {}) =>
      decodeTopicList((await ask(code, ext)).body)
    expect(await topics(RequestCode.GET_TOPICS_BY_CLUSTER, { cluster: 'C' })).toMatchObject({
      topics: ['T1', 'T2'],
    })
    expect(await topics(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS)).toEqual({
      topics: ['C', 'broker-a'],
      brokerAddr: '127.0.0.1:10911',
    })
    expect((await topics(RequestCode.GET_UNIT_TOPIC_LIST)).topics).toEqual([])
    const members = await ask(RequestCode.GET_BROKER_MEMBER_GROUP, identity)
    expect(decodeBrokerMemberGroup(members.body).brokerAddrs).toEqual(
      new Map([[0, '127.0.0.1:10911']]),
    )
  })

  it('forget a deleted topic', async () => {
    const { ask, register } = await aNameServer()
    await register()
    await ask(RequestCode.DELETE_TOPIC_IN_NAMESRV, { topic: 'T1' })
    const list = decodeTopicList((await ask(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER)).body)
    expect(list.topics).toEqual(['T2'])
  })

  it('answer an unknown request with REQUEST_CODE_NOT_SUPPORTED', async () => {
    const { ask } = await aNameServer()
    const answer = await ask(9_999)
    expect([answer.code, answer.remark]).toEqual([3, ' request type 9999 not supported'])
  })
})

describe('configuration', () => {
  it('keeps key-value entries until they are deleted', async () => {
    const { ask } = await aNameServer()
    const entry = { namespace: 'N', key: 'k' }
    await ask(RequestCode.PUT_KV_CONFIG, { ...entry, value: 'v' })
    expect((await ask(RequestCode.GET_KV_CONFIG, entry)).ext['value']).toBe('v')
    const list = await ask(RequestCode.GET_KVLIST_BY_NAMESPACE, entry)
    expect(decodeKvTable(list.body)).toEqual({ k: 'v' })
    await ask(RequestCode.DELETE_KV_CONFIG, entry)
    expect((await ask(RequestCode.GET_KV_CONFIG, entry)).code).toBe(ResponseCode.QUERY_NOT_FOUND)
    const gone = await ask(RequestCode.GET_KVLIST_BY_NAMESPACE, entry)
    expect(gone.code).toBe(ResponseCode.QUERY_NOT_FOUND)
  })

  it('keeps key-value entries over a restart when it has a file', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'mqctl-kv-'))
    open.push({ close: () => rm(directory, { recursive: true }) })
    const kvConfigPath = path.join(directory, 'kvConfig.json')
    const first = await aNameServer({ kvConfigPath })
    for (let i = 0; i < 20; i++) {
      await first.ask(RequestCode.PUT_KV_CONFIG, { namespace: 'N', key: `k${i}`, value: `${i}` })
    }
    await first.server.close()
    expect(JSON.parse(await readFile(kvConfigPath, 'utf8'))).toMatchObject({
      configTable: { N: { k19: '19' } },
    })
    const second = await aNameServer({ kvConfigPath })
    const answer = await second.ask(RequestCode.GET_KV_CONFIG, { namespace: 'N', key: 'k19' })
    expect(answer.ext['value']).toBe('19')
  })

  it('keeps no more key-value entries than it was told', async () => {
    const { ask } = await aNameServer({ kvEntriesMax: 1 })
    const put = async (key: string) =>
      (await ask(RequestCode.PUT_KV_CONFIG, { namespace: 'N', key, value: 'v' })).code
    expect([await put('a'), await put('b'), await put('a')]).toEqual([0, 1, 0])
  })

  it('keeps no more than 16 Mi characters of them, and takes more once some are gone', async () => {
    const { ask } = await aNameServer()
    const value = 'x'.repeat(64 * 1024)
    const put = async (key: string) =>
      (await ask(RequestCode.PUT_KV_CONFIG, { namespace: 'N', key, value })).code
    const codes = []
    for (let i = 0; i < 256; i++) codes.push(await put(`k${i}`))
    expect([codes.slice(0, 255).every((code) => code === 0), codes[255]]).toEqual([true, 1])
    await ask(RequestCode.DELETE_KV_CONFIG, { namespace: 'N', key: 'k0' })
    expect([await put('k255'), await put('k1')]).toEqual([0, 0])
  })

  it('shows its options by their RocketMQ names', async () => {
    const { ask } = await aNameServer()
    const text = (await ask(RequestCode.GET_NAMESRV_CONFIG)).body?.toString()
    expect(text).toContain('orderMessageEnable=false\n')
    expect(text).toContain('scanNotActiveBrokerInterval=10000\n')
  })

  it.each([
    ['a path', 'kvConfigPath=/etc/passwd', ResponseCode.NO_PERMISSION],
    ['a limit', 'topicsMax=1', ResponseCode.NO_PERMISSION],
    ['an address', 'host=0.0.0.0', ResponseCode.NO_PERMISSION],
    ['what it does not know', 'rocketmqHome=/x', ResponseCode.NO_PERMISSION],
    ['a value of the wrong kind', 'orderMessageEnable=maybe', ResponseCode.SYSTEM_ERROR],
    [
      'several, one of them forbidden',
      'orderMessageEnable=true\nhost=::',
      ResponseCode.NO_PERMISSION,
    ],
  ])('refuses to set %s from outside', async (_, line, code) => {
    const { ask } = await aNameServer()
    expect((await ask(RequestCode.UPDATE_NAMESRV_CONFIG, {}, Buffer.from(line))).code).toBe(code)
    const text = (await ask(RequestCode.GET_NAMESRV_CONFIG)).body?.toString()
    expect(text).toContain('orderMessageEnable=false\n')
  })

  it('can switch lists off', async () => {
    const { ask } = await aNameServer({ enableAllTopicList: false })
    const answer = await ask(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER)
    expect([answer.code, answer.remark]).toEqual([ResponseCode.SYSTEM_ERROR, 'disable'])
  })
})

describe('bytes that are no frames', () => {
  const prefix = (length: number, headerWord = 0) => {
    const bytes = Buffer.alloc(8)
    bytes.writeInt32BE(length, 0)
    bytes.writeInt32BE(headerWord, 4)
    return bytes
  }

  it.each([
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['a TLS hello', Buffer.from('16030100c8010000c40303', 'hex')],
    ['a length of 0', prefix(0)],
    ['a length of -1', prefix(-1)],
    ['a length of 2^31 - 1', prefix(0x7fff_ffff)],
    ['a header longer than its frame', prefix(100, 1_000)],
    ['a header that is no JSON', Buffer.concat([prefix(8, 4), Buffer.from('nope')])],
    ['noise', nodeWorld.random.fill(Buffer.alloc(64)).fill(0xff, 0, 4)],
  ])('close the connection and nothing else: %s', async (_, bytes) => {
    const { server, ask } = await aNameServer()
    const stream = await nodeWorld.net.connect('127.0.0.1', server.port, 3_000)
    const closed = new Promise<void>((resolve) => {
      stream.onClose = () => {
        resolve()
      }
    })
    stream.write(bytes)
    await closed
    expect((await ask(RequestCode.GET_BROKER_CLUSTER_INFO)).code).toBe(ResponseCode.SUCCESS)
  })
})

describe('life', () => {
  it('says that its port is taken', async () => {
    const { server } = await aNameServer()
    await expect(aNameServer({ port: server.port })).rejects.toMatchObject({ code: 'PORT_TAKEN' })
  })
})

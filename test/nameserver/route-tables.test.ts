import { beforeEach, describe, expect, it } from 'vitest'
import { topicConfig } from '../../src/protocol/bodies/topic-config.ts'
import { type Registration, RouteTables } from '../../src/nameserver/route-tables.ts'

const version = { stateVersion: 0, timestamp: 1, counter: 1 }
const newer = { ...version, counter: 2 }

function aRegistration(given: Partial<Registration> = {}): Registration {
  return {
    clusterName: 'C',
    brokerName: 'a',
    brokerId: 0,
    brokerAddr: '127.0.0.1:10911',
    haServerAddr: '127.0.0.1:10912',
    zoneName: null,
    enableActingMaster: null,
    expiryMs: 120_000,
    dataVersion: version,
    topics: [topicConfig('T1'), topicConfig('T2', { perm: 4 })],
    filterServers: [],
    ...given,
  }
}

const aSlave = (given: Partial<Registration> = {}) =>
  aRegistration({ brokerId: 1, brokerAddr: '127.0.0.1:10921', topics: [], ...given })

let tables: RouteTables<string>

beforeEach(() => {
  tables = new RouteTables({ topicsMax: 100, brokersMax: 5 })
})

const permOf = (topic: string) => tables.route(topic)?.queueDatas[0]?.perm

describe('registration', () => {
  it('makes a route of the topics of a master', () => {
    tables.register(aRegistration(), 'conn', 0)
    expect(tables.route('T1')).toEqual({
      brokerDatas: [
        {
          cluster: 'C',
          brokerName: 'a',
          brokerAddrs: new Map([[0, '127.0.0.1:10911']]),
          enableActingMaster: false,
        },
      ],
      queueDatas: [
        { brokerName: 'a', readQueueNums: 8, writeQueueNums: 8, perm: 6, topicSysFlag: 0 },
      ],
      orderTopicConf: null,
      filterServerTable: {},
    })
  })

  it('takes a first registration that has a single topic', () => {
    const result = tables.register(aRegistration({ topics: [topicConfig('T')] }), 'conn', 0)
    expect(result).toMatchObject({ accepted: true, first: true })
  })

  it('ignores changed queues while the data version stays the same', () => {
    tables.register(aRegistration(), 'conn', 0)
    tables.register(aRegistration({ topics: [topicConfig('T1', { perm: 4 })] }), 'conn', 1)
    expect(permOf('T1')).toBe(6)
  })

  it('takes changed queues when the data version changed, and keeps the topics it does not name', () => {
    tables.register(aRegistration(), 'conn', 0)
    const changed = { dataVersion: newer, topics: [topicConfig('T1', { perm: 4 })] }
    tables.register(aRegistration(changed), 'conn', 1)
    expect([permOf('T1'), permOf('T2')]).toEqual([4, 4])
  })

  it('takes an unknown topic whatever the data version', () => {
    tables.register(aRegistration(), 'conn', 0)
    tables.register(aRegistration({ topics: [topicConfig('T3')] }), 'conn', 1)
    expect(permOf('T3')).toBe(6)
  })

  it('forgets the topics that it does not name only when told so', () => {
    tables.register(aRegistration(), 'conn', 0)
    tables.register(
      aRegistration({ dataVersion: newer, topics: [topicConfig('T1')] }),
      'conn',
      1,
      true,
    )
    expect(tables.topicNames).toEqual(['T1'])
  })

  it('leaves the topics of a slave aside and tells it who its master is', () => {
    tables.register(aRegistration(), 'master', 0)
    const result = tables.register(aSlave({ topics: [topicConfig('X')] }), 'slave', 0)
    expect(result).toEqual({
      accepted: true,
      first: true,
      masterAddr: '127.0.0.1:10911',
      haServerAddr: '127.0.0.1:10912',
    })
    expect(tables.route('X')).toBeNull()
    expect(tables.route('T1')?.brokerDatas[0]?.brokerAddrs.get(1)).toBe('127.0.0.1:10921')
  })

  it('serves the topics of the lowest slave without write permission where it may act as master', () => {
    const actor = aSlave({ enableActingMaster: true, topics: [topicConfig('T1')] })
    tables.register(actor, 'slave', 0)
    expect(permOf('T1')).toBe(4)
  })

  it('gives an address one broker id only', () => {
    tables.register(aSlave(), 'conn', 0)
    tables.register(aRegistration({ brokerAddr: '127.0.0.1:10921' }), 'conn', 1)
    expect(tables.memberGroup('C', 'a').brokerAddrs).toEqual(new Map([[0, '127.0.0.1:10921']]))
  })

  it('refuses a second holder of a broker id whose state is older', () => {
    tables.register(aRegistration({ dataVersion: { ...version, stateVersion: 5 } }), 'conn', 0)
    const late = aRegistration({ brokerAddr: '127.0.0.1:20911' })
    expect(tables.register(late, 'late', 1)).toMatchObject({ accepted: false })
    expect(tables.memberGroup('C', 'a').brokerAddrs.get(0)).toBe('127.0.0.1:10911')
  })

  it('gives the broker id to a newcomer whose state is as new', () => {
    tables.register(aRegistration(), 'conn', 0)
    tables.register(aRegistration({ brokerAddr: '127.0.0.1:20911' }), 'new', 1)
    expect(tables.memberGroup('C', 'a').brokerAddrs.get(0)).toBe('127.0.0.1:20911')
    expect(tables.removeOwner('conn')).toEqual([])
  })

  it('moves a broker that comes back under another cluster', () => {
    tables.register(aRegistration(), 'conn', 0)
    tables.register(aRegistration({ clusterName: 'D' }), 'conn', 1)
    expect([...tables.clusterInfo().clusters.keys()]).toEqual(['D'])
  })
})

describe('limits', () => {
  it('refuses topics beyond the limit and changes nothing', () => {
    const topics = Array.from({ length: 101 }, (_, i) => topicConfig(`T${i}`))
    const result = tables.register(aRegistration({ topics }), 'conn', 0)
    expect(result).toEqual({ accepted: false, why: 'this name server keeps 100 topics at most' })
    expect([tables.topicNames, tables.brokerCount]).toEqual([[], 0])
  })

  it('refuses brokers beyond the limit', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    const results = names.map((brokerName, i) =>
      tables.register(
        aRegistration({ brokerName, brokerAddr: `127.0.0.1:${1000 + i}` }),
        'conn',
        0,
      ),
    )
    expect(results.map((result) => result.accepted)).toEqual([true, true, true, true, true, false])
  })

  it('counts topics back when their brokers go', () => {
    const topics = Array.from({ length: 100 }, (_, i) => topicConfig(`T${i}`))
    tables.register(aRegistration({ topics }), 'one', 0)
    tables.removeOwner('one')
    expect(tables.register(aRegistration({ topics }), 'two', 0)).toMatchObject({ accepted: true })
  })
})

describe('departure', () => {
  it('takes the topics of a broker that unregisters', () => {
    tables.register(aRegistration(), 'conn', 0)
    expect(tables.unregister(aRegistration())).toBe(true)
    expect([tables.route('T1'), tables.topicNames, tables.clusterInfo().brokers.size]).toEqual([
      null,
      [],
      0,
    ])
    expect(tables.unregister(aRegistration())).toBe(false)
  })

  it('keeps the topics while a slave is left', () => {
    tables.register(aRegistration(), 'master', 0)
    tables.register(aSlave(), 'slave', 0)
    tables.removeOwner('master')
    expect(tables.route('T1')?.brokerDatas[0]?.brokerAddrs).toEqual(
      new Map([[1, '127.0.0.1:10921']]),
    )
    expect(permOf('T1')).toBe(6)
  })

  it('takes the write permission when a slave acts for the master that left', () => {
    tables.register(aRegistration({ enableActingMaster: true }), 'master', 0)
    tables.register(aSlave({ enableActingMaster: true }), 'slave', 0)
    tables.removeOwner('master')
    expect(permOf('T1')).toBe(4)
  })

  it('does not follow the end of a connection that the broker has replaced', () => {
    tables.register(aRegistration(), 'old', 0)
    tables.register(aRegistration(), 'new', 1)
    expect(tables.removeOwner('old')).toEqual([])
    expect(tables.removeOwner('new')).toHaveLength(1)
  })

  it('follows silence beyond the time of the registration, and any sign of life delays it', () => {
    tables.register(aRegistration(), 'conn', 0)
    tables.register(
      aRegistration({ brokerName: 'b', brokerAddr: '127.0.0.1:2', expiryMs: 10_000 }),
      'conn',
      0,
    )
    const names = (nowMs: number) =>
      tables.removeExpired(nowMs).map(({ identity }) => identity.brokerName)
    expect(names(10_000)).toEqual([])
    expect(names(10_001)).toEqual(['b'])
    tables.touch('C', '127.0.0.1:10911', 100_000)
    expect(names(220_000)).toEqual([])
    expect(names(220_001)).toEqual(['a'])
  })
})

describe('permissions and lists', () => {
  it('takes and gives the write permission of all topics of a broker until a new data version', () => {
    tables.register(aRegistration({ topics: [topicConfig('T1', { perm: 7 })] }), 'conn', 0)
    expect(tables.setWritable('a', false)).toBe(1)
    expect(permOf('T1')).toBe(5)
    tables.setWritable('a', true)
    expect(permOf('T1')).toBe(7)
    tables.setWritable('a', false)
    tables.register(aRegistration({ topics: [topicConfig('T1')] }), 'conn', 1)
    expect(permOf('T1')).toBe(5)
    tables.register(aRegistration({ dataVersion: newer, topics: [topicConfig('T1')] }), 'conn', 2)
    expect(permOf('T1')).toBe(6)
  })

  it('deletes a topic in one cluster or in all', () => {
    tables.register(aRegistration(), 'conn', 0)
    tables.register(
      aRegistration({ clusterName: 'D', brokerName: 'b', brokerAddr: '127.0.0.1:2' }),
      'conn',
      0,
    )
    tables.deleteTopic('T1', 'D')
    expect(tables.route('T1')?.queueDatas.map((data) => data.brokerName)).toEqual(['a'])
    tables.deleteTopic('T1', 'nowhere')
    expect(tables.route('T1')).not.toBeNull()
    tables.deleteTopic('T1', null)
    expect(tables.route('T1')).toBeNull()
  })

  it('registers a single topic for brokers that are known', () => {
    tables.register(aRegistration(), 'conn', 0)
    const data = { readQueueNums: 2, writeQueueNums: 2, perm: 6, topicSysFlag: 0 }
    tables.registerTopic('N', [
      { ...data, brokerName: 'a' },
      { ...data, brokerName: 'unknown' },
    ])
    expect(tables.route('N')?.queueDatas).toEqual([{ ...data, brokerName: 'a' }])
  })

  it('lists topics by cluster, by unit and by system', () => {
    const topics = [
      topicConfig('plain'),
      topicConfig('unit', { topicSysFlag: 1 }),
      topicConfig('both', { topicSysFlag: 3 }),
      topicConfig('sub', { topicSysFlag: 2 }),
    ]
    tables.register(aRegistration({ topics }), 'conn', 0)
    expect(tables.topicsOfCluster('C')).toEqual(['plain', 'unit', 'both', 'sub'])
    expect(tables.topicsOfCluster('D')).toEqual([])
    expect(tables.topicsOfUnitKind('unit')).toEqual(['unit', 'both'])
    expect(tables.topicsOfUnitKind('unitSub')).toEqual(['both', 'sub'])
    expect(tables.topicsOfUnitKind('unitSubNonUnit')).toEqual(['sub'])
    expect(tables.systemTopics()).toEqual({ topics: ['C', 'a'], brokerAddr: '127.0.0.1:10911' })
  })
})

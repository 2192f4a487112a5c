import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import {
  decodeBrokerMemberGroup,
  encodeBrokerMemberGroup,
} from '../../../src/protocol/bodies/broker-member-group.ts'
import { decodeBrokerStatsData } from '../../../src/protocol/bodies/broker-stats-data.ts'
import {
  decodeConsumerConnection,
  decodeProducerTable,
  encodeConsumerConnection,
  encodeProducerTable,
} from '../../../src/protocol/bodies/client-connection.ts'
import { decodeClusterInfo, encodeClusterInfo } from '../../../src/protocol/bodies/cluster-info.ts'
import {
  decodeConsumeStats,
  encodeConsumeStats,
} from '../../../src/protocol/bodies/consume-stats.ts'
import {
  decodeConsumerRunningInfo,
  encodeConsumerRunningInfo,
} from '../../../src/protocol/bodies/consumer-running-info.ts'
import { compareDataVersions, sameDataVersion } from '../../../src/protocol/bodies/data-version.ts'
import {
  decodeHeartbeatData,
  encodeHeartbeatData,
} from '../../../src/protocol/bodies/heartbeat-data.ts'
import { decodeKvTable } from '../../../src/protocol/bodies/kv-table.ts'
import { decodeConsumerList } from '../../../src/protocol/bodies/name-lists.ts'
import {
  formatPropertiesText,
  parsePropertiesText,
} from '../../../src/protocol/bodies/properties-text.ts'
import {
  decodeConsumerOffsetTable,
  decodeResetOffsetBody,
  encodeConsumerOffsetTable,
  encodeResetOffsetBody,
} from '../../../src/protocol/bodies/queue-offsets.ts'
import { decodeQueueView } from '../../../src/protocol/bodies/queue-view.ts'
import {
  bodyCrc32,
  decodeRegisterBrokerBody,
  encodeRegisterBrokerBody,
} from '../../../src/protocol/bodies/register-broker-body.ts'
import {
  decodeSubscriptionGroupConfig,
  encodeSubscriptionGroupConfig,
  encodeSubscriptionGroupTable,
  decodeSubscriptionGroupTable,
  subscriptionGroupConfig,
} from '../../../src/protocol/bodies/subscription-group-config.ts'
import { tagSubscription, tagsOf } from '../../../src/protocol/bodies/subscription-data.ts'
import { encodeTopicConfig, topicConfig } from '../../../src/protocol/bodies/topic-config.ts'
import { encodeTopicList, decodeTopicList } from '../../../src/protocol/bodies/topic-list.ts'
import {
  decodeTopicRouteData,
  encodeTopicRouteData,
} from '../../../src/protocol/bodies/topic-route-data.ts'
import {
  decodeTopicStatsTable,
  encodeTopicStatsTable,
} from '../../../src/protocol/bodies/topic-stats-table.ts'

// Samples marked "observed" were printed by apache/rocketmq's own remoting classes (5.3.x, fastjson 1.2.83).
const body = (text: string) => Buffer.from(text, 'utf8')
const queue = { topic: 'T1', brokerName: 'broker-a', queueId: 0 }

describe('TopicRouteData', () => {
  // Observed, legacy form.
  const legacy =
    '{"brokerDatas":[{"brokerAddrs":{0:"127.0.0.1:10911",1:"127.0.0.1:10921"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}],' +
    '"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}'

  it('reads what an Apache name server sends', () => {
    const route = decodeTopicRouteData(body(legacy))
    expect(route.brokerDatas[0]?.brokerAddrs).toEqual(
      new Map([
        [0, '127.0.0.1:10911'],
        [1, '127.0.0.1:10921'],
      ]),
    )
    expect(route.queueDatas).toEqual([
      { brokerName: 'broker-a', perm: 6, readQueueNums: 4, topicSysFlag: 0, writeQueueNums: 4 },
    ])
  })

  it('writes the legacy form as Apache does, byte for byte', () => {
    const route = decodeTopicRouteData(body(legacy))
    expect(encodeTopicRouteData(route, { legacy: true }).toString()).toBe(legacy)
  })

  it('writes standard JSON with escaped letters unless told otherwise', () => {
    const route = decodeTopicRouteData(body(legacy.replace('DefaultCluster', 'Grün')))
    const written = encodeTopicRouteData(route).toString()
    expect(JSON.parse(written)).toEqual(
      JSON.parse(legacy.replaceAll(/([01]):"127/g, '"$1":"127').replace('DefaultCluster', 'Grün')),
    )
    expect(written).toContain('Gr\\u00fcn')
  })

  it('reads a body with nothing in it as an empty route', () => {
    expect(decodeTopicRouteData(body('{}')).queueDatas).toEqual([])
    expect(decodeTopicRouteData(null).brokerDatas).toEqual([])
  })
})

describe('REGISTER_BROKER', () => {
  // Observed.
  const observed =
    '{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":1700000000000},' +
    '"mappingDataVersion":{"counter":0,"stateVersion":0,"timestamp":1700000000000},' +
    '"topicConfigTable":{"T1":{"attributes":{},"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"T1","topicSysFlag":0,"writeQueueNums":8}},' +
    '"topicQueueMappingDetailMap":{},"topicQueueMappingInfoMap":{}}}'

  it('reads what an Apache broker sends', () => {
    const registration = decodeRegisterBrokerBody(body(observed), false)
    expect(registration.dataVersion).toEqual({
      counter: 1,
      stateVersion: 0,
      timestamp: 1_700_000_000_000,
    })
    expect(registration.topics).toEqual([topicConfig('T1')])
  })

  it('reads the bare table that brokers before 3.0.11 sent', () => {
    const bare = '{"dataVersion":{"counter":3},"topicConfigTable":{"T1":{"perm":4}}}'
    const registration = decodeRegisterBrokerBody(body(bare), false)
    expect(registration.dataVersion.counter).toBe(3)
    expect(registration.topics[0]).toMatchObject({ topicName: 'T1', perm: 4 })
  })

  it('takes an absent body for an empty table of version 0', () => {
    expect(decodeRegisterBrokerBody(null, false).dataVersion.counter).toBe(0)
  })

  it.each([false, true])('reads what it wrote (compressed: %s)', (compressed) => {
    const registration = {
      dataVersion: { counter: 7, stateVersion: 1, timestamp: 5 },
      topics: [
        topicConfig('T1'),
        topicConfig('T2', { perm: 4, attributes: { 'message.type': 'NORMAL' } }),
      ],
      filterServers: ['127.0.0.1:1'],
    }
    expect(
      decodeRegisterBrokerBody(encodeRegisterBrokerBody(registration, compressed), compressed),
    ).toEqual(registration)
  })

  it('refuses compressed bodies that are cut off or count too much', () => {
    const whole = encodeRegisterBrokerBody(
      { dataVersion: { counter: 1, stateVersion: 0, timestamp: 0 }, topics: [], filterServers: [] },
      true,
    )
    expect(() => decodeRegisterBrokerBody(whole.subarray(0, 10), true)).toThrow('inflate')
    const counting = deflateSync(Buffer.from([0, 0, 0, 2, 0x7b, 0x7d, 0x7f, 0xff, 0xff, 0xff]))
    expect(() => decodeRegisterBrokerBody(counting, true)).toThrow('cut off')
  })

  it('checks a body by the lower 31 bits of its CRC-32', () => {
    // The check value of CRC-32 is 0xCBF43926.
    expect(bodyCrc32(body('123456789'))).toBe(0x4bf43926)
  })
})

describe('tables keyed by queues', () => {
  // Observed.
  const consumeStats =
    '{"consumeTps":1.5,"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T1"}:{"brokerOffset":10,"consumerOffset":5,"lastTimestamp":1,"pullOffset":7}}}'
  const topicStats =
    '{"offsetTable":{{"brokerName":"broker-a","queueId":1,"topic":"T1"}:{"lastUpdateTimestamp":0,"maxOffset":10,"minOffset":0}},"topicPutTps":0.0}'

  it('reads consume stats and writes them as Apache does', () => {
    const stats = decodeConsumeStats(body(consumeStats))
    expect(stats).toEqual({
      consumeTps: 1.5,
      queues: [{ queue, brokerOffset: 10, consumerOffset: 5, lastTimestamp: 1, pullOffset: 7 }],
    })
    expect(encodeConsumeStats(stats).toString()).toBe(consumeStats)
  })

  it('reads topic stats', () => {
    const table = decodeTopicStatsTable(body(topicStats))
    expect(table.queues).toEqual([
      { queue: { ...queue, queueId: 1 }, minOffset: 0, maxOffset: 10, lastUpdateTimestamp: 0 },
    ])
    expect(decodeTopicStatsTable(encodeTopicStatsTable(table))).toEqual(table)
  })

  it('reads the form with text keys as well', () => {
    const text = `{"offsetTable":{${JSON.stringify('{"brokerName":"broker-a","queueId":0,"topic":"T1"}')}:5}}`
    expect(decodeResetOffsetBody(body(text))).toEqual([{ queue, offset: 5 }])
  })

  it('writes reset offsets with object keys', () => {
    expect(encodeResetOffsetBody([{ queue, offset: 5 }]).toString()).toBe(
      '{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T1"}:5}}',
    )
  })

  it('keeps a running info over the wire', () => {
    const info = {
      properties: { PROP_CONSUME_TYPE: 'CONSUME_PASSIVELY' },
      subscriptions: [tagSubscription('T1', '*', 1)],
      queues: [
        {
          queue,
          commitOffset: 1,
          cachedMsgMinOffset: 2,
          cachedMsgMaxOffset: 3,
          cachedMsgCount: 4,
          cachedMsgSizeInMiB: 5,
          locked: false,
          droped: false,
          lastPullTimestamp: 6,
          lastConsumeTimestamp: 7,
        },
      ],
      statuses: [
        {
          topic: 'T1',
          pullRT: 1,
          pullTPS: 2,
          consumeRT: 3,
          consumeOKTPS: 4,
          consumeFailedTPS: 5,
          consumeFailedMsgs: 6,
        },
      ],
      jstack: null,
    }
    expect(decodeConsumerRunningInfo(encodeConsumerRunningInfo(info))).toEqual(info)
  })
})

describe('HeartbeatData', () => {
  // Observed.
  const observed =
    '{"clientID":"10.0.0.1@DEFAULT","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"CG",' +
    '"messageModel":"CLUSTERING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[2598919,2598920],"expressionType":"TAG","subString":"TagA || TagB",' +
    '"subVersion":1795217880029,"tagsSet":["TagA","TagB"],"topic":"T1"}],"unitMode":false}],' +
    '"heartbeatFingerprint":0,"producerDataSet":[{"groupName":"PG"}],"withoutSub":false}'

  it('is written as the Java client writes it', () => {
    const written = encodeHeartbeatData({
      clientId: '10.0.0.1@DEFAULT',
      producerGroups: ['PG'],
      consumers: [
        {
          groupName: 'CG',
          consumeType: 'CONSUME_PASSIVELY',
          messageModel: 'CLUSTERING',
          consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
          subscriptions: [tagSubscription('T1', 'TagA || TagB', 1_795_217_880_029)],
          unitMode: false,
        },
      ],
      heartbeatFingerprint: 0,
      withoutSub: false,
    })
    expect(written.toString()).toBe(observed)
    expect(encodeHeartbeatData(decodeHeartbeatData(body(observed))).toString()).toBe(observed)
  })

  it('reads unknown words as the defaults of Java', () => {
    const beat = decodeHeartbeatData(
      body('{"clientID":"c","consumerDataSet":[{"groupName":"g","messageModel":"NEW"}]}'),
    )
    expect(beat.consumers[0]).toMatchObject({
      messageModel: 'CLUSTERING',
      consumeType: 'CONSUME_PASSIVELY',
      subscriptions: [],
    })
  })
})

describe('tag expressions', () => {
  it.each([
    ['*', []],
    ['', []],
    [' * ', []],
    ['A', ['A']],
    [' A||B || ', ['A', 'B']],
    ['A||A', ['A']],
    ['||', []],
  ])('%j means %j', (expression, tags) => {
    expect(tagsOf(expression)).toEqual(tags)
  })

  it('gives each tag the hash code of Java', () => {
    expect(tagSubscription('T', 'TagA||TagB||Aa||BB', 1).codeSet).toEqual([2598919, 2598920, 2112])
  })
})

describe('configurations', () => {
  it('write a topic as Apache does', () => {
    expect(encodeTopicConfig(topicConfig('T1')).toString()).toBe(
      '{"attributes":{},"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"T1","topicSysFlag":0,"writeQueueNums":8}',
    )
  })

  // Observed.
  const group =
    '{"attributes":{},"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"consumeMessageOrderly":false,"consumeTimeoutMinute":15,"groupName":"CG","groupRetryPolicy":{"type":"CUSTOMIZED"},"groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}'

  it('write a group as Apache does', () => {
    expect(encodeSubscriptionGroupConfig(subscriptionGroupConfig('CG')).toString()).toBe(group)
    expect(
      encodeSubscriptionGroupConfig(decodeSubscriptionGroupConfig(body(group))).toString(),
    ).toBe(group)
  })

  it("give a group that names nothing else Apache's defaults", () => {
    expect(decodeSubscriptionGroupConfig(body('{"groupName":"CG"}'))).toEqual(
      subscriptionGroupConfig('CG'),
    )
  })

  it('keep a table of groups over the wire', () => {
    const table = {
      dataVersion: { counter: 1, stateVersion: 0, timestamp: 2 },
      groups: [subscriptionGroupConfig('CG', { retryMaxTimes: 3 })],
      forbidden: { CG: { T1: 1 } },
    }
    expect(decodeSubscriptionGroupTable(encodeSubscriptionGroupTable(table))).toEqual(table)
  })
})

describe('the rest', () => {
  it('reads cluster info with bare integer keys', () => {
    const info = decodeClusterInfo(
      body(
        '{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"127.0.0.1:10911"},"brokerName":"broker-a","cluster":"C","enableActingMaster":false}},"clusterAddrTable":{"C":["broker-a"]}}',
      ),
    )
    expect(info.brokers.get('broker-a')?.brokerAddrs.get(0)).toBe('127.0.0.1:10911')
    expect(decodeClusterInfo(encodeClusterInfo(info))).toEqual(info)
  })

  it('reads a member group with bare integer keys', () => {
    const group = decodeBrokerMemberGroup(
      body(
        '{"brokerMemberGroup":{"brokerAddrs":{0:"1.1.1.1:10911"},"brokerName":"b","cluster":"c"}}',
      ),
    )
    expect(group.brokerAddrs).toEqual(new Map([[0, '1.1.1.1:10911']]))
    expect(decodeBrokerMemberGroup(encodeBrokerMemberGroup(group))).toEqual(group)
  })

  it('follows the references in stats data', () => {
    const data = decodeBrokerStatsData(
      body(
        '{"statsDay":{"avgpt":0.0,"sum":1,"tps":2.5},"statsHour":{"$ref":"$.statsDay"},"statsMinute":{"$ref":"$.statsDay"}}',
      ),
    )
    expect(data.statsMinute).toEqual({ avgpt: 0, sum: 1, tps: 2.5 })
  })

  it('keeps all bits of a tags code', () => {
    const view = decodeQueueView(
      body('{"queueData":[{"physicOffset":1,"tagsCode":9223372036854775807},{"tagsCode":-1}]}'),
    )
    expect(view.units.map((unit) => unit.tagsCode)).toEqual([9223372036854775807n, -1n])
  })

  it('keeps the progress of groups over the wire', () => {
    const table = {
      dataVersion: { counter: 1, stateVersion: 0, timestamp: 2 },
      offsets: new Map([['T1@CG', new Map([[0, 5]])]]),
    }
    const written = encodeConsumerOffsetTable(table)
    expect(written.toString()).toContain('"offsetTable":{"T1@CG":{0:5}}')
    expect(decodeConsumerOffsetTable(written)).toEqual(table)
  })

  it('keeps connections over the wire', () => {
    const connection = {
      connections: [{ clientId: 'c', clientAddr: '1.2.3.4:5', language: 'JAVA', version: 479 }],
      consumeType: 'CONSUME_PASSIVELY' as const,
      messageModel: 'BROADCASTING' as const,
      consumeFromWhere: 'CONSUME_FROM_TIMESTAMP' as const,
      subscriptions: [tagSubscription('T1', 'A', 3)],
    }
    expect(decodeConsumerConnection(encodeConsumerConnection(connection))).toEqual(connection)
    const producers = new Map([
      [
        'PG',
        [
          {
            clientId: 'c',
            clientAddr: '1.2.3.4:5',
            language: 'GO',
            version: 1,
            lastUpdateTimestamp: 9,
          },
        ],
      ],
    ])
    expect(decodeProducerTable(encodeProducerTable(producers))).toEqual(producers)
  })

  it('takes lists and tables that are null or missing for empty ones', () => {
    expect(decodeConsumerList(body('{"consumerIdList":null}'))).toEqual([])
    expect(decodeKvTable(body('{"table":null}'))).toEqual({})
    expect(decodeTopicList(encodeTopicList({ topics: ['a'], brokerAddr: null }))).toEqual({
      topics: ['a'],
      brokerAddr: null,
    })
  })

  it('compares data versions by state, then counter, then time', () => {
    const version = { stateVersion: 1, counter: 5, timestamp: 100 }
    expect(
      compareDataVersions(version, { ...version, stateVersion: 0, counter: 9 }),
    ).toBeGreaterThan(0)
    expect(compareDataVersions(version, { ...version, counter: 6, timestamp: 0 })).toBeLessThan(0)
    expect(compareDataVersions(version, { ...version, timestamp: 99 })).toBeGreaterThan(0)
    expect(sameDataVersion(version, { ...version })).toBe(true)
  })

  it('keeps properties text whatever the values hold', () => {
    const properties = new Map([
      ['a', '1'],
      ['b', 'x=y\nlisten=0'],
      ['c', '\\'],
      ['d', ''],
    ])
    expect(parsePropertiesText(formatPropertiesText(properties))).toEqual(properties)
    expect(parsePropertiesText('# note\n\n k = v \nflag')).toEqual(
      new Map([
        ['k', 'v'],
        ['flag', ''],
      ]),
    )
  })
})

import { afterEach, describe, expect, it } from 'vitest'
import { decodeBrokerStatsData } from '../../../src/protocol/bodies/broker-stats-data.ts'
import { parseBody } from '../../../src/protocol/bodies/fields.ts'
import { decodeKvTable } from '../../../src/protocol/bodies/kv-table.ts'
import { parsePropertiesText } from '../../../src/protocol/bodies/properties-text.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import { aBroker, closeAll } from '../a-broker.ts'

afterEach(closeAll)

describe('the configuration of a broker', () => {
  it('is told under the names of RocketMQ', async () => {
    const { connect, dir } = await aBroker({ brokerName: 'b1', store: { flush: 'sync' } })
    const answer = await connect().ask(RequestCode.GET_BROKER_CONFIG)
    const config = parsePropertiesText(answer.body)
    expect(JSON.parse(answer.ext['version'] ?? '')).toHaveProperty('counter')
    expect(Object.fromEntries(config)).toMatchObject({
      brokerName: 'b1',
      brokerClusterName: 'DefaultCluster',
      brokerId: '0',
      autoCreateTopicEnable: 'true',
      flushDiskType: 'SYNC_FLUSH',
      fileReservedTime: '72',
      storePathRootDir: dir,
    })
  })

  it('may be changed from outside where that is harmless', async () => {
    const { connect, broker } = await aBroker()
    const client = connect()
    const body = 'autoCreateTopicEnable=false\nautoCreateSubscriptionGroup=false\n'
    expect((await client.ask(RequestCode.UPDATE_BROKER_CONFIG, {}, body)).code).toBe(0)
    expect([
      broker.context.settings.autoCreateTopic,
      broker.context.settings.autoCreateGroup,
    ]).toEqual([false, false])
    expect((await client.send('New', 'x')).code).toBe(ResponseCode.TOPIC_NOT_EXIST)
    const config = await client.ask(RequestCode.GET_BROKER_CONFIG)
    expect(parsePropertiesText(config.body).get('autoCreateTopicEnable')).toBe('false')
  })

  it.each([
    'rocketmqHome=/tmp',
    'storePathRootDir=/etc',
    'storePathCommitLog=/etc',
    'brokerConfigPath=/etc/passwd',
    'configBlackList=',
    'namesrvAddr=10.0.0.1:9876',
    'brokerIP1=10.0.0.1',
    'listenPort=1',
    'filterServerNums=1',
    'flushDiskType=ASYNC_FLUSH',
    'aclEnable=false',
    'rocketmqHome=-c $@|sh . echo curl evil;',
    'store=x',
    '__proto__=x',
    'constructor=x',
    'noSuchKey=1',
  ])('refuses %s, and everything that is sent with it', async (line) => {
    const { connect, broker } = await aBroker()
    const before = { ...broker.context.settings }
    const body = `autoCreateTopicEnable=false\n${line}\n`
    const answer = await connect().ask(RequestCode.UPDATE_BROKER_CONFIG, {}, body)
    expect(answer.code).toBe(ResponseCode.NO_PERMISSION)
    expect({ ...broker.context.settings }).toEqual(before)
  })

  it.each([
    ['a value of another kind', 'autoCreateTopicEnable=perhaps'],
    ['a value out of range', 'brokerPermission=9'],
    ['nothing', ''],
    ['too much', Array.from({ length: 200 }, (_, i) => `k${i}=v`).join('\n')],
  ])('refuses %s', async (_what, body) => {
    const { connect } = await aBroker()
    const answer = await connect().ask(RequestCode.UPDATE_BROKER_CONFIG, {}, body)
    expect(answer.code).toBe(ResponseCode.INVALID_PARAMETER)
  })

  it('that forbids reading is obeyed at once', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.send('T', 'x')
    await client.ask(RequestCode.UPDATE_BROKER_CONFIG, {}, 'brokerPermission=2')
    expect((await client.pull('T', 'G', 0)).code).toBe(ResponseCode.NO_PERMISSION)
    await client.ask(RequestCode.UPDATE_BROKER_CONFIG, {}, 'brokerPermission=6')
    expect((await client.pull('T', 'G', 0)).code).toBe(ResponseCode.SUCCESS)
  })
})

/** What ClusterListSubCommand and others parse as numbers. */
const numbers = [
  'bootTimestamp',
  'earliestMessageTimeStamp',
  'commitLogDiskRatio',
  'commitLogMinOffset',
  'commitLogMaxOffset',
  'sendThreadPoolQueueSize',
  'sendThreadPoolQueueHeadWaitTimeMills',
  'pullThreadPoolQueueSize',
  'pullThreadPoolQueueHeadWaitTimeMills',
  'ackThreadPoolQueueSize',
  'ackThreadPoolQueueHeadWaitTimeMills',
  'litePullThreadPoolQueueSize',
  'queryThreadPoolQueueCapacity',
  'EndTransactionQueueSize',
  'pageCacheLockTimeMills',
  'dispatchBehindBytes',
  'startAcceptSendRequestTimeStamp',
  'timerReadBehind',
  'timerOffsetBehind',
  'timerCongestNum',
  'timerEnqueueTps',
  'timerDequeueTps',
  'msgPutTotalYesterdayMorning',
  'msgPutTotalTodayMorning',
  'msgPutTotalTodayNow',
  'msgGetTotalYesterdayMorning',
  'msgGetTotalTodayMorning',
  'msgGetTotalTodayNow',
  'putMessageTimesTotal',
  'putMessageSizeTotal',
  'putMessageAverageSize',
  'putMessageFailedTimes',
  'putMessageEntireTimeMax',
  'getMessageEntireTimeMax',
  'putLatency99',
  'putLatency999',
]

describe('what a broker tells about itself', () => {
  it('has every key of Apache, with values that tools can read', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.send('T', 'hello')
    await client.pull('T', 'G', 0)
    const answer = await client.ask(RequestCode.GET_BROKER_RUNTIME_INFO)
    const table = decodeKvTable(answer.body)
    for (const key of numbers) expect(table[key], key).toMatch(/^-?\d+(\.\d+)?$/)
    for (const key of ['putTps', 'getFoundTps', 'getMissTps', 'getTotalTps', 'getTransferredTps']) {
      expect(table[key], key).toMatch(/^\d+\.\d+ \d+\.\d+ \d+\.\d+$/)
    }
    expect(table).toMatchObject({
      brokerVersionDesc: 'V5_3_3',
      brokerActive: 'true',
      msgPutTotalTodayNow: '1',
      msgGetTotalTodayNow: '1',
      'mqctl.flush': 'async',
      'mqctl.state': 'writable',
    })
    expect(Number(table['earliestMessageTimeStamp'])).toBeGreaterThan(1_600_000_000_000)
    expect(table['runtime']).toMatch(/^\[ 0 days, 0 hours, 0 minutes, \d+ seconds ]$/)
  })

  it('tells how its process does, when it is given the means', async () => {
    const figures = {
      pid: 4711,
      rssBytes: 1,
      heapUsedBytes: 2,
      cpuUserMs: 3,
      cpuSystemMs: 4,
      gcCount: 5,
      gcPauseMs: 6.5,
      eventLoopP50Ms: 0,
      eventLoopP99Ms: 7.25,
      eventLoopMaxMs: 8,
    }
    const { connect } = await aBroker({}, { read: () => figures })
    const answer = await connect().ask(RequestCode.GET_BROKER_RUNTIME_INFO)
    expect(decodeKvTable(answer.body)).toMatchObject({
      'mqctl.pid': '4711',
      'mqctl.gc.count': '5',
      'mqctl.gc.pauseMs': '6.50',
      'mqctl.eventLoop.p99Ms': '7.25',
    })
  })

  it('says that it has no followers', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.send('T', 'hello')
    const answer = await client.ask(RequestCode.GET_BROKER_HA_STATUS)
    expect(parseBody(answer.body)).toMatchObject({
      master: true,
      haConnectionInfo: [],
      inSyncSlaveNums: 0,
    })
    expect(Number(parseBody(answer.body)['masterCommitLogMaxOffset'])).toBeGreaterThan(0)
  })

  it('keeps statistics by topic and group', async () => {
    const { connect } = await aBroker()
    const client = connect()
    for (let i = 0; i < 3; i++) await client.send('T', 'hello')
    await client.pull('T', 'G', 0)
    const sumOf = async (statsName: string, statsKey: string) => {
      const answer = await client.ask(RequestCode.VIEW_BROKER_STATS_DATA, { statsName, statsKey })
      return answer.code === 0 ? decodeBrokerStatsData(answer.body).statsDay.sum : answer.code
    }
    expect([
      await sumOf('TOPIC_PUT_NUMS', 'T'),
      await sumOf('GROUP_GET_NUMS', 'T@G'),
      await sumOf('BROKER_PUT_NUMS', 'DefaultCluster'),
    ]).toEqual([3, 3, 3])
    expect(await sumOf('TOPIC_PUT_NUMS', 'Unknown')).toBe(ResponseCode.SYSTEM_ERROR)
    expect(await sumOf('NO_SUCH_STAT', 'T')).toBe(ResponseCode.SYSTEM_ERROR)
  })
})

import { afterEach, describe, expect, it, vi } from 'vitest'
import { decodeConsumerConnection } from '../../../src/protocol/bodies/client-connection.ts'
import { decodeConsumerList } from '../../../src/protocol/bodies/name-lists.ts'
import { tagSubscription } from '../../../src/protocol/bodies/subscription-data.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import { decodeRecords } from '../../../src/protocol/record.ts'
import { type TestClient, aBroker, closeAll } from '../a-broker.ts'

afterEach(closeAll)

const { HEART_BEAT, GET_CONSUMER_LIST_BY_GROUP, NOTIFY_CONSUMER_IDS_CHANGED } = RequestCode

async function members(client: TestClient, group: string): Promise<string[]> {
  const answer = await client.ask(GET_CONSUMER_LIST_BY_GROUP, { consumerGroup: group })
  return answer.code === ResponseCode.SUCCESS ? decodeConsumerList(answer.body).sort() : []
}

async function subscriptions(client: TestClient, group: string) {
  const answer = await client.ask(RequestCode.GET_CONSUMER_CONNECTION_LIST, {
    consumerGroup: group,
  })
  return decodeConsumerConnection(answer.body).subscriptions.map((data) => [
    data.topic,
    data.subString,
  ])
}

function notified(client: TestClient): number {
  return client.asked.filter((command) => command.code === NOTIFY_CONSUMER_IDS_CHANGED).length
}

describe('a heart-beat', () => {
  it('is taken, without the fields that would offer heart-beat V2', async () => {
    const { connect } = await aBroker()
    const answer = await connect().heartBeat('c1', 'G', ['T'])
    expect([answer.code, Object.keys(answer.ext)]).toEqual([ResponseCode.SUCCESS, []])
    expect(answer.version).toBeGreaterThan(232)
  })

  it('makes the group and its retry topic', async () => {
    const { connect, broker } = await aBroker()
    await connect().heartBeat('c1', 'G', ['T'])
    expect(broker.context.groups.get('G')?.retryMaxTimes).toBe(16)
    const retry = broker.context.topics.get('%RETRY%G')
    expect([retry?.writeQueueNums, retry?.perm]).toEqual([1, 6])
  })

  it('makes the client a member of its group, once', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.heartBeat('c1', 'G', ['T'])
    await client.heartBeat('c1', 'G', ['T'])
    expect(await members(client, 'G')).toEqual(['c1'])
  })

  it('without groups is taken too', async () => {
    const { connect } = await aBroker()
    const answer = await connect().ask(HEART_BEAT, {}, '{"clientID":"c1"}')
    expect(answer.code).toBe(ResponseCode.SUCCESS)
  })

  it('replaces subscriptions, but never by older ones', async () => {
    const { connect } = await aBroker()
    const client = connect()
    const beat = (expression: string, version: number) =>
      client.heartBeat('c1', 'G', [], {
        subscriptions: [tagSubscription('T', expression, version)],
      })
    await beat('A', 5)
    await beat('B', 4)
    expect(await subscriptions(client, 'G')).toEqual([['T', 'A']])
    await beat('C', 6)
    expect(await subscriptions(client, 'G')).toEqual([['T', 'C']])
  })

  it('drops the topics that it no longer names', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.heartBeat('c1', 'G', ['T', 'U'])
    await client.heartBeat('c1', 'G', ['U'])
    expect(await subscriptions(client, 'G')).toEqual([['U', '*']])
  })

  it('keeps the subscriptions when it says that it left them out', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.heartBeat('c1', 'G', ['T'])
    const body =
      '{"clientID":"c1","withoutSub":true,"heartbeatFingerprint":7,"consumerDataSet":[{"groupName":"G"}]}'
    await client.ask(HEART_BEAT, {}, body)
    expect(await subscriptions(client, 'G')).toEqual([['T', '*']])
  })

  it.each([
    ['no body', null],
    ['no JSON', 'GET / HTTP/1.1'],
    ['JSON that ends too early', '{"clientID":"c1","consumerDataSet":[{'],
    ['no client id', '{"consumerDataSet":[]}'],
    ['a client id without end', `{"clientID":"${'x'.repeat(2_000)}"}`],
    [
      'a group that leads elsewhere',
      '{"clientID":"c1","consumerDataSet":[{"groupName":"../../g"}]}',
    ],
    ['a group with a slash', '{"clientID":"c1","producerDataSet":[{"groupName":"a/b"}]}'],
    [
      'a group that is too long',
      `{"clientID":"c1","consumerDataSet":[{"groupName":"${'g'.repeat(121)}"}]}`,
    ],
    ['a group without name', '{"clientID":"c1","consumerDataSet":[{}]}'],
    [
      'an illegal topic',
      '{"clientID":"c1","consumerDataSet":[{"groupName":"G","subscriptionDataSet":[{"topic":"../t"}]}]}',
    ],
    ['three megabytes', `{"clientID":"c1","x":"${'y'.repeat(3 * 1024 * 1024)}"}`],
    [
      'thousands of groups',
      `{"clientID":"c1","producerDataSet":[${Array.from({ length: 2_000 }, (_, i) => `{"groupName":"g${i}"}`).join(',')}]}`,
    ],
  ])('is refused with %s, and nothing of it is kept', async (_what, body) => {
    const { connect, broker } = await aBroker()
    const client = connect()
    const answer = await client.ask(HEART_BEAT, {}, body)
    expect(answer.code).toBe(ResponseCode.INVALID_PARAMETER)
    expect(answer.remark).not.toBe('')
    expect(broker.context.clients.connectionCount).toBe(0)
    expect((await client.heartBeat('c1', 'G', ['T'])).code).toBe(ResponseCode.SUCCESS)
  })

  it('with lists and objects where others belong is read as far as it makes sense', async () => {
    const { connect } = await aBroker()
    const body =
      '{"clientID":7,"consumerDataSet":{"a":1},"producerDataSet":[null,3,{"groupName":["x"]}]}'
    expect((await connect().ask(HEART_BEAT, {}, body)).code).toBe(ResponseCode.SUCCESS)
  })

  it('is refused when groups are not made by themselves', async () => {
    const { connect } = await aBroker({ autoCreateGroup: false })
    const answer = await connect().heartBeat('c1', 'G', ['T'])
    expect(answer.code).toBe(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST)
  })
})

describe('the members of a group', () => {
  it('are told when another one joins', async () => {
    const { connect } = await aBroker()
    const [first, second] = [connect(), connect()]
    await first.heartBeat('c1', 'G', ['T'])
    await vi.waitFor(() => {
      expect(notified(first)).toBe(1)
    })
    await second.heartBeat('c2', 'G', ['T'])
    await vi.waitFor(() => {
      expect([notified(first), notified(second)]).toEqual([2, 1])
    })
    expect(first.asked[0]?.ext['consumerGroup']).toBe('G')
    expect(first.asked[0]?.isOneway).toBe(true)
    expect(await members(first, 'G')).toEqual(['c1', 'c2'])
  })

  it('are told when one leaves, with a goodbye or without', async () => {
    const { connect } = await aBroker()
    const [first, second, third] = [connect(), connect(), connect()]
    for (const [i, client] of [first, second, third].entries()) {
      await client.heartBeat(`c${i + 1}`, 'G', ['T'])
    }
    await vi.waitFor(() => {
      expect(notified(first)).toBe(3)
    })
    await second.ask(RequestCode.UNREGISTER_CLIENT, { clientID: 'c2', consumerGroup: 'G' })
    await vi.waitFor(() => {
      expect(notified(first)).toBe(4)
    })
    third.close()
    await vi.waitFor(() => {
      expect(notified(first)).toBe(5)
    })
    expect(await members(first, 'G')).toEqual(['c1'])
  })

  it('are told when the topics change, not when a heart-beat repeats', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.heartBeat('c1', 'G', ['T'])
    await client.heartBeat('c1', 'G', ['T'])
    await client.heartBeat('c1', 'G', ['T', 'U'])
    await client.heartBeat('c1', 'G', ['T', 'U'])
    expect(notified(client)).toBe(2)
  })

  it('are not told when they broadcast, or when the group does not want it', async () => {
    const { connect, broker } = await aBroker()
    const client = connect()
    await client.heartBeat('c1', 'B', ['T'], { messageModel: 'BROADCASTING' })
    const quiet = {
      ...broker.context.groups.findOrCreate('Q'),
      notifyConsumerIdsChangedEnable: false,
    }
    await broker.context.groups.updateAll([quiet])
    await client.heartBeat('c1', 'Q', ['T'])
    await client.heartBeat('c1', 'G', ['T'])
    await vi.waitFor(() => {
      expect(client.asked.map((command) => command.ext['consumerGroup'])).toEqual(['G'])
    })
  })

  it('are forgotten when they send no heart-beat', async () => {
    const { connect, broker } = await aBroker({ clientExpiryMs: 1_000, clientScanMs: 100 })
    const client = connect()
    await client.heartBeat('c1', 'G', ['T'])
    await vi.waitFor(
      () => {
        expect(broker.context.clients.consumerIds('G')).toEqual([])
      },
      { timeout: 4_000 },
    )
    expect(broker.context.clients.connectionCount).toBe(0)
  })

  it('of an unknown or offline group are nobody', async () => {
    const { connect } = await aBroker()
    const answer = await connect().ask(GET_CONSUMER_LIST_BY_GROUP, { consumerGroup: 'Nobody' })
    expect([answer.code, answer.remark]).toEqual([
      ResponseCode.SYSTEM_ERROR,
      'no consumer for this group, Nobody',
    ])
  })

  it('cannot be asked for under an illegal name', async () => {
    const { connect } = await aBroker()
    for (const consumerGroup of ['', '../x', 'a/b', 'g'.repeat(121)]) {
      const answer = await connect().ask(GET_CONSUMER_LIST_BY_GROUP, { consumerGroup })
      expect(answer.code).toBe(ResponseCode.INVALID_PARAMETER)
    }
  })
})

describe('a filter that is not one by tags', () => {
  const sql = (expression: string) =>
    `{"subscriptionData":{"topic":"T","expressionType":"SQL92","subString":"${expression}"}}`
  const bySql = (expression: string, subVersion = 1) => ({
    ...tagSubscription('T', expression, subVersion),
    expressionType: 'SQL92',
  })

  it('is checked before the consumer starts', async () => {
    const { connect } = await aBroker()
    const client = connect()
    const ask = (body: string) => client.ask(RequestCode.CHECK_CLIENT_CONFIG, {}, body)
    expect((await ask(sql('a > 1'))).code).toBe(0)
    const wrong = await ask(sql('a > '))
    expect([wrong.code, wrong.remark]).toEqual([
      ResponseCode.SUBSCRIPTION_PARSE_FAILED,
      'Invalid MessageSelector. the expression ends here; expected is a property, a constant or a parenthesis, at character 5',
    ])
    const tags = '{"subscriptionData":{"topic":"T","expressionType":"TAG","subString":"A"}}'
    expect((await ask(tags)).code).toBe(0)
  })

  it('is refused everywhere, and never passed over, while the broker is told not to', async () => {
    const { connect } = await aBroker({ enablePropertyFilter: false })
    const client = connect()
    await client.send('T', 'secret')
    await client.heartBeat('c1', 'G', [], { subscriptions: [bySql('a > 1')] })
    const answers = [
      await client.ask(RequestCode.CHECK_CLIENT_CONFIG, {}, sql('a > 1')),
      await client.pull('T', 'G', 0, { sysFlag: 0, subVersion: 1 }),
      await client.pull('T', 'G', 0, { expressionType: 'SQL92', subscription: 'a > 1' }),
    ]
    for (const { code, remark, body } of answers) {
      expect([code, remark, body]).toEqual([
        ResponseCode.SYSTEM_ERROR,
        'The broker does not support consumer to filter message by SQL92',
        null,
      ])
    }
  })

  it('lets those messages through that it describes', async () => {
    const { connect } = await aBroker()
    const client = connect()
    for (const a of [1, 2, 3, 'x']) await client.send('T', `a=${a}`, 0, `a\u0001${a}\u0002`)
    await client.send('T', 'no a', 0, '')
    await client.heartBeat('c1', 'G', [], { subscriptions: [bySql('a > 1')] })
    for (const answer of [
      await client.pull('T', 'G', 0, { sysFlag: 0, subVersion: 1 }),
      await client.pull('T', 'G', 0, { expressionType: 'SQL92', subscription: 'a > 1' }),
    ]) {
      const { messages } = decodeRecords(answer.body ?? Buffer.alloc(0))
      expect(messages.map((message) => message.body.toString())).toEqual(['a=2', 'a=3'])
      expect(answer.ext['nextBeginOffset']).toBe('5')
    }
  })

  it('holds a pull until a message comes that it describes', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.send('T', 'no', 0, '')
    const pulled = client.pull('T', 'G', 0, {
      sysFlag: 6,
      suspendTimeoutMillis: 20_000,
      expressionType: 'SQL92',
      subscription: 'a = 1',
    })
    const sender = connect()
    await sender.send('T', 'no', 0, 'a\u00012\u0002')
    await sender.send('T', 'yes', 0, 'a\u00011\u0002')
    const answer = await pulled
    expect([answer.code, answer.ext['nextBeginOffset']]).toEqual([0, '3'])
  })

  it('is said to be wrong by the pull when nobody asked before', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.send('T', 'secret')
    await client.heartBeat('c1', 'G', [], { subscriptions: [bySql('a >')] })
    const answer = await client.pull('T', 'G', 0, { sysFlag: 0, subVersion: 1 })
    expect([answer.code, answer.body]).toEqual([ResponseCode.FILTER_DATA_NOT_EXIST, null])
    await client.heartBeat('c1', 'G', [], { subscriptions: [bySql('a > 1', 2)] })
    const mended = await client.pull('T', 'G', 0, { sysFlag: 0, subVersion: 2 })
    expect(mended.code).toBe(ResponseCode.PULL_RETRY_IMMEDIATELY)
  })
})

describe('a pull that relies on the heart-beat', () => {
  it('is refused before there was one, and while it is older than the pull', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.send('T', 'x')
    const pull = (subVersion: number) => client.pull('T', 'G', 0, { sysFlag: 0, subVersion })
    expect((await pull(1)).code).toBe(ResponseCode.SUBSCRIPTION_NOT_EXIST)
    await client.heartBeat('c1', 'G', ['Other'])
    expect((await pull(1)).code).toBe(ResponseCode.SUBSCRIPTION_NOT_EXIST)
    await client.heartBeat('c1', 'G', ['T'])
    expect((await pull(2)).code).toBe(ResponseCode.SUBSCRIPTION_NOT_LATEST)
    expect((await pull(1)).code).toBe(ResponseCode.SUCCESS)
  })
})

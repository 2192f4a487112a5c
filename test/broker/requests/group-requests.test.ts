import { afterEach, describe, expect, it } from 'vitest'
import { parseBody } from '../../../src/protocol/bodies/fields.ts'
import {
  decodeSubscriptionGroupConfig,
  decodeSubscriptionGroupTable,
  encodeSubscriptionGroupConfig,
  subscriptionGroupConfig,
  subscriptionGroupConfigToJson,
} from '../../../src/protocol/bodies/subscription-group-config.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import { jsonBody } from '../../../src/protocol/lenient-json.ts'
import { aBroker, closeAll } from '../a-broker.ts'

afterEach(closeAll)

const update = RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP

describe('a consumer group', () => {
  it('is created and altered', async () => {
    const { connect } = await aBroker()
    const client = connect()
    for (const retryMaxTimes of [3, 5]) {
      const body = encodeSubscriptionGroupConfig(subscriptionGroupConfig('G', { retryMaxTimes }))
      expect((await client.ask(update, {}, body)).code).toBe(ResponseCode.SUCCESS)
    }
    const answer = await client.ask(RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, { group: 'G' })
    expect(decodeSubscriptionGroupConfig(answer.body)).toEqual(
      subscriptionGroupConfig('G', { retryMaxTimes: 5 }),
    )
  })

  it('is created in a list, all or none', async () => {
    const { connect, broker } = await aBroker()
    const code = RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST
    const list = (...names: string[]) =>
      jsonBody({
        groupConfigList: names.map((name) =>
          subscriptionGroupConfigToJson(subscriptionGroupConfig(name)),
        ),
      })
    const client = connect()
    expect((await client.ask(code, {}, list('A', 'B'))).code).toBe(ResponseCode.SUCCESS)
    expect((await client.ask(code, {}, list('C', '../x'))).code).toBe(
      ResponseCode.INVALID_PARAMETER,
    )
    expect(['A', 'B', 'C'].map((name) => broker.context.groups.get(name) !== null)).toEqual([
      true,
      true,
      false,
    ])
  })

  it.each([
    ['a name that leads elsewhere', '{"groupName":"../g"}'],
    ['a name with a slash', '{"groupName":"a/b"}'],
    ['a name that is too long', `{"groupName":"${'g'.repeat(121)}"}`],
    ['no name', '{}'],
    ['a number of queues below 0', '{"groupName":"G","retryQueueNums":-1}'],
    ['no JSON', 'groupName=G'],
    ['no body', null],
  ])('is refused with %s', async (_what, body) => {
    const { connect, broker } = await aBroker()
    const before = broker.context.groups.size
    expect((await connect().ask(update, {}, body)).code).toBe(ResponseCode.INVALID_PARAMETER)
    expect(broker.context.groups.size).toBe(before)
  })

  it('is made when somebody asks for it, as at Apache, unless that is switched off', async () => {
    const on = await aBroker()
    const ask = RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG
    expect((await on.connect().ask(ask, { group: 'G' })).code).toBe(ResponseCode.SUCCESS)
    const off = await aBroker({ autoCreateGroup: false })
    expect((await off.connect().ask(ask, { group: 'G' })).code).toBe(
      ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
    )
  })

  it('is listed with all others', async () => {
    const { connect, broker } = await aBroker()
    broker.context.groups.findOrCreate('G')
    const answer = await connect().ask(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG)
    expect(answer.ext['totalGroupNum']).toBeUndefined()
    const names = decodeSubscriptionGroupTable(answer.body).groups.map((group) => group.groupName)
    expect(names).toEqual([...broker.context.groups.names()])
    expect(parseBody(answer.body)['forbiddenTable']).toEqual({})
  })

  it('is deleted, its progress only when that is asked for', async () => {
    const { connect, broker } = await aBroker()
    const client = connect()
    broker.context.groups.findOrCreate('G')
    broker.context.offsets.commit('G', 'T', 0, 3)
    const code = RequestCode.DELETE_SUBSCRIPTIONGROUP
    expect((await client.ask(code, { groupName: 'G' })).code).toBe(ResponseCode.SUCCESS)
    expect([broker.context.groups.get('G'), broker.context.offsets.get('G', 'T', 0)]).toEqual([
      null,
      3,
    ])
    await client.ask(code, { groupName: 'G', cleanOffset: true })
    expect(broker.context.offsets.get('G', 'T', 0)).toBeNull()
    expect((await client.ask(code, { groupName: '../g' })).code).toBe(
      ResponseCode.INVALID_PARAMETER,
    )
  })

  it('that may not consume is told so', async () => {
    const { connect, broker } = await aBroker()
    const client = connect()
    await client.send('T', 'x')
    await broker.context.groups.updateAll([subscriptionGroupConfig('G', { consumeEnable: false })])
    expect((await client.pull('T', 'G', 0)).code).toBe(ResponseCode.NO_PERMISSION)
  })

  it('may be kept from one topic', async () => {
    const { connect, broker } = await aBroker()
    const client = connect()
    await client.send('T', 'x')
    await client.heartBeat('c1', 'G', ['T'])
    const code = RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN
    const asked = await client.ask(code, { group: 'G', topic: 'T' })
    expect(parseBody(asked.body)['readable']).toBe(true)
    const set = await client.ask(code, { group: 'G', topic: 'T', readable: false })
    expect(parseBody(set.body)).toMatchObject({ group: 'G', topic: 'T', readable: false })
    const pulled = await client.pull('T', 'G', 0, { sysFlag: 0 })
    expect([pulled.code, pulled.ext['forbiddenType']]).toEqual([ResponseCode.NO_PERMISSION, '5'])
    await client.ask(code, { group: 'G', topic: 'T', readable: true })
    expect((await client.pull('T', 'G', 0, { sysFlag: 0 })).code).toBe(ResponseCode.SUCCESS)
    const unknown = await client.ask(code, { group: 'G', topic: 'Unknown' })
    expect(unknown.code).toBe(ResponseCode.TOPIC_NOT_EXIST)
    expect(broker.context.groups.mayRead('G', 'T')).toBe(true)
  })

  it('may be kept from broadcasting', async () => {
    const { connect, broker } = await aBroker()
    const client = connect()
    await client.send('T', 'x')
    const config = subscriptionGroupConfig('G', { consumeBroadcastEnable: false })
    await broker.context.groups.updateAll([config])
    await client.heartBeat('c1', 'G', ['T'], { messageModel: 'BROADCASTING' })
    const pulled = await client.pull('T', 'G', 0, { sysFlag: 0 })
    expect([pulled.code, pulled.ext['forbiddenType']]).toEqual([ResponseCode.NO_PERMISSION, '4'])
  })
})

import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { divide, divideForPop, division } from '../../../src/broker/pop/division.ts'
import {
  decodeAssignments,
  encodeAssignmentQuery,
} from '../../../src/protocol/bodies/query-assignment.ts'
import { topicConfig } from '../../../src/protocol/bodies/topic-config.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import { type TestBroker, type TestClient, aBroker, closeAll } from '../a-broker.ts'

const queuesOf = (count: number, brokerName = 'broker-a') =>
  Array.from({ length: count }, (_, queueId) => ({ topic: 'T1', brokerName, queueId }))

describe('queues that a broker divides', () => {
  const members = ['c1', 'c2', 'c3']
  const all = (strategy: string, queues = queuesOf(8)) =>
    members.map((member) =>
      divide(strategy, division(member, members, queues))?.map(({ queueId }) => queueId),
    )

  it('AVG gives each member neighbours, the first ones more', () => {
    expect(all('AVG')).toEqual([
      [0, 1, 2],
      [3, 4, 5],
      [6, 7],
    ])
  })

  it('AVG_BY_CIRCLE deals them out one by one', () => {
    expect(all('AVG_BY_CIRCLE')).toEqual([
      [0, 3, 6],
      [1, 4, 7],
      [2, 5],
    ])
  })

  it('who is no member gets nothing, and an unknown strategy divides nothing', () => {
    expect(divide('AVG', division('c9', members, queuesOf(8)))).toEqual([])
    expect(divide('MACHINE_ROOM', division('c1', members, queuesOf(8)))).toBeNull()
    expect(divideForPop('MACHINE_ROOM', division('c1', members, queuesOf(8)), 0)).toBeNull()
  })

  it.each([-1, 0, 2, 5])('by POP and shared with %i others, all take from all', (share) => {
    const queues = [...queuesOf(2), ...queuesOf(2, 'broker-b')]
    const own = divideForPop('AVG', division('c1', members, queues), share)
    expect(own?.map(({ brokerName, queueId }) => [brokerName, queueId])).toEqual([
      ['broker-a', -1],
      ['broker-b', -1],
    ])
  })

  it('by POP and shared with some, each takes from its own and those of its neighbours', () => {
    const four = ['c1', 'c2', 'c3', 'c4']
    const own = (member: string) =>
      divideForPop('AVG', division(member, four, queuesOf(8)), 1)?.map(({ queueId }) => queueId)
    expect(own('c1')).toEqual([0, 1, 2, 3])
    expect(own('c4')).toEqual([6, 7, 0, 1])
  })

  it('by POP nobody stays without a queue, however many members there are', () => {
    const many = Array.from({ length: 9 }, (_, i) => `c${i}`)
    const own = many.map((member) =>
      divideForPop('AVG', division(member, many, queuesOf(4)), 2)?.map(({ queueId }) => queueId),
    )
    expect(own).toEqual([[0], [1], [2], [3], [0], [1], [2], [3], [0]])
  })
})

describe('QUERY_ASSIGNMENT and SET_MESSAGE_REQUEST_MODE', () => {
  let shared: TestBroker
  let client: TestClient

  beforeAll(async () => {
    shared = await aBroker()
    client = shared.connect()
    const { topics, groups } = shared.broker.context
    await topics.update(topicConfig('T1', { readQueueNums: 4, writeQueueNums: 4 }))
    groups.findOrCreate('G')
    await client.heartBeat('c1', 'G', ['T1'])
    await shared.connect().heartBeat('c2', 'G', ['T1'])
  })
  afterAll(closeAll)

  const query = {
    topic: 'T1',
    group: 'G',
    clientId: 'c1',
    messageModel: 'CLUSTERING',
    strategyName: 'AVG',
  } as const
  const fine = { topic: 'T1', consumerGroup: 'G', mode: 'POP', popShareQueueNum: 0 }

  async function ask(given: Partial<typeof query> | { readonly topic: string } = {}) {
    const body = encodeAssignmentQuery({ ...query, ...given })
    const answer = await client.ask(RequestCode.QUERY_ASSIGNMENT, {}, body)
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    return decodeAssignments(answer.body)?.map(({ mode, queue }) => [mode, queue.queueId]) ?? null
  }

  const set = async (body: object) =>
    (await client.ask(RequestCode.SET_MESSAGE_REQUEST_MODE, {}, JSON.stringify(body))).code

  it('a group pulls its own queues, until its mode is set; then it takes from all by POP', async () => {
    expect(await set({ ...fine, mode: 'PULL' })).toBe(ResponseCode.SUCCESS)
    expect(await ask()).toEqual([
      ['PULL', 0],
      ['PULL', 1],
    ])
    expect(await set(fine)).toBe(ResponseCode.SUCCESS)
    expect(await ask()).toEqual([['POP', -1]])
  })

  it('the mode is on the disk in the form of Apache', async () => {
    expect(await set(fine)).toBe(ResponseCode.SUCCESS)
    const file = path.join(shared.dir, 'config', 'messageRequestMode.json')
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({
      messageRequestModeMap: { T1: { G: fine } },
    })
    const answer = await client.ask(RequestCode.GET_ALL_MESSAGE_REQUEST_MODE)
    expect(JSON.parse(String(answer.body))).toEqual({ messageRequestModeMap: { T1: { G: fine } } })
  })

  it('retry topics are pulled, and what cannot be said is left open', async () => {
    expect(await ask({ topic: '%RETRY%G' })).toEqual([['PULL', 0]])
    expect(await ask({ topic: 'T_missing' })).toBeNull()
  })

  it('the mode of a group can be set before its first member comes', async () => {
    expect(await set({ ...fine, consumerGroup: 'Early' })).toBe(ResponseCode.SUCCESS)
    expect(shared.broker.context.requestModes.get('T1', 'Early')?.mode).toBe('POP')
  })

  it.each([
    [{ ...fine, mode: 'PUSH' }, ResponseCode.INVALID_PARAMETER],
    [{ ...fine, topic: 'Unknown' }, ResponseCode.TOPIC_NOT_EXIST],
    [{ ...fine, topic: '%RETRY%G' }, ResponseCode.NO_PERMISSION],
    [{ ...fine, consumerGroup: 'a b' }, ResponseCode.INVALID_PARAMETER],
  ])('%j is refused with code %i', async (body, code) => {
    expect(await set(body)).toBe(code)
  })
})

describe('a broker that starts again', () => {
  afterAll(closeAll)

  it('knows the modes that were set', async () => {
    const first = await aBroker()
    await first.connect().send('T1', 'x')
    first.broker.context.groups.findOrCreate('G')
    const row = { topic: 'T1', group: 'G', mode: 'POP', popShareQueueNum: 3 } as const
    await first.broker.context.requestModes.set(row)
    await first.broker.close()
    const next = await aBroker({ store: { dir: first.dir } })
    expect(next.broker.context.requestModes.get('T1', 'G')).toEqual(row)
  })
})

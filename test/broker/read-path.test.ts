import { afterEach, describe, expect, test } from 'vitest'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import type { Command, ExtValues } from '../../src/protocol/command.ts'
import { decodeRecords } from '../../src/protocol/record.ts'
import { type TestClient, aBroker, closeAll } from './a-broker.ts'

afterEach(closeAll)

const SUSPEND = 2
const SUBSCRIPTION = 4

function pull(client: TestClient, change: ExtValues = {}): Promise<Command> {
  return client.ask(RequestCode.PULL_MESSAGE, {
    consumerGroup: 'CG',
    topic: 'T1',
    queueId: 0,
    queueOffset: 0,
    maxMsgNums: 32,
    sysFlag: SUBSCRIPTION,
    commitOffset: 0,
    suspendTimeoutMillis: 3_000,
    subscription: '*',
    subVersion: 0,
    ...change,
  })
}

const bodies = (answer: Command) =>
  decodeRecords(answer.body ?? Buffer.alloc(0)).messages.map((message) => message.body.toString())

async function aTopic(count: number, options = {}) {
  const broker = await aBroker(options)
  const client = broker.connect()
  for (let i = 0; i < count; i++) {
    await client.send('T1', `m${i}`, 0, `TAGS\u0001${i % 2 === 0 ? 'even' : 'odd'}\u0002`)
  }
  if (count === 0) await client.send('T1', 'in another queue', 1)
  return { ...broker, client }
}

describe('a pull', () => {
  test('gets messages from its offset on, with where to go on', async () => {
    const { client } = await aTopic(5)
    const answer = await pull(client, { queueOffset: 2 })
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    expect(bodies(answer)).toEqual(['m2', 'm3', 'm4'])
    expect({ ...answer.ext }).toEqual({
      suggestWhichBrokerId: '0',
      nextBeginOffset: '5',
      minOffset: '0',
      maxOffset: '5',
    })
  })

  test('gets at most 32 messages, as from Apache, unless it names a larger byte limit', async () => {
    const { client } = await aTopic(40)
    expect(bodies(await pull(client, { maxMsgNums: 1000 }))).toHaveLength(32)
    expect(bodies(await pull(client, { maxMsgNums: 1000, maxMsgBytes: 1024 * 1024 }))).toHaveLength(
      40,
    )
  })

  test('gets the first message whatever its size', async () => {
    const { client } = await aTopic(0)
    await client.send('T1', 'x'.repeat(400_000), 0)
    expect(bodies(await pull(client))).toEqual(['x'.repeat(400_000)])
  })

  test('filters by tag hash', async () => {
    const { client } = await aTopic(6)
    expect(bodies(await pull(client, { subscription: 'odd' }))).toEqual(['m1', 'm3', 'm5'])
    expect(bodies(await pull(client, { subscription: 'even || other' }))).toEqual([
      'm0',
      'm2',
      'm4',
    ])
  })

  test('whose filter matches nothing is told to go on behind what was looked at', async () => {
    const { client } = await aTopic(6)
    const answer = await pull(client, { subscription: 'none' })
    expect(answer.code).toBe(ResponseCode.PULL_RETRY_IMMEDIATELY)
    expect(answer.ext['nextBeginOffset']).toBe('6')
  })

  test.each([
    ['behind the end', 9, ResponseCode.PULL_OFFSET_MOVED, '5'],
    ['at the end', 5, ResponseCode.PULL_NOT_FOUND, '5'],
    ['before the start', -3, ResponseCode.PULL_OFFSET_MOVED, '0'],
  ])('%s is corrected', async (_name, queueOffset, code, next) => {
    const { client } = await aTopic(5)
    const answer = await pull(client, { queueOffset })
    expect(answer.code).toBe(code)
    expect(answer.ext['nextBeginOffset']).toBe(next)
  })

  test('of an empty queue finds nothing at 0, and is moved to 0 from elsewhere', async () => {
    const { client } = await aTopic(0)
    expect((await pull(client)).code).toBe(ResponseCode.PULL_NOT_FOUND)
    const moved = await pull(client, { queueOffset: 7 })
    expect(moved.code).toBe(ResponseCode.PULL_OFFSET_MOVED)
    expect(moved.ext['nextBeginOffset']).toBe('0')
  })

  test('reports the progress of its group when it says so', async () => {
    const { client, broker } = await aTopic(5)
    await pull(client, { sysFlag: SUBSCRIPTION | 1, commitOffset: 3 })
    expect(broker.context.offsets.get('CG', 'T1', 0)).toBe(3)
  })

  test('of what has left the memory is read from the disk, the same bytes', async () => {
    const { client } = await aTopic(0, { store: { tailBytes: 64 * 1024, chunkBytes: 16 * 1024 } })
    const body = (i: number) => `${i}-`.padEnd(2_000, String(i))
    for (let i = 0; i < 300; i++) await client.send('T1', body(i), 0)
    const seen: string[] = []
    for (let next = 0; next < 300;) {
      const answer = await pull(client, { queueOffset: next })
      expect(answer.code).toBe(0)
      seen.push(...bodies(answer))
      next = Number(answer.ext['nextBeginOffset'])
    }
    expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => body(i)))
  })
})

describe('a held pull', () => {
  test('is answered as soon as a message comes', async () => {
    const { client, connect } = await aTopic(1)
    const held = pull(client, { queueOffset: 1, sysFlag: SUBSCRIPTION | SUSPEND })
    await connect().send('T1', 'fresh')
    expect(bodies(await held)).toEqual(['fresh'])
  })

  test('is answered with nothing when its time is over, not before', async () => {
    const { client } = await aTopic(1)
    const startedMs = performance.now()
    const answer = await pull(client, {
      queueOffset: 1,
      sysFlag: SUBSCRIPTION | SUSPEND,
      suspendTimeoutMillis: 300,
    })
    expect(answer.code).toBe(ResponseCode.PULL_NOT_FOUND)
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(295)
  })

  test('waits on for a message that its filter lets through', async () => {
    const { client, connect, broker } = await aTopic(1)
    const held = pull(client, {
      queueOffset: 1,
      sysFlag: SUBSCRIPTION | SUSPEND,
      subscription: 'wanted',
    })
    const other = connect()
    await other.send('T1', 'no', 0, 'TAGS\u0001other\u0002')
    await other.send('T1', 'yes', 0, 'TAGS\u0001wanted\u0002')
    const answer = await held
    expect(bodies(answer)).toEqual(['yes'])
    expect(answer.ext['nextBeginOffset']).toBe('3')
    expect(broker.context.stats.getMiss).toBe(0)
  })

  test('learns how far it is when nothing matched until its time was over', async () => {
    const { client, connect } = await aTopic(1)
    const held = pull(client, {
      queueOffset: 1,
      sysFlag: SUBSCRIPTION | SUSPEND,
      subscription: 'wanted',
      suspendTimeoutMillis: 300,
    })
    await connect().send('T1', 'no', 0, 'TAGS\u0001other\u0002')
    const answer = await held
    expect(answer.code).toBe(ResponseCode.PULL_RETRY_IMMEDIATELY)
    expect(answer.ext['nextBeginOffset']).toBe('2')
  })

  test('is told how far it is when looking for a match takes longer than it may wait', async () => {
    const { client } = await aTopic(20, { store: { filterUnitsMax: 4 } })
    const answer = await pull(client, {
      subscription: 'none',
      sysFlag: SUBSCRIPTION | SUSPEND,
      suspendTimeoutMillis: 0,
      maxMsgNums: 1,
    })
    expect(answer.code).toBe(ResponseCode.PULL_RETRY_IMMEDIATELY)
    expect(answer.ext['nextBeginOffset']).toBe('4')
  })

  test('is forgotten with its connection', async () => {
    const { connect, broker, client } = await aTopic(1)
    const leaving = connect()
    const held = pull(leaving, { queueOffset: 1, sysFlag: SUBSCRIPTION | SUSPEND })
    await pull(client)
    leaving.close()
    await expect(held).rejects.toThrow()
    const answer = await client.send('T1', 'fresh')
    expect(answer.code).toBe(0)
    expect(broker.context.clients.connectionCount).toBeLessThanOrEqual(1)
  })
})

describe('a pull is refused when', () => {
  test.each([
    ['the topic does not exist', { topic: 'NoTopic' }, ResponseCode.TOPIC_NOT_EXIST],
    ['the queue does not exist', { queueId: 4 }, ResponseCode.INVALID_PARAMETER],
    ['the queue is negative', { queueId: -1 }, ResponseCode.INVALID_PARAMETER],
    ['a field is missing', { queueOffset: undefined }, ResponseCode.INVALID_PARAMETER],
    ['a field is no number', { queueOffset: 'x' }, ResponseCode.INVALID_PARAMETER],
    ['the group name is illegal', { consumerGroup: '../x' }, ResponseCode.INVALID_PARAMETER],
    ['its SQL is wrong', { expressionType: 'SQL92', subscription: 'a > ' }, 23],
    ['its SQL is missing', { expressionType: 'SQL92', subscription: '' }, 23],
    ['it filters by nothing that exists', { expressionType: 'SQL99', subscription: 'a = 1' }, 23],
    [
      'it leaves the subscription to a heart-beat that never came',
      { sysFlag: 0 },
      ResponseCode.SUBSCRIPTION_NOT_EXIST,
    ],
  ])('%s', async (_name, change, code) => {
    const { client } = await aTopic(1)
    const answer = await pull(client, change)
    expect(answer.code).toBe(code)
    expect(answer.remark).toBeTruthy()
    expect(answer.body).toBeNull()
  })

  test('its subscription is newer than the one of the heart-beat', async () => {
    const { client } = await aTopic(2)
    await client.heartBeat('c1', 'CG', ['T1'])
    expect((await pull(client, { sysFlag: 0, subVersion: 1 })).code).toBe(0)
    expect((await pull(client, { sysFlag: 0, subVersion: 2 })).code).toBe(
      ResponseCode.SUBSCRIPTION_NOT_LATEST,
    )
  })
})

/**
 * What clients may get wrong with the features of messages, one line each, all at one broker: Apache's code,
 * a remark that says why, and a bystander who sends and reads on as if nothing had been.
 */
import { deflateSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { received } from '../../src/client/received-message.ts'
import { decodeLockedQueues, encodeLockBatch } from '../../src/protocol/bodies/lock-batch.ts'
import { encodeBatch } from '../../src/protocol/batch-body.ts'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import type { Command } from '../../src/protocol/command.ts'
import { decodeOffsetId } from '../../src/protocol/message-id.ts'
import { type StoredMessage, decodeRecords } from '../../src/protocol/record.ts'
import { decodeRecallHandle, encodeRecallHandle } from '../../src/protocol/recall-handle.ts'
import { type TestBroker, type TestClient, aBroker, closeAll } from './a-broker.ts'

const { MESSAGE_ILLEGAL, SYSTEM_ERROR, INVALID_PARAMETER, ILLEGAL_OPERATION } = ResponseCode
const FILTER_WRONG = ResponseCode.SUBSCRIPTION_PARSE_FAILED

let broker: TestBroker
let client: TestClient
let bystander: TestClient
let sent = 0

beforeAll(async () => {
  broker = await aBroker({ lockLiveMs: 1_000, transactionCheckInterval: 3_600_000 })
  client = broker.connect()
  bystander = broker.connect()
  for (const topic of ['Mine', 'Others']) await client.send(topic, 'first')
  sent = 1
})
afterAll(closeAll)

const header = {
  ...{ a: 'PG', b: 'Mine', c: 'TBW102', d: 4, e: 0, f: 0, g: 1, h: 0, i: '', j: 0, k: false },
}

const send = (change: object, body: Buffer | string = 'x') =>
  client.ask(RequestCode.SEND_MESSAGE_V2, { ...header, m: false, ...change }, body)

const pullBy = (expression: string) =>
  client.pull('Mine', 'CG', 0, { expressionType: 'SQL92', subscription: expression })

const half = (group: string) =>
  client.send(
    'Mine',
    'half',
    0,
    `TRAN_MSG\u0001true\u0002PGROUP\u0001${group}\u0002UNIQ_KEY\u0001K${group}\u0002`,
  )

function end(half: Command, commitOrRollback: number, more: object = {}): Promise<Command> {
  return client.ask(RequestCode.END_TRANSACTION, {
    producerGroup: 'PG',
    tranStateTableOffset: half.ext['queueOffset'],
    commitLogOffset: decodeOffsetId(half.ext['msgId'] ?? '')?.physicalOffset,
    commitOrRollback,
    fromTransactionCheck: false,
    msgId: 'K',
    ...more,
  })
}

const recall = (recallHandle: string, topic = 'Mine') =>
  client.ask(RequestCode.RECALL_MESSAGE, { topic, recallHandle })

const batch = (properties: readonly string[], ofAll = '') =>
  client.ask(
    RequestCode.SEND_BATCH_MESSAGE,
    { ...header, i: ofAll, m: true },
    encodeBatch(
      properties.map((text) => ({
        flag: 0,
        body: Buffer.from('one'),
        properties: Buffer.from(text),
      })),
    ),
  )

const reset = (more: object) =>
  client.ask(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, {
    ...{ topic: 'Mine', group: 'CG', isForce: true, timestamp: -1, ...more },
  })

const sendBack = (offset: number) =>
  client.ask(RequestCode.CONSUMER_SEND_MSG_BACK, {
    ...{ group: 'CG', offset, delayLevel: 0, originTopic: 'Mine', unitMode: false },
  })

/** What stands at a place, once the broker has noted it in its queue. */
async function messageAt(topic: string, queueId: number, offset: number): Promise<StoredMessage> {
  let found: StoredMessage | undefined
  const look = async () => {
    const answer = await bystander.pull(topic, 'CG2', offset, { queueId })
    found = decodeRecords(answer.body ?? Buffer.alloc(0)).messages[0]
    return found
  }
  await expect.poll(look, { timeout: 10_000 }).toBeDefined()
  if (found === undefined) throw new Error('it is not there')
  return found
}

/** The bystander sends one and reads all of its own; nothing of the others came between. */
async function undisturbed(): Promise<void> {
  expect((await bystander.send('Others', `m${sent}`)).code).toBe(ResponseCode.SUCCESS)
  sent += 1
  const { body } = await messageAt('Others', 0, sent - 1)
  expect(body.toString()).toBe(`m${sent - 1}`)
}

interface Bad {
  readonly what: string
  readonly code: number
  readonly remark?: RegExp
  readonly ask: () => Promise<Command>
}

const deep = `${'('.repeat(500)}a = 1${')'.repeat(500)}`
const long = `a = '${'x'.repeat(33_000)}'`

const lines: readonly Bad[] = [
  {
    what: 'a filter of tags that names none',
    code: FILTER_WRONG,
    ask: () => client.pull('Mine', 'CG', 0, { subscription: '||' }),
  },
  { what: 'SQL that ends early', code: FILTER_WRONG, ask: () => pullBy('a > ') },
  { what: 'SQL with a stray sign', code: FILTER_WRONG, ask: () => pullBy('a > 1 #') },
  { what: 'SQL with an open quote', code: FILTER_WRONG, ask: () => pullBy("a = 'x") },
  { what: 'SQL nested beyond the limit', code: FILTER_WRONG, ask: () => pullBy(deep) },
  { what: 'SQL longer than the limit', code: FILTER_WRONG, ask: () => pullBy(long) },
  {
    what: 'the end of a transaction at a place where nothing is',
    code: SYSTEM_ERROR,
    ask: async () => end(await half('PG'), 8, { commitLogOffset: 7 }),
  },
  {
    what: 'the end of a transaction beyond the log',
    code: SYSTEM_ERROR,
    ask: async () => end(await half('PG'), 8, { commitLogOffset: 2 ** 40 }),
  },
  {
    what: 'the end of somebody else’s transaction',
    code: SYSTEM_ERROR,
    ask: async () => end(await half('Foreign'), 8),
  },
  {
    what: 'a commit after the rollback',
    code: SYSTEM_ERROR,
    ask: async () => {
      const open = await half('PG')
      await end(open, 12)
      return end(open, 8)
    },
  },
  {
    what: 'a second commit',
    code: SYSTEM_ERROR,
    ask: async () => {
      const open = await half('PG')
      await end(open, 8)
      return end(open, 8)
    },
  },
  {
    what: 'a delay beyond the maximum',
    code: MESSAGE_ILLEGAL,
    ask: () => send({ i: 'TIMER_DELAY_SEC\u0001259300\u0002' }),
  },
  {
    what: 'a delivery time in a hundred years',
    code: MESSAGE_ILLEGAL,
    ask: () => send({ i: 'TIMER_DELIVER_MS\u00014948000000000\u0002' }),
  },
  {
    what: 'a delay that is no number',
    code: MESSAGE_ILLEGAL,
    ask: () => send({ i: 'TIMER_DELAY_MS\u0001soon\u0002' }),
  },
  { what: 'a recall with no handle', code: ILLEGAL_OPERATION, ask: () => recall('nonsense') },
  {
    what: 'the recall of a message that was delivered',
    code: ILLEGAL_OPERATION,
    ask: async () => {
      const properties = 'UNIQ_KEY\u0001late\u0002TIMER_DELAY_SEC\u000130\u0002'
      const { ext } = await send({ i: properties })
      const known = decodeRecallHandle(ext['recallHandle'] ?? '')
      if (known === null) throw new Error('no handle')
      return recall(encodeRecallHandle({ ...known, timeMs: 1_000 }))
    },
  },
  { what: 'a send-back of nothing', code: SYSTEM_ERROR, ask: () => sendBack(7) },
  { what: 'a send-back from beyond the log', code: SYSTEM_ERROR, ask: () => sendBack(2 ** 40) },
  { what: 'a send-back before the log', code: INVALID_PARAMETER, ask: () => sendBack(-1) },
  {
    what: 'a reset beyond the end of a queue',
    code: SYSTEM_ERROR,
    ask: async () => {
      await client.heartBeat('c1', 'CG', ['Mine'])
      return reset({ queueId: 0, offset: 1_000_000 })
    },
  },
  {
    what: 'a batch with a delay on one of its messages',
    code: MESSAGE_ILLEGAL,
    ask: () => batch(['', 'DELAY\u00013\u0002']),
  },
  {
    what: 'a batch with a time on one of its messages',
    code: MESSAGE_ILLEGAL,
    ask: () => batch(['TIMER_DELAY_SEC\u00013\u0002', '']),
  },
  {
    what: 'a batch with a delay of all its messages',
    code: MESSAGE_ILLEGAL,
    ask: () => batch(['', ''], 'DELAY\u00013\u0002'),
  },
  {
    what: 'a batch with a time of all its messages',
    code: MESSAGE_ILLEGAL,
    ask: () => batch(['', ''], 'TIMER_DELAY_SEC\u00013\u0002'),
  },
  {
    what: 'a batch to a retry topic',
    code: MESSAGE_ILLEGAL,
    ask: () =>
      client.ask(
        RequestCode.SEND_BATCH_MESSAGE,
        { ...header, b: '%RETRY%CG', m: true },
        encodeBatch([{ flag: 0, body: Buffer.from('x'), properties: Buffer.alloc(0) }]),
      ),
  },
  {
    what: 'an inner batch that its sender made',
    code: MESSAGE_ILLEGAL,
    ask: () => send({ f: 0x80 }),
  },
  {
    what: 'a compacted topic, which is not built',
    code: INVALID_PARAMETER,
    ask: () =>
      client.ask(RequestCode.UPDATE_AND_CREATE_TOPIC, {
        ...{ topic: 'Batches', defaultTopic: 'TBW102', readQueueNums: 1, writeQueueNums: 1 },
        ...{ perm: 6, topicFilterType: 'SINGLE_TAG', topicSysFlag: 0, order: false },
        attributes: '+cleanup.policy=COMPACTION',
      }),
  },
]

describe('a broker refuses, and nobody else notices,', () => {
  test.each(lines)('$what', async ({ ask, code, remark = /\w/ }) => {
    const answer = await ask()
    expect({ code: answer.code, remark: answer.remark }).toEqual({
      code,
      remark: expect.stringMatching(remark),
    })
    expect(answer.remark).not.toMatch(/^\s*(at |undefined|\[object)/)
    await undisturbed()
  })
})

describe('a broker takes, and nobody else notices,', () => {
  test('a delivery time that has passed: it comes at once', async () => {
    expect((await client.send('Past', 'now', 0, 'TIMER_DELIVER_MS\u00011000\u0002')).code).toBe(0)
    expect((await messageAt('Past', 0, 0)).body.toString()).toBe('now')
    await undisturbed()
  })

  test('a reset to a time in the future: the group is at the end, and no further', async () => {
    await client.heartBeat('c1', 'CG', ['Mine'])
    const answer = await reset({ timestamp: 4_948_000_000_000 })
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    const progress = await client.ask(RequestCode.QUERY_CONSUMER_OFFSET, {
      ...{ consumerGroup: 'CG', topic: 'Mine', queueId: 0 },
    })
    const max = await client.ask(RequestCode.GET_MAX_OFFSET, { topic: 'Mine', queueId: 0 })
    expect(Number(progress.ext['offset'])).toBeLessThanOrEqual(Number(max.ext['offset']))
    await undisturbed()
  })

  test('a lock of a client that vanished: others get the queue when its time is over', async () => {
    const queues = [{ topic: 'Mine', brokerName: 'broker-a', queueId: 1 }]
    const lock = async (by: TestClient, clientId: string) => {
      const body = encodeLockBatch({ group: 'CG', clientId, queues })
      return decodeLockedQueues((await by.ask(RequestCode.LOCK_BATCH_MQ, {}, body)).body)
    }
    const vanishing = broker.connect()
    expect(await lock(vanishing, 'gone')).toEqual(queues)
    vanishing.close()
    await expect.poll(() => lock(client, 'next'), { timeout: 10_000 }).toEqual(queues)
    await undisturbed()
  })

  const ZLIB = 1 | (3 << 8)
  test.each<[string, Buffer]>([
    ['that are no compressed bytes', Buffer.from('surely not zlib')],
    ['that were cut off', deflateSync(Buffer.alloc(10_000, 'x')).subarray(0, 20)],
    ['that would be 64 MiB', deflateSync(Buffer.alloc(64 * 1024 * 1024))],
  ])(
    'a body said to be compressed, of bytes %s: kept as it is, and never unpacked',
    async (_, body) => {
      const { ext } = await send({ f: ZLIB, e: 2 }, body)
      const message = await messageAt('Mine', 2, Number(ext['queueOffset']))
      expect(message.body.equals(body)).toBe(true)
      // Neither does a consumer of ours: it says what it is, and goes on.
      expect(received('broker-a', message)).toMatchObject({ compression: 'zlib' })
      expect(received('broker-a', message).body.equals(body)).toBe(true)
      await undisturbed()
    },
  )
})

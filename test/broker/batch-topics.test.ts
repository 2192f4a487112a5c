import { cp, readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { innerMessages } from '../../src/client/inner-batch.ts'
import { encodeBatch } from '../../src/protocol/batch-body.ts'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import type { ExtValues } from '../../src/protocol/command.ts'
import { decodeRecords } from '../../src/protocol/record.ts'
import { AppendRequest, AppendStatus } from '../../src/store/append.ts'
import { aBroker, aFolder, closeAll, type TestBroker, type TestClient } from './a-broker.ts'

let broker: TestBroker
let client: TestClient
let topics = 0

beforeAll(async () => {
  broker = await aBroker()
  client = broker.connect()
})
afterAll(closeAll)

function create(topic: string, attributes = '+queue.type=BatchCQ', by = client) {
  return by.ask(RequestCode.UPDATE_AND_CREATE_TOPIC, {
    ...{ topic, defaultTopic: 'TBW102', readQueueNums: 1, writeQueueNums: 1, perm: 6 },
    ...{ topicFilterType: 'SINGLE_TAG', topicSysFlag: 0, order: false, attributes },
  })
}

/** A new topic of batch queues. */
async function batchTopic(): Promise<string> {
  const topic = `Batches${++topics}`
  expect((await create(topic)).code).toBe(ResponseCode.SUCCESS)
  return topic
}

function sendBatch(topic: string, bodies: readonly string[], given: ExtValues = {}, by = client) {
  const items = bodies.map((body) => ({
    flag: 7,
    body: Buffer.from(body),
    properties: Buffer.from(`UNIQ_KEY\u0001id-${body}\u0002TAGS\u0001of ${body}\u0002`),
  }))
  const header = { a: 'PG', b: topic, c: 'TBW102', d: 4, e: 0, f: 0, g: 1, h: 0, j: 0, k: false }
  return by.ask(
    RequestCode.SEND_BATCH_MESSAGE,
    { ...header, i: 'UNIQ_KEY\u0001whole\u0002WAIT\u0001true\u0002', m: true, ...given },
    encodeBatch(items),
  )
}

/** What the queue hands out from `offset` on: records, and the messages in them as `offset:body`. */
async function read(topic: string, offset: number, by = client, given: ExtValues = {}) {
  const answer = await by.pull(topic, 'G', offset, {
    suspendTimeoutMillis: 0,
    sysFlag: 4,
    ...given,
  })
  const { messages } = decodeRecords(answer.body ?? Buffer.alloc(0))
  return {
    code: answer.code,
    next: Number(answer.ext['nextBeginOffset']),
    records: messages.length,
    messages: messages
      .flatMap(innerMessages)
      .map((message) => `${message.queueOffset}:${message.body.toString()}`),
  }
}

describe('a topic of batch queues', () => {
  it('keeps what is sent together as one record, and says its id', async () => {
    const topic = await batchTopic()
    expect(await sendBatch(topic, ['a', 'b', 'c'])).toMatchObject({
      code: ResponseCode.SUCCESS,
      ext: { queueOffset: '0', batchUniqId: 'whole' },
    })
    expect((await client.send(topic, 'alone')).ext).toMatchObject({ queueOffset: '3' })
    expect((await sendBatch(topic, ['d', 'e'])).ext['queueOffset']).toBe('4')
    const all = ['0:a', '1:b', '2:c', '3:alone', '4:d', '5:e']
    const found = { code: ResponseCode.SUCCESS, next: 6 }
    expect(await read(topic, 0)).toEqual({ ...found, records: 3, messages: all })
    expect(await read(topic, 2)).toEqual({ ...found, records: 3, messages: all })
    expect(await read(topic, 3)).toEqual({ ...found, records: 2, messages: all.slice(3) })
    const max = await client.ask(RequestCode.GET_MAX_OFFSET, { topic, queueId: 0 })
    expect(max.ext['offset']).toBe('6')
  })

  it('gives each message of a record its own flag, properties and id', async () => {
    const topic = await batchTopic()
    await sendBatch(topic, ['a', 'b'])
    const answer = await client.pull(topic, 'G', 0)
    const [record] = decodeRecords(answer.body ?? Buffer.alloc(0)).messages
    expect(record?.sysFlag).toBe(0xc0)
    expect(record?.properties).toMatchObject({
      UNIQ_KEY: 'whole',
      INNER_NUM: '2',
      INNER_BASE: '0',
      CLUSTER: 'DefaultCluster',
    })
    const messages = record === undefined ? [] : innerMessages(record)
    expect(
      messages.map(({ flag, sysFlag, messageId, properties }) => ({
        flag,
        sysFlag,
        messageId,
        tag: properties['TAGS'],
      })),
    ).toEqual([
      { flag: 7, sysFlag: 0, messageId: 'id-a', tag: 'of a' },
      { flag: 7, sysFlag: 0, messageId: 'id-b', tag: 'of b' },
    ])
  })

  it('stores message by message what has no id as a whole, or is compressed one by one', async () => {
    const topic = await batchTopic()
    const apart = await sendBatch(topic, ['a', 'b'], { i: 'WAIT\u0001true\u0002' })
    expect(apart.ext).toMatchObject({ queueOffset: '0' })
    expect(apart.ext['msgId']).toContain(',')
    await sendBatch(topic, ['c', 'd'], { f: 0x301 })
    expect(await read(topic, 1)).toMatchObject({ records: 3, messages: ['1:b', '2:c', '3:d'] })
  })

  it('says of an unused queue that it has no first offset, and gives as many as are asked for', async () => {
    const topic = await batchTopic()
    const first = () => client.ask(RequestCode.GET_MIN_OFFSET, { topic, queueId: 0 })
    expect((await first()).ext['offset']).toBe('-1')
    for (let i = 0; i < 5; i++) {
      await sendBatch(topic, ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'])
    }
    expect((await first()).ext['offset']).toBe('0')
    expect(await read(topic, 5, client, { maxMsgNums: 50 })).toMatchObject({ records: 5, next: 50 })
  })

  it('wakes a pull that waits for it', async () => {
    const topic = await batchTopic()
    const waiting = client.pull(topic, 'G', 0, { sysFlag: 6, suspendTimeoutMillis: 10_000 })
    await sendBatch(topic, ['a', 'b'], {}, broker.connect())
    expect((await waiting).ext['nextBeginOffset']).toBe('2')
  })

  it('chooses by the tag of the record, which official clients do not give it', async () => {
    const topic = await batchTopic()
    await sendBatch(topic, ['a', 'b'])
    await sendBatch(topic, ['c'], { i: 'UNIQ_KEY\u0001x\u0002TAGS\u0001red\u0002' })
    expect(await read(topic, 0, client, { subscription: 'red' })).toMatchObject({
      messages: ['2:c'],
      next: 3,
    })
  })

  it('answers what is asked about a queue by the units that it has', async () => {
    const topic = await batchTopic()
    await sendBatch(topic, ['a', 'b', 'c'])
    await client.send(topic, 'alone')
    const answer = await client.ask(RequestCode.QUERY_CONSUME_QUEUE, {
      ...{ topic, queueId: 0, index: 0, count: 10 },
    })
    const view = JSON.parse(answer.body?.toString() ?? '{}') as Record<string, unknown>
    expect(view).toMatchObject({ minQueueIndex: 0, maxQueueIndex: 4 })
    expect(view['queueData']).toHaveLength(2)
  })

  it('keeps its kind', async () => {
    const topic = await batchTopic()
    for (const change of ['-queue.type', '+queue.type=SimpleCQ']) {
      expect(await create(topic, change)).toMatchObject({
        code: ResponseCode.INVALID_PARAMETER,
        remark: 'attempt to update an unchangeable attribute: queue.type',
      })
    }
    expect((await create(topic, '')).code).toBe(ResponseCode.SUCCESS)
    expect((await sendBatch(topic, ['a', 'b'])).ext['batchUniqId']).toBe('whole')
    const plain = `Plain${++topics}`
    await create(plain, '')
    expect((await create(plain)).code).toBe(ResponseCode.INVALID_PARAMETER)
  })

  it('begins anew when messages for its name came while there was no topic', async () => {
    const topic = `Late${++topics}`
    const { store } = broker.broker.context
    const late = new AppendRequest()
    late.queue = store.queue(topic, 0)
    expect(store.append(late)).toBe(AppendStatus.ok)
    expect((await create(topic)).code).toBe(ResponseCode.SUCCESS)
    expect((await sendBatch(topic, ['a', 'b'])).ext).toMatchObject({
      ...{ queueOffset: '0', batchUniqId: 'whole' },
    })
    expect(await read(topic, 0)).toMatchObject({ messages: ['0:a', '1:b'] })
  })

  it('is not served by POP, whose clients would take a batch for one message', async () => {
    const topic = await batchTopic()
    const wish = { queueId: 0, maxMsgNums: 1, invisibleTime: 60_000, pollTime: 0, initMode: 0 }
    const answer = await client.ask(RequestCode.POP_MESSAGE, { topic, consumerGroup: 'G', ...wish })
    expect(answer).toMatchObject({ code: ResponseCode.NO_PERMISSION })
  })

  it('takes back messages that came by themselves, and none of a batch', async () => {
    const topic = await batchTopic()
    await sendBatch(topic, ['a', 'b'])
    await client.send(topic, 'alone')
    const answer = await client.pull(topic, 'G', 0)
    const [batch, alone] = decodeRecords(answer.body ?? Buffer.alloc(0)).messages
    const back = (offset: number | undefined) =>
      client.ask(RequestCode.CONSUMER_SEND_MSG_BACK, {
        ...{ group: 'G', offset: offset ?? -1, delayLevel: -1, originTopic: topic },
      })
    expect((await back(batch?.physicalOffset)).code).toBe(ResponseCode.SYSTEM_ERROR)
    expect((await back(alone?.physicalOffset)).code).toBe(ResponseCode.SUCCESS)
    const dead = await client.ask(RequestCode.GET_MAX_OFFSET, { topic: '%DLQ%G', queueId: 0 })
    expect(dead.ext['offset']).toBe('1')
  })

  it('is the same after kill -9', async () => {
    const topic = await batchTopic()
    await sendBatch(topic, ['a', 'b', 'c'])
    await client.send(topic, 'alone')
    await broker.broker.context.store.checkpointNow()
    await sendBatch(topic, ['d', 'e'])
    const dir = await aFolder()
    await cp(broker.dir, dir, { recursive: true })
    const again = await aBroker({ store: { dir } })
    const reader = again.connect()
    const messages = ['0:a', '1:b', '2:c', '3:alone', '4:d', '5:e']
    expect(await read(topic, 0, reader)).toMatchObject({ messages })
    expect((await sendBatch(topic, ['f'], {}, reader)).ext['queueOffset']).toBe('6')
    await again.broker.close()
    expect(await readdir(path.join(dir, 'consumequeue'))).not.toContain(topic)
    const table = JSON.parse(await readFile(path.join(dir, 'config', 'topics.json'), 'utf8')) as {
      topicConfigTable: Record<string, { attributes: Record<string, string> }>
    }
    expect(table.topicConfigTable[topic]?.attributes).toEqual({ 'queue.type': 'BatchCQ' })
  })
})

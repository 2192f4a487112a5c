import { afterEach, describe, expect, test } from 'vitest'
import { encodeBatch } from '../../src/protocol/batch-body.ts'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import { SerializeType, request } from '../../src/protocol/command.ts'
import { decodeOffsetId } from '../../src/protocol/message-id.ts'
import { decodeRecord, decodeRecords, type StoredMessage } from '../../src/protocol/record.ts'
import { RemotingClient } from '../../src/remoting/client.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { type TestBroker, aBroker, closeAll } from './a-broker.ts'

afterEach(closeAll)

const header = {
  a: 'PG',
  b: 'T1',
  c: 'TBW102',
  d: 4,
  e: 0,
  f: 0,
  g: 1_700_000_000_000,
  h: 7,
  i: 'KEYS\u0001k1\u0002TAGS\u0001TagA\u0002',
  j: 0,
  k: false,
  m: false,
}

/** What the log holds at the physical offset of a send answer's id. */
async function stored({ broker }: TestBroker, msgId: string | undefined): Promise<StoredMessage> {
  const id = decodeOffsetId(msgId ?? '')
  if (id === null) throw new Error(`no offset id: ${msgId ?? ''}`)
  const record = await broker.context.store.recordAt(id.physicalOffset)
  const message = record && decodeRecord(record, 0, record.length)
  if (!message) throw new Error(`no record at ${id.physicalOffset}`)
  return message
}

describe('a send', () => {
  test('is stored as it was sent, with what the broker adds, and answered with its place', async () => {
    const broker = await aBroker()
    const answer = await broker.connect().ask(RequestCode.SEND_MESSAGE_V2, header, 'hello')
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    expect(answer.ext).toMatchObject({
      queueId: '0',
      queueOffset: '0',
      MSG_REGION: 'DefaultRegion',
      TRACE_ON: 'true',
    })
    const message = await stored(broker, answer.ext['msgId'])
    expect(message).toMatchObject({
      topic: 'T1',
      queueId: 0,
      queueOffset: 0,
      flag: 7,
      bornTimestamp: 1_700_000_000_000,
      storeHost: broker.broker.address,
    })
    expect(message.body.toString()).toBe('hello')
    expect(message.bornHost).toMatch(/^127\.0\.0\.1:\d+$/)
    expect({ ...message.properties }).toMatchObject({
      KEYS: 'k1',
      TAGS: 'TagA',
      MSG_REGION: 'DefaultRegion',
      TRACE_ON: 'true',
      CLUSTER: 'DefaultCluster',
    })
  })

  test('in V1 names and with a binary header is stored and answered the same', async () => {
    const broker = await aBroker()
    const client = new RemotingClient(nodeWorld)
    const command = request(
      RequestCode.SEND_MESSAGE,
      {
        producerGroup: 'PG',
        topic: 'T1',
        defaultTopic: 'TBW102',
        defaultTopicQueueNums: 4,
        queueId: 1,
        sysFlag: 0,
        bornTimestamp: 5,
        flag: 0,
        properties: '',
      },
      Buffer.from('old'),
    )
    command.serializeType = SerializeType.rocketmq
    const answer = await client.invoke(`127.0.0.1:${broker.broker.port}`, command, 5_000)
    client.close()
    expect(answer).toMatchObject({ code: 0, serializeType: SerializeType.rocketmq })
    expect((await stored(broker, answer.ext['msgId'])).body.toString()).toBe('old')
  })

  test('without UNIQ_KEY gets one, so that it can be found by it', async () => {
    const broker = await aBroker()
    const answer = await broker.connect().send('T1', 'x')
    const message = await stored(broker, answer.ext['msgId'])
    expect(message.properties['UNIQ_KEY']).toMatch(/^[0-9A-F]{32}$/)
  })

  test('with a POP_CK of its own loses it, and properties of the broker win', async () => {
    const broker = await aBroker()
    const properties = 'POP_CK\u0001mine\u0002CLUSTER\u0001other\u0002a\u0001b\u0002'
    const answer = await broker.connect().send('T1', 'x', 0, properties)
    const message = await stored(broker, answer.ext['msgId'])
    expect(message.properties['POP_CK']).toBeUndefined()
    expect(message.properties).toMatchObject({ a: 'b', CLUSTER: 'DefaultCluster' })
  })

  test('with a negative queue goes to some write queue', async () => {
    const broker = await aBroker()
    const answer = await broker.connect().send('T1', 'x', -1)
    expect(answer.code).toBe(0)
    expect(Number(answer.ext['queueId'])).toBeGreaterThanOrEqual(0)
    expect(Number(answer.ext['queueId'])).toBeLessThan(4)
  })

  test('that is one-way is stored and never answered', async () => {
    const broker = await aBroker()
    const client = broker.connect()
    await client.oneway(RequestCode.SEND_MESSAGE_V2, header)
    const answer = await client.ask(RequestCode.SEND_MESSAGE_V2, header, 'second')
    expect(answer.ext['queueOffset']).toBe('1')
  })

  test('many at once from many connections get dense offsets, each its own', async () => {
    const broker = await aBroker()
    const clients = Array.from({ length: 8 }, () => broker.connect())
    const answers = await Promise.all(
      Array.from({ length: 2_000 }, (_, i) =>
        (clients[i % 8] ?? broker.connect()).send('T1', `body ${i}`, i % 4),
      ),
    )
    for (let queueId = 0; queueId < 4; queueId++) {
      const offsets = answers
        .filter((answer) => answer.ext['queueId'] === String(queueId))
        .map((answer) => Number(answer.ext['queueOffset']))
      expect(offsets.sort((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, i) => i))
    }
  })

  test('survives a stop and a start of the broker', async () => {
    const first = await aBroker()
    await first.connect().send('T1', 'kept')
    await first.broker.close()
    const second = await aBroker({ store: { dir: first.dir } })
    const answer = await second.connect().send('T1', 'next')
    expect(answer.ext['queueOffset']).toBe('1')
    expect(second.broker.context.topics.get('T1')?.writeQueueNums).toBe(4)
  })
})

describe('a batch', () => {
  const item = (text: string, properties = '') => ({
    flag: 0,
    body: Buffer.from(text),
    properties: Buffer.from(properties),
  })

  test('becomes single messages with consecutive offsets, answered with all their ids', async () => {
    const broker = await aBroker()
    const client = broker.connect()
    await client.send('T1', 'before')
    const answer = await client.ask(
      RequestCode.SEND_BATCH_MESSAGE,
      { ...header, m: true },
      encodeBatch([item('one'), item('two', 'TAGS\u0001B\u0002'), item('three')]),
    )
    expect(answer.code).toBe(0)
    expect(answer.ext['queueOffset']).toBe('1')
    const ids = answer.ext['msgId']?.split(',') ?? []
    const messages = await Promise.all(ids.map((id) => stored(broker, id)))
    expect(messages.map((message) => message.body.toString())).toEqual(['one', 'two', 'three'])
    expect(messages.map((message) => message.queueOffset)).toEqual([1, 2, 3])
    expect(messages[1]?.properties['TAGS']).toBe('B')
    expect(messages[1]?.properties['CLUSTER']).toBe('DefaultCluster')
  })

  test('loses a POP_CK that one of its messages says of itself, and nothing else', async () => {
    const broker = await aBroker()
    const own = 'a\u0001b\u0002POP_CK\u0001mine\u0002c\u0001d'
    const answer = await broker
      .connect()
      .ask(
        RequestCode.SEND_BATCH_MESSAGE,
        { ...header, m: true },
        encodeBatch([item('one', 'TAGS\u0001A\u0002'), item('two', own)]),
      )
    const ids = answer.ext['msgId']?.split(',') ?? []
    const messages = await Promise.all(ids.map((id) => stored(broker, id)))
    expect(messages.map((message) => message.body.toString())).toEqual(['one', 'two'])
    expect(messages[0]?.properties).toMatchObject({ TAGS: 'A' })
    expect(messages[1]?.properties).toMatchObject({ a: 'b', c: 'd', CLUSTER: 'DefaultCluster' })
    expect(messages[1]?.properties['POP_CK']).toBeUndefined()
  })

  test('is told by its header, not by its code', async () => {
    const broker = await aBroker()
    const answer = await broker
      .connect()
      .ask(RequestCode.SEND_MESSAGE_V2, { ...header, m: true }, encodeBatch([item('one')]))
    expect((await stored(broker, answer.ext['msgId'])).body.toString()).toBe('one')
  })

  test.each([
    ['bytes that are no batch', Buffer.from('no batch at all, surely'), /not a batch/],
    ['an empty body', null, /not a batch/],
    [
      'a delay on one of its messages',
      encodeBatch([item('one'), item('two', 'DELAY\u00013\u0002')]),
      /delay/,
    ],
  ])('with %s is refused whole', async (_name, body, remark) => {
    const broker = await aBroker()
    const client = broker.connect()
    const answer = await client.ask(RequestCode.SEND_BATCH_MESSAGE, { ...header, m: true }, body)
    expect(answer.code).toBe(ResponseCode.MESSAGE_ILLEGAL)
    expect(answer.remark).toMatch(remark)
    expect((await client.send('T1', 'first')).ext['queueOffset']).toBe('0')
  })
})

describe('a send is refused, and nothing is stored, when', () => {
  test.each([
    ['its flag says prepared', { f: 4 }, ResponseCode.NO_PERMISSION],
    ['its delay level is no number', { i: 'DELAY\u0001x\u0002' }, ResponseCode.MESSAGE_ILLEGAL],
    [
      'it asks for a delivery time that lies too far ahead',
      { i: 'TIMER_DELIVER_MS\u00019900000000000\u0002' },
      ResponseCode.MESSAGE_ILLEGAL,
    ],
    [
      'its delay in ms is no number',
      { i: 'TIMER_DELAY_MS\u0001x\u0002' },
      ResponseCode.MESSAGE_ILLEGAL,
    ],
    ['its topic is that of the timer', { b: 'rmq_sys_wheel_timer' }, ResponseCode.NO_PERMISSION],
    ['its topic has a slash', { b: '../T1' }, ResponseCode.INVALID_PARAMETER],
    ['its topic has dots', { b: '..' }, ResponseCode.INVALID_PARAMETER],
    ['its topic is too long', { b: 'T'.repeat(128) }, ResponseCode.INVALID_PARAMETER],
    ['its topic belongs to the system', { b: 'SCHEDULE_TOPIC_XXXX' }, ResponseCode.NO_PERMISSION],
    ['its topic has no template', { b: 'T2', c: 'NoSuchTopic' }, ResponseCode.TOPIC_NOT_EXIST],
    ['its queue does not exist', { e: 4 }, ResponseCode.INVALID_PARAMETER],
    ['its topic is missing', { b: undefined }, ResponseCode.INVALID_PARAMETER],
    ['its queue is no number', { e: 'x' }, ResponseCode.INVALID_PARAMETER],
    ['its properties are too long', { i: `a\u0001${'x'.repeat(33_000)}\u0002` }, 13],
  ])('%s', async (_name, change, code) => {
    const broker = await aBroker()
    const client = broker.connect()
    await client.send('T1', 'first')
    const answer = await client.ask(RequestCode.SEND_MESSAGE_V2, { ...header, ...change }, 'x')
    expect(answer.code).toBe(code)
    expect(answer.remark).toBeTruthy()
    expect((await client.send('T1', 'second')).ext['queueOffset']).toBe('1')
  })

  test('its body is larger than the limit', async () => {
    const broker = await aBroker({ store: { messageBytesMax: 2_048 } })
    const client = broker.connect()
    const answer = await client.send('T1', 'x'.repeat(2_049))
    expect(answer.code).toBe(ResponseCode.MESSAGE_ILLEGAL)
    expect(answer.remark).toMatch(/2049 bytes/)
    expect((await client.send('T1', 'x'.repeat(2_048))).code).toBe(0)
  })

  test('its topic would have to be made and that is switched off', async () => {
    const broker = await aBroker({ autoCreateTopic: false })
    expect((await broker.connect().send('T1', 'x')).code).toBe(ResponseCode.TOPIC_NOT_EXIST)
  })

  test('the broker is stopping', async () => {
    const broker = await aBroker()
    const client = broker.connect()
    await client.send('T1', 'x')
    await broker.broker.close()
    await expect(client.send('T1', 'y')).rejects.toThrow()
  })
})

test('a pulled body is the bytes of the log', async () => {
  const broker = await aBroker()
  const client = broker.connect()
  for (let i = 0; i < 5; i++) await client.send('T1', `body ${i}`)
  const answer = await client.ask(RequestCode.PULL_MESSAGE, {
    consumerGroup: 'CG',
    topic: 'T1',
    queueId: 0,
    queueOffset: 1,
    maxMsgNums: 3,
    sysFlag: 4,
    commitOffset: 0,
    suspendTimeoutMillis: 0,
    subscription: '*',
    subVersion: 0,
  })
  const { messages, fault } = decodeRecords(answer.body ?? Buffer.alloc(0))
  expect(fault).toBeNull()
  expect(messages.map((message) => message.body.toString())).toEqual(['body 1', 'body 2', 'body 3'])
})

import { afterEach, describe, expect, test } from 'vitest'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import { delayLevelsMs } from '../../../src/protocol/delay-levels.ts'
import { decodeOffsetId } from '../../../src/protocol/message-id.ts'
import { type StoredMessage, decodeRecord } from '../../../src/protocol/record.ts'
import { subscriptionGroupConfig } from '../../../src/protocol/bodies/subscription-group-config.ts'
import type { ExtValues } from '../../../src/protocol/command.ts'
import { nodeWorld } from '../../../src/world/node-world.ts'
import { JumpClock } from '../../world/jump-clock.ts'
import { aBroker, closeAll } from '../a-broker.ts'

afterEach(closeAll)

async function aRetryBroker() {
  const clock = new JumpClock()
  const { broker, connect } = await aBroker({}, null, { ...nodeWorld, clock })
  const client = connect()
  const { store, groups } = broker.context

  /** The message in the queue, once it is there. */
  const messageAt = async (topic: string, offset: number): Promise<StoredMessage> => {
    const queue = store.queue(topic, 0)
    for (let i = 0; i < 500 && queue.maxOffset <= offset; i++) {
      await new Promise<void>((resolve) => nodeWorld.clock.after(4, resolve))
    }
    const unit = await store.unitAt(queue, offset)
    const record = await store.recordAt(unit?.physicalOffset ?? -1)
    const message = record && decodeRecord(record, 0, record.length)
    if (!message) throw new Error(`nothing in ${topic} at ${offset}`)
    return message
  }
  // By a connection of its own: one that was silent while the clock jumped is closed.
  const sendBack = (physicalOffset: number, given: ExtValues = {}) =>
    connect().ask(RequestCode.CONSUMER_SEND_MSG_BACK, {
      group: 'G',
      offset: physicalOffset,
      delayLevel: 0,
      originTopic: 'T1',
      unitMode: false,
      maxReconsumeTimes: 16,
      ...given,
    })
  const sent = async (body: string, properties = ''): Promise<number> => {
    const answer = await client.send('T1', body, 0, properties)
    return decodeOffsetId(answer.ext['msgId'] ?? '')?.physicalOffset ?? -1
  }
  const change = (given: Parameters<typeof subscriptionGroupConfig>[1]) =>
    groups.updateAll([subscriptionGroupConfig('G', given)])
  return { clock, broker, client, store, messageAt, sendBack, sent, change }
}

describe('a message that is given back', () => {
  test('comes again through the retry topic after 10 s, with all that it was', async () => {
    const { clock, store, messageAt, sendBack, sent } = await aRetryBroker()
    const offset = await sent('fails', 'TAGS\u0001red\u0002KEYS\u0001k\u0002WAIT\u0001true\u0002')
    expect(await sendBack(offset)).toMatchObject({ code: ResponseCode.SUCCESS })
    clock.jump(9_500)
    expect(store.queue('%RETRY%G', 0).maxOffset).toBe(0)
    clock.jump(600)
    const message = await messageAt('%RETRY%G', 0)
    const first = await messageAt('T1', 0)
    expect(message).toMatchObject({
      topic: '%RETRY%G',
      reconsumeTimes: 1,
      messageId: first.messageId,
      bornTimestamp: first.bornTimestamp,
      bornHost: first.bornHost,
    })
    expect(message.body.toString()).toBe('fails')
    expect(message.properties).toEqual({
      ...first.properties,
      RETRY_TOPIC: 'T1',
      ORIGIN_MESSAGE_ID: first.offsetMessageId,
      WAIT: 'false',
      DELAY: '3',
      REAL_TOPIC: '%RETRY%G',
      REAL_QID: '0',
    })
  })

  test('waits longer each time, and is a dead letter after the last try', async () => {
    const { clock, messageAt, sendBack, sent } = await aRetryBroker()
    const first = await sent('poison')
    let offset = first
    const waitedMs: number[] = []
    for (let attempt = 0; attempt < 16; attempt++) {
      const backMs = clock.wallMs()
      expect((await sendBack(offset)).code).toBe(ResponseCode.SUCCESS)
      clock.jump((delayLevelsMs[attempt + 2] ?? 0) + 100)
      const message = await messageAt('%RETRY%G', attempt)
      expect(message.reconsumeTimes).toBe(attempt + 1)
      waitedMs.push(Math.floor((message.storeTimestamp - backMs) / 1_000) * 1_000)
      offset = message.physicalOffset
    }
    expect(waitedMs).toEqual(delayLevelsMs.slice(2))
    expect((await sendBack(offset)).code).toBe(ResponseCode.SUCCESS)
    const dead = await messageAt('%DLQ%G', 0)
    expect(dead.reconsumeTimes).toBe(17)
    expect(dead.body.toString()).toBe('poison')
    expect(dead.properties).toMatchObject({ RETRY_TOPIC: 'T1', DELAY: '0' })
    expect(decodeOffsetId(dead.properties['ORIGIN_MESSAGE_ID'] ?? '')?.physicalOffset).toBe(first)
  })

  test.each([
    ['at once, when the client says so', { delayLevel: -1 }, {}],
    ['when the client allows no try', { maxReconsumeTimes: 0 }, {}],
    ['when the group allows no try', { maxReconsumeTimes: undefined }, { retryMaxTimes: 0 }],
  ])('is a dead letter %s', async (_name, given, config) => {
    const { messageAt, sendBack, sent, change, broker } = await aRetryBroker()
    await change(config)
    expect((await sendBack(await sent('x'), given)).code).toBe(ResponseCode.SUCCESS)
    expect((await messageAt('%DLQ%G', 0)).body.toString()).toBe('x')
    expect(broker.context.topics.get('%DLQ%G')).toMatchObject({ perm: 6, writeQueueNums: 1 })
  })

  test('waits as long as the client wishes, when it does', async () => {
    const { clock, messageAt, sendBack, sent } = await aRetryBroker()
    await sendBack(await sent('x'), { delayLevel: 1 })
    clock.jump(1_100)
    expect((await messageAt('%RETRY%G', 0)).properties['DELAY']).toBe('1')
  })

  test('is dropped when its group wants no retries', async () => {
    const { store, sendBack, sent, change } = await aRetryBroker()
    await change({ retryQueueNums: 0 })
    const offset = await sent('x')
    const { appended } = store.watermarks
    expect((await sendBack(offset)).code).toBe(ResponseCode.SUCCESS)
    expect(store.watermarks.appended).toBe(appended)
  })

  test.each([
    ['a place where no message is', 7, {}, ResponseCode.SYSTEM_ERROR],
    ['a place behind the log', 2 ** 40, {}, ResponseCode.SYSTEM_ERROR],
    ['an illegal group', 0, { group: '../x' }, ResponseCode.INVALID_PARAMETER],
    ['no group', 0, { group: undefined }, ResponseCode.INVALID_PARAMETER],
    ['a level that is no number', 0, { delayLevel: 'x' }, ResponseCode.INVALID_PARAMETER],
    ['a negative place', -1, {}, ResponseCode.INVALID_PARAMETER],
  ])('is refused with %s, and nothing is stored', async (_name, offset, given, code) => {
    const { store, sendBack, sent } = await aRetryBroker()
    await sent('x')
    const { appended } = store.watermarks
    const answer = await sendBack(offset, given)
    expect(answer.code).toBe(code)
    expect(answer.remark).not.toBe('')
    expect(store.watermarks.appended).toBe(appended)
  })

  test('is refused where groups are not made by themselves and the group is unknown', async () => {
    const { broker, connect } = await aBroker({ autoCreateGroup: false })
    const client = connect()
    await client.send('T1', 'x')
    const answer = await client.ask(RequestCode.CONSUMER_SEND_MSG_BACK, {
      group: 'Nobody',
      offset: 0,
      delayLevel: 0,
    })
    expect(answer.code).toBe(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST)
    expect(broker.context.topics.get('%RETRY%Nobody')).toBeNull()
  })
})

describe('a send to a retry topic', () => {
  const header = (given: ExtValues) => ({
    a: 'CLIENT_INNER_PRODUCER',
    b: '%RETRY%G',
    c: 'TBW102',
    d: 4,
    e: 0,
    f: 0,
    g: 1,
    h: 0,
    i: 'RETRY_TOPIC\u0001T1\u0002DELAY\u00013\u0002',
    j: 1,
    k: false,
    l: 16,
    m: false,
    ...given,
  })

  test('comes after its delay, and keeps how often it came', async () => {
    const { client, clock, messageAt, broker } = await aRetryBroker()
    const answer = await client.ask(RequestCode.SEND_MESSAGE_V2, header({}), 'again')
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    expect(broker.context.topics.get('%RETRY%G')?.writeQueueNums).toBe(1)
    clock.jump(10_100)
    expect(await messageAt('%RETRY%G', 0)).toMatchObject({ reconsumeTimes: 1 })
  })

  test('is a dead letter at once when it came more often than it may', async () => {
    const { client, messageAt } = await aRetryBroker()
    const answer = await client.ask(RequestCode.SEND_MESSAGE_V2, header({ j: 17 }), 'dead')
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    const dead = await messageAt('%DLQ%G', 0)
    expect(dead.body.toString()).toBe('dead')
    expect(dead.properties['DELAY']).toBeUndefined()
  })
})

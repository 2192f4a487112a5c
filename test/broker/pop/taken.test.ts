import { cp } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { encodeBatchAck } from '../../../src/protocol/bodies/batch-ack.ts'
import { topicConfig } from '../../../src/protocol/bodies/topic-config.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import { parsePopHandle } from '../../../src/protocol/pop-handle.ts'
import { ORDER_REVIVE_QUEUE } from '../../../src/protocol/pop-names.ts'
import { aFolder } from '../a-broker.ts'
import {
  ack,
  aPopper,
  bodies,
  pop,
  popUntil,
  quickly,
  send,
  topicsForThisFile,
} from './a-popper.ts'

const aTopic = topicsForThisFile()

describe('what was taken by POP', () => {
  it('comes again when nobody acknowledges it, not before its time, with one try more', async () => {
    const popper = await aTopic()
    await send(popper, bodies(3))
    const [first] = await pop(popper, { maxMsgNums: 1, invisibleTime: 30_000 })
    const others = await pop(popper, { invisibleTime: 3_600_000 })
    expect(others).toHaveLength(2)
    await quickly(popper, 40)
    expect(await pop(popper)).toEqual([])
    const [again] = await popUntil(popper, 1)
    expect(again?.body).toBe(first?.body)
    expect(again?.message).toMatchObject({
      topic: popper.topic,
      reconsumeTimes: 1,
      messageId: first?.message.messageId,
    })
    expect(again?.realTopic).toBe(`%RETRY%${popper.group}_${popper.topic}`)
    const popMs = parsePopHandle(first?.handle ?? '')?.popMs
    expect(again?.message.properties).toMatchObject({
      '1ST_POP_TIME': String(popMs),
      ORIGIN_GROUP: popper.group,
    })
  })

  it('does not come again once it is acknowledged, one by one or in a batch', async () => {
    const popper = await aTopic()
    await send(popper, bodies(6), 1)
    const all = await pop(popper, { invisibleTime: 10_000 })
    const [one, ...rest] = all
    if (one === undefined) throw new Error('nothing was taken')
    expect((await ack(popper, one)).code).toBe(ResponseCode.SUCCESS)
    const handle = parsePopHandle(one.handle)
    if (handle === null) throw new Error('no handle')
    const acks = [
      {
        ...handle,
        group: popper.group,
        topic: popper.topic,
        offsets: rest.slice(0, 3).map(({ offset }) => offset),
      },
    ]
    const body = encodeBatchAck({ brokerName: 'broker-a', acks })
    const answer = await popper.client.ask(RequestCode.BATCH_ACK_MESSAGE, {}, body)
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    const again = await popUntil(popper, 2, { invisibleTime: 3_600_000 })
    expect(again.map((message) => message.body).sort()).toEqual(['m4', 'm5'])
    await quickly(popper, 30)
    expect(await pop(popper)).toEqual([])
  })

  it('comes again from its retry topic too, until the last try, then it is a dead letter', async () => {
    const popper = await aTopic()
    const { groups, store } = popper.broker.context
    await groups.updateAll([{ ...groups.findOrCreate(popper.group), retryMaxTimes: 2 }])
    await send(popper, ['poison'])
    const times: number[] = []
    const given = { invisibleTime: 1_000 }
    for (let round = 0; round < 3; round++) {
      const [message] = await popUntil(popper, 1, given)
      times.push(message?.message.reconsumeTimes ?? -1)
    }
    expect(times).toEqual([0, 1, 2])
    const dead = store.queue(`%DLQ%${popper.group}`, 0)
    for (let i = 0; i < 200 && dead.maxOffset === 0; i++) await quickly(popper, 1)
    expect(dead.maxOffset).toBe(1)
    expect(await pop(popper)).toEqual([])
    const pulled = await popper.client.pull(`%DLQ%${popper.group}`, 'READER', 0)
    expect(pulled.body?.toString()).toContain(`RETRY_TOPIC\u0001${popper.topic}\u0002`)
  })

  it('stays out of sight for as long as a member asks anew, and comes then', async () => {
    const popper = await aTopic()
    await send(popper, bodies(1))
    const [message] = await pop(popper, { invisibleTime: 5_000 })
    if (message === undefined) throw new Error('nothing was taken')
    const answer = await popper.client.ask(RequestCode.CHANGE_MESSAGE_INVISIBLETIME, {
      consumerGroup: popper.group,
      topic: popper.topic,
      queueId: message.message.queueId,
      offset: message.offset,
      extraInfo: message.handle,
      invisibleTime: 40_000,
    })
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    expect(answer.ext['invisibleTime']).toBe('40000')
    await quickly(popper, 60)
    expect(await pop(popper)).toEqual([])
    const again = await popUntil(popper, 1)
    expect(again[0]?.message.reconsumeTimes).toBe(1)
  })

  it('comes under the newer name of the retry topic when that is enabled', async () => {
    const popper = await aTopic(await aPopper({ enableRetryTopicV2: true }))
    await send(popper, bodies(2), 1)
    await pop(popper, { invisibleTime: 1_000 })
    const again = await popUntil(popper, 2, { invisibleTime: 1_000 })
    const name = `%RETRY%${popper.group}+${popper.topic}`
    expect(again.map(({ realTopic }) => realTopic)).toEqual([name, name])
    const [first] = again
    if (first === undefined) throw new Error('nothing came again')
    expect((await ack(popper, first)).code).toBe(ResponseCode.SUCCESS)
  })

  it('stays in its queue when the broker is set so, also in a retry topic that was narrow', async () => {
    const popper = await aTopic(await aPopper({ useSeparateRetryQueue: true }))
    const name = `%RETRY%${popper.group}_${popper.topic}`
    popper.broker.context.topics.ensure(name, 1, 6)
    await send(popper, bodies(4))
    await pop(popper, { invisibleTime: 1_000 })
    const again = await popUntil(popper, 4, { invisibleTime: 1_000 })
    const places = again.map(({ body, message }) => [body, message.queueId])
    expect(places.sort()).toEqual([
      ['m0', 0],
      ['m1', 1],
      ['m2', 2],
      ['m3', 3],
    ])
    expect(popper.broker.context.topics.get(name)?.readQueueNums).toBe(4)
    const [last] = (await popUntil(popper, 4)).filter(({ body }) => body === 'm3')
    expect(last?.message).toMatchObject({ queueId: 3, reconsumeTimes: 2 })
    if (last === undefined) throw new Error('it did not come again')
    expect((await ack(popper, last)).code).toBe(ResponseCode.SUCCESS)
  })

  it('survives a restart: what was acknowledged stays so, the rest comes', async () => {
    const popper = await aTopic(await aPopper())
    await send(popper, bodies(4), 1)
    const all = await pop(popper, { invisibleTime: 20_000 })
    for (const message of all.slice(0, 3)) await ack(popper, message)
    await popper.broker.close()
    const { topic, group } = popper
    const next = { ...(await aPopper({}, popper.dir, popper.clock)), topic, group }
    const [again] = await popUntil(next, 1, { invisibleTime: 3_600_000 })
    expect(again?.body).toBe('m3')
    await quickly(next, 30)
    expect(await pop(next)).toEqual([])
  })

  it('stays out of sight, and acknowledged, when the broker dies before it wrote down progress', async () => {
    const popper = await aTopic(await aPopper({ flushConsumerOffsetMs: 60_000 }))
    await send(popper, bodies(6), 1)
    const first = await pop(popper, { maxMsgNums: 2, invisibleTime: 3_600_000 })
    await pop(popper, { maxMsgNums: 2, invisibleTime: 3_600_000 })
    for (const message of first) await ack(popper, message)
    // What kill -9 leaves behind.
    const dir = await aFolder()
    await cp(popper.dir, dir, { recursive: true })
    const { topic, group } = popper
    const next = { ...(await aPopper({}, dir, popper.clock)), topic, group }
    expect(next.broker.context.offsets.get(group, topic, 0)).toBe(4)
    expect((await pop(next)).map(({ body }) => body)).toEqual(['m4', 'm5'])
  })

  it('moves nobody after the broker died in a topic that was made anew meanwhile, or is gone', async () => {
    const first = await aPopper({ flushConsumerOffsetMs: 60_000 })
    const anew = await aTopic(first)
    const gone = await aTopic(first)
    for (const popper of [anew, gone]) {
      await send(popper, bodies(6), 1)
      expect(await pop(popper)).toHaveLength(6)
      const { topic } = popper
      await popper.client.ask(RequestCode.DELETE_TOPIC_IN_BROKER, { topic })
    }
    const config = topicConfig(anew.topic, { readQueueNums: 4, writeQueueNums: 4 })
    await first.broker.context.topics.update(config)
    await send(anew, ['new'])
    // What kill -9 leaves behind.
    const dir = await aFolder()
    await cp(first.dir, dir, { recursive: true })
    const next = await aPopper({}, dir, first.clock)
    const { offsets } = next.broker.context
    expect([anew, gone].map(({ topic }) => offsets.groupsOf(topic))).toEqual([[], []])
    const { topic, group } = anew
    expect((await pop({ ...next, topic, group })).map(({ body }) => body)).toEqual(['new'])
  })

  it.each([
    ['an offset that was never there', { offset: 99 }, ResponseCode.NO_MESSAGE],
    ['a topic that is not there', { topic: 'T_missing' }, ResponseCode.TOPIC_NOT_EXIST],
    ['a queue that is not there', { queueId: 9 }, ResponseCode.MESSAGE_ILLEGAL],
    ['a handle that is none', { extraInfo: '1 2 3' }, ResponseCode.INVALID_PARAMETER],
    [
      'a queue of the revive topic that is not there',
      { extraInfo: '0 1 1000 77 0 broker-a 0 0' },
      ResponseCode.INVALID_PARAMETER,
    ],
  ])('an acknowledgement with %s is refused', async (_what, given, code) => {
    const popper = await aTopic()
    await send(popper, bodies(1), 1)
    const [message] = await pop(popper)
    if (message === undefined) throw new Error('nothing was taken')
    expect((await ack(popper, message, given)).code).toBe(code)
  })

  it.each([
    [
      'no group',
      (group: string) => ({ group: `${group}"`, broker: 'broker-a' }),
      ResponseCode.SUCCESS,
    ],
    [
      'a group that is not there',
      () => ({ group: 'G_none', broker: 'broker-a' }),
      ResponseCode.SUCCESS,
    ],
    [
      'no broker',
      (group: string) => ({ group, broker: 'a\u0002b\u0001c' }),
      ResponseCode.INVALID_PARAMETER,
    ],
  ])('a batch that names %s changes nothing', async (_what, given, code) => {
    const popper = await aTopic()
    await send(popper, bodies(2), 1)
    const { group, broker } = given(popper.group)
    const { offsets, store, reviveLog } = popper.broker.context
    const ends = () => [0, 1].map((queueId) => store.queue(reviveLog.topic, queueId).nextOffset)
    const before = ends()
    for (const reviveQueueId of [ORDER_REVIVE_QUEUE, 0]) {
      const at = { queueId: 0, startOffset: 0, offsets: [0], popMs: 1_000, invisibleMs: 1_000 }
      const named = { group, topic: popper.topic, retryFlag: '0', reviveQueueId, ...at }
      const body = encodeBatchAck({ brokerName: broker, acks: [named] })
      const answer = await popper.client.ask(RequestCode.BATCH_ACK_MESSAGE, {}, body)
      expect(answer.code).toBe(code)
    }
    expect(offsets.groupsOf(popper.topic)).toEqual([])
    expect(ends()).toEqual(before)
  })

  it('is told from what it was put off to in the same millisecond', async () => {
    const popper = await aTopic()
    await send(popper, bodies(1), 1)
    const [message] = await pop(popper)
    const popMs = parsePopHandle(message?.handle ?? '')?.popMs ?? 0
    // The clock was put back by a little.
    popper.clock.setWall(-1_000)
    try {
      const answer = await popper.client.ask(RequestCode.CHANGE_MESSAGE_INVISIBLETIME, {
        consumerGroup: popper.group,
        topic: popper.topic,
        queueId: 0,
        offset: 0,
        extraInfo: message?.handle ?? '',
        invisibleTime: 60_000,
      })
      expect(answer.ext['popTime']).toBe(String(popMs + 1))
    } finally {
      popper.clock.setWall(1_000)
    }
  })

  it('a batch of nothing is NO_MESSAGE', async () => {
    const popper = await aPopper()
    const answer = await popper.client.ask(RequestCode.BATCH_ACK_MESSAGE, {}, '{"acks":[]}')
    expect(answer.code).toBe(ResponseCode.NO_MESSAGE)
  })
})

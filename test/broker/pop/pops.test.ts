import { cp } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { encodeBatchAck } from '../../../src/protocol/bodies/batch-ack.ts'
import { topicConfig } from '../../../src/protocol/bodies/topic-config.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import { parsePopHandle } from '../../../src/protocol/pop-handle.ts'
import { ORDER_REVIVE_QUEUE } from '../../../src/protocol/pop-names.ts'
import { PopOffsets } from '../../../src/broker/pop/pop-offsets.ts'
import { TurnBudget } from '../../../src/broker/turn-budget.ts'
import { aFolder, closeAll } from '../a-broker.ts'
import {
  type Popper,
  aPopper,
  ack,
  pop,
  popRequest,
  popUntil,
  poppedIn,
  quickly,
} from './a-popper.ts'

let shared: Popper
let count = 0

beforeAll(async () => {
  shared = await aPopper()
})
afterAll(closeAll)

/** A topic and a group of its own for each test, on one broker unless another is given. */
async function aTopic(popper = shared, queues = 4): Promise<Popper> {
  const topic = `T${++count}`
  const config = topicConfig(topic, { readQueueNums: queues, writeQueueNums: queues })
  await popper.broker.context.topics.update(config)
  return { ...popper, topic, group: `CG${count}` }
}

async function send(popper: Popper, bodies: readonly string[], queues = 4): Promise<void> {
  for (const [index, body] of bodies.entries()) {
    const answer = await popper.client.send(
      popper.topic,
      body,
      index % queues,
      `TAGS\u0001${body[0]}\u0002`,
    )
    expect(answer.code).toBe(ResponseCode.SUCCESS)
  }
}

const bodies = (count: number) => Array.from({ length: count }, (_, i) => `m${i}`)

describe('POP_MESSAGE', () => {
  it('takes from all queues what is there, and nobody of the group gets it again', async () => {
    const popper = await aTopic()
    await send(popper, bodies(10))
    const first = await pop(popper)
    expect(first.map(({ body }) => body).sort()).toEqual(bodies(10).sort())
    expect(await pop(popper)).toEqual([])
    const other = await pop(popper, { consumerGroup: 'OTHER' })
    expect(other).toHaveLength(10)
  })

  it('takes as many as are asked for, and says how many wait', async () => {
    const popper = await aTopic()
    await send(popper, bodies(10))
    const answer = await popRequest(popper, { maxMsgNums: 3 })
    expect(poppedIn(answer)).toHaveLength(3)
    expect(answer.ext['restNum']).toBe('7')
    const rest = await pop(popper, { maxMsgNums: 32 })
    expect(rest).toHaveLength(7)
  })

  it('takes from one queue when it is named', async () => {
    const popper = await aTopic()
    await send(popper, bodies(8))
    const some = await pop(popper, { queueId: 1 })
    expect(some.map(({ body }) => body)).toEqual(['m1', 'm5'])
  })

  it('keeps the filter by tags', async () => {
    const popper = await aTopic()
    await send(popper, ['a1', 'b1', 'a2', 'b2'], 1)
    const some = await pop(popper, { exp: 'b', expType: 'TAG' })
    expect(some.map(({ body }) => body)).toEqual(['b1', 'b2'])
    expect(await pop(popper)).toEqual([])
  })

  it('keeps the filter by SQL, and refuses one that is malformed', async () => {
    const popper = await aTopic()
    await send(popper, ['a1', 'b1', 'a2', 'b2'], 1)
    const expression = { exp: "TAGS = 'a'", expType: 'SQL92' }
    const some = await pop(popper, expression)
    expect(some.map(({ body }) => body)).toEqual(['a1', 'a2'])
    const bad = await popRequest(popper, { exp: "TAGS = '", expType: 'SQL92' })
    expect(bad.code).toBe(ResponseCode.SUBSCRIPTION_PARSE_FAILED)
  })

  it('waits for a message, and wakes only as many as there is something for', async () => {
    const popper = await aTopic()
    const waiting = [1, 2, 3].map(() => popRequest(popper, { pollTime: 5_000 }))
    await expect.poll(() => popper.broker.context.pops.waiting.takes.count).toBe(3)
    await send(popper, ['late'])
    const first = await Promise.race(waiting)
    expect(poppedIn(first).map(({ body }) => body)).toEqual(['late'])
    expect(popper.broker.context.pops.waiting.takes.count).toBe(2)
    await send(popper, ['x1', 'x2'])
    const answers = await Promise.all(waiting)
    const taken = answers.flatMap((answer) => poppedIn(answer)).map(({ body }) => body)
    expect(taken.sort()).toEqual(['late', 'x1', 'x2'])
  })

  it('answers POLLING_TIMEOUT with all fields when nothing came', async () => {
    const popper = await aTopic()
    const answer = await popRequest(popper, { pollTime: 60 })
    expect(answer.code).toBe(ResponseCode.POLLING_TIMEOUT)
    expect(answer.ext).toMatchObject({ invisibleTime: '60000', restNum: '0' })
    expect(answer.ext).toHaveProperty('popTime')
    expect(answer.ext).toHaveProperty('reviveQid')
  })

  it('a request that came too late is not served', async () => {
    const popper = await aTopic()
    await send(popper, bodies(1))
    const bornTime = Math.floor(popper.clock.wallMs()) - 2_000
    const answer = await popRequest(popper, { pollTime: 1_000, bornTime })
    expect(answer.code).toBe(ResponseCode.POLLING_TIMEOUT)
    expect(await pop(popper)).toHaveLength(1)
  })

  it('forgets who waits when the connection is gone', async () => {
    const popper = await aTopic()
    const gone = popper.connect()
    const request = popRequest({ ...popper, client: gone }, { pollTime: 5_000 })
    request.catch(() => undefined)
    await expect.poll(() => popper.broker.context.pops.waiting.takes.count).toBe(1)
    gone.close()
    await expect.poll(() => popper.broker.context.pops.waiting.takes.count).toBe(0)
    await send(popper, bodies(1))
    expect(await pop(popper)).toHaveLength(1)
  })

  it('a group that is new begins at the end with initMode 1, but not in a topic as young as itself', async () => {
    const popper = await aTopic()
    await send(popper, bodies(4), 1)
    const some = await pop(popper, { initMode: 1, queueId: 0 })
    expect(some).toHaveLength(4)
  })

  it('goes where an administrator put the group', async () => {
    const popper = await aTopic()
    await send(popper, bodies(4), 1)
    expect(await pop(popper)).toHaveLength(4)
    popper.broker.context.offsets.reset(popper.group, popper.topic, 0, 1)
    const again = await pop(popper)
    expect(again.map(({ body }) => body)).toEqual(['m1', 'm2', 'm3'])
  })

  it.each([
    [{ maxMsgNums: 33 }, ResponseCode.INVALID_PARAMETER],
    [{ maxMsgNums: 0 }, ResponseCode.INVALID_PARAMETER],
    [{ queueId: 4 }, ResponseCode.INVALID_PARAMETER],
    [{ topic: 'T_missing' }, ResponseCode.TOPIC_NOT_EXIST],
    [{ consumerGroup: 'a b' }, ResponseCode.INVALID_PARAMETER],
    [{ invisibleTime: -1 }, ResponseCode.INVALID_PARAMETER],
    [{ invisibleTime: 10 * 86_400_000 }, ResponseCode.INVALID_PARAMETER],
    [{ invisibleTime: 'x' }, ResponseCode.INVALID_PARAMETER],
  ])('%j is refused with code %i', async (given, code) => {
    const popper = await aTopic()
    await send(popper, bodies(1))
    expect((await popRequest(popper, given)).code).toBe(code)
    expect(await pop(popper)).toHaveLength(1)
  })

  it('sees a message that came while it read the disk for others', async () => {
    const popper = await aTopic(shared, 1)
    await send(popper, ['unwanted'], 1)
    const { store } = popper.broker.context
    const queue = store.queue(popper.topic, 0)
    const pullNow = store.pullNow.bind(store)
    const pull = store.pull.bind(store)
    const isRead = new Promise<void>((resolve) => {
      const cold = vi.spyOn(store, 'pullNow').mockImplementation((of, ...rest) => {
        if (of !== queue) return pullNow(of, ...rest)
        cold.mockRestore()
        return null
      })
      const read = vi.spyOn(store, 'pull').mockImplementation(async (of, ...rest) => {
        if (of !== queue) return pull(of, ...rest)
        read.mockRestore()
        resolve()
        await expect.poll(() => queue.maxOffset).toBe(2)
        const none = { minOffset: 0, maxOffset: 1, nextBeginOffset: 1, count: 0, bytes: 0 }
        return { ...none, status: 'NO_MATCHED_MESSAGE' }
      })
    })
    const waiting = pop(popper, { pollTime: 5_000 })
    await isRead
    await send(popper, ['late'], 1)
    expect((await waiting).map(({ body }) => body)).toEqual(['late'])
  })

  it('lets others have a turn while a filter looks into many queues', async () => {
    const popper = await aTopic(shared, 16)
    await send(popper, bodies(16), 16)
    const spent = vi.spyOn(TurnBudget.prototype, 'spent', 'get').mockReturnValue(true)
    const next = vi.spyOn(TurnBudget.prototype, 'nextTurn')
    try {
      expect(await pop(popper, { expType: 'SQL92', exp: 'a = 1' })).toEqual([])
      expect(next.mock.calls.length).toBeGreaterThanOrEqual(15)
    } finally {
      spent.mockRestore()
      next.mockRestore()
    }
    expect(await pop(popper)).toEqual([])
  })

  it('gives a queue free once, also when it was read twice', async () => {
    const popper = await aTopic(shared, 1)
    await send(popper, bodies(1), 1)
    const { store } = popper.broker.context
    const none = { minOffset: 0, maxOffset: 1, nextBeginOffset: 0, count: 0, bytes: 0 }
    const spies = [
      vi.spyOn(store, 'pullNow').mockReturnValueOnce(null).mockReturnValueOnce(null),
      vi.spyOn(store, 'pull').mockResolvedValueOnce({ ...none, status: 'OFFSET_TOO_SMALL' }),
    ]
    const acquire = vi.spyOn(PopOffsets.prototype, 'acquire')
    const release = vi.spyOn(PopOffsets.prototype, 'release')
    try {
      expect((await pop(popper)).map(({ body }) => body)).toEqual(['m0'])
      expect([acquire.mock.calls.length, release.mock.calls.length]).toEqual([1, 1])
    } finally {
      for (const spy of [...spies, acquire, release]) spy.mockRestore()
    }
  })

  it('is refused while the broker has no timer', async () => {
    const popper = await aTopic(await aPopper({ timerWheelEnable: false }))
    expect((await popRequest(popper)).code).toBe(ResponseCode.SYSTEM_ERROR)
  })

  it('progress is reported when the messages are taken', async () => {
    const popper = await aTopic()
    await send(popper, bodies(4), 1)
    await pop(popper, { maxMsgNums: 3 })
    const { offsets, pops } = popper.broker.context
    expect(offsets.get(popper.group, popper.topic, 0)).toBe(3)
    expect(pops.underWay).toBe(0)
  })
})

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
    expect(again?.message.properties['1ST_POP_TIME']).toBe(String(popMs))
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

describe('POP in order', () => {
  const order = { order: true, queueId: 0, maxMsgNums: 2, invisibleTime: 10_000 }

  it('nobody gets the next of a queue while one is out of sight', async () => {
    const popper = await aTopic()
    await send(popper, bodies(4), 1)
    const first = await pop(popper, order)
    expect(first.map(({ body }) => body)).toEqual(['m0', 'm1'])
    expect(await pop(popper, order)).toEqual([])
    for (const message of first) expect((await ack(popper, message)).code).toBe(0)
    const next = await pop(popper, order)
    expect(next.map(({ body }) => body)).toEqual(['m2', 'm3'])
    expect(popper.broker.context.offsets.get(popper.group, popper.topic, 0)).toBe(2)
  })

  it('the last acknowledgement wakes who waits for the queue', async () => {
    const popper = await aTopic()
    await send(popper, bodies(3), 1)
    const first = await pop(popper, order)
    const waiting = popRequest(popper, { ...order, pollTime: 5_000 })
    await expect.poll(() => popper.broker.context.pops.waiting.takes.count).toBe(1)
    for (const message of first) await ack(popper, message)
    expect(poppedIn(await waiting).map(({ body }) => body)).toEqual(['m2'])
  })

  it('what is not acknowledged comes again from the same place, and says how often it was taken', async () => {
    const popper = await aTopic()
    await send(popper, bodies(3), 1)
    const [, second] = await pop(popper, order)
    if (second === undefined) throw new Error('nothing was taken')
    popper.clock.jump(11_000)
    const answer = await popRequest(popper, order)
    expect(poppedIn(answer).map(({ body }) => body)).toEqual(['m0', 'm1'])
    expect(answer.ext['orderCountInfo']).toBe('0 qo0%0 1;0 qo0%1 1;0 0 1')
    // The handle of the first time is of no use any more.
    expect((await ack(popper, second)).code).toBe(ResponseCode.SUCCESS)
    expect(popper.broker.context.offsets.get(popper.group, popper.topic, 0)).toBe(0)
  })

  it('another attempt of the same request gets the same messages at once', async () => {
    const popper = await aTopic()
    await send(popper, bodies(3), 1)
    await pop(popper, { ...order, attemptId: 'a' })
    expect(await pop(popper, { ...order, attemptId: 'b' })).toEqual([])
    const again = await pop(popper, { ...order, attemptId: 'a' })
    expect(again.map(({ body }) => body)).toEqual(['m0', 'm1'])
  })

  it('is kept through a restart', async () => {
    const popper = await aTopic(await aPopper())
    await send(popper, bodies(3), 1)
    const first = await pop(popper, order)
    await popper.broker.close()
    const { topic, group } = popper
    const next = { ...(await aPopper({}, popper.dir, popper.clock)), topic, group }
    expect(await pop(next, order)).toEqual([])
    for (const message of first) await ack(next, message)
    expect((await pop(next, order)).map(({ body }) => body)).toEqual(['m2'])
  })

  it('a message may be put back into sight earlier', async () => {
    const popper = await aTopic()
    await send(popper, bodies(1), 1)
    const [first] = await pop(popper, order)
    if (first === undefined) throw new Error('nothing was taken')
    const answer = await popper.client.ask(RequestCode.CHANGE_MESSAGE_INVISIBLETIME, {
      consumerGroup: popper.group,
      topic: popper.topic,
      queueId: 0,
      offset: 0,
      extraInfo: first.handle,
      invisibleTime: 0,
    })
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    expect((await pop(popper, order)).map(({ body }) => body)).toEqual(['m0'])
  })

  it('an acknowledgement passes over nothing when it was forgotten what was taken', async () => {
    const popper = await aTopic()
    await send(popper, bodies(3), 1)
    const [first, second] = await pop(popper, order)
    if (first === undefined || second === undefined) throw new Error('too little was taken')
    const { order: taken, offsets } = popper.broker.context
    taken.clear(popper.topic, popper.group, 0)
    expect((await ack(popper, second)).code).toBe(ResponseCode.SUCCESS)
    expect(offsets.get(popper.group, popper.topic, 0)).toBe(0)
    expect((await ack(popper, first)).code).toBe(ResponseCode.SUCCESS)
    expect(offsets.get(popper.group, popper.topic, 0)).toBe(1)
  })

  it('who waits for a queue is left alone while order blocks it', async () => {
    const popper = await aTopic()
    await send(popper, bodies(2), 1)
    const first = await pop(popper, order)
    const { pops } = popper.broker.context
    const waiting = popRequest(popper, { ...order, pollTime: 5_000 })
    await expect.poll(() => pops.waiting.takes.count).toBe(1)
    const take = vi.spyOn(pops, 'take')
    try {
      await send(popper, ['later'], 1)
      expect(take).not.toHaveBeenCalled()
    } finally {
      take.mockRestore()
    }
    for (const message of first) await ack(popper, message)
    expect(poppedIn(await waiting).map(({ body }) => body)).toEqual(['later'])
  })

  it('an acknowledgement of a message that was not taken is refused', async () => {
    const popper = await aTopic()
    await send(popper, bodies(4), 1)
    const [first] = await pop(popper, order)
    if (first === undefined) throw new Error('nothing was taken')
    expect((await ack(popper, first, { offset: 3 })).code).toBe(ResponseCode.MESSAGE_ILLEGAL)
  })
})

describe('priorities', () => {
  async function withPriorities(popper = shared): Promise<Popper> {
    const made = await aTopic(popper)
    const { topics } = made.broker.context
    const attributes = { '+message.type': 'PRIORITY' }
    const queues = { readQueueNums: 4, writeQueueNums: 4 }
    await topics.update(topicConfig(made.topic, { ...queues, attributes }))
    return made
  }

  /** Sends to queue 0, as `body` with these properties; answers the queue that it went to. */
  async function sendWith(popper: Popper, body: string, properties: string): Promise<string> {
    const { code, ext } = await popper.client.send(popper.topic, body, 0, properties)
    expect(code).toBe(ResponseCode.SUCCESS)
    return ext['queueId'] ?? ''
  }

  const priority = (value: string) => `_SYS_MSG_PRIORITY_\u0001${value}\u0002`

  it('the number names the queue, the last one for all above', async () => {
    const popper = await withPriorities()
    const queues = ['0', '2', '3', '99'].map((value) => sendWith(popper, value, priority(value)))
    expect(await Promise.all(queues)).toEqual(['0', '2', '3', '3'])
  })

  it.each(['-1', 'x', '99999999999'])('%s is no priority', async (value) => {
    const popper = await withPriorities()
    expect(await sendWith(popper, 'm', priority(value))).toBe('0')
  })

  it('a message with an order key has none, and does not say that it had', async () => {
    const popper = await withPriorities()
    const text = `${priority('3')}__SHARDINGKEY\u0001k\u0002`
    expect(await sendWith(popper, 'm', text)).toBe('0')
    const [message] = await pop(popper)
    expect(Object.keys(message?.message.properties ?? {})).not.toContain('_SYS_MSG_PRIORITY_')
  })

  it('the largest number comes first, whatever came before', async () => {
    const popper = await withPriorities()
    for (const value of ['1', '0', '3', '2', '3']) await sendWith(popper, value, priority(value))
    const taken: string[] = []
    for (let i = 0; i < 5; i++) {
      taken.push(...(await pop(popper, { maxMsgNums: 1 })).map(({ body }) => body))
    }
    expect(taken).toEqual(['3', '3', '2', '1', '0'])
  })

  it.each([
    [0, ['3', 'again']],
    [100, ['again', '3']],
  ])('what comes again has its place by popFromRetryProbabilityForPriority: %i', async (n, all) => {
    const given = { popFromRetryProbabilityForPriority: n }
    const popper = await withPriorities(await aPopper(given))
    await sendWith(popper, '3', priority('3'))
    await popper.client.send(`%RETRY%${popper.group}_${popper.topic}`, 'again')
    const taken = [await pop(popper, { maxMsgNums: 1 }), await pop(popper, { maxMsgNums: 1 })]
    expect(taken.flat().map(({ body }) => body)).toEqual(all)
  })

  it('the smallest number comes first where the broker is set so', async () => {
    const popper = await withPriorities(await aPopper({ priorityOrderAsc: false }))
    for (const value of ['1', '3', '0']) await sendWith(popper, value, priority(value))
    const all = await pop(popper)
    expect(all.map(({ body }) => body)).toEqual(['0', '1', '3'])
  })
})

describe('questions about POP', () => {
  const about = ({ group, topic }: Popper) => ({ consumerGroup: group, topic, queueId: -1 })

  it('NOTIFICATION says whether there is something, at once or when it comes', async () => {
    const popper = await aTopic()
    const ask = (pollTime: number) => {
      const bornTime = Math.floor(popper.clock.wallMs())
      return popper.client.ask(RequestCode.NOTIFICATION, { ...about(popper), pollTime, bornTime })
    }
    expect((await ask(0)).ext).toMatchObject({ hasMsg: 'false', pollingFull: 'false' })
    const waiting = ask(5_000)
    await expect.poll(() => popper.broker.context.pops.waiting.questions.count).toBe(1)
    await send(popper, bodies(1))
    expect((await waiting).ext['hasMsg']).toBe('true')
    expect((await ask(0)).ext['hasMsg']).toBe('true')
    expect(await pop(popper)).toHaveLength(1)
    expect((await ask(0)).ext['hasMsg']).toBe('false')
  })

  it('POLLING_INFO says how many wait', async () => {
    const popper = await aTopic()
    const waiting = popRequest(popper, { pollTime: 300 })
    await expect.poll(() => popper.broker.context.pops.waiting.takes.count).toBe(1)
    const answer = await popper.client.ask(RequestCode.POLLING_INFO, about(popper))
    expect(answer.ext['pollingNum']).toBe('1')
    expect((await waiting).code).toBe(ResponseCode.POLLING_TIMEOUT)
  })

  it('PEEK_MESSAGE shows what is next and takes nothing', async () => {
    const popper = await aTopic()
    await send(popper, bodies(3))
    const answer = await popper.client.ask(RequestCode.PEEK_MESSAGE, {
      ...about(popper),
      maxMsgNums: 2,
    })
    expect([answer.code, answer.ext['restNum']]).toEqual([ResponseCode.SUCCESS, '3'])
    expect(await pop(popper)).toHaveLength(3)
  })
})

import { describe, expect, it, vi } from 'vitest'
import { PopOffsets } from '../../../src/broker/pop/pop-offsets.ts'
import { TurnBudget } from '../../../src/broker/turn-budget.ts'
import { topicConfig } from '../../../src/protocol/bodies/topic-config.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import {
  type Popper,
  aPopper,
  bodies,
  pop,
  poppedIn,
  popRequest,
  send,
  topicsForThisFile,
} from './a-popper.ts'

const aTopic = topicsForThisFile()

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
    const popper = await aTopic(null, 1)
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
    const popper = await aTopic(null, 16)
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
    const popper = await aTopic(null, 1)
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

  it('who waits hears at once that the topic is deleted; a new one of its name begins at its start', async () => {
    const popper = await aTopic()
    const { topic, group, client } = popper
    const { offsets, pops, topics } = popper.broker.context
    await send(popper, bodies(12))
    expect(await pop(popper)).toHaveLength(12)
    const take = popRequest(popper, { pollTime: 60_000, initMode: 1 })
    const question = client.ask(RequestCode.NOTIFICATION, {
      consumerGroup: group,
      topic,
      queueId: -1,
      pollTime: 60_000,
      bornTime: Math.floor(popper.clock.wallMs()),
    })
    await expect.poll(() => pops.waiting.questions.count).toBe(1)
    await expect.poll(() => pops.waiting.takes.count).toBe(1)
    await client.ask(RequestCode.DELETE_TOPIC_IN_BROKER, { topic })
    expect((await take).code).toBe(ResponseCode.POLLING_TIMEOUT)
    expect((await question).ext['hasMsg']).toBe('false')
    await topics.update(topicConfig(topic, { readQueueNums: 4, writeQueueNums: 4 }))
    await send(popper, ['m0', 'm1'])
    expect(offsets.groupsOf(topic)).toEqual([])
    const taken = await pop(popper, { initMode: 1 })
    expect(taken.map(({ body }) => body).sort()).toEqual(['m0', 'm1'])
  })

  it('a take that is under way while its topic is deleted leaves no progress behind', async () => {
    const popper = await aTopic(null, 1)
    const { topic, client } = popper
    await send(popper, bodies(3), 1)
    const { store, offsets } = popper.broker.context
    const queue = store.queue(topic, 0)
    const pullNow = store.pullNow.bind(store)
    const pull = store.pull.bind(store)
    const cold = vi.spyOn(store, 'pullNow').mockImplementation((of, ...rest) => {
      return of === queue ? null : pullNow(of, ...rest)
    })
    const read = vi.spyOn(store, 'pull').mockImplementation(async (of, ...rest) => {
      const outcome = await pull(of, ...rest)
      if (of === queue) await client.ask(RequestCode.DELETE_TOPIC_IN_BROKER, { topic })
      return outcome
    })
    try {
      expect(await pop(popper, { pollTime: 60_000 })).toEqual([])
    } finally {
      cold.mockRestore()
      read.mockRestore()
    }
    expect(offsets.groupsOf(topic)).toEqual([])
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
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    expect(answer.ext).toMatchObject({ restNum: '3', popTime: '0', reviveQid: '0' })
    expect(answer.ext).not.toHaveProperty('startOffsetInfo')
    expect(await pop(popper)).toHaveLength(3)
  })
})

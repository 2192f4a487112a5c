import { describe, expect, it, vi } from 'vitest'
import { topicConfig } from '../../../src/protocol/bodies/topic-config.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import {
  type Popper,
  ack,
  aPopper,
  bodies,
  pop,
  poppedIn,
  popRequest,
  send,
  topicsForThisFile,
} from './a-popper.ts'

const aTopic = topicsForThisFile()

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
  async function withPriorities(popper: Popper | null = null): Promise<Popper> {
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

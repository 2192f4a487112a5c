import { describe, expect, it, vi } from 'vitest'
import { silentLogger } from '../../../src/base/logger.ts'
import { ResponseCode } from '../../../src/protocol/codes.ts'
import { Reviver } from '../../../src/broker/pop/reviver.ts'
import { type Popper, ack, pop, popUntil, quickly, topicsForThisFile } from './a-popper.ts'

const ownTopic = topicsForThisFile()
const aTopic = () => ownTopic(null, 1)

async function send(popper: Popper, body: string, properties = ''): Promise<void> {
  const { code } = await popper.client.send(popper.topic, body, 0, properties)
  expect(code).toBe(ResponseCode.SUCCESS)
}

/** A message with as many bytes of properties as are accepted, or a few less. */
async function sendFull({ client, topic }: Popper): Promise<void> {
  for (let length = 32_760; length > 32_000; length -= 8) {
    const { code } = await client.send(topic, 'full', 0, `k\u0001${'x'.repeat(length)}\u0002`)
    if (code === ResponseCode.SUCCESS) return
  }
  throw new Error('no length is accepted')
}

const soon = { invisibleTime: 1_000, maxMsgNums: 1 }
const late = { invisibleTime: 3_600_000 }

describe('what nobody acknowledged', () => {
  it('comes once, also when its properties leave no room for where it came from', async () => {
    const popper = await aTopic()
    const { store } = popper.broker.context
    await send(popper, 'before')
    await sendFull(popper)
    await send(popper, 'after')
    const [first] = await pop(popper, { invisibleTime: 1_000 })
    expect(first?.body).toBe('before')
    const retries = store.queue(`%RETRY%${popper.group}_${popper.topic}`, 0)
    for (let i = 0; i < 100 && retries.maxOffset < 3; i++) await quickly(popper, 1)
    await quickly(popper, 20)
    expect(retries.maxOffset).toBe(3)
    // Room for the handle is made by leaving out what consumers can do without.
    const again = await pop(popper, late)
    expect(again.map(({ body }) => body)).toEqual(['before', 'full', 'after'])
    expect(again[1]?.message.properties['POP_CK']).toBe(again[1]?.handle)
  })

  it.each([
    [
      'its topic cannot be made',
      ({ broker }: Popper, name: string) => {
        const { topics } = broker.context
        const ensure = topics.ensure.bind(topics)
        return vi
          .spyOn(topics, 'ensure')
          .mockImplementation((topic, ...rest) => (topic === name ? null : ensure(topic, ...rest)))
      },
    ],
    [
      'the disk does not read it',
      ({ broker, topic }: Popper) => {
        const { store } = broker.context
        const unitAt = store.unitAt.bind(store)
        return vi
          .spyOn(store, 'unitAt')
          .mockImplementation((queue, offset) =>
            queue.topic === topic ? Promise.reject(new Error('EIO')) : unitAt(queue, offset),
          )
      },
    ],
  ])('comes later when %s, and holds up no other', async (_why, spoil) => {
    const popper = await aTopic()
    const other = await aTopic()
    await send(popper, 'held up')
    const spy = spoil(popper, `%RETRY%${popper.group}_${popper.topic}`)
    try {
      await pop(popper, soon)
      // Whatever queue of the revive topic the other one gets, one of these is behind it there.
      for (let i = 0; i < 8; i++) await send(other, `other ${i}`)
      for (let i = 0; i < 8; i++) await pop(other, soon)
      expect(await popUntil(other, 8, late)).toHaveLength(8)
      expect(await pop(popper, late)).toEqual([])
    } finally {
      spy.mockRestore()
    }
    const again = await popUntil(popper, 1, late)
    expect(again.map(({ body }) => body)).toEqual(['held up'])
  })

  it('has its handle also beside a property with a similar name', async () => {
    const popper = await aTopic()
    await send(popper, 'm', 'MY_POP_CK\u0001x\u0002')
    await pop(popper, soon)
    const [again] = await popUntil(popper, 1, late)
    expect(again?.message.properties).toMatchObject({ MY_POP_CK: 'x', POP_CK: again?.handle })
  })

  it('is told from what was acknowledged even when more comes at once than may be open', async () => {
    const popper = await aTopic()
    const { context } = popper.broker
    await context.reviver.stop()
    const reviver = new Reviver({ ...context, openMax: 2, logger: silentLogger })
    reviver.start()
    try {
      for (let i = 0; i < 64; i++) await send(popper, `m${i}`)
      const taken = []
      const given = { invisibleTime: 20_000, maxMsgNums: 1 }
      for (let i = 0; i < 64; i++) taken.push(...(await pop(popper, given)))
      const kept = taken.filter((_, index) => index % 9 === 0).map(({ body }) => body)
      for (const one of taken) if (!kept.includes(one.body)) await ack(popper, one)
      const again: string[] = []
      for (let i = 0; i < 400 && again.length < kept.length; i++) {
        reviver.onDispatched()
        again.push(...(await pop(popper, late)).map(({ body }) => body))
        await quickly(popper, 1)
      }
      expect(again.sort()).toEqual(kept.sort())
      await expect.poll(() => reviver.openCount).toBe(0)
    } finally {
      await reviver.stop()
    }
  })
})

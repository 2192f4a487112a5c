import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { parseBody } from '../../../src/protocol/bodies/fields.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import { DEFAULT_DELAY_LEVELS } from '../../../src/protocol/delay-levels.ts'
import { type StoredMessage, decodeRecords } from '../../../src/protocol/record.ts'
import type { Disk } from '../../../src/world/disk.ts'
import { nodeWorld } from '../../../src/world/node-world.ts'
import { DamagedDisk } from '../../store/damaged-disk.ts'
import { JumpClock } from '../../world/jump-clock.ts'
import { type TestBroker, type TestClient, aBroker, aFolder, closeAll } from '../a-broker.ts'
import { refuseBlocks } from '../refused-blocks.ts'

afterEach(closeAll)

const SCHEDULE = 'SCHEDULE_TOPIC_XXXX'

async function aClockedBroker(
  dir?: string,
  clock = new JumpClock(),
  given: object = {},
  disk: Disk = nodeWorld.disk,
) {
  const world = { ...nodeWorld, clock, disk }
  const broker = await aBroker(
    {
      flushDelayOffsetMs: 100,
      store: {
        flushIntervalMs: 10,
        flushThoroughMs: 10,
        ...given,
        ...(dir === undefined ? {} : { dir }),
      },
    },
    null,
    world,
  )
  return { ...broker, clock, client: broker.connect() }
}

/** What lies in a queue, up to `count` messages, waiting for them at most a second or two. */
async function messagesIn(
  client: TestClient,
  topic: string,
  count: number,
  queueId = 0,
): Promise<StoredMessage[]> {
  const messages: StoredMessage[] = []
  await client.heartBeat('reader', 'READER', [topic])
  for (let round = 0; round < 100 && messages.length < count; round++) {
    const offset = (messages.at(-1)?.queueOffset ?? -1) + 1
    const answer = await client.pull(topic, 'READER', offset, {
      queueId,
      suspendTimeoutMillis: 50,
      sysFlag: 6,
    })
    if (answer.code === ResponseCode.SUCCESS && answer.body !== null) {
      messages.push(...decodeRecords(answer.body).messages)
    }
  }
  return messages
}

function queueOf({ broker }: TestBroker, topic: string, queueId = 0) {
  return broker.context.store.queue(topic, queueId)
}

async function settle(): Promise<void> {
  await new Promise<void>((resolve) => nodeWorld.clock.after(60, resolve))
}

async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !what(); i++) {
    await new Promise<void>((resolve) => nodeWorld.clock.after(4, resolve))
  }
  expect(what()).toBe(true)
}

describe('a message with a delay level', () => {
  test('waits in the queue of its level, under its own name, and is answered with that place', async () => {
    const broker = await aClockedBroker()
    const answer = await broker.client.send('T1', 'later', 2, 'a\u0001b\u0002DELAY\u00014\u0002')
    expect(answer).toMatchObject({ code: 0, ext: { queueId: '2', queueOffset: '0' } })
    expect(queueOf(broker, 'T1', 2).maxOffset).toBe(0)
    const [waiting] = await messagesIn(broker.client, SCHEDULE, 1, 3)
    expect(waiting?.properties).toMatchObject({
      a: 'b',
      DELAY: '4',
      REAL_TOPIC: 'T1',
      REAL_QID: '2',
      CLUSTER: 'DefaultCluster',
    })
  })

  test('is delivered when its time has come, not before, and is what was sent', async () => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    await client.send('T1', 'later', 2, 'KEYS\u0001k\u0002TAGS\u0001red\u0002DELAY\u00014\u0002')
    clock.jump(29_000)
    await settle()
    expect(queueOf(broker, 'T1', 2).maxOffset).toBe(0)
    clock.jump(1_000)
    const [message] = await messagesIn(client, 'T1', 1, 2)
    const [waited] = await messagesIn(client, SCHEDULE, 1, 3)
    expect(message?.body.toString()).toBe('later')
    expect(message).toMatchObject({
      topic: 'T1',
      queueId: 2,
      queueOffset: 0,
      bornTimestamp: waited?.bornTimestamp,
      bornHost: waited?.bornHost,
      messageId: waited?.messageId,
    })
    expect(message?.properties).toEqual(waited?.properties)
    const waitedMs = (message?.storeTimestamp ?? 0) - (waited?.storeTimestamp ?? 0)
    expect(waitedMs).toBeGreaterThanOrEqual(30_000)
  })

  test('in many keeps its order within the level, and levels do not wait for each other', async () => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    const bodies = Array.from({ length: 200 }, (_, i) => `m${i}`)
    await client.send('T1', 'long', 0, 'DELAY\u000118\u0002')
    await Promise.all(bodies.map((body) => client.send('T1', body, 0, 'DELAY\u00012\u0002')))
    clock.jump(5_500)
    const messages = await messagesIn(client, 'T1', 200)
    expect(messages.map((message) => message.body.toString())).toEqual(bodies)
    clock.jump(7_200_000)
    await until(() => queueOf(broker, 'T1').maxOffset === 201)
  })

  test('that lies above the highest waits as long as the highest', async () => {
    const broker = await aClockedBroker()
    await broker.client.send('T1', 'x', 0, 'DELAY\u000199\u0002')
    const [waiting] = await messagesIn(broker.client, SCHEDULE, 1, 17)
    expect(waiting?.properties).toMatchObject({ DELAY: '18' })
  })

  test('waits as long as the broker is set to let it, also in a level that is no more', async () => {
    const dir = await aFolder()
    const clock = new JumpClock()
    const before = await aClockedBroker(dir, clock)
    await before.client.send('T1', 'old', 1, 'DELAY\u00014\u0002')
    await before.broker.close()
    const broker = await aClockedBroker(dir, clock, { delayLevels: '2m 7s' })
    await broker.client.send('T1', 'second', 0, 'DELAY\u00019\u0002')
    await broker.client.send('T1', 'first', 0, 'DELAY\u00011\u0002')
    const [waiting] = await messagesIn(broker.client, SCHEDULE, 1, 1)
    expect(waiting?.properties).toMatchObject({ DELAY: '2' })
    clock.jump(6_000)
    await settle()
    expect(queueOf(broker, 'T1').maxOffset).toBe(0)
    clock.jump(1_100)
    await until(() => queueOf(broker, 'T1').maxOffset === 1)
    expect(queueOf(broker, 'T1', 1).maxOffset).toBe(0)
    clock.jump(23_000)
    await until(() => queueOf(broker, 'T1', 1).maxOffset === 1)
    expect(queueOf(broker, 'T1').maxOffset).toBe(1)
    clock.jump(90_000)
    await until(() => queueOf(broker, 'T1').maxOffset === 2)
  })

  test('in a level above those of RocketMQ is delivered once also when the level is gone, or back', async () => {
    const dir = await aFolder()
    const clock = new JumpClock()
    const delayLevels = `${DEFAULT_DELAY_LEVELS} 9s 1d`
    const before = await aClockedBroker(dir, clock, { delayLevels })
    await before.client.send('T1', 'done', 0, 'DELAY\u000119\u0002')
    clock.jump(9_100)
    await until(() => queueOf(before, 'T1').maxOffset === 1)
    await before.client.send('T1', 'nine', 0, 'DELAY\u000119\u0002')
    await before.client.send('T1', 'day', 1, 'DELAY\u000120\u0002')
    await before.broker.close()

    const without = await aClockedBroker(dir, clock)
    expect(without.broker.context.delay.waiting).toBe(2)
    clock.jump(9_100)
    await until(() => queueOf(without, 'T1').maxOffset === 2)
    // Longer than every level that this broker knows.
    clock.jump(80_000_000)
    await settle()
    expect(queueOf(without, 'T1', 1).maxOffset).toBe(0)
    clock.jump(7_000_000)
    await until(() => queueOf(without, 'T1', 1).maxOffset === 1)
    await without.broker.close()
    const file = parseBody(await readFile(path.join(dir, 'config', 'delayOffset.json')))
    expect(file['offsetTable']).toEqual({ '19': 2, '20': 1 })

    const back = await aClockedBroker(dir, clock, { delayLevels })
    expect(back.broker.context.delay.waiting).toBe(0)
  })

  test.each(['', '5', '0s', '1s,5s', '1s  5s', '1s 5x'])(
    'cannot be set to wait “%s”',
    async (delayLevels) => {
      await expect(aClockedBroker(undefined, undefined, { delayLevels })).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
      })
    },
  )

  test('of zero or less is an ordinary message', async () => {
    const broker = await aClockedBroker()
    await broker.client.send('T1', 'x', 0, 'DELAY\u00010\u0002')
    await broker.client.send('T1', 'y', 0, 'DELAY\u0001-1\u0002')
    expect(queueOf(broker, 'T1').maxOffset).toBe(2)
  })

  test('cannot name another destination than its own, and its level wins over a delivery time', async () => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    const properties =
      'REAL_TOPIC\u0001Other\u0002TIMER_DELAY_MS\u00011\u0002REAL_QID\u00013\u0002DELAY\u00011\u0002'
    expect((await client.send('T1', 'x', 1, properties)).code).toBe(ResponseCode.SUCCESS)
    clock.jump(1_100)
    const [message] = await messagesIn(client, 'T1', 1, 1)
    expect(message?.body.toString()).toBe('x')
    expect(message?.properties['TIMER_DELAY_MS']).toBeUndefined()
  })

  test('wakes a pull that is held for its queue', async () => {
    const { client, clock } = await aClockedBroker()
    await client.send('T1', 'x', 0, 'DELAY\u00011\u0002')
    await client.heartBeat('c', 'G', ['T1'])
    const held = client.pull('T1', 'G', 0, { sysFlag: 6, suspendTimeoutMillis: 15_000 })
    await settle()
    clock.jump(1_100)
    expect((await held).code).toBe(ResponseCode.SUCCESS)
  })

  test('is delivered also when it is longer than messages may be by now', async () => {
    const dir = await aFolder()
    const first = await aClockedBroker(dir)
    await first.client.send('T1', 'long'.repeat(20_000), 0, 'DELAY\u00012\u0002')
    await first.broker.close()
    const second = await aClockedBroker(dir, first.clock, { messageBytesMax: 100 })
    second.clock.jump(5_500)
    await until(() => queueOf(second, 'T1').maxOffset === 1)
    expect((await second.client.send('T1', 'x'.repeat(101))).code).toBe(
      ResponseCode.MESSAGE_ILLEGAL,
    )
  })

  test('is delivered though the disk refuses the block that it lies in, but for the record that is damaged', async () => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    const queue = queueOf(broker, SCHEDULE, 0)
    refuseBlocks(broker.broker.context.store, queue, 0)
    for (const body of ['unreadable', 'first', 'second']) {
      await client.send('T1', body, 0, 'DELAY\u00011\u0002')
    }
    await until(() => {
      clock.jump(1_100)
      return queueOf(broker, 'T1').maxOffset >= 2
    })
    const messages = await messagesIn(client, 'T1', 2)
    expect(messages.map(({ body }) => body.toString())).toEqual(['first', 'second'])
  })

  test('comes though the disk refuses the sector behind its record; what lies in that is passed over', async () => {
    const dir = await aFolder()
    const first = await aClockedBroker(dir)
    const bodies = ['a', 'b', 'bad', 'c', 'd']
    for (const body of bodies) await first.client.send('T1', body, 0, 'DELAY\u00015\u0002')
    await until(() => queueOf(first, SCHEDULE, 4).maxOffset === bodies.length)
    const unit = await first.broker.context.store.unitAt(queueOf(first, SCHEDULE, 4), 2)
    await first.broker.close()

    const damaged = new DamagedDisk()
    const second = await aClockedBroker(dir, first.clock, {}, damaged.disk)
    const { physicalOffset = 0, size = 0 } = unit ?? {}
    damaged.damage('commitlog', physicalOffset, physicalOffset + size)
    second.clock.jump(61_000)
    await expect
      .poll(
        () => {
          second.clock.jump(1_100)
          return queueOf(second, 'T1').maxOffset
        },
        { interval: 4 },
      )
      .toBe(4)
    const messages = await messagesIn(second.client, 'T1', 4)
    expect(messages.map(({ body }) => body.toString())).toEqual(['a', 'b', 'c', 'd'])
  })

  test('is read again after a second at the earliest, also when others come while a read fails', async () => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    const { store } = broker.broker.context
    const queue = queueOf(broker, SCHEDULE, 0)
    await client.send('T1', 'x', 0, 'DELAY\u00011\u0002')
    await until(() => queue.maxOffset === 1)
    const fails: (() => void)[] = []
    vi.spyOn(store, 'pullNow').mockReturnValue(null)
    vi.spyOn(store, 'pull').mockImplementation(
      () =>
        new Promise((_, reject) =>
          fails.push(() => {
            reject(new Error('EIO'))
          }),
        ),
    )
    clock.jump(1_100)
    await until(() => fails.length === 1)
    await client.send('T1', 'y', 0, 'DELAY\u00011\u0002')
    await until(() => queue.maxOffset === 2)
    await settle()
    // From now on no pause ends.
    const after = clock.after.bind(clock)
    const pauses = vi
      .spyOn(clock, 'after')
      .mockImplementation((ms, run) => (ms === 1_000 ? () => undefined : after(ms, run)))
    fails[0]?.()
    await until(() => pauses.mock.calls.some(([ms]) => ms === 1_000))
    await settle()
    expect(fails).toHaveLength(1)
  })

  test('is not lost with its topic’s configuration', async () => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    await client.send('T1', 'x', 3, 'DELAY\u00011\u0002')
    await broker.broker.context.topics.delete('T1', () => Promise.resolve())
    clock.jump(1_100)
    await until(() => queueOf(broker, 'T1', 3).maxOffset === 1)
    expect(broker.broker.context.topics.get('T1')?.writeQueueNums).toBe(4)
  })
})

describe('the progress of the delay levels', () => {
  test('is kept over a restart: what was delivered is not delivered again, what waits is', async () => {
    const dir = await aFolder()
    const first = await aClockedBroker(dir)
    await first.client.send('T1', 'one', 0, 'DELAY\u00011\u0002')
    await first.client.send('T1', 'two', 0, 'DELAY\u00012\u0002')
    first.clock.jump(1_100)
    await until(() => queueOf(first, 'T1').maxOffset === 1)
    await first.broker.close()
    const file = parseBody(await readFile(path.join(dir, 'config', 'delayOffset.json')))
    expect(file['offsetTable']).toEqual({ '1': 1 })

    const second = await aClockedBroker(dir, first.clock)
    second.clock.jump(5_000)
    const messages = await messagesIn(second.client, 'T1', 2)
    expect(messages.map((message) => message.body.toString())).toEqual(['one', 'two'])
    await settle()
    expect(queueOf(second, 'T1').maxOffset).toBe(2)
  })

  test('is told to whoever asks for it', async () => {
    const { client, clock } = await aClockedBroker()
    await client.send('T1', 'x', 0, 'DELAY\u00011\u0002')
    clock.jump(1_100)
    let table: unknown = null
    for (let i = 0; i < 200 && JSON.stringify(table) !== '{"1":1}'; i++) {
      const answer = await client.ask(RequestCode.GET_ALL_DELAY_OFFSET)
      table = parseBody(answer.body)['offsetTable']
      await new Promise<void>((resolve) => nodeWorld.clock.after(10, resolve))
    }
    expect(table).toEqual({ '1': 1 })
  })

  test('is never ahead of the disk: what is not flushed counts as not delivered', async () => {
    const { client, clock, broker } = await aClockedBroker()
    const { store, delay } = broker.context
    await client.send('T1', 'x', 0, 'DELAY\u00011\u0002')
    clock.jump(1_100)
    await until(() => store.queue('T1', 0).maxOffset === 1)
    const { flushed } = store.watermarks
    const told = parseBody(delay.table())['offsetTable']
    expect(told).toEqual(flushed < store.watermarks.appended ? {} : { '1': 1 })
  })

  test('begins at the start when its file is damaged or missing, which delivers again and loses nothing', async () => {
    const dir = await aFolder()
    const first = await aClockedBroker(dir)
    await first.client.send('T1', 'x', 0, 'DELAY\u00011\u0002')
    first.clock.jump(1_100)
    await until(() => queueOf(first, 'T1').maxOffset === 1)
    await first.broker.close()
    for (const name of ['delayOffset.json', 'delayOffset.json.bak']) {
      await nodeWorld.disk.remove(path.join(dir, 'config', name)).catch(() => undefined)
    }
    const second = await aClockedBroker(dir, first.clock)
    await until(() => queueOf(second, 'T1').maxOffset === 2)
  })
})

describe('a wall clock that is set', () => {
  test('back makes nothing early, and nothing wait for longer than twice its delay', async () => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    const queue = queueOf(broker, 'T1')
    await client.send('T1', 'before', 0, 'DELAY\u00014\u0002')
    clock.jump(10_000)
    clock.setWall(-3_600_000)
    await settle()
    await client.send('T1', 'after', 0, 'DELAY\u00014\u0002')
    const deliveredAt: number[] = []
    for (let second = 1; second <= 70 && queue.maxOffset < 2; second++) {
      clock.jump(1_000)
      await new Promise<void>((resolve) => nodeWorld.clock.after(10, resolve))
      while (deliveredAt.length < queue.maxOffset) deliveredAt.push(second)
    }
    const [before = 0, after = 0] = deliveredAt
    expect(before).toBeGreaterThanOrEqual(20)
    expect(before).toBeLessThanOrEqual(50)
    expect(after).toBeGreaterThanOrEqual(30)
    expect(after).toBeLessThanOrEqual(62)
  })

  test('forward delivers within about a second what is due by it', async () => {
    const broker = await aClockedBroker()
    await broker.client.send('T1', 'x', 0, 'DELAY\u000118\u0002')
    expect(queueOf(broker, 'T1').maxOffset).toBe(0)
    broker.clock.setWall(7_200_000)
    await until(() => queueOf(broker, 'T1').maxOffset === 1)
  })
})

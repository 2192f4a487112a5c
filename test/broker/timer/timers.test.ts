import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import { type StoredMessage, decodeRecords } from '../../../src/protocol/record.ts'
import { decodeRecallHandle, encodeRecallHandle } from '../../../src/protocol/recall-handle.ts'
import { nodeWorld } from '../../../src/world/node-world.ts'
import { JumpClock } from '../../world/jump-clock.ts'
import { refuseBlocks } from '../refused-blocks.ts'
import { type TestBroker, type TestClient, aBroker, aFolder, closeAll } from '../a-broker.ts'

afterEach(closeAll)

const TIMER = 'rmq_sys_wheel_timer'

async function aClockedBroker(
  dir?: string,
  clock = new JumpClock(),
  settings: object = {},
  storeSettings: object = {},
) {
  const world = { ...nodeWorld, clock }
  const store = { flushIntervalMs: 10, flushThoroughMs: 10 }
  const broker = await aBroker(
    { ...settings, store: { ...store, ...storeSettings, ...(dir === undefined ? {} : { dir }) } },
    null,
    world,
  )
  return { ...broker, clock, client: broker.connect() }
}

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

function endOf({ broker }: TestBroker, topic: string, queueId = 0): number {
  return broker.context.store.queue(topic, queueId).maxOffset
}

async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 1_000 && !what(); i++) {
    await new Promise<void>((resolve) => nodeWorld.clock.after(4, resolve))
  }
  expect(what()).toBe(true)
}

async function settle(): Promise<void> {
  await new Promise<void>((resolve) => nodeWorld.clock.after(60, resolve))
}

/** All messages of the timer topic have their unit. */
function taken({ broker }: TestBroker): Promise<void> {
  const { timers } = broker.context
  return until(() => timers.queue.nextOffset === timers.queue.maxOffset && timers.behind === 0)
}

describe('a message with a time of delivery', () => {
  test.each([
    ['at a time', (nowMs: number) => `TIMER_DELIVER_MS\u0001${nowMs + 30_000}\u0002`],
    ['after seconds', () => 'TIMER_DELAY_SEC\u000130\u0002'],
    ['after milliseconds', () => 'TIMER_DELAY_MS\u000130000\u0002'],
  ])('waits in the timer topic and comes when its time has come: %s', async (_name, properties) => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    const nowMs = Math.floor(clock.wallMs())
    const text = `KEYS\u0001k\u0002UNIQ_KEY\u0001id-1\u0002${properties(nowMs)}`
    const answer = await client.send('T1', 'later', 2, text)
    expect(answer).toMatchObject({ code: 0, ext: { queueId: '2' } })
    const [waiting] = await messagesIn(client, TIMER, 1)
    expect(waiting?.properties).toMatchObject({ REAL_TOPIC: 'T1', REAL_QID: '2', KEYS: 'k' })
    const dueMs = Number(waiting?.properties['TIMER_OUT_MS'])
    expect(dueMs % 1_000).toBe(0)
    await taken(broker)
    clock.jump(28_900)
    await settle()
    expect(endOf(broker, 'T1', 2)).toBe(0)
    clock.jump(2_100)
    const [message] = await messagesIn(client, 'T1', 1, 2)
    expect(message?.body.toString()).toBe('later')
    expect(message).toMatchObject({
      queueId: 2,
      messageId: 'id-1',
      bornTimestamp: waiting?.bornTimestamp,
    })
    expect(message?.storeTimestamp).toBeGreaterThanOrEqual(nowMs + 30_000)
    expect(message?.properties['TIMER_DEQUEUE_MS']).toBeDefined()
  })

  test('that has passed comes at once', async () => {
    const { client } = await aClockedBroker()
    await client.send('T1', 'late', 0, 'TIMER_DELIVER_MS\u00011000\u0002')
    const [message] = await messagesIn(client, 'T1', 1)
    expect(message?.body.toString()).toBe('late')
  })

  test('waits for its delay level when it has both', async () => {
    const broker = await aClockedBroker()
    await broker.client.send('T1', 'x', 0, 'DELAY\u00014\u0002TIMER_DELAY_SEC\u00011\u0002')
    expect(broker.broker.context.store.queue('SCHEDULE_TOPIC_XXXX', 3).nextOffset).toBe(1)
    expect(endOf(broker, TIMER)).toBe(0)
  })

  test.each([
    ['no number', 'TIMER_DELAY_SEC\u0001soon\u0002', ResponseCode.MESSAGE_ILLEGAL],
    ['too far ahead', 'TIMER_DELAY_SEC\u0001259300\u0002', ResponseCode.MESSAGE_ILLEGAL],
    [
      'a recall of something delivered',
      'TIMER_DELIVER_MS\u00011000\u0002TIMER_DEL_UNIQKEY\u0001T1+x\u0002',
      ResponseCode.MESSAGE_ILLEGAL,
    ],
  ])('is refused: %s', async (_name, properties, code) => {
    const { client } = await aClockedBroker()
    expect((await client.send('T1', 'x', 0, properties)).code).toBe(code)
  })

  test('is refused where timers are switched off', async () => {
    const { client } = await aClockedBroker(undefined, undefined, { timerWheelEnable: false })
    const answer = await client.send('T1', 'x', 0, 'TIMER_DELAY_SEC\u000130\u0002')
    expect(answer.code).toBe(ResponseCode.SYSTEM_ERROR)
    expect(answer.remark).toContain('timerWheelEnable')
  })

  test('comes also when its properties leave no room for when it was stored and delivered', async () => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    const later = (pad: number) => `TIMER_DELAY_SEC\u000130\u0002pad\u0001${'x'.repeat(pad)}\u0002`
    await client.send('T1', 'short', 0, later(1))
    const [short] = await messagesIn(client, TIMER, 1)
    const storedBytes = Object.entries(short?.properties ?? {}).reduce(
      (sum, [name, value]) => sum + name.length + value.length + 2,
      0,
    )
    expect((await client.send('T1', 'full', 0, later(32_750 - storedBytes))).code).toBe(0)
    await taken(broker)
    clock.jump(32_000)
    const messages = await messagesIn(client, 'T1', 2)
    expect(messages.map(({ body }) => body.toString())).toEqual(['short', 'full'])
  })

  test('comes once, though the disk fails behind it in the same second', async () => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    const { store } = broker.broker.context
    const atMs = Math.ceil(clock.wallMs() / 1_000) * 1_000 + 10_500
    for (let n = 0; n < 40; n++) {
      await client.send('T1', String(n), 0, `TIMER_DELIVER_MS\u0001${atMs}\u0002`)
    }
    await taken(broker)
    // The second round of reads, when the first is delivered.
    let reads = 0
    const recordAt = store.recordAt.bind(store)
    const reading = vi
      .spyOn(store, 'recordAt')
      .mockImplementation((at) =>
        ++reads === 36 ? Promise.reject(new Error('EIO')) : recordAt(at),
      )
    clock.jump(13_000)
    await expect.poll(() => reads).toBeGreaterThan(36)
    await until(() => {
      clock.jump(1_000)
      return endOf(broker, 'T1') >= 40
    })
    await settle()
    reading.mockRestore()
    expect(endOf(broker, 'T1')).toBe(40)
  })

  test('is passed over when the disk never gives it back, and those behind it come', async () => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    const { store } = broker.broker.context
    const later = 'TIMER_DELAY_SEC\u000130\u0002'
    for (const body of ['unreadable', 'behind']) await client.send('T1', body, 0, later)
    await taken(broker)
    const unit = await store.unitAt(store.queue(TIMER, 0), 0)
    const recordAt = store.recordAt.bind(store)
    vi.spyOn(store, 'recordAt').mockImplementation((at) =>
      at === unit?.physicalOffset ? Promise.reject(new Error('EIO')) : recordAt(at),
    )
    await until(() => {
      clock.jump(1_100)
      return endOf(broker, 'T1') > 0
    })
    const [message] = await messagesIn(client, 'T1', 1)
    expect(message?.body.toString()).toBe('behind')
  })

  test('is taken though the disk refuses the block that it lies in, but for the record that is damaged', async () => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    const { store } = broker.broker.context
    const queue = store.queue(TIMER, 0)
    refuseBlocks(store, queue, 0)
    const later = 'TIMER_DELAY_SEC\u000130\u0002'
    for (const body of ['unreadable', 'first', 'second']) await client.send('T1', body, 0, later)
    await until(() => {
      clock.jump(1_100)
      return endOf(broker, 'T1') >= 2
    })
    const messages = await messagesIn(client, 'T1', 2)
    expect(messages.map(({ body }) => body.toString())).toEqual(['first', 'second'])
  })

  test('is read again after a second at the earliest, also when others come while reads fail', async () => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    const { store } = broker.broker.context
    // No pause ends.
    const after = clock.after.bind(clock)
    vi.spyOn(clock, 'after').mockImplementation((ms, run) =>
      ms === 1_000 ? () => undefined : after(ms, run),
    )
    vi.spyOn(store, 'pullNow').mockReturnValue(null)
    const pull = vi.spyOn(store, 'pull').mockRejectedValue(new Error('EIO'))
    const later = 'TIMER_DELAY_SEC\u000130\u0002'
    for (let n = 1; n <= 3; n++) {
      await client.send('T1', String(n), 0, later)
      await until(() => endOf(broker, TIMER) === n)
    }
    expect(pull).toHaveBeenCalledTimes(1)
  })

  test('keeps the order of those that were sent for the same second', async () => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    const atMs = Math.ceil(clock.wallMs() / 1_000) * 1_000 + 10_500
    for (let n = 0; n < 100; n++) {
      await client.send('T1', String(n), 0, `TIMER_DELIVER_MS\u0001${atMs}\u0002`)
    }
    await taken(broker)
    clock.jump(13_000)
    const messages = await messagesIn(client, 'T1', 100)
    expect(messages.map(({ body }) => Number(body.toString()))).toEqual(
      Array.from({ length: 100 }, (_, n) => n),
    )
  })

  test('that is due after days is stored again on the way, and comes on time', async () => {
    const broker = await aClockedBroker()
    const { client, clock } = broker
    const sentMs = clock.wallMs()
    await client.send('T1', 'days', 0, 'TIMER_DELAY_SEC\u0001250000\u0002')
    await taken(broker)
    clock.jump(240_000_000)
    await until(() => endOf(broker, TIMER) >= 2)
    await taken(broker)
    expect(endOf(broker, 'T1')).toBe(0)
    clock.jump(11_100_000)
    const [message] = await messagesIn(client, 'T1', 1)
    expect(message?.storeTimestamp).toBeGreaterThanOrEqual(sentMs + 250_000_000)
    expect(Number(message?.properties['TIMER_ROLL_TIMES'])).toBeGreaterThan(0)
  })
})

describe('the timer after a restart', () => {
  const delays = [20, 40, 60, 86_400]

  async function sent(dir: string, clock: JumpClock) {
    const broker = await aClockedBroker(dir, clock)
    for (const [n, seconds] of delays.entries()) {
      await broker.client.send('T1', `m${n}`, 0, `TIMER_DELAY_SEC\u0001${seconds}\u0002`)
    }
    await taken(broker)
    clock.jump(22_000)
    await messagesIn(broker.client, 'T1', 1)
    await broker.broker.close()
  }

  test.each([
    ['as it was', () => Promise.resolve()],
    ['without its wheel', (dir: string) => rm(path.join(dir, 'timerwheel'))],
    [
      'with a wheel of another size',
      (dir: string) => writeFile(path.join(dir, 'timerwheel'), 'damaged'),
    ],
  ])('delivers the rest, once: %s', async (_name, damage) => {
    const dir = await aFolder()
    const clock = new JumpClock()
    await sent(dir, clock)
    await damage(dir)
    const again = await aClockedBroker(dir, clock)
    clock.jump(86_400_000)
    const messages = await messagesIn(again.client, 'T1', 4)
    await settle()
    expect(messages.map(({ body }) => body.toString())).toEqual(['m0', 'm1', 'm2', 'm3'])
    expect(endOf(again, 'T1')).toBe(4)
  })

  test('delivers what is longer than messages may be by now', async () => {
    const dir = await aFolder()
    const first = await aClockedBroker(dir)
    await first.client.send('T1', 'long'.repeat(50), 0, 'TIMER_DELAY_SEC\u000130\u0002')
    await taken(first)
    await first.broker.close()
    const again = await aClockedBroker(dir, first.clock, {}, { messageBytesMax: 100 })
    again.clock.jump(32_000)
    expect(await messagesIn(again.client, 'T1', 1)).toHaveLength(1)
  })

  test('without its checkpoint, delivers everything at least once, what was due meanwhile too', async () => {
    const dir = await aFolder()
    const clock = new JumpClock()
    await sent(dir, clock)
    await rm(path.join(dir, 'config', 'timercheck'))
    clock.jump(20_000)
    const again = await aClockedBroker(dir, clock)
    clock.jump(86_400_000)
    const messages = await messagesIn(again.client, 'T1', 5)
    const bodies = new Set(messages.map(({ body }) => body.toString()))
    expect([...bodies].sort()).toEqual(['m0', 'm1', 'm2', 'm3'])
  })

  test('has noted a time to begin at before its first units are on the disk', async () => {
    const dir = await aFolder()
    const { disk } = nodeWorld
    const open: typeof disk.open = (at, ...how) =>
      path.basename(path.dirname(at)) === 'timerlog'
        ? Promise.reject(new Error('killed'))
        : disk.open(at, ...how)
    const failing = Object.assign(Object.create(disk) as typeof disk, { open })
    const clock = new JumpClock()
    const broker = await aBroker({ store: { dir } }, null, { ...nodeWorld, clock, disk: failing })
    await broker.connect().send('T1', 'x', 0, 'TIMER_DELAY_SEC\u000130\u0002')
    await taken(broker)
    const checkpoint = path.join(dir, 'config', 'timercheck')
    await expect.poll(() => disk.facts(checkpoint)).not.toBeNull()
  })

  test('that lasted for weeks delivers what was due meanwhile', async () => {
    const dir = await aFolder()
    const clock = new JumpClock()
    await sent(dir, clock)
    clock.jump(20 * 86_400_000)
    const again = await aClockedBroker(dir, clock, {})
    await again.client.send('T1', 'new', 0, 'TIMER_DELAY_SEC\u000130\u0002')
    const messages = await messagesIn(again.client, 'T1', 4)
    expect(messages).toHaveLength(4)
    await taken(again)
    clock.jump(32_000)
    expect(await messagesIn(again.client, 'T1', 5)).toHaveLength(5)
  })
})

describe('a message that waits for its time', () => {
  async function aWaiting(settings: object = {}) {
    const broker = await aClockedBroker(undefined, undefined, settings)
    const properties = (id: string) => `UNIQ_KEY\u0001${id}\u0002TIMER_DELAY_SEC\u000130\u0002`
    const answer = await broker.client.send('T1', 'one', 0, properties('id-1'))
    await broker.client.send('T1', 'two', 0, properties('id-2'))
    return { ...broker, handle: answer.ext['recallHandle'] ?? '' }
  }

  const recall = (client: TestClient, topic: string, recallHandle: string) =>
    client.ask(RequestCode.RECALL_MESSAGE, { topic, recallHandle })

  test('can be recalled with the handle that its sender got', async () => {
    const broker = await aWaiting()
    const { client, clock, handle } = broker
    expect(decodeRecallHandle(handle)).toMatchObject({
      topic: 'T1',
      brokerName: 'broker-a',
      uniqueKey: 'id-1',
    })
    expect(await recall(client, 'T1', handle)).toMatchObject({ code: 0, ext: { msgId: 'id-1' } })
    await taken(broker)
    clock.jump(32_000)
    const messages = await messagesIn(client, 'T1', 1)
    await settle()
    expect(messages.map(({ body }) => body.toString())).toEqual(['two'])
    expect(endOf(broker, 'T1')).toBe(1)
  })

  test.each(['T1+id-1', 'id-1'])('is taken back by a message that names it: %s', async (key) => {
    const broker = await aWaiting()
    const { client, clock, handle } = broker
    const timeMs = decodeRecallHandle(handle)?.timeMs ?? 0
    const properties = `TIMER_DELIVER_MS\u0001${timeMs}\u0002TIMER_DEL_UNIQKEY\u0001${key}\u0002`
    expect((await client.send('T1', '0', 0, properties)).code).toBe(0)
    await taken(broker)
    clock.jump(32_000)
    const messages = await messagesIn(client, 'T1', 1)
    expect(messages.map(({ body }) => body.toString())).toEqual(['two'])
  })

  test('cannot be recalled after its time', async () => {
    const { client, clock, handle } = await aWaiting()
    clock.jump(32_000)
    expect((await recall(client, 'T1', handle)).code).toBe(ResponseCode.ILLEGAL_OPERATION)
  })

  test('cannot be recalled with what is no handle, of another topic or of another broker', async () => {
    const { client, handle } = await aWaiting()
    await client.send('T2', 'x', 0, '')
    const own = decodeRecallHandle(handle)
    const foreign = own === null ? '' : encodeRecallHandle({ ...own, brokerName: 'other' })
    const codes = [
      (await recall(client, 'T1', 'nonsense')).code,
      (await recall(client, 'T2', handle)).code,
      (await recall(client, 'T1', foreign)).code,
      (await recall(client, 'unknown', handle)).code,
    ]
    const { ILLEGAL_OPERATION, TOPIC_NOT_EXIST } = ResponseCode
    expect(codes).toEqual([
      ILLEGAL_OPERATION,
      ILLEGAL_OPERATION,
      ILLEGAL_OPERATION,
      TOPIC_NOT_EXIST,
    ])
  })

  test('is recalled, or not, by an answer that names the region: clients trace it then', async () => {
    const { client, handle } = await aWaiting({ regionId: 'East' })
    const answers = [await recall(client, 'T1', 'nonsense'), await recall(client, 'T1', handle)]
    expect(answers.map(({ ext }) => ext['MSG_REGION'])).toEqual(['East', 'East'])
  })

  test('cannot be recalled where that is switched off', async () => {
    const { client, handle } = await aWaiting({ recallMessageEnable: false })
    expect((await recall(client, 'T1', handle)).code).toBe(ResponseCode.NO_PERMISSION)
  })
})

import { cp } from 'node:fs/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { silentLogger } from '../../../src/base/logger.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import type { Command, ExtValues } from '../../../src/protocol/command.ts'
import { decodeOffsetId } from '../../../src/protocol/message-id.ts'
import { type StoredMessage, decodeRecord, decodeRecords } from '../../../src/protocol/record.ts'
import type { Disk } from '../../../src/world/disk.ts'
import { nodeWorld } from '../../../src/world/node-world.ts'
import { FailingDisk } from '../../store/failing-disk.ts'
import { JumpClock } from '../../world/jump-clock.ts'
import type { Clock } from '../../../src/world/clock.ts'
import { type TestClient, aBroker, aFolder, closeAll } from '../a-broker.ts'

afterEach(closeAll)

const COMMIT = 8
const ROLLBACK = 12
const HALF = 'RMQ_SYS_TRANS_HALF_TOPIC'
const OP = 'RMQ_SYS_TRANS_OP_HALF_TOPIC'
/** Beyond any check interval: rounds are called by the tests. */
const options = { transactionCheckInterval: 3_600_000, transactionTimeOut: 6_000 }

/** The broker's questions to this client. */
const asked = (client: TestClient) =>
  client.asked.filter(({ code }) => code === RequestCode.CHECK_TRANSACTION_STATE)

const introduce = (client: TestClient, clientId: string, group = 'PG') =>
  client.ask(
    RequestCode.HEART_BEAT,
    {},
    JSON.stringify({
      clientID: clientId,
      producerDataSet: [{ groupName: group }],
      consumerDataSet: [],
    }),
  )

const tran = (more = '') =>
  `TRAN_MSG\u0001true\u0002PGROUP\u0001PG\u0002UNIQ_KEY\u0001K1\u0002TAGS\u0001red\u0002${more}`

async function aTransactionBroker(
  given: Parameters<typeof aBroker>[0] = {},
  disk: Disk = nodeWorld.disk,
) {
  const clock = new JumpClock()
  const { broker, dir, connect } = await aBroker({ ...options, ...given }, null, {
    ...nodeWorld,
    clock,
    disk,
  })
  const client = connect()
  const { store, transactions, checker } = broker.context

  const messageAt = async (topic: string, offset: number, queueId = 0): Promise<StoredMessage> => {
    const queue = store.queue(topic, queueId)
    await expect.poll(() => queue.maxOffset).toBeGreaterThan(offset)
    const unit = await store.unitAt(queue, offset)
    const record = await store.recordAt(unit?.physicalOffset ?? -1)
    const message = record && decodeRecord(record, 0, record.length)
    if (!message) throw new Error(`nothing in ${topic} at ${offset}`)
    return message
  }
  const sendHalf = (body = 'half', properties = tran()) => client.send('T1', body, 0, properties)
  const end = (sent: Command, commitOrRollback: number, more: ExtValues = {}) =>
    client.ask(RequestCode.END_TRANSACTION, {
      producerGroup: 'PG',
      tranStateTableOffset: sent.ext['queueOffset'],
      commitLogOffset: decodeOffsetId(sent.ext['msgId'] ?? '')?.physicalOffset,
      commitOrRollback,
      fromTransactionCheck: false,
      msgId: 'K1',
      ...more,
    })
  /** Answers as a producer does that was asked about a half. */
  const answer = (asked: Command, commitOrRollback: number) =>
    client.ask(RequestCode.END_TRANSACTION, {
      producerGroup: 'PG',
      tranStateTableOffset: asked.ext['tranStateTableOffset'],
      commitLogOffset: asked.ext['commitLogOffset'],
      commitOrRollback,
      fromTransactionCheck: true,
      msgId: asked.ext['msgId'],
    })
  /** What END_TRANSACTION says about it, for calls that go past the wire. */
  const decided = (sent: Command, decision: 'commit' | 'rollback') => ({
    producerGroup: 'PG',
    queueOffset: Number(sent.ext['queueOffset']),
    physicalOffset: decodeOffsetId(sent.ext['msgId'] ?? '')?.physicalOffset ?? -1,
    decision,
    isAnswer: false,
  })
  const delivered = (topic = 'T1') => store.queue(topic, 0).nextOffset
  return {
    clock,
    broker,
    dir,
    connect,
    client,
    store,
    transactions,
    checker,
    messageAt,
    sendHalf,
    end,
    answer,
    decided,
    delivered,
  }
}

/** Counts how often a round waits for a producer; such waits take no time from now on. */
function waitsOf(clock: Clock): { count: number } {
  const waits = { count: 0 }
  const after = clock.after.bind(clock)
  vi.spyOn(clock, 'after').mockImplementation((ms, run) => {
    if (ms !== 20) return after(ms, run)
    waits.count++
    setImmediate(run)
    return () => undefined
  })
  return waits
}

describe('a half message', () => {
  test('is stored in the half topic as Apache stores it, and nobody sees it in its own', async () => {
    const { sendHalf, messageAt, delivered } = await aTransactionBroker()
    const sent = await sendHalf('pay')
    expect(sent).toMatchObject({
      code: ResponseCode.SUCCESS,
      ext: { queueId: '0', queueOffset: '0', transactionId: 'K1' },
    })
    const half = await messageAt(HALF, 0)
    expect(half).toMatchObject({ topic: HALF, queueId: 0, sysFlag: 0, messageId: 'K1' })
    expect(half.offsetMessageId).toBe(sent.ext['msgId'])
    expect(half.body.toString()).toBe('pay')
    expect(half.properties).toMatchObject({
      REAL_TOPIC: 'T1',
      REAL_QID: '0',
      __transactionId__: 'K1',
      TRAN_MSG: 'true',
      PGROUP: 'PG',
      TAGS: 'red',
    })
    expect(delivered()).toBe(0)
  })

  test('may not say where it goes, nor how often it was checked', async () => {
    const { sendHalf, messageAt } = await aTransactionBroker()
    const forged =
      'REAL_TOPIC\u0001Other\u0002REAL_QID\u00019\u0002TRANSACTION_CHECK_TIMES\u000114\u0002'
    await sendHalf('x', tran(`${forged}TRAN_PREPARED_QUEUE_OFFSET\u00010\u0002`))
    const { properties } = await messageAt(HALF, 0)
    expect(properties).toMatchObject({ REAL_TOPIC: 'T1', REAL_QID: '0' })
    expect(properties).not.toHaveProperty('TRANSACTION_CHECK_TIMES')
    expect(properties).not.toHaveProperty('TRAN_PREPARED_QUEUE_OFFSET')
  })

  test('is refused where transactions are switched off', async () => {
    const { sendHalf, store } = await aTransactionBroker({ rejectTransactionMessage: true })
    const sent = await sendHalf()
    expect(sent.code).toBe(ResponseCode.NO_PERMISSION)
    expect(sent.remark).toMatch(/sending transaction message is forbidden/)
    expect(store.queue(HALF, 0).nextOffset).toBe(0)
  })

  test.each([
    ['a time beyond the farthest', (nowMs: number) => `TIMER_DELIVER_MS\u0001${nowMs + 864e6}`],
    ['a time that is no number', () => 'TIMER_DELAY_SEC\u0001soon'],
    ['a level that is no number', () => 'DELAY\u0001late'],
    [
      'a recall of what has been delivered',
      (nowMs: number) => `TIMER_DELIVER_MS\u0001${nowMs - 5_000}\u0002TIMER_DEL_UNIQKEY\u0001K0`,
    ],
  ])('that asks for %s is refused at once: nobody hears of it later', async (_what, asks) => {
    const { clock, sendHalf, store, transactions } = await aTransactionBroker()
    const sent = await sendHalf('x', tran(`${asks(Math.floor(clock.wallMs()))}\u0002`))
    expect(sent.code).toBe(ResponseCode.MESSAGE_ILLEGAL)
    expect(store.queue(HALF, 0).nextOffset).toBe(0)
    expect(transactions.open.size).toBe(0)
  })

  test('that cannot wait any more as it asked to stays open, and the log says so', async () => {
    const { clock, sendHalf, end, transactions } = await aTransactionBroker()
    const deliverMs = Math.floor(clock.wallMs()) + 5_000
    const recall = `TIMER_DELIVER_MS\u0001${deliverMs}\u0002TIMER_DEL_UNIQKEY\u0001K0\u0002`
    const sent = await sendHalf('x', tran(recall))
    expect(sent.code).toBe(ResponseCode.SUCCESS)
    clock.jump(6_000)
    const warn = vi.spyOn(silentLogger, 'warn')
    try {
      expect((await end(sent, COMMIT)).code).toBe(ResponseCode.MESSAGE_ILLEGAL)
      const said = warn.mock.calls.filter(([text]) => text.includes('stays open'))
      expect(said).toHaveLength(1)
      expect(said[0]?.[1]).toMatchObject({ id: 'K1', group: 'PG', topic: 'T1', queueOffset: 0 })
    } finally {
      warn.mockRestore()
    }
    expect(transactions.open.size).toBe(1)
  })

  test('that is committed is delivered once, with its properties and where its half lies', async () => {
    const { sendHalf, end, messageAt, delivered, transactions } = await aTransactionBroker()
    const sent = await sendHalf('pay')
    expect((await end(sent, COMMIT)).code).toBe(ResponseCode.SUCCESS)
    const half = await messageAt(HALF, 0)
    const message = await messageAt('T1', 0)
    expect(message).toMatchObject({
      sysFlag: COMMIT,
      messageId: 'K1',
      bornTimestamp: half.bornTimestamp,
      bornHost: half.bornHost,
      preparedTransactionOffset: half.physicalOffset,
    })
    expect(message.body.toString()).toBe('pay')
    const { REAL_TOPIC: _1, REAL_QID: _2, ...own } = half.properties
    expect(message.properties).toEqual(own)
    const op = await messageAt(OP, 0)
    expect([op.body.toString(), op.properties['TAGS']]).toEqual(['0,', 'd'])
    const again = await end(sent, COMMIT)
    expect(again.code).toBe(ResponseCode.SYSTEM_ERROR)
    expect(again.remark).toMatch(/before/)
    expect([delivered(), transactions.open.size]).toEqual([1, 0])
  })

  test('that is rolled back is never delivered, also when it is committed afterwards', async () => {
    const { sendHalf, end, messageAt, delivered } = await aTransactionBroker()
    const sent = await sendHalf()
    expect((await end(sent, ROLLBACK)).code).toBe(ResponseCode.SUCCESS)
    expect((await messageAt(OP, 0)).body.toString()).toBe('0,')
    expect((await end(sent, COMMIT)).code).toBe(ResponseCode.SYSTEM_ERROR)
    expect(delivered()).toBe(0)
  })

  test('ends once, when many say so at once', async () => {
    const { sendHalf, end, delivered } = await aTransactionBroker()
    const sent = await sendHalf()
    const codes = await Promise.all(
      [COMMIT, COMMIT, ROLLBACK, COMMIT].map(async (how) => (await end(sent, how)).code),
    )
    expect(codes.filter((code) => code === ResponseCode.SUCCESS)).toHaveLength(1)
    expect(delivered()).toBe(1)
  })

  test('stays open when its producer does not know', async () => {
    const { sendHalf, end, delivered, transactions } = await aTransactionBroker()
    expect((await end(await sendHalf(), 0)).code).toBe(ResponseCode.SUCCESS)
    expect([delivered(), transactions.open.size]).toEqual([0, 1])
  })

  test('waits for its delay level once it is committed', async () => {
    const { clock, sendHalf, end, messageAt, delivered } = await aTransactionBroker()
    await end(await sendHalf('late', tran('DELAY\u00012\u0002')), COMMIT)
    expect((await messageAt('SCHEDULE_TOPIC_XXXX', 0, 1)).sysFlag).toBe(COMMIT)
    expect(delivered()).toBe(0)
    clock.jump(5_500)
    expect((await messageAt('T1', 0)).body.toString()).toBe('late')
  })

  test.each([
    ['another group', { producerGroup: 'Other' }, ResponseCode.SYSTEM_ERROR],
    ['another place in the half queue', { tranStateTableOffset: 7 }, ResponseCode.SYSTEM_ERROR],
    ['a place in the log where nothing is', { commitLogOffset: 99 }, ResponseCode.SYSTEM_ERROR],
    ['a place beyond the log', { commitLogOffset: 10 ** 12 }, ResponseCode.SYSTEM_ERROR],
    ['no place at all', { commitLogOffset: 'x' }, ResponseCode.INVALID_PARAMETER],
    ['no group', { producerGroup: undefined }, ResponseCode.INVALID_PARAMETER],
  ])('is left alone by an end that names %s', async (_name, more, code) => {
    const { sendHalf, end, delivered, transactions } = await aTransactionBroker()
    const answer = await end(await sendHalf(), COMMIT, more)
    expect(answer.code).toBe(code)
    expect(answer.remark).not.toBe('')
    expect([delivered(), transactions.open.size]).toEqual([0, 1])
  })

  test('cannot be conjured up from an ordinary message', async () => {
    const { client, end, delivered } = await aTransactionBroker()
    const plain = await client.send('T1', 'plain', 0, 'PGROUP\u0001PG\u0002')
    expect((await end(plain, COMMIT)).code).toBe(ResponseCode.SYSTEM_ERROR)
    expect(delivered()).toBe(1)
  })

  test('older than its immunity is ended by an answer only', async () => {
    const { clock, client, sendHalf, end, answer, checker, delivered } = await aTransactionBroker()
    await introduce(client, 'c')
    const sent = await sendHalf('x', tran('CHECK_IMMUNITY_TIME_IN_SECONDS\u00012\u0002'))
    clock.jump(3_000)
    expect((await end(sent, COMMIT)).code).toBe(ResponseCode.ILLEGAL_OPERATION)
    expect(delivered()).toBe(0)
    await checker.round()
    await expect.poll(() => asked(client).length).toBe(1)
    expect((await answer(asked(client)[0] as Command, COMMIT)).code).toBe(ResponseCode.SUCCESS)
    expect(delivered()).toBe(1)
  })
})

describe('a half that nobody ended', () => {
  test('is asked about once it is old enough, and the answer ends it', async () => {
    const { clock, client, sendHalf, answer, checker, messageAt, delivered } =
      await aTransactionBroker()
    await introduce(client, 'c')
    await sendHalf('pay')
    clock.jump(5_000)
    await checker.round()
    expect(asked(client)).toHaveLength(0)
    clock.jump(1_500)
    await checker.round()
    await expect.poll(() => asked(client).length).toBe(1)
    const question = asked(client)[0] as Command
    expect(question.code).toBe(RequestCode.CHECK_TRANSACTION_STATE)
    expect(question.isOneway).toBe(true)
    const renewed = await messageAt(HALF, 1)
    expect(question.ext).toMatchObject({
      topic: HALF,
      tranStateTableOffset: '1',
      commitLogOffset: String(renewed.physicalOffset),
      msgId: 'K1',
      transactionId: 'K1',
      offsetMsgId: renewed.offsetMessageId,
      bname: 'broker-a',
    })
    const [message] = decodeRecords(question.body ?? Buffer.alloc(0)).messages
    expect(message).toMatchObject({ topic: 'T1', queueId: 0, messageId: 'K1' })
    expect(message?.properties).toMatchObject({ PGROUP: 'PG', TRANSACTION_CHECK_TIMES: '1' })
    expect((await answer(question, COMMIT)).code).toBe(ResponseCode.SUCCESS)
    expect((await messageAt('T1', 0)).body.toString()).toBe('pay')
    await checker.round()
    expect([asked(client).length, delivered()]).toEqual([1, 1])
  })

  test('is ended by its sender also after it was asked about, and the late answer changes nothing', async () => {
    const { clock, client, sendHalf, end, answer, checker, delivered } = await aTransactionBroker()
    await introduce(client, 'c')
    const sent = await sendHalf()
    clock.jump(7_000)
    await checker.round()
    await expect.poll(() => asked(client).length).toBe(1)
    expect((await end(sent, COMMIT)).code).toBe(ResponseCode.SUCCESS)
    expect((await answer(asked(client)[0] as Command, COMMIT)).code).toBe(ResponseCode.SYSTEM_ERROR)
    expect(delivered()).toBe(1)
  })

  test('is asked of any live producer of its group, each in its turn, and of no other group', async () => {
    const { clock, connect, client, sendHalf, checker } = await aTransactionBroker()
    const [sibling, stranger] = [connect(), connect()]
    await introduce(client, 'c1')
    await introduce(sibling, 'c2')
    await introduce(stranger, 'c3', 'Other')
    await sendHalf()
    clock.jump(7_000)
    await checker.round()
    await checker.round()
    await expect.poll(() => asked(client).length + asked(sibling).length).toBe(2)
    expect([asked(client).length, asked(sibling).length]).toEqual([1, 1])
    client.close()
    await checker.round()
    await expect.poll(() => asked(sibling).length).toBe(2)
    expect(asked(stranger)).toHaveLength(0)
  })

  test('is asked about also while the producer of another one reads nothing', async () => {
    const { clock, broker, connect, client, sendHalf, checker } = await aTransactionBroker()
    const slow = connect()
    await introduce(slow, 'c1')
    await introduce(client, 'c2', 'PG2')
    const clogged = broker.context.clients.producers('PG')[0]?.connection
    if (clogged === undefined) throw new Error('the producer is not known')
    const unsent = vi.spyOn(clogged, 'unsentBytes', 'get').mockReturnValue(2 ** 21)
    for (let i = 0; i < 3; i++) await sendHalf()
    await sendHalf('x', tran().replace('PGROUP\u0001PG', 'PGROUP\u0001PG2'))
    clock.jump(7_000)
    const waits = waitsOf(clock)
    await checker.round()
    expect(waits.count).toBe(50)
    await expect.poll(() => asked(client).length).toBe(1)
    // Its time is over: it costs the next rounds nothing, until it reads.
    await checker.round()
    expect(waits.count).toBe(50)
    await expect.poll(() => asked(client).length).toBe(2)
    expect(asked(slow)).toHaveLength(0)
    unsent.mockRestore()
    await checker.round()
    await expect.poll(() => asked(slow).length).toBe(3)
  })

  test('is not checked in vain while its producer has too much unread, and keeps no round for long', async () => {
    const { clock, broker, client, sendHalf, checker, transactions } = await aTransactionBroker({
      transactionCheckMax: 2,
    })
    await introduce(client, 'c')
    const slow = broker.context.clients.producers('PG')[0]?.connection
    if (slow === undefined) throw new Error('the producer is not known')
    // It reads all the time, and never so much that there is room.
    let unsentBytes = 2 ** 30
    vi.spyOn(slow, 'unsentBytes', 'get').mockImplementation(() => unsentBytes--)
    for (let i = 0; i < 3; i++) await sendHalf()
    clock.jump(7_000)
    const waits = waitsOf(clock)
    for (let round = 0; round < 5; round++) await checker.round()
    expect([waits.count, transactions.open.size, asked(client).length]).toEqual([50, 3, 0])
    unsentBytes = 0
    await checker.round()
    await expect.poll(() => asked(client).length).toBe(3)
  })

  test('is put aside after the last check, and can then be ended no more', async () => {
    const { clock, sendHalf, end, checker, messageAt, transactions, delivered } =
      await aTransactionBroker({ transactionCheckMax: 2 })
    const sent = await sendHalf('lost')
    clock.jump(7_000)
    for (let round = 0; round < 3; round++) await checker.round()
    const aside = await messageAt('TRANS_CHECK_MAX_TIME_TOPIC', 0)
    expect(aside.body.toString()).toBe('lost')
    expect(aside.properties).toMatchObject({ REAL_TOPIC: 'T1', TRANSACTION_CHECK_TIMES: '2' })
    expect(transactions.open.size).toBe(0)
    expect((await end(sent, COMMIT)).code).toBe(ResponseCode.SYSTEM_ERROR)
    expect(delivered()).toBe(0)
  })

  test('is put aside at once when its properties leave no room for a check, and stops no other', async () => {
    const { clock, client, sendHalf, checker, messageAt, transactions, store } =
      await aTransactionBroker()
    await introduce(client, 'c')
    await sendHalf('short', tran('pad\u0001x\u0002'))
    const { properties } = await messageAt(HALF, 0)
    const bytes = Object.entries(properties).flat().join('').length
    const pad = 'x'.repeat(32_750 - bytes - 2 * Object.keys(properties).length)
    expect((await sendHalf('full', tran(`pad\u0001${pad}\u0002`))).code).toBe(0)
    await sendHalf('behind')
    await messageAt(HALF, 2)
    clock.jump(7_000)
    await checker.round()
    expect((await messageAt('TRANS_CHECK_MAX_TIME_TOPIC', 0)).body.toString()).toBe('full')
    expect(store.queue('TRANS_CHECK_MAX_TIME_TOPIC', 0).nextOffset).toBe(1)
    await expect.poll(() => asked(client).length).toBe(2)
    expect(transactions.open.size).toBe(2)
  })

  test('is put aside also where no more topics may be made', async () => {
    const { broker, clock, sendHalf, checker, messageAt, transactions } = await aTransactionBroker({
      transactionCheckMax: 1,
      topicsMax: 100,
    })
    await sendHalf('lost')
    const { topics } = broker.context
    for (let n = 0; topics.ensure(`Other${n}`, 1, 6) !== null; n++) if (n > 100) break
    clock.jump(7_000)
    await checker.round()
    await checker.round()
    expect((await messageAt('TRANS_CHECK_MAX_TIME_TOPIC', 0)).body.toString()).toBe('lost')
    expect(transactions.open.size).toBe(0)
  })

  test('stops no other when the disk does not give it back', async () => {
    const { clock, client, sendHalf, checker, messageAt, transactions, store } =
      await aTransactionBroker()
    await introduce(client, 'c')
    await sendHalf('unreadable')
    await sendHalf('behind', tran().replace('K1', 'K2'))
    await messageAt(HALF, 1)
    clock.jump(7_000)
    const reading = vi.spyOn(store, 'recordAt').mockRejectedValueOnce(new Error('EIO'))
    await checker.round()
    reading.mockRestore()
    await expect.poll(() => asked(client).map(({ ext }) => ext['msgId'])).toEqual(['K2'])
    expect(transactions.open.size).toBe(2)
  })

  test('is not asked about during the immunity that it asks for', async () => {
    const { clock, client, sendHalf, checker } = await aTransactionBroker()
    await introduce(client, 'c')
    await sendHalf('x', tran('CHECK_IMMUNITY_TIME_IN_SECONDS\u000160\u0002'))
    clock.jump(50_000)
    await checker.round()
    clock.jump(11_000)
    await checker.round()
    await expect.poll(() => asked(client).length).toBe(1)
  })
})

describe('a commit whose write fails', () => {
  test('leaves its half open: no operation record comes behind it', async () => {
    const disk = new FailingDisk()
    const store = { probeIntervalMs: 5 }
    const t = await aTransactionBroker({ store }, disk)
    const sent = await t.sendHalf('pay')
    const lift = disk.fail('write', 'commitlog', 'EIO')
    expect(t.transactions.endNow(t.decided(sent, 'commit'))).toBe(true)
    await expect.poll(() => t.store.state).toBe('write-failed')
    lift()
    await expect.poll(() => t.store.state).toBe('writable')
    await expect.poll(async () => (await t.end(sent, COMMIT)).code).toBe(ResponseCode.SUCCESS)
    expect((await t.messageAt('T1', 0)).body.toString()).toBe('pay')
  })

  test('leaves it open also when the log loses its end again while it is read', async () => {
    const disk = new FailingDisk()
    const store = { probeIntervalMs: 5 }
    const t = await aTransactionBroker({ store }, disk)
    const sent = await t.sendHalf('pay')
    for (let round = 0; round < 2; round++) {
      const lift = disk.fail('write', 'commitlog', 'EIO')
      const early = await t.sendHalf('lost', tran().replace('K1', 'K2'))
      expect(early.code).not.toBe(ResponseCode.SUCCESS)
      lift()
      await expect.poll(() => t.store.state).toBe('writable')
    }
    await expect.poll(async () => (await t.end(sent, COMMIT)).code).toBe(ResponseCode.SUCCESS)
    expect([t.transactions.open.size, t.delivered()]).toEqual([0, 1])
  })
})

describe('the operation record of a commit', () => {
  test.each([
    ['with it where no key index could find the message', false, 0],
    ['some milliseconds later where one can', true, 1],
  ])('is stored %s', async (_, index, pending) => {
    const { sendHalf, transactions, decided } = await aTransactionBroker({ store: { index } })
    const end = decided(await sendHalf('pay'), 'commit')
    expect(transactions.endNow(end)).toBe(index)
    expect(transactions.ops.pending).toBe(pending)
  })
})

describe('after a restart', () => {
  test('what was open is open, and what was ended stays ended', async () => {
    const first = await aTransactionBroker()
    const committed = await first.sendHalf('a')
    const open = await first.sendHalf('b', tran().replace('K1', 'K2'))
    await first.end(committed, COMMIT)
    await first.broker.close()
    const second = await aTransactionBroker({ store: { dir: first.dir } })
    expect([...second.transactions.open.entries()].map(([offset]) => offset)).toEqual([1])
    expect((await second.end(committed, COMMIT)).code).toBe(ResponseCode.SYSTEM_ERROR)
    expect((await second.end(open, COMMIT)).code).toBe(ResponseCode.SUCCESS)
    expect(second.delivered()).toBe(2)
  })

  test('what was asked about is known by its first place as well as by its last', async () => {
    const first = await aTransactionBroker()
    const sent = await first.sendHalf('a')
    first.clock.jump(7_000)
    await first.checker.round()
    await first.checker.round()
    await first.broker.close()
    const second = await aTransactionBroker({ store: { dir: first.dir } })
    expect([...second.transactions.open.entries()].map(([offset]) => offset)).toEqual([2])
    expect((await second.end(sent, COMMIT)).code).toBe(ResponseCode.SUCCESS)
    expect([second.delivered(), second.transactions.open.size]).toEqual([1, 0])
  })

  test('the progress of both queues is noted, so that little has to be read', async () => {
    const first = await aTransactionBroker()
    for (const key of ['K1', 'K2', 'K3']) {
      await first.end(await first.sendHalf(key, tran().replace('K1', key)), COMMIT)
    }
    await first.broker.close()
    const second = await aTransactionBroker({ store: { dir: first.dir } })
    const { offsets } = second.broker.context
    expect([
      offsets.get('CID_RMQ_SYS_TRANS', HALF, 0),
      offsets.get('CID_RMQ_SYS_TRANS', OP, 0),
    ]).toEqual([3, second.store.queue(OP, 0).nextOffset])
  })

  test('a message that was committed without its operation record is not committed again', async () => {
    const first = await aTransactionBroker()
    const sent = await first.sendHalf('once')
    // The moment between the two records: the operation record never gets into the log.
    first.transactions.ops.note = () => undefined
    await first.end(sent, COMMIT)
    await first.messageAt('T1', 0)
    await first.store.checkpointNow()
    const dir = await aFolder()
    await cp(first.dir, dir, { recursive: true })
    const second = await aTransactionBroker({ store: { dir } })
    await introduce(second.client, 'c')
    expect(second.transactions.open.size).toBe(1)
    expect((await second.end(sent, COMMIT)).code).toBe(ResponseCode.SYSTEM_ERROR)
    expect([second.delivered(), second.transactions.open.size]).toEqual([1, 0])
    await second.checker.round()
    expect(asked(second.client)).toHaveLength(0)
  })
})

test('a message that is given back after its commit is an ordinary message, not a half', async () => {
  const { clock, client, sendHalf, end, messageAt, store } = await aTransactionBroker()
  await client.heartBeat('c', 'G', ['T1'])
  await end(await sendHalf('pay'), COMMIT)
  const { physicalOffset } = await messageAt('T1', 0)
  const back = await client.ask(RequestCode.CONSUMER_SEND_MSG_BACK, {
    group: 'G',
    offset: physicalOffset,
    delayLevel: 1,
    originTopic: 'T1',
  })
  expect(back.code).toBe(ResponseCode.SUCCESS)
  clock.jump(1_200)
  expect((await messageAt('%RETRY%G', 0)).body.toString()).toBe('pay')
  const itself = await client.ask(
    RequestCode.SEND_MESSAGE_V2,
    { a: 'P', b: '%RETRY%G', c: 'TBW102', d: 4, e: 0, f: 0, g: 1, h: 0, i: tran(), j: 1, k: false },
    Buffer.from('sent again by its consumer'),
  )
  expect(itself.code).toBe(ResponseCode.SUCCESS)
  expect(store.queue(HALF, 0).nextOffset).toBe(1)
})

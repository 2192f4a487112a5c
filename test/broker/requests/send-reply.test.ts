import { deflateSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import { respond } from '../../../src/protocol/command.ts'
import { parseProperties } from '../../../src/protocol/properties.ts'
import { decodeRecords } from '../../../src/protocol/record.ts'
import { sendFieldsV2 } from '../../../src/protocol/send-header.ts'
import { type TestClient, aBroker, closeAll } from '../a-broker.ts'

afterEach(closeAll)

const TOPIC = 'DefaultCluster_REPLY_TOPIC'

function reply(
  client: TestClient,
  properties: string,
  change = {},
  body: string | Buffer = 'pong',
) {
  const ext = sendFieldsV2({
    producerGroup: 'Repliers',
    topic: TOPIC,
    defaultTopic: 'TBW102',
    defaultTopicQueueNums: 4,
    queueId: 0,
    sysFlag: 0,
    bornTimestamp: 1_700_000_000_000,
    flag: 7,
    properties,
    reconsumeTimes: 0,
    unitMode: false,
    maxReconsumeTimes: null,
    batch: false,
    brokerName: 'broker-a',
    ...change,
  })
  return client.ask(RequestCode.SEND_REPLY_MESSAGE_V2, ext, body)
}

/** A client that sends heart-beats as `asker@1` and takes the replies that it gets. */
async function asks(client: TestClient): Promise<void> {
  client.onRequest = (connection, command) => {
    connection.reply(respond(command, ResponseCode.SUCCESS))
  }
  await client.heartBeat('asker@1', 'none', [])
}

const to = (clientId: string) =>
  `CORRELATION_ID\u0001c-1\u0002REPLY_TO_CLIENT\u0001${clientId}\u0002`

async function stored(client: TestClient): Promise<string[]> {
  const answer = await client.pull(TOPIC, 'G', 0, { subscription: '*' })
  const { messages } = decodeRecords(answer.body ?? Buffer.alloc(0))
  return messages.map((message) => message.body.toString())
}

describe('a reply', () => {
  it('is pushed to the client that asked, and stored', async () => {
    const { connect } = await aBroker()
    const requester = connect()
    await asks(requester)
    const replier = connect()
    const answer = await reply(replier, to('asker@1'))
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    expect(answer.ext['queueOffset']).toBe('0')
    expect(answer.ext['msgId']).toMatch(/^[0-9A-F]{32}$/)
    const pushed = requester.asked.find(
      (command) => command.code === RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT,
    )
    expect(pushed?.body?.toString()).toBe('pong')
    expect(pushed?.ext).toMatchObject({ topic: TOPIC, flag: '7', bornTimestamp: '1700000000000' })
    const properties = parseProperties(pushed?.ext['properties'] ?? '')
    expect(properties['CORRELATION_ID']).toBe('c-1')
    expect(Number(properties['PUSH_REPLY_TIME'])).toBeGreaterThan(0)
    expect(properties).toMatchObject({ MSG_REGION: 'DefaultRegion', TRACE_ON: 'true' })
    expect(await stored(replier)).toEqual(['pong'])
  })

  it('to a client that is gone is stored, and whoever answered hears it', async () => {
    const { connect } = await aBroker()
    const client = connect()
    const gone = await reply(client, to('nobody@1'))
    const nowhere = await reply(client, 'CORRELATION_ID\u0001c-1\u0002')
    expect([gone.code, gone.remark]).toEqual([
      ResponseCode.SYSTEM_ERROR,
      'push reply message fail, channel of <nobody@1> not found.',
    ])
    expect([nowhere.code, nowhere.remark]).toEqual([
      ResponseCode.SYSTEM_ERROR,
      'reply message properties[REPLY_TO_CLIENT] is null',
    ])
    expect(await stored(client)).toEqual(['pong', 'pong'])
  })

  it('that is compressed is pushed and stored with the flag that says so', async () => {
    const { connect } = await aBroker()
    const requester = connect()
    await asks(requester)
    const COMPRESSED_ZLIB = 0x301
    const packed = deflateSync('pong'.repeat(100))
    // The transaction bits of whoever answers are none of the reply's.
    const change = { sysFlag: COMPRESSED_ZLIB | 0x4 }
    const answer = await reply(requester, to('asker@1'), change, packed)
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    const pulled = await requester.pull(TOPIC, 'G', 0, { subscription: '*' })
    const { messages } = decodeRecords(pulled.body ?? Buffer.alloc(0))
    expect(messages.map(({ sysFlag, body }) => [sysFlag, body.toString('hex')])).toEqual([
      [COMPRESSED_ZLIB, packed.toString('hex')],
    ])
  })

  it('is not stored where that is switched off', async () => {
    const { connect } = await aBroker({ storeReplyMessageEnable: false })
    const requester = connect()
    await asks(requester)
    const answer = await reply(requester, to('asker@1'))
    expect([answer.code, answer.ext['msgId']]).toEqual([0, '0'])
    expect(await stored(requester)).toEqual([])
  })

  it('waits for a client that does not confirm, but not as many as anybody likes to send', async () => {
    const { connect, broker } = await aBroker({ storeReplyMessageEnable: false })
    const asker = connect()
    await asker.heartBeat('asker@1', 'none', [])
    const replier = connect()
    const long = Buffer.alloc(4 * 1024 * 1024 - 1024)
    const waiting = [1, 2, 3, 4].map(() => reply(replier, to('asker@1'), {}, long))
    await expect.poll(() => broker.context.replies.count).toBe(4)
    const refused = await reply(replier, to('asker@1'), {}, Buffer.alloc(4096))
    expect(refused.code).toBe(ResponseCode.SYSTEM_BUSY)
    asker.close()
    for (const answer of await Promise.all(waiting)) {
      expect(answer.code).toBe(ResponseCode.SYSTEM_ERROR)
    }
    await expect.poll(() => broker.context.replies.count).toBe(0)
  })

  it('counts with its properties too, which may be long where the body is empty', async () => {
    const { connect, broker } = await aBroker({ storeReplyMessageEnable: false })
    const asker = connect()
    await asker.heartBeat('asker@1', 'none', [])
    const replier = connect()
    const long = `${to('asker@1')}x\u0001${'y'.repeat(30_000)}\u0002`
    const answers: number[] = []
    const waiting = Array.from({ length: 300 }, async () => {
      answers.push((await reply(replier, long, {}, '')).code)
    })
    // A quarter of 64 MiB to one client, and each is kept as it came and as it goes out.
    await expect.poll(() => answers.length).toBe(21)
    expect(new Set(answers)).toEqual(new Set([ResponseCode.SYSTEM_BUSY]))
    expect(broker.context.replies.count).toBe(279)
    asker.close()
    await Promise.all(waiting)
  })

  it('without a body is pushed, and not stored: no record is without one', async () => {
    const { connect } = await aBroker()
    const requester = connect()
    await asks(requester)
    const answer = await reply(requester, to('asker@1'), {}, '')
    expect([answer.code, answer.ext['msgId']]).toEqual([ResponseCode.SUCCESS, '0'])
    const pushed = requester.asked.filter(
      (command) => command.code === RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT,
    )
    expect(pushed.map(({ body }) => body?.length ?? 0)).toEqual([0])
    expect(await stored(requester)).toEqual([])
  })

  it.each([
    ['another topic', { topic: 'orders' }, 'x', ResponseCode.TOPIC_NOT_EXIST],
    ['a queue that is not there', { queueId: 9 }, 'x', ResponseCode.INVALID_PARAMETER],
  ])('with %s is refused and reaches nobody', async (_what, change, body, code) => {
    const { connect } = await aBroker()
    const requester = connect()
    await asks(requester)
    expect((await reply(requester, to('asker@1'), change, body)).code).toBe(code)
    expect(requester.asked.map((command) => command.code)).not.toContain(
      RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT,
    )
  })
})

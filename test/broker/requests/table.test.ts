import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { requestTable } from '../../../src/broker/requests/table.ts'
import { RequestCode, ResponseCode, requestCodeName } from '../../../src/protocol/codes.ts'
import { type TestBroker, aBroker, closeAll } from '../a-broker.ts'

/** One broker for all of them: what one request does must not keep it from the next. */
let shared: TestBroker

beforeAll(async () => {
  shared = await aBroker()
})
afterAll(closeAll)

const notBuilt = [
  'EXCHANGE_BROKER_HA_INFO',
  'AUTH_CREATE_USER',
  'UPDATE_AND_CREATE_STATIC_TOPIC',
] as const

describe('a request for what is not built', () => {
  it.each(notBuilt)('%s is refused, and says so', async (name) => {
    const { connect, broker } = shared
    const client = connect()
    await client.send('T', 'x')
    const appended = broker.context.store.watermarks.appended
    const answer = await client.ask(RequestCode[name], {
      group: 'G',
      consumerGroup: 'G',
      topic: 'T',
      offset: 0,
      delayLevel: 0,
    })
    expect(answer.code).toBe(ResponseCode.REQUEST_CODE_NOT_SUPPORTED)
    expect(answer.remark).toContain('not available on this broker yet')
    expect(broker.context.store.watermarks.appended).toBe(appended)
  })
})

describe('a request that nobody knows', () => {
  it.each([0, -1, 13, 999, 77_777, 2_000_000_000])(
    '%d is refused in the words of Apache',
    async (code) => {
      const { connect } = shared
      const answer = await connect().ask(code)
      expect([answer.code, answer.remark]).toEqual([
        ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
        ` request type ${code} not supported`,
      ])
    },
  )
})

describe('every request of the table', () => {
  const hostile = {
    topic: '../../etc/passwd',
    consumerGroup: '../../etc',
    group: 'a/b',
    producerGroup: '..',
    groupName: '..',
    srcGroup: '/',
    destGroup: '/',
    queueId: '-9223372036854775808',
    offset: '99999999999999999999',
    timestamp: 'NaN',
    key: '\u0000',
    maxNum: '-1',
    clientId: '\u0001',
    statsName: '__proto__',
    statsKey: 'constructor',
  }

  it.each([...requestTable.keys()].map((code) => [requestCodeName(code), code] as const))(
    '%s answers nonsense, and the broker lives on',
    async (_name, code) => {
      const { connect } = shared
      const client = connect()
      const answers = [
        await client.ask(code),
        await client.ask(code, hostile),
        await client.ask(code, hostile, '{"a":[[[['),
        await client.ask(code, { topic: 'x'.repeat(70_000) }, Buffer.alloc(64, 0xff)),
      ]
      for (const answer of answers) expect(answer.isResponse).toBe(true)
      expect((await client.send('T', 'still here')).code).toBe(ResponseCode.SUCCESS)
    },
  )

  it('stays silent when it is sent one-way', async () => {
    const { connect } = shared
    const client = connect()
    for (const code of requestTable.keys()) await client.oneway(code, hostile)
    expect((await client.send('T', 'still here')).code).toBe(ResponseCode.SUCCESS)
    expect(client.asked).toEqual([])
  })

  it('cleans up on demand, and keeps what is in use', async () => {
    const { connect } = shared
    const client = connect()
    await client.send('T', 'x')
    for (const code of [
      RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE,
      RequestCode.CLEAN_UNUSED_TOPIC,
      RequestCode.DELETE_EXPIRED_COMMITLOG,
    ]) {
      expect((await client.ask(code)).code).toBe(ResponseCode.SUCCESS)
    }
    expect((await client.pull('T', 'G', 0)).code).toBe(ResponseCode.SUCCESS)
  })
})

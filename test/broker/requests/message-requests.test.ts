import { afterEach, describe, expect, it, vi } from 'vitest'
import { decodeQueueView } from '../../../src/protocol/bodies/queue-view.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import type { ExtValues } from '../../../src/protocol/command.ts'
import { javaHash } from '../../../src/protocol/java-hash.ts'
import { decodeOffsetId } from '../../../src/protocol/message-id.ts'
import { decodeRecords } from '../../../src/protocol/record.ts'
import { type TestClient, aBroker, closeAll } from '../a-broker.ts'

afterEach(closeAll)

function properties(pairs: Record<string, string>): string {
  return Object.entries(pairs)
    .map(([name, value]) => `${name}\u0001${value}\u0002`)
    .join('')
}

function query(client: TestClient, key: string, ext: ExtValues = {}) {
  return client.ask(RequestCode.QUERY_MESSAGE, {
    topic: 'T',
    key,
    maxNum: 64,
    beginTimestamp: 0,
    endTimestamp: '9223372036854775807',
    ...ext,
  })
}

function bodies(bytes: Buffer | null): string[] {
  return decodeRecords(bytes ?? Buffer.alloc(0)).messages.map((message) => message.body.toString())
}

describe('looking for messages by key', () => {
  it('finds them by each key and by their unique id', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.send('T', 'one', 0, properties({ KEYS: 'red blue', UNIQ_KEY: 'U1' }))
    await client.send('T', 'two', 1, properties({ KEYS: 'blue', UNIQ_KEY: 'U2' }))
    await vi.waitFor(async () => {
      expect(bodies((await query(client, 'blue')).body)).toEqual(['one', 'two'])
    })
    expect(bodies((await query(client, 'red')).body)).toEqual(['one'])
    const unique = await query(client, 'U2', { _UNIQUE_KEY_QUERY: 'true', maxNum: 1 })
    expect(bodies(unique.body)).toEqual(['two'])
    expect(Number(unique.ext['indexLastUpdateTimestamp'])).toBeGreaterThan(0)
    expect(Number(unique.ext['indexLastUpdatePhyoffset'])).toBeGreaterThan(0)
  })

  it('finds nothing: says so', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.send('T', 'one', 0, properties({ KEYS: 'red' }))
    for (const ext of [{ key: 'green' }, { topic: 'Other' }, { endTimestamp: 1 }]) {
      expect((await query(client, 'green', ext)).code).toBe(ResponseCode.QUERY_NOT_FOUND)
    }
  })

  it.each([
    ['no key', { key: '' }],
    ['an illegal topic', { topic: '../T' }],
    ['no number', { maxNum: null }],
    ['a negative number', { maxNum: -1 }],
    ['no time', { beginTimestamp: null }],
    ['a time that is none', { endTimestamp: 'now' }],
  ])('is refused with %s', async (_what, ext) => {
    const { connect } = await aBroker()
    expect((await query(connect(), 'k', ext)).code).toBe(ResponseCode.INVALID_PARAMETER)
  })
})

describe('looking at a message by its id', () => {
  it('gives the stored record', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.send('T', 'first')
    const sent = await client.send('T', 'second')
    const id = decodeOffsetId(sent.ext['msgId'] ?? '')
    const offset = id?.physicalOffset
    const answer = await client.ask(RequestCode.VIEW_MESSAGE_BY_ID, { offset, topic: 'T' })
    expect(bodies(answer.body)).toEqual(['second'])
  })

  it.each([1, 7, 1_000_000, -5, '9007199254740991'])(
    'says that there is none at %s',
    async (offset) => {
      const { connect } = await aBroker()
      const client = connect()
      await client.send('T', 'first')
      const answer = await client.ask(RequestCode.VIEW_MESSAGE_BY_ID, { offset })
      expect([answer.code, answer.body]).toEqual([ResponseCode.SYSTEM_ERROR, null])
    },
  )

  it('is refused for an offset that is no number', async () => {
    const { connect } = await aBroker()
    const answer = await connect().ask(RequestCode.VIEW_MESSAGE_BY_ID, { offset: '0x10' })
    expect(answer.code).toBe(ResponseCode.INVALID_PARAMETER)
  })
})

describe('looking for a time in a queue', () => {
  it('gives the offset from which messages are newer, and the earliest time', async () => {
    const { connect } = await aBroker()
    const client = connect()
    const before = Date.now()
    for (let i = 0; i < 3; i++) await client.send('T', 'x')
    const search = async (timestamp: number, boundaryType?: string) => {
      const ext = { topic: 'T', queueId: 0, timestamp, boundaryType }
      return (await client.ask(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, ext)).ext['offset']
    }
    expect([
      await search(0),
      await search(before + 3_600_000),
      await search(before + 3_600_000, 'upper'),
    ]).toEqual(['0', '3', '2'])
    const earliest = await client.ask(RequestCode.GET_EARLIEST_MSG_STORETIME, {
      topic: 'T',
      queueId: 0,
    })
    expect(Math.abs(Number(earliest.ext['timestamp']) - before)).toBeLessThan(60_000)
    const empty = await client.ask(RequestCode.GET_EARLIEST_MSG_STORETIME, {
      topic: 'T',
      queueId: 3,
    })
    expect(empty.ext['timestamp']).toBe('-1')
  })

  it('is refused for an unknown topic or queue', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.send('T', 'x')
    const code = RequestCode.SEARCH_OFFSET_BY_TIMESTAMP
    const unknown = await client.ask(code, { topic: 'Unknown', queueId: 0, timestamp: 0 })
    expect(unknown.code).toBe(ResponseCode.TOPIC_NOT_EXIST)
    const illegal = await client.ask(code, { topic: 'T', queueId: 9, timestamp: 0 })
    expect(illegal.code).toBe(ResponseCode.INVALID_PARAMETER)
  })
})

describe('looking into a consume queue', () => {
  it('shows its units, and which of them a group sees', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.send('T', 'x', 0, properties({ TAGS: 'A' }))
    await client.send('T', 'y', 0, properties({ TAGS: 'B' }))
    const subscription = {
      topic: 'T',
      subString: 'B',
      expressionType: 'TAG',
      tagsSet: ['B'],
      codeSet: [javaHash('B')],
      subVersion: 1,
      classFilterMode: false,
    }
    await client.heartBeat('c1', 'G', [], { subscriptions: [subscription] })
    const ext = { topic: 'T', queueId: 0, index: 0, count: 10 }
    const plain = decodeQueueView((await client.ask(RequestCode.QUERY_CONSUME_QUEUE, ext)).body)
    expect([plain.minQueueIndex, plain.maxQueueIndex]).toEqual([0, 2])
    expect(plain.units.map((unit) => [Number(unit.tagsCode), unit.eval])).toEqual([
      [javaHash('A'), false],
      [javaHash('B'), false],
    ])
    const answer = await client.ask(RequestCode.QUERY_CONSUME_QUEUE, { ...ext, consumerGroup: 'G' })
    const seen = decodeQueueView(answer.body)
    expect([seen.units.map((unit) => unit.eval), seen.filterData]).toEqual([[false, true], null])
    const offline = { ...ext, consumerGroup: 'Away' }
    const unknown = decodeQueueView(
      (await client.ask(RequestCode.QUERY_CONSUME_QUEUE, offline)).body,
    )
    expect(unknown.units.map((unit) => unit.eval)).toEqual([false, false])
    expect(unknown.filterData).toBe('Away@T is not online!')
  })

  it('is refused for an unknown topic', async () => {
    const { connect } = await aBroker()
    const ext = { topic: 'Unknown', queueId: 0, index: 0, count: 10 }
    const answer = await connect().ask(RequestCode.QUERY_CONSUME_QUEUE, ext)
    expect(answer.code).toBe(ResponseCode.TOPIC_NOT_EXIST)
  })
})

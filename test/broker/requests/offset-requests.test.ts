import { afterEach, describe, expect, it } from 'vitest'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import type { ExtValues } from '../../../src/protocol/command.ts'
import { type TestClient, aBroker, closeAll } from '../a-broker.ts'

afterEach(closeAll)

async function aBrokerWith(messages: number) {
  const { connect, broker, dir } = await aBroker()
  const client = connect()
  for (let i = 0; i < messages; i++) await client.send('T', `m${i}`)
  return { client, broker, dir }
}

function query(client: TestClient, ext: ExtValues = {}) {
  const fields = { consumerGroup: 'G', topic: 'T', queueId: 0, ...ext }
  return client.ask(RequestCode.QUERY_CONSUMER_OFFSET, fields)
}

function update(client: TestClient, commitOffset: number | string, ext: ExtValues = {}) {
  const fields = { consumerGroup: 'G', topic: 'T', queueId: 0, commitOffset, ...ext }
  return client.ask(RequestCode.UPDATE_CONSUMER_OFFSET, fields)
}

it('progress is written behind the log: a power cut leaves no group ahead of what is stored', async () => {
  const store = { flushIntervalMs: 60_000, flushThoroughMs: 60_000, checkpointIntervalMs: 60_000 }
  const { connect, broker } = await aBroker({ store })
  const client = connect()
  // Stored once more for a group that could not process it, which goes on behind the first one.
  for (const body of ['first', 'again']) await client.send('T', body)
  const { offsets, store: own } = broker.context
  const { appended, flushed } = own.watermarks
  expect(flushed).toBeLessThan(appended)
  offsets.commit('G', 'T', 0, 1)
  await offsets.save()
  expect(own.watermarks.flushed).toBeGreaterThanOrEqual(appended)
})

describe('asking how far a group is', () => {
  it('gives 0 to a group that never consumed, while the first message is still there', async () => {
    const { client } = await aBrokerWith(3)
    const answer = await query(client)
    expect([answer.code, answer.ext['offset']]).toEqual([ResponseCode.SUCCESS, '0'])
    const empty = await query(client, { queueId: 3 })
    expect([empty.code, empty.ext['offset']]).toEqual([ResponseCode.SUCCESS, '0'])
  })

  it('gives "not found" when that is asked for', async () => {
    const { client } = await aBrokerWith(1)
    const answer = await query(client, { setZeroIfNotFound: 'false' })
    expect(answer.code).toBe(ResponseCode.QUERY_NOT_FOUND)
  })

  it('gives "not found" when the first messages are gone', async () => {
    const { client, broker } = await aBrokerWith(3)
    broker.context.store.queue('T', 0).minOffset = 2
    expect((await query(client)).code).toBe(ResponseCode.QUERY_NOT_FOUND)
  })

  it('gives what was reported', async () => {
    const { client, broker } = await aBrokerWith(3)
    broker.context.groups.findOrCreate('G')
    expect((await update(client, 2)).code).toBe(ResponseCode.SUCCESS)
    expect((await query(client)).ext['offset']).toBe('2')
  })

  it('is refused under illegal names', async () => {
    const { client } = await aBrokerWith(0)
    for (const ext of [
      { topic: '..' },
      { topic: 'a/b' },
      { consumerGroup: 'g'.repeat(200) },
      { queueId: 'x' },
    ]) {
      expect((await query(client, ext)).code).toBe(ResponseCode.INVALID_PARAMETER)
    }
  })
})

describe('reporting how far a group is', () => {
  it('is refused for groups and topics that are not known', async () => {
    const { client, broker } = await aBrokerWith(1)
    expect((await update(client, 1)).code).toBe(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST)
    broker.context.groups.findOrCreate('G')
    expect((await update(client, 1, { topic: 'Unknown' })).code).toBe(ResponseCode.TOPIC_NOT_EXIST)
    expect(broker.context.offsets.topicsOf('G')).toEqual([])
  })

  it.each([
    ['no offset', { commitOffset: null }],
    ['a negative offset', { commitOffset: -1 }],
    ['an offset that is no number', { commitOffset: '1e3' }],
    ['an offset beyond what fits', { commitOffset: '9223372036854775807' }],
    ['a queue that does not exist', { queueId: 1_000_000 }],
  ])('is refused with %s', async (_what, ext) => {
    const { client, broker } = await aBrokerWith(1)
    broker.context.groups.findOrCreate('G')
    const answer = await update(client, 1, ext)
    expect(answer.code).toBe(ResponseCode.INVALID_PARAMETER)
    expect(broker.context.offsets.get('G', 'T', 0)).toBeNull()
  })

  it('one-way gets no answer and is taken', async () => {
    const { client, broker } = await aBrokerWith(1)
    broker.context.groups.findOrCreate('G')
    await client.oneway(RequestCode.UPDATE_CONSUMER_OFFSET, {
      consumerGroup: 'G',
      topic: 'T',
      queueId: 0,
      commitOffset: 1,
    })
    expect((await query(client)).ext['offset']).toBe('1')
  })

  it('survives a restart of the broker', async () => {
    const { client, broker, dir } = await aBrokerWith(2)
    broker.context.groups.findOrCreate('G')
    await update(client, 2)
    client.close()
    await broker.close()
    const again = await aBroker({ store: { dir } })
    expect((await query(again.connect())).ext['offset']).toBe('2')
  })
})

describe('the ends of a queue', () => {
  it('are told', async () => {
    const { client } = await aBrokerWith(3)
    const ends = await Promise.all(
      [RequestCode.GET_MIN_OFFSET, RequestCode.GET_MAX_OFFSET].map((code) =>
        client.ask(code, { topic: 'T', queueId: 0 }),
      ),
    )
    expect(ends.map((answer) => answer.ext['offset'])).toEqual(['0', '3'])
  })

  it('are refused for unknown topics and queues', async () => {
    const { client } = await aBrokerWith(1)
    const codes = []
    for (const ext of [
      { topic: 'Unknown', queueId: 0 },
      { topic: 'T', queueId: 99 },
      { topic: 'T' },
    ]) {
      codes.push((await client.ask(RequestCode.GET_MAX_OFFSET, ext)).code)
    }
    expect(codes).toEqual([
      ResponseCode.TOPIC_NOT_EXIST,
      ResponseCode.INVALID_PARAMETER,
      ResponseCode.INVALID_PARAMETER,
    ])
  })
})

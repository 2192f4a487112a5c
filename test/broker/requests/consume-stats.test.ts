import { afterEach, describe, expect, it } from 'vitest'
import {
  decodeBrokerConsumeStats,
  decodeConsumeStats,
} from '../../../src/protocol/bodies/consume-stats.ts'
import { decodeConsumeTimeSpans } from '../../../src/protocol/bodies/consume-time-span.ts'
import { parseBody } from '../../../src/protocol/bodies/fields.ts'
import { decodeGroupList } from '../../../src/protocol/bodies/name-lists.ts'
import { decodeConsumerOffsetTable } from '../../../src/protocol/bodies/queue-offsets.ts'
import { decodeTopicList } from '../../../src/protocol/bodies/topic-list.ts'
import { decodeTopicStatsTable } from '../../../src/protocol/bodies/topic-stats-table.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import { aBroker, closeAll } from '../a-broker.ts'

afterEach(closeAll)

/** Topic T with two messages in queue 0 and one in queue 1; group G has read one of queue 0. */
async function aScene() {
  const { connect, broker } = await aBroker()
  const client = connect()
  for (const queueId of [0, 0, 1]) await client.send('T', 'x', queueId)
  broker.context.groups.findOrCreate('G')
  broker.context.offsets.commit('G', 'T', 0, 1)
  return { client, broker }
}

describe('how far a topic goes', () => {
  it('is told for every queue, the empty ones too', async () => {
    const { client } = await aScene()
    const answer = await client.ask(RequestCode.GET_TOPIC_STATS_INFO, { topic: 'T' })
    const { queues } = decodeTopicStatsTable(answer.body)
    expect(queues.map((row) => [row.queue.queueId, row.minOffset, row.maxOffset])).toEqual([
      [0, 0, 2],
      [1, 0, 1],
      [2, 0, 0],
      [3, 0, 0],
    ])
    const nowMs = Date.now()
    expect(Math.abs((queues[0]?.lastUpdateTimestamp ?? 0) - nowMs)).toBeLessThan(60_000)
    expect(queues[3]?.lastUpdateTimestamp).toBe(0)
    expect(queues[0]?.queue.brokerName).toBe('broker-a')
  })

  it('is refused for an unknown topic and an illegal name', async () => {
    const { client } = await aScene()
    const ask = (topic: string) => client.ask(RequestCode.GET_TOPIC_STATS_INFO, { topic })
    expect((await ask('Unknown')).code).toBe(ResponseCode.TOPIC_NOT_EXIST)
    expect((await ask('../T')).code).toBe(ResponseCode.INVALID_PARAMETER)
  })
})

describe('how far a group is', () => {
  const ask = RequestCode.GET_CONSUME_STATS

  it('is told for each queue of its topics', async () => {
    const { client } = await aScene()
    const { queues } = decodeConsumeStats((await client.ask(ask, { consumerGroup: 'G' })).body)
    expect(
      queues.map((row) => [
        row.queue.queueId,
        row.brokerOffset,
        row.consumerOffset,
        row.pullOffset,
      ]),
    ).toEqual([
      [0, 2, 1, 1],
      [1, 1, 0, 0],
      [2, 0, 0, 0],
      [3, 0, 0, 0],
    ])
    expect(queues.map((row) => row.lastTimestamp > 0)).toEqual([true, false, false, false])
  })

  it('says what was handed out and is not yet reported', async () => {
    const { client } = await aScene()
    await client.pull('T', 'G', 0, { sysFlag: 4 })
    const { queues } = decodeConsumeStats((await client.ask(ask, { consumerGroup: 'G' })).body)
    expect([queues[0]?.consumerOffset, queues[0]?.pullOffset]).toEqual([1, 2])
  })

  it('is told for the topics that are asked for', async () => {
    const { client } = await aScene()
    await client.send('U', 'x')
    const topicsOf = async (ext: object) => {
      const answer = await client.ask(ask, { consumerGroup: 'G', ...ext })
      return [...new Set(decodeConsumeStats(answer.body).queues.map((row) => row.queue.topic))]
    }
    expect(await topicsOf({ topic: 'U' })).toEqual(['U'])
    expect(await topicsOf({ topicList: 'T;U;Nothing' })).toEqual(['T', 'U'])
    expect(await topicsOf({ topic: 'Nothing' })).toEqual([])
  })

  it('leaves out topics that a connected group no longer reads', async () => {
    const { client } = await aScene()
    await client.heartBeat('c1', 'G', ['Other'])
    const topicsOf = async (ext: object) => {
      const answer = await client.ask(ask, { consumerGroup: 'G', ...ext })
      return [...new Set(decodeConsumeStats(answer.body).queues.map((row) => row.queue.topic))]
    }
    expect(await topicsOf({})).toEqual([])
    expect(await topicsOf({ topic: 'T' })).toEqual([])
    expect(await topicsOf({ topicList: 'T' })).toEqual(['T'])
  })

  it('has no rows for a group that is broadcast to: clients know it by that', async () => {
    const { client } = await aScene()
    await client.heartBeat('c1', 'B', ['T'], { messageModel: 'BROADCASTING' })
    await client.heartBeat('c2', 'C', ['T'])
    const rowsOf = async (consumerGroup: string) =>
      decodeConsumeStats((await client.ask(ask, { consumerGroup })).body).queues.length
    expect([await rowsOf('B'), (await rowsOf('C')) > 0]).toEqual([0, true])
  })

  it('is told for all groups of the broker', async () => {
    const { client } = await aScene()
    const answer = await client.ask(RequestCode.GET_BROKER_CONSUME_STATS, { isOrder: false })
    const stats = decodeBrokerConsumeStats(answer.body)
    expect([stats.totalDiff, stats.groups.map(([group]) => group)]).toEqual([2, ['G']])
    const ordered = await client.ask(RequestCode.GET_BROKER_CONSUME_STATS, { isOrder: true })
    expect(decodeBrokerConsumeStats(ordered.body).groups).toEqual([])
  })

  it('is told in time', async () => {
    const { client } = await aScene()
    const answer = await client.ask(RequestCode.QUERY_CONSUME_TIME_SPAN, { topic: 'T', group: 'G' })
    const [first, , third] = decodeConsumeTimeSpans(answer.body)
    expect(first?.minTimestamp).toBeGreaterThan(0)
    expect(first?.consumeTimestamp).toBe(first?.minTimestamp)
    expect(first?.delayMs).toBeGreaterThanOrEqual(0)
    expect([third?.minTimestamp, third?.maxTimestamp]).toEqual([-1, -1])
  })
})

describe('who reads what', () => {
  it('is known from connections and from progress', async () => {
    const { client } = await aScene()
    await client.heartBeat('c1', 'H', ['T'])
    const groups = await client.ask(RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, { topic: 'T' })
    expect(decodeGroupList(groups.body)).toEqual(['G', 'H'])
    const topics = await client.ask(RequestCode.QUERY_TOPICS_BY_CONSUMER, { group: 'H' })
    expect(decodeTopicList(topics.body).topics).toEqual(['T'])
    const nobody = await client.ask(RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, { topic: 'Unknown' })
    expect(decodeGroupList(nobody.body)).toEqual([])
  })

  it('shows a subscription, or none', async () => {
    const { client } = await aScene()
    await client.heartBeat('c1', 'H', ['T'])
    const code = RequestCode.QUERY_SUBSCRIPTION_BY_CONSUMER
    const known = await client.ask(code, { group: 'H', topic: 'T' })
    expect(parseBody(known.body)).toMatchObject({
      group: 'H',
      topic: 'T',
      subscriptionData: { subString: '*' },
    })
    const unknown = await client.ask(code, { group: 'H', topic: 'Unknown' })
    expect(parseBody(unknown.body)['subscriptionData']).toBeUndefined()
  })

  it('is given as a whole to another broker', async () => {
    const { client } = await aScene()
    const answer = await client.ask(RequestCode.GET_ALL_CONSUMER_OFFSET)
    expect(decodeConsumerOffsetTable(answer.body).offsets.get('T@G')?.get(0)).toBe(1)
    const delayed = await client.ask(RequestCode.GET_ALL_DELAY_OFFSET)
    expect(parseBody(delayed.body)['offsetTable']).toEqual({})
  })
})

import { silentLogger } from '../../../src/base/logger.ts'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  decodeTopicConfig,
  decodeTopicConfigTable,
  encodeTopicConfigList,
  topicConfig,
} from '../../../src/protocol/bodies/topic-config.ts'
import { decodeTopicList } from '../../../src/protocol/bodies/topic-list.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import { decodeRecords } from '../../../src/protocol/record.ts'
import type { ExtValues } from '../../../src/protocol/command.ts'
import { type TestClient, aBroker, closeAll } from '../a-broker.ts'

afterEach(closeAll)

function createTopic(client: TestClient, topic: string, given: ExtValues = {}) {
  return client.ask(RequestCode.UPDATE_AND_CREATE_TOPIC, {
    topic,
    defaultTopic: 'TBW102',
    readQueueNums: 3,
    writeQueueNums: 2,
    perm: 6,
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: 0,
    order: false,
    ...given,
  })
}

describe('creating a topic', () => {
  it('makes it as asked, and sends to it work', async () => {
    const { connect } = await aBroker({ autoCreateTopic: false })
    const client = connect()
    expect((await createTopic(client, 'T', { attributes: '+message.type=NORMAL' })).code).toBe(0)
    const answer = await client.ask(RequestCode.GET_TOPIC_CONFIG, { topic: 'T', lo: true })
    expect(decodeTopicConfig(answer.body)).toEqual(
      topicConfig('T', {
        readQueueNums: 3,
        writeQueueNums: 2,
        attributes: { 'message.type': 'NORMAL' },
      }),
    )
    expect((await client.send('T', 'x', 1)).code).toBe(ResponseCode.SUCCESS)
  })

  it('survives a kill right after the answer', async () => {
    const { connect, broker, dir } = await aBroker()
    await createTopic(connect(), 'T')
    // As after a kill: nothing is saved at a stop, the file is what counts.
    const { ConfigFile } = await import('../../../src/store/config-file.ts')
    const content = await new ConfigFile(
      broker.context.world.disk,
      dir,
      'topics.json',
      silentLogger,
    ).load()
    expect(decodeTopicConfigTable(content).topics.some((one) => one.topicName === 'T')).toBe(true)
  })

  it.each([
    ['a name with dots', '..', {}],
    ['a name with a slash', 'a/b', {}],
    ['a name that is too long', 't'.repeat(128), {}],
    ['no name', '', {}],
    ['a system topic', 'SCHEDULE_TOPIC_XXXX', {}],
    ['the topic of the broker', 'broker-a', {}],
    ['a number of queues that is none', 'T', { readQueueNums: 'many' }],
    ['a million queues', 'T', { writeQueueNums: 1_000_000 }],
    ['a permission that is none', 'T', { perm: 8 }],
    ['no permission', 'T', { perm: null }],
    ['an unknown filter type', 'T', { topicFilterType: 'SQL' }],
    ['an unknown attribute', 'T', { attributes: '+delete.everything=true' }],
    ['a compacted topic, which is not built', 'T', { attributes: '+cleanup.policy=COMPACTION' }],
    ['a queue type that there is not', 'T', { attributes: '+queue.type=RocksDBCQ' }],
  ])('is refused for %s', async (_what, topic, given) => {
    const { connect, broker } = await aBroker()
    const before = broker.context.topics.size
    const answer = await createTopic(connect(), topic, given)
    expect(answer.code).toBe(ResponseCode.INVALID_PARAMETER)
    expect(broker.context.topics.size).toBe(before)
  })

  it('takes a list, all of it or nothing', async () => {
    const { connect, broker } = await aBroker()
    const client = connect()
    const code = RequestCode.UPDATE_AND_CREATE_TOPIC_LIST
    const good = encodeTopicConfigList([topicConfig('A'), topicConfig('B')])
    expect((await client.ask(code, {}, good)).code).toBe(ResponseCode.SUCCESS)
    const bad = encodeTopicConfigList([topicConfig('C'), topicConfig('../d')])
    expect((await client.ask(code, {}, bad)).code).toBe(ResponseCode.INVALID_PARAMETER)
    expect((await client.ask(code, {}, '{"topicConfigList":[]}')).code).toBe(
      ResponseCode.INVALID_PARAMETER,
    )
    expect((await client.ask(code, {}, 'garbage')).code).toBe(ResponseCode.INVALID_PARAMETER)
    expect(['A', 'B', 'C'].map((name) => broker.context.topics.get(name) !== null)).toEqual([
      true,
      true,
      false,
    ])
  })
})

describe('deleting a topic', () => {
  it('takes its messages and the progress of groups with it', async () => {
    const { connect, broker } = await aBroker()
    const client = connect()
    await client.send('T', 'old')
    broker.context.groups.findOrCreate('G')
    broker.context.offsets.commit('G', 'T', 0, 1)
    expect((await client.ask(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'T' })).code).toBe(0)
    expect(broker.context.topics.get('T')).toBeNull()
    expect(broker.context.offsets.groupsOf('T')).toEqual([])
    expect((await client.pull('T', 'G', 0)).code).toBe(ResponseCode.TOPIC_NOT_EXIST)
  })

  it('leaves room for a new topic of the same name, which begins at 0', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.send('T', 'old')
    await client.ask(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'T' })
    const sent = await client.send('T', 'new')
    expect([sent.code, sent.ext['queueOffset']]).toEqual([ResponseCode.SUCCESS, '0'])
    await vi.waitFor(async () => {
      const pulled = await client.pull('T', 'G', 0)
      expect(pulled.body?.toString('latin1')).toContain('new')
      expect(pulled.body?.toString('latin1')).not.toContain('old')
    })
  })

  it('under sends loses no message that is acknowledged for the topic that comes after', async () => {
    const { connect } = await aBroker()
    const [sender, admin] = [connect(), connect()]
    const bodies: string[] = []
    const run = { on: true }
    const sending = (async () => {
      for (let i = 0; run.on; i++) {
        const sent = await sender.send('T', `m${i}`)
        if (sent.code !== ResponseCode.SUCCESS) continue
        // Offset 0 is the first message of a new topic.
        if (sent.ext['queueOffset'] === '0') bodies.length = 0
        bodies.push(`m${i}`)
      }
    })()
    for (let i = 0; i < 5; i++) {
      await vi.waitFor(() => {
        expect(bodies.length).toBeGreaterThan(3)
      })
      await admin.ask(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'T' })
      bodies.length = 0
    }
    await vi.waitFor(() => {
      expect(bodies.length).toBeGreaterThan(3)
    })
    run.on = false
    await sending
    const kept: string[] = []
    while (kept.length < bodies.length) {
      const pulled = await admin.pull('T', 'G', kept.length)
      expect(pulled.code).toBe(ResponseCode.SUCCESS)
      const { messages } = decodeRecords(pulled.body ?? Buffer.alloc(0))
      kept.push(...messages.map((message) => message.body.toString()))
    }
    expect(kept.slice(-bodies.length)).toEqual(bodies)
  })

  it('is done when there is none, and refused for system topics and illegal names', async () => {
    const { connect } = await aBroker()
    const client = connect()
    const codes = []
    for (const topic of ['Nothing', 'TBW102', 'DefaultCluster', '../..', 'a/b', '']) {
      codes.push((await client.ask(RequestCode.DELETE_TOPIC_IN_BROKER, { topic })).code)
    }
    const refused = ResponseCode.INVALID_PARAMETER
    expect(codes).toEqual([ResponseCode.SUCCESS, refused, refused, refused, refused, refused])
  })
})

describe('looking at topics', () => {
  it('gives one, or says that there is none', async () => {
    const { connect } = await aBroker()
    const answer = await connect().ask(RequestCode.GET_TOPIC_CONFIG, { topic: 'Nothing' })
    expect([answer.code, answer.remark]).toEqual([
      ResponseCode.TOPIC_NOT_EXIST,
      'No topic in this broker. topic: Nothing',
    ])
  })

  it('gives all, as one whole', async () => {
    const { connect, broker } = await aBroker()
    const answer = await connect().ask(RequestCode.GET_ALL_TOPIC_CONFIG, { topicSeq: 0 })
    expect(answer.ext['totalTopicNum']).toBeUndefined()
    const { topics, dataVersion } = decodeTopicConfigTable(answer.body)
    expect(topics).toHaveLength(broker.context.topics.size)
    expect(dataVersion).toEqual(broker.context.topics.dataVersion)
  })

  it('gives those of the system', async () => {
    const { connect } = await aBroker()
    const client = connect()
    await client.send('T', 'x')
    const { body } = await client.ask(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER)
    const { topics } = decodeTopicList(body)
    expect(topics).toContain('TBW102')
    expect(topics).toContain('broker-a')
    expect(topics).not.toContain('T')
  })

  it('a thousand of them holds nobody up', async () => {
    const { connect, broker } = await aBroker()
    const client = connect()
    for (let i = 0; i < 1_000; i++) broker.context.topics.autoCreate(`Topic${i}`, 'TBW102', 4, 0)
    const { clock } = broker.context.world
    let longestMs = 0
    let lastMs = clock.monotonicMs()
    const stop = clock.every(1, () => {
      const nowMs = clock.monotonicMs()
      longestMs = Math.max(longestMs, nowMs - lastMs)
      lastMs = nowMs
    })
    const answer = await client.ask(RequestCode.GET_ALL_TOPIC_CONFIG)
    stop()
    expect(decodeTopicConfigTable(answer.body).topics).toHaveLength(1_013)
    expect(longestMs).toBeLessThan(1_000)
  })
})

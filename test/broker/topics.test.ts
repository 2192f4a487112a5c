import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { type BrokerOptions, brokerSettings } from '../../src/broker/options.ts'
import { type Topic, type TopicChange, TopicTable } from '../../src/broker/topics.ts'
import { parseBody } from '../../src/protocol/bodies/fields.ts'
import { topicConfig, topicConfigTableFromJson } from '../../src/protocol/bodies/topic-config.ts'
import { ResponseCode } from '../../src/protocol/codes.ts'
import { Queue } from '../../src/store/queue.ts'
import { ManualClock } from '../world/manual-clock.ts'
import { MemoryFile } from './memory-file.ts'

async function aTable(
  options: BrokerOptions = {},
  file = new MemoryFile(),
  stored: [string, number][] = [],
) {
  const changes: TopicChange[] = []
  const table = await TopicTable.load(
    {
      clock: new ManualClock(),
      settings: brokerSettings(options),
      file,
      openQueue: (topic, queueId) => new Queue(topic, queueId),
      storedAsBatch: () => null,
      removeStored: () => Promise.resolve(),
      logger: silentLogger,
    },
    stored,
  )
  table.onChange = (change) => changes.push(change)
  return { table, file, changes }
}

const nothing = () => Promise.resolve()

function made(topic: Topic | string): Topic {
  if (typeof topic === 'string') throw new Error(topic)
  return topic
}

describe('the topics of a broker', () => {
  it('begin with the topics of the system, as Apache makes them', async () => {
    const { table } = await aTable({ clusterName: 'C', brokerName: 'b1' })
    const rows = [...table.values()].map((topic) => [topic.name, topic.writeQueueNums, topic.perm])
    expect(rows).toEqual([
      ['SELF_TEST_TOPIC', 1, 6],
      ['BenchmarkTest', 1024, 6],
      ['C', 16, 7],
      ['b1', 1, 7],
      ['OFFSET_MOVED_EVENT', 1, 6],
      ['SCHEDULE_TOPIC_XXXX', 18, 6],
      ['C_REPLY_TOPIC', 1, 6],
      ['rmq_sys_REVIVE_LOG_C', 8, 6],
      ['rmq_sys_SYNC_BROKER_MEMBER_b1', 1, 1],
      ['RMQ_SYS_TRANS_HALF_TOPIC', 1, 6],
      ['RMQ_SYS_TRANS_OP_HALF_TOPIC', 1, 6],
      ['rmq_sys_wheel_timer', 1, 6],
      ['TBW102', 8, 7],
    ])
  })

  it('has no template for new topics when topics are not made by themselves', async () => {
    const { file } = await aTable()
    const { table } = await aTable({ autoCreateTopic: false }, file)
    expect(table.get('TBW102')).toBeNull()
  })

  it('survive a restart, with their version', async () => {
    const { table, file } = await aTable()
    await table.update(topicConfig('T1', { readQueueNums: 3, writeQueueNums: 2, perm: 4 }))
    const again = await aTable({}, file)
    expect(again.table.get('T1')?.config).toEqual(table.get('T1')?.config)
    expect(again.table.dataVersion).toEqual(table.dataVersion)
  })

  it('are written as Apache reads them', async () => {
    const { table, file } = await aTable()
    await table.update(topicConfig('T1', { order: true }))
    expect(parseBody(file.content)['topicConfigTable']).toMatchObject({
      T1: {
        attributes: {},
        order: true,
        perm: 6,
        readQueueNums: 8,
        topicFilterType: 'SINGLE_TAG',
        topicName: 'T1',
        topicSysFlag: 0,
        writeQueueNums: 8,
      },
    })
  })

  it('leave out what could not be in the file, such as a name that leads out of the store', async () => {
    const file = new MemoryFile(
      '{"dataVersion":{"counter":4,"stateVersion":0,"timestamp":5},"topicConfigTable":{' +
        '"../../etc":{"topicName":"../../etc","perm":6,"readQueueNums":1,"writeQueueNums":1},' +
        '"Huge":{"topicName":"Huge","perm":6,"readQueueNums":2000000000,"writeQueueNums":1},' +
        '"Fine":{"topicName":"Fine","perm":6,"readQueueNums":1,"writeQueueNums":1}}}',
    )
    const { table } = await aTable({}, file)
    expect([table.get('../../etc'), table.get('Huge'), table.get('Fine')?.perm]).toEqual([
      null,
      null,
      6,
    ])
    // The broker that wrote them may have the directory next.
    await table.update(topicConfig('New'))
    expect(parseBody(file.content)['topicConfigTable']).toMatchObject({
      '../../etc': { topicName: '../../etc', perm: 6, readQueueNums: 1 },
      Huge: { topicName: 'Huge', readQueueNums: 2000000000 },
      New: { topicName: 'New' },
    })
    await table.delete('Huge', nothing)
    expect(file.text).not.toContain('Huge')
  })

  it('know a topic that has messages but lost its configuration', async () => {
    const { table, file } = await aTable({}, new MemoryFile(), [['Orphan', 4]])
    expect(table.get('Orphan')?.readQueueNums).toBe(4)
    expect(file.text).toContain('"Orphan"')
  })

  it('get the queues that they lack, and lose none', async () => {
    const { table } = await aTable()
    await table.update(topicConfig('T1', { readQueueNums: 8, writeQueueNums: 2 }))
    const queuesAt = (queues: number) => {
      const topic = table.ensureWide('T1', queues, 6)
      return [topic?.readQueueNums, topic?.writeQueueNums]
    }
    expect(queuesAt(4)).toEqual([8, 4])
    expect(queuesAt(1)).toEqual([8, 4])
    expect(queuesAt(9)).toEqual([9, 9])
  })
})

describe('making a topic for its first message', () => {
  it('takes the template without its right to be inherited, and at most its queues', async () => {
    const { table } = await aTable()
    const topic = made(table.autoCreate('T1', 'TBW102', 4, 0))
    expect([topic.readQueueNums, topic.writeQueueNums, topic.perm]).toEqual([4, 4, 6])
    expect(made(table.autoCreate('T2', 'TBW102', 100, 0)).writeQueueNums).toBe(8)
  })

  it('announces and saves it', async () => {
    const { table, file, changes } = await aTable()
    const version = table.dataVersion.counter
    const topic = made(table.autoCreate('T1', 'TBW102', 4, 0))
    await table.save()
    expect(changes).toEqual([{ changed: [topic], deleted: [] }])
    expect(table.dataVersion.counter).toBe(version + 1)
    expect(file.text).toContain('"T1"')
  })

  it.each([
    ['no such template', 'T1', 'NoSuchTopic'],
    ['a template that may not be inherited from', 'T1', 'BenchmarkTest'],
    ['a name that leads elsewhere', '../T1', 'TBW102'],
    ['a name with a slash', 'a/b', 'TBW102'],
    ['an empty name', '', 'TBW102'],
    ['a name of 128 letters', 'x'.repeat(128), 'TBW102'],
  ])('is refused: %s', async (_why, name, template) => {
    const { table } = await aTable()
    expect(typeof table.autoCreate(name, template, 4, 0)).toBe('string')
    expect(table.get(name)).toBeNull()
  })

  it('is refused when it is switched off', async () => {
    const { table } = await aTable({ autoCreateTopic: false })
    expect(table.autoCreate('T1', 'DefaultCluster', 4, 0)).toContain('not exist')
  })

  it('ends at the cap', async () => {
    const { table } = await aTable({ autoCreateTopicsMax: 2 })
    // Topics of groups and of the system do not count.
    for (const group of ['A', 'B', 'C']) {
      table.ensure(`%RETRY%${group}`, 1, 6)
      table.ensure(`%DLQ%${group}`, 1, 6)
    }
    made(table.autoCreate('T1', 'TBW102', 4, 0))
    made(table.autoCreate('T2', 'TBW102', 4, 0))
    expect(table.autoCreate('T3', 'TBW102', 4, 0)).toContain('no more than 2 topics')
    await table.delete('T1', () => Promise.resolve())
    made(table.autoCreate('T3', 'TBW102', 4, 0))
    expect(table.autoCreate('T4', 'TBW102', 4, 0)).toContain('no more than 2 topics')
  })
})

describe('an administrator', () => {
  it('alters a topic in place, so that who holds it sees the change', async () => {
    const { table } = await aTable()
    await table.update(topicConfig('T1'))
    const topic = table.get('T1')
    await table.update(topicConfig('T1', { readQueueNums: 16, perm: 4 }))
    expect([topic?.readQueueNums, topic?.perm, topic?.isWritable]).toEqual([16, 4, false])
    expect(topic?.json()).toContain('"readQueueNums":16')
  })

  it('who says the same again changes nothing', async () => {
    const { table, changes } = await aTable()
    await table.update(topicConfig('T1'))
    const version = table.dataVersion
    await table.update(topicConfig('T1'))
    expect(table.dataVersion).toEqual(version)
    expect(changes).toHaveLength(1)
  })

  it.each([
    ['a system topic', topicConfig('TBW102')],
    ['the topic of the cluster', topicConfig('DefaultCluster')],
    ['an illegal name', topicConfig('..')],
    ['too many queues', topicConfig('T1', { writeQueueNums: 1_000_000 })],
    ['a negative number of queues', topicConfig('T1', { readQueueNums: -1 })],
    ['an unknown permission', topicConfig('T1', { perm: 9 })],
    ['an unknown attribute', topicConfig('T1', { attributes: { '+no.such': 'x' } })],
    [
      'a kind of topic that is not built',
      topicConfig('T1', { attributes: { '+cleanup.policy': 'COMPACTION' } }),
    ],
    ['an attribute without sign', topicConfig('T1', { attributes: { 'message.type': 'FIFO' } })],
  ])('is refused: %s', async (_why, config) => {
    const { table } = await aTable()
    await expect(table.update(config)).rejects.toMatchObject({
      name: 'Refusal',
      code: ResponseCode.INVALID_PARAMETER,
    })
    expect(table.get('T1')).toBeNull()
  })

  it('gets all of a list of topics, or none', async () => {
    const { table } = await aTable()
    await expect(table.updateAll([topicConfig('T1'), topicConfig('a/b')])).rejects.toThrow('a/b')
    expect(table.get('T1')).toBeNull()
  })

  it('adds and removes attributes', async () => {
    const { table } = await aTable()
    await table.update(topicConfig('T1', { attributes: { '+message.type': 'FIFO' } }))
    expect(table.get('T1')?.attributes).toEqual({ 'message.type': 'FIFO' })
    await table.update(topicConfig('T1', { attributes: { '-message.type': '' } }))
    expect(table.get('T1')?.attributes).toEqual({})
  })

  it('deletes a topic, and whoever holds it can see that', async () => {
    const { table, file, changes } = await aTable()
    await table.update(topicConfig('T1'))
    const topic = table.get('T1')
    expect(await table.delete('T1', nothing)).toBe(true)
    expect([table.get('T1'), topic?.deleted]).toEqual([null, true])
    expect(file.text).not.toContain('"T1"')
    expect(changes.at(-1)).toEqual({ changed: [], deleted: ['T1'] })
    expect(await table.delete('T1', nothing)).toBe(false)
  })

  it('keeps the name of a topic from everybody until its messages are gone', async () => {
    const { table } = await aTable()
    await table.update(topicConfig('T1'))
    let finish: () => void = () => undefined
    const deleting = table.delete('T1', () => new Promise((resolve) => (finish = resolve)))
    expect(table.autoCreate('T1', 'TBW102', 4, 0)).toContain('not exist')
    expect(table.ensure('T1', 1, 6)).toBeNull()
    await expect(table.update(topicConfig('T1'))).rejects.toThrow('being deleted')
    finish()
    await deleting
    expect(made(table.autoCreate('T1', 'TBW102', 4, 0)).deleted).toBe(false)
  })

  it('hears when the table cannot be written, and it is written later', async () => {
    const { table, file } = await aTable()
    file.failing = new Error('disk full')
    await expect(table.update(topicConfig('T1'))).rejects.toThrow('disk full')
    file.failing = null
    table.tick()
    await table.save()
    expect(file.text).toContain('"T1"')
  })
})

describe('what is registered', () => {
  it('is the whole table, or the topics that changed', async () => {
    const { table } = await aTable()
    await table.update(topicConfig('T1'))
    const whole = topicConfigTableFromJson(parseBody(Buffer.from(await table.wrapperJson())))
    expect(whole.topics).toHaveLength(table.size)
    expect(whole.dataVersion).toEqual(table.dataVersion)
    const topic = table.get('T1')
    const one = await table.wrapperJson(topic === null ? [] : [topic])
    expect(
      topicConfigTableFromJson(parseBody(Buffer.from(one))).topics.map((t) => t.topicName),
    ).toEqual(['T1'])
  })

  it('is only what the broker as a whole permits', async () => {
    const { table } = await aTable()
    await table.update(topicConfig('T1'))
    const text = await table.wrapperJson(null, 4)
    const { topics } = topicConfigTableFromJson(parseBody(Buffer.from(text)))
    expect(topics.find((topic) => topic.topicName === 'T1')?.perm).toBe(4)
  })
})

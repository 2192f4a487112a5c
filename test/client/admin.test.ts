import { describe, expect, it, vi } from 'vitest'
import { subscriptionGroupConfig } from '../../src/protocol/bodies/subscription-group-config.ts'
import { RequestCode } from '../../src/protocol/codes.ts'
import { aBrokerForThisFile } from './real-broker.ts'

const broker = aBrokerForThisFile()
const at = (topic: string, queueId = 0) => ({ topic, brokerName: 'broker-a', queueId })

describe('topics', () => {
  it('can be used as soon as they are created', async () => {
    const topic = await broker.aTopic(3)
    expect((await broker.admin.topics.route(topic)).publishQueues).toHaveLength(3)
    expect(await broker.admin.topics.list()).toContainEqual({
      name: topic,
      queues: 3,
      perm: 'rw',
      type: 'NORMAL',
    })
  })

  it('show their queues, messages and groups', async () => {
    const topic = await broker.aTopic(2, 5)
    const group = broker.aGroup()
    const { messages } = await broker.consume({ group }, topic)
    await expect.poll(() => messages.length).toBe(5)
    const details = await broker.admin.topics.get(topic)
    expect(details).toMatchObject({ queues: 2, messages: 5, groups: [group] })
    expect(details.offsets.map((row) => [row.queue.queueId, row.minOffset, row.maxOffset])).toEqual(
      [
        [0, 0, 3],
        [1, 0, 2],
      ],
    )
  })

  it('can be altered and lose their permission to write', async () => {
    const topic = await broker.aTopic(2)
    await broker.admin.topics.alter(topic, { readQueues: 4, writeQueues: 4, perm: 4 })
    const route = await broker.admin.topics.route(topic)
    expect([route.publishQueues.length, route.subscribeQueues.length]).toEqual([0, 4])
    expect((await broker.admin.topics.get(topic)).perm).toBe('r')
  })

  it('are gone at once when deleted', async () => {
    const topic = await broker.aTopic(1, 1)
    await broker.admin.topics.delete(topic)
    await expect(broker.admin.topics.route(topic)).rejects.toMatchObject({
      code: 'TOPIC_NOT_FOUND',
    })
    expect(await broker.admin.topics.names()).not.toContain(topic)
  })

  it.each([
    ['illegal names', { topic: 'a/../b' }, 'NAME_ILLEGAL'],
    ['names of the system', { topic: 'SCHEDULE_TOPIC_XXXX' }, 'NAME_ILLEGAL'],
  ])('with %s are refused', async (_, topic, code) => {
    await expect(broker.admin.topics.create(topic)).rejects.toMatchObject({ code })
  })

  it('cannot be created on a cluster or broker that is not there', async () => {
    await expect(
      broker.admin.topics.create({ topic: 'x' }, { cluster: 'nowhere' }),
    ).rejects.toMatchObject({
      code: 'BROKER_NOT_FOUND',
      message: 'the name server knows no master of cluster nowhere',
    })
  })

  it('that do not exist are an error with the name in it', async () => {
    for (const asked of [
      () => broker.admin.topics.get('nope'),
      () => broker.admin.topics.delete('nope'),
      () => broker.admin.topics.offsets('nope'),
      () => broker.admin.topics.alter('nope', { perm: 6 }),
    ]) {
      await expect(asked()).rejects.toMatchObject({
        code: 'TOPIC_NOT_FOUND',
        message: 'topic nope does not exist',
      })
    }
  })

  it('of the system are marked as such', async () => {
    const types = new Map((await broker.admin.topics.list()).map((row) => [row.name, row.type]))
    expect([types.get('TBW102'), types.get('broker-a'), types.get('DefaultCluster')]).toEqual([
      'SYSTEM',
      'SYSTEM',
      'SYSTEM',
    ])
  })
})

describe('groups', () => {
  it('can be created, seen, changed and deleted', async () => {
    const group = broker.aGroup()
    await broker.admin.groups.put(subscriptionGroupConfig(group, { retryMaxTimes: 3 }))
    expect(await broker.admin.groups.names()).toContain(group)
    const [row] = await broker.admin.groups.get(group)
    expect(row).toMatchObject({ broker: 'broker-a', config: { retryMaxTimes: 3 } })
    await broker.admin.groups.delete(group)
    await expect(broker.admin.groups.get(group)).rejects.toMatchObject({ code: 'GROUP_NOT_FOUND' })
    expect(await broker.admin.groups.names()).not.toContain(group)
  })

  it('show how far they are behind, and for how long', async () => {
    const topic = await broker.aTopic(2, 6)
    const group = broker.aGroup()
    const first = await broker.consume({ group }, topic)
    await expect.poll(() => first.messages.length).toBe(6)
    await first.consumer.close()
    expect(await broker.admin.groups.lag(group, topic)).toMatchObject({ lag: 0, lagSeconds: 0 })
    const listed = await broker.admin.groups.list()
    expect(listed.find(({ name }) => name === group)).toMatchObject({ members: 0, topics: [topic] })
    for (let i = 0; i < 3; i++) {
      await broker.producer.send({ topic, body: 'x', queue: at(topic) })
    }
    const lag = await broker.admin.groups.lag(group, topic)
    expect(lag).toMatchObject({ name: group, lag: 3 })
    expect(lag.lagSeconds).toBeLessThan(60)
    expect(lag.queues).toMatchObject([
      { topic, broker: 'broker-a', queueId: 0, brokerOffset: 6, consumerOffset: 3, lag: 3 },
      { topic, broker: 'broker-a', queueId: 1, brokerOffset: 3, consumerOffset: 3, lag: 0 },
    ])
  })

  it('can be sent back and forth while nobody is connected', async () => {
    const topic = await broker.aTopic(2, 10)
    const group = broker.aGroup()
    await broker.admin.groups.put(subscriptionGroupConfig(group))
    const plan = await broker.admin.progress.planReset(group, topic, {
      kind: 'beforeEnd',
      count: 2,
    })
    expect(plan.map((step) => [step.queueId, step.from, step.to])).toEqual([
      [0, null, 3],
      [1, null, 3],
    ])
    await broker.admin.progress.apply(group, plan)
    const { bodies } = await broker.consume({ group }, topic)
    await expect.poll(() => bodies().sort()).toEqual(['m6', 'm7', 'm8', 'm9'])
  })

  it('are not touched while they have members that a broker cannot move, and are told afterwards', async () => {
    const topic = await broker.aTopic(2, 10)
    const group = broker.aGroup()
    const { consumer, messages } = await broker.consume({ group }, topic)
    await expect.poll(() => messages.length).toBe(10)
    const plan = await broker.admin.progress.planReset(group, topic, { kind: 'start' })
    const old = vi
      .spyOn(broker.admin.brokers, 'config')
      .mockResolvedValue(new Map([['useServerSideResetOffset', 'false']]))
    const asked = vi.spyOn(broker.admin.client, 'ask')
    try {
      await expect(broker.admin.progress.apply(group, plan)).rejects.toMatchObject({
        code: 'GROUP_IN_USE',
      })
      await consumer.close()
      await broker.admin.progress.apply(group, plan)
      const codes = asked.mock.calls.map(([, code]) => code)
      expect(codes).not.toContain(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET)
    } finally {
      old.mockRestore()
      asked.mockRestore()
    }
    expect((await broker.admin.groups.lag(group, topic)).lag).toBe(10)
  })

  it('never lead out of the queue, whatever was asked', async () => {
    const topic = await broker.aTopic(1, 4)
    const group = broker.aGroup()
    await broker.admin.groups.put(subscriptionGroupConfig(group))
    const targets = [
      { kind: 'offset', offset: 99 },
      { kind: 'beforeEnd', count: 99 },
      { kind: 'time', ms: 4e12 },
      { kind: 'time', ms: 0 },
    ] as const
    const ends: number[] = []
    for (const target of targets) {
      const [step] = await broker.admin.progress.planReset(group, topic, target)
      ends.push(step?.to ?? Number.NaN)
    }
    expect(ends).toEqual([4, 0, 4, 0])
  })

  it('can take over the progress of another', async () => {
    const topic = await broker.aTopic(2, 4)
    const [source, target] = [broker.aGroup(), broker.aGroup()]
    const first = await broker.consume({ group: source }, topic)
    await expect.poll(() => first.messages.length).toBe(4)
    await first.consumer.close()
    const plan = await broker.admin.progress.planCopy(source, target, topic)
    expect(plan.map(({ from, to, maxOffset }) => [from, to, maxOffset])).toEqual([
      [null, 2, 2],
      [null, 2, 2],
    ])
    // It does not exist before.
    await broker.admin.progress.apply(target, plan)
    expect((await broker.admin.groups.lag(target, topic)).lag).toBe(0)
    const again = await broker.admin.progress.planCopy(source, target)
    expect(again.map(({ from, to }) => [from, to])).toEqual([
      [2, 2],
      [2, 2],
    ])
  })

  it('that do not exist are an error with the name in it', async () => {
    const topic = await broker.aTopic(1)
    for (const asked of [
      () => broker.admin.groups.get('nope'),
      () => broker.admin.groups.lag('nope'),
      () => broker.admin.progress.planReset('nope', topic, { kind: 'start' }),
    ]) {
      await expect(asked()).rejects.toMatchObject({ code: 'GROUP_NOT_FOUND' })
    }
  })
})

describe('messages', () => {
  it('are found by both ids, by key and by place', async () => {
    const topic = await broker.aTopic(1)
    const receipt = await broker.producer.send({ topic, body: 'x', keys: ['k1', 'k2'] })
    const { messages } = broker.admin
    expect(await messages.get(receipt.offsetMessageId)).toMatchObject({ topic, keys: 'k1 k2' })
    await expect
      .poll(async () => (await messages.byKey(topic, 'k2')).map((one) => one.messageId))
      .toEqual([receipt.messageId])
    expect(await messages.get(receipt.messageId, topic)).toMatchObject({ topic })
    expect(await messages.get(receipt.messageId)).toMatchObject({ topic })
    expect(await messages.at(at(topic), 0)).toMatchObject({ messageId: receipt.messageId })
  })

  it('that are not there are an error', async () => {
    const topic = await broker.aTopic(1)
    const { messages } = broker.admin
    expect(await messages.byKey(topic, 'nope')).toEqual([])
    for (const asked of [
      () => messages.get('nope', topic),
      () => messages.get('nope'),
      () => messages.at(at(topic), 0),
      () => messages.get('7F0000010000000000000000000000FF', topic),
    ]) {
      await expect(asked()).rejects.toMatchObject({ code: 'MESSAGE_NOT_FOUND' })
    }
    await expect(messages.byOffsetId('nope')).rejects.toMatchObject({ code: 'USAGE' })
  })

  it('by key come newest first, no more than asked for', async () => {
    const topic = await broker.aTopic(1)
    for (let i = 0; i < 5; i++) await broker.producer.send({ topic, body: `m${i}`, keys: 'same' })
    const find = async (limit: number) =>
      (await broker.admin.messages.byKey(topic, 'same', { limit })).length
    await expect.poll(() => find(10)).toBe(5)
    expect(await find(2)).toBe(2)
  })
})

describe('brokers and name servers', () => {
  it('show their figures and settings', async () => {
    const [row] = await broker.admin.brokers.list()
    expect(row).toMatchObject({ broker: 'broker-a', id: 0, cluster: 'DefaultCluster', error: null })
    expect(row?.version).toMatch(/^V5_/)
    const config = await broker.admin.brokers.config(row!.address)
    expect(config.get('brokerName')).toBe('broker-a')
  })

  it('take only the settings that may be changed from outside', async () => {
    const { address } = await broker.admin.cluster.master('broker-a')
    const setPath = broker.admin.brokers.setConfig(address, new Map([['storePathRootDir', '/tmp']]))
    await expect(setPath).rejects.toMatchObject({ code: 'REFUSED' })
  })

  it('keep small texts', async () => {
    const { brokers } = broker.admin
    await brokers.kvPut('space', 'key', 'value')
    expect(await brokers.kvGet('space', 'key')).toBe('value')
    await brokers.kvDelete('space', 'key')
    expect(await brokers.kvGet('space', 'key')).toBeNull()
  })

  it('can take the write permission of a broker and give it back', async () => {
    const topic = await broker.aTopic(1)
    const writable = async () => (await broker.admin.topics.route(topic)).publishQueues.length
    await broker.admin.brokers.setWritable('broker-a', false)
    expect(await writable()).toBe(0)
    await broker.admin.brokers.setWritable('broker-a', true)
    expect(await writable()).toBe(1)
  })

  it('that are unknown are an error', async () => {
    await expect(broker.admin.cluster.master('nobody')).rejects.toMatchObject({
      code: 'BROKER_NOT_FOUND',
    })
  })
})

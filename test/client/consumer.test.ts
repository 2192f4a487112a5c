import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { Consumer } from '../../src/client/consumer.ts'
import type { Clock } from '../../src/world/clock.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { aBrokerForThisFile, numbered } from './real-broker.ts'

const broker = aBrokerForThisFile()

const queueIds = (consumer: Consumer, topic: string) =>
  consumer.queues.filter((queue) => queue.topic === topic).map((queue) => queue.queueId)

describe('a consumer', () => {
  it('gets every message, those that were there and those that come', async () => {
    const topic = await broker.aTopic(2, 10)
    const { bodies, messages } = await broker.consume({ group: broker.aGroup() }, topic)
    await expect.poll(() => bodies().sort()).toEqual(numbered(10))
    await broker.producer.send({
      topic,
      body: 'later',
      tags: 'A',
      keys: ['k'],
      properties: { x: 'y' },
    })
    await expect.poll(() => bodies().at(-1)).toBe('later')
    expect(messages.at(-1)).toMatchObject({ topic, broker: 'broker-a', tags: 'A', keys: 'k' })
    expect(messages.at(-1)?.properties['x']).toBe('y')
  })

  it('goes on where its group ended', async () => {
    const topic = await broker.aTopic(2, 10)
    const group = broker.aGroup()
    const first = await broker.consume({ group }, topic)
    await expect.poll(() => first.messages.length).toBe(10)
    await first.consumer.close()
    await broker.producer.send({ topic, body: 'new' })
    const second = await broker.consume({ group }, topic)
    await expect.poll(() => second.bodies()).toEqual(['new'])
    await second.consumer.close()
    expect((await broker.admin.groups.lag(group)).lag).toBe(0)
  })

  it('gets only messages with its tags, also when another tag has the same hash', async () => {
    const topic = await broker.aTopic(1)
    for (const tags of ['Aa', 'BB', 'C', 'Aa'])
      await broker.producer.send({ topic, body: tags, tags })
    const subscriptions = [{ topic, tags: 'Aa || C' }]
    const { bodies } = await broker.consume({ group: broker.aGroup(), subscriptions }, topic)
    await expect.poll(bodies).toEqual(['Aa', 'C', 'Aa'])
  })

  it('starts at a time', async () => {
    const topic = await broker.aTopic(1, 3)
    const queue = { topic, brokerName: 'broker-a', queueId: 0 }
    const { storeTimestamp } = await broker.admin.messages.at(queue, 2)
    await broker.producer.send({ topic, body: 'm3' })
    const from = { timeMs: storeTimestamp }
    const { bodies } = await broker.consume({ group: broker.aGroup(), from }, topic)
    await expect.poll(() => bodies().at(-1)).toBe('m3')
    expect(bodies().length).toBeLessThanOrEqual(4)
    expect(bodies()).toContain('m2')
  })

  it('consumes a topic that is created after it started', async () => {
    const topic = `late-${broker.aGroup()}`
    const { bodies, consumer } = await broker.consume({ group: broker.aGroup() }, topic)
    expect(queueIds(consumer, topic)).toEqual([])
    await broker.admin.topics.create({ topic, readQueues: 1, writeQueues: 1 })
    await broker.producer.send({ topic, body: 'x' })
    await expect.poll(bodies).toEqual(['x'])
  })

  it('is caught up when everything was processed', async () => {
    const topic = await broker.aTopic(2, 4)
    let finish: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      finish = resolve
    })
    const { consumer } = await broker.consume(
      { group: broker.aGroup(), handler: () => held },
      topic,
    )
    expect(consumer.isCaughtUp).toBe(false)
    finish()
    await expect.poll(() => consumer.isCaughtUp).toBe(true)
  })

  it('is refused with an illegal group, no topic, or a topic of the system', async () => {
    const start = (group: string, topics: string[]) =>
      Consumer.start(nodeWorld, {
        nameServers: broker.nameServers,
        group,
        subscriptions: topics.map((topic) => ({ topic })),
        handler: () => undefined,
      })
    await expect(start('a/b', ['T'])).rejects.toMatchObject({ code: 'NAME_ILLEGAL' })
    await expect(start('g', [])).rejects.toMatchObject({ code: 'USAGE' })
    await expect(start('g', ['a b'])).rejects.toMatchObject({ code: 'NAME_ILLEGAL' })
  })

  it('says when no name server answers', async () => {
    const options = {
      nameServers: '127.0.0.1:1',
      group: 'g',
      subscriptions: [{ topic: 'T' }],
      handler: () => undefined,
    }
    await expect(Consumer.start(nodeWorld, options)).rejects.toMatchObject({
      code: 'NAMESRV_UNREACHABLE',
    })
  })
})

describe('members of a group', () => {
  it('share the queues, and take over those of one that leaves', async () => {
    const topic = await broker.aTopic(4)
    const group = broker.aGroup()
    const one = await broker.consume({ group }, topic)
    const two = await broker.consume({ group }, topic)
    const shares = () => [queueIds(one.consumer, topic), queueIds(two.consumer, topic)]
    await expect.poll(() => shares().map((share) => share.length)).toEqual([2, 2])
    expect(shares().flat().sort()).toEqual([0, 1, 2, 3])
    await one.consumer.close()
    await expect.poll(() => queueIds(two.consumer, topic).sort()).toEqual([0, 1, 2, 3])
  })

  it('are seen by administration, with what they say of themselves', async () => {
    const topic = await broker.aTopic(2, 4)
    const group = broker.aGroup()
    const { consumer, messages } = await broker.consume({ group }, topic)
    await expect.poll(() => messages.length).toBe(4)
    const connections = await broker.admin.groups.connections(group)
    expect(connections?.connections).toMatchObject([{ clientId: consumer.clientId }])
    expect(connections).toMatchObject({
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
    })
    const info = await broker.admin.groups.runningInfo(group, consumer.clientId)
    expect(info.queues.filter((row) => row.queue.topic === topic)).toHaveLength(2)
    expect(info.properties['PROP_CONSUME_TYPE']).toBe('CONSUME_PASSIVELY')
    const progress = await broker.admin.groups.memberProgress(group, topic)
    expect(progress.get(consumer.clientId)?.map((row) => row.offset)).toEqual([2, 2])
  })
})

describe('the handler', () => {
  it('has no more messages at once than it may', async () => {
    const topic = await broker.aTopic(4, 12)
    let now = 0
    let most = 0
    let done = 0
    await broker.consume(
      {
        group: broker.aGroup(),
        concurrency: 3,
        handler: async () => {
          now += 1
          most = Math.max(most, now)
          await new Promise(setImmediate)
          now -= 1
          done += 1
        },
      },
      topic,
    )
    await expect.poll(() => done).toBe(12)
    expect(most).toBe(3)
  })

  it('gets a failed message again, and the others meanwhile', async () => {
    const topic = await broker.aTopic(1, 3)
    const group = broker.aGroup()
    const seen: string[] = []
    const { consumer } = await broker.consume(
      {
        group,
        retryLevel: () => 1,
        handler: (message) => {
          const body = message.body.toString()
          seen.push(body)
          if (body === 'm0' && seen.filter((one) => one === 'm0').length === 1) {
            throw new Error('not now')
          }
        },
      },
      topic,
    )
    await expect.poll(() => seen).toEqual(['m0', 'm1', 'm2', 'm0'])
    await expect.poll(() => consumer.isCaughtUp).toBe(true)
  })

  it('that fails is not called in a circle', async () => {
    const topic = await broker.aTopic(1, 1)
    let calls = 0
    const { consumer } = await broker.consume(
      {
        group: broker.aGroup(),
        retryLevel: () => 1,
        handler: async () => {
          calls += 1
          throw new Error('never')
        },
      },
      topic,
    )
    await expect.poll(() => calls).toBe(2)
    await consumer.close()
    expect(calls).toBe(2)
  })

  it('that fails leaves no timer behind that would keep the process alive', async () => {
    const topic = await broker.aTopic(1, 1)
    const timers = new Set<object>()
    const clock: Clock = {
      ...nodeWorld.clock,
      after(delayMs, run) {
        const timer = {}
        timers.add(timer)
        const stop = nodeWorld.clock.after(delayMs, () => {
          timers.delete(timer)
          run()
        })
        return () => {
          timers.delete(timer)
          stop()
        }
      },
    }
    let calls = 0
    const consumer = await Consumer.start(
      { ...nodeWorld, clock },
      {
        nameServers: broker.nameServers,
        group: broker.aGroup(),
        subscriptions: [{ topic }],
        from: 'first',
        handler: () => {
          calls += 1
          throw new Error('no')
        },
      },
    )
    await expect.poll(() => calls).toBe(1)
    await expect.poll(() => timers.size).toBeGreaterThan(0)
    await consumer.close()
    expect(timers.size).toBe(0)
  })

  it('may leave messages to whoever comes next', async () => {
    const topic = await broker.aTopic(1, 5)
    const group = broker.aGroup()
    const first: string[] = []
    const { consumer } = await broker.consume(
      {
        group,
        handler: (message) => {
          first.push(message.body.toString())
          return first.length > 2 ? 'leave' : undefined
        },
      },
      topic,
    )
    await expect.poll(() => first.length).toBe(5)
    await consumer.close()
    const second = await broker.consume({ group }, topic)
    await expect.poll(second.bodies).toEqual(['m2', 'm3', 'm4'])
  })

  it('gets the messages of a queue one after the other when that is asked for, a failed one first', async () => {
    const topic = await broker.aTopic(2, 10)
    const seen: (readonly [number, number])[] = []
    let failed = false
    await broker.consume(
      {
        group: broker.aGroup(),
        ordered: true,
        handler: async (message) => {
          await new Promise(setImmediate)
          seen.push([message.queueId, message.queueOffset])
          if (message.queueId === 0 && message.queueOffset === 2 && !failed) {
            failed = true
            throw new Error('once')
          }
        },
      },
      topic,
    )
    await expect.poll(() => seen.length).toBe(11)
    const offsets = (queueId: number) =>
      seen.filter((row) => row[0] === queueId).map((row) => row[1])
    expect([offsets(0), offsets(1)]).toEqual([
      [0, 1, 2, 2, 3, 4],
      [0, 1, 2, 3, 4],
    ])
  })

  it('that runs at close is waited for, and its message counts', async () => {
    const topic = await broker.aTopic(1, 1)
    const group = broker.aGroup()
    let finish: () => void = () => undefined
    let started = false
    const { consumer } = await broker.consume(
      {
        group,
        handler: () =>
          new Promise<void>((resolve) => {
            started = true
            finish = resolve
          }),
      },
      topic,
    )
    await expect.poll(() => started).toBe(true)
    const closing = consumer.close()
    finish()
    await closing
    expect((await broker.admin.groups.lag(group, topic)).lag).toBe(0)
  })

  it('that never ends does not keep close waiting for ever, and its message does not count', async () => {
    const topic = await broker.aTopic(1, 1)
    const group = broker.aGroup()
    let started = false
    const { consumer } = await broker.consume(
      {
        group,
        closeTimeoutMs: 50,
        handler: () => {
          started = true
          return new Promise<void>(() => undefined)
        },
      },
      topic,
    )
    await expect.poll(() => started).toBe(true)
    await consumer.close()
    expect((await broker.admin.groups.lag(group, topic)).lag).toBe(1)
  })

  it('holds pulling back when it is behind', async () => {
    const topic = await broker.aTopic(1, 30)
    let finish: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      finish = resolve
    })
    const group = broker.aGroup()
    let calls = 0
    const { consumer } = await broker.consume(
      {
        group,
        concurrency: 1,
        pullBatch: 5,
        limits: { messagesMax: 10 },
        handler: async () => {
          calls += 1
          await held
        },
      },
      topic,
    )
    await expect.poll(() => calls).toBe(1)
    const cached = async () => {
      const info = await broker.admin.groups.runningInfo(group, consumer.clientId)
      return info.queues.find((row) => row.queue.topic === topic)?.cachedMsgCount
    }
    await expect.poll(cached).toBe(10)
    finish()
    await expect.poll(() => calls).toBe(30)
  })
})

describe('broadcast', () => {
  it('gives every member every message, again after a restart', async () => {
    const topic = await broker.aTopic(2, 6)
    const given = { group: broker.aGroup(), model: 'broadcast' as const }
    const members = [await broker.consume(given, topic), await broker.consume(given, topic)]
    for (const member of members) {
      await expect.poll(() => member.bodies().sort()).toEqual(numbered(6))
    }
  })

  it('goes on where it ended when it has a file for its progress', async () => {
    const topic = await broker.aTopic(2, 6)
    const directory = await mkdtemp(path.join(tmpdir(), 'mqctl-broadcast-'))
    try {
      const progressFile = path.join(directory, 'progress.json')
      const given = { group: broker.aGroup(), model: 'broadcast' as const, progressFile }
      const first = await broker.consume(given, topic)
      await expect.poll(() => first.messages.length).toBe(6)
      await first.consumer.close()
      await broker.producer.send({ topic, body: 'new' })
      const second = await broker.consume(given, topic)
      await expect.poll(second.bodies).toEqual(['new'])
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})

describe('a group with a topic that does not exist', () => {
  it('follows changes of its members at once all the same', async () => {
    const topic = await broker.aTopic(4)
    const subscriptions = [{ topic }, { topic: `missing-${topic}` }]
    const group = broker.aGroup()
    const one = await broker.consume({ group, subscriptions }, topic)
    const two = await broker.consume({ group, subscriptions }, topic)
    const start = performance.now()
    await expect
      .poll(() => [one, two].map(({ consumer }) => queueIds(consumer, topic).length), {
        interval: 5,
      })
      .toEqual([2, 2])
    expect(performance.now() - start).toBeLessThan(1_900)
  })
})

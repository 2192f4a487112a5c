import { describe, expect, it } from 'vitest'
import { TopicReader } from '../../src/client/topic-reader.ts'
import { forward, planForward } from '../../src/client/topic-forward.ts'
import { aBrokerForThisFile, numbered } from './real-broker.ts'

const broker = aBrokerForThisFile()

async function bodiesOf(topic: string): Promise<string[]> {
  const reader = await TopicReader.open(broker.admin.client, {
    topic,
    from: { kind: 'start' },
    to: { kind: 'end' },
  })
  const bodies: string[] = []
  for await (const messages of reader) bodies.push(...messages.map((one) => one.body.toString()))
  return bodies
}

const options = (signal: AbortSignal, onMoved = () => undefined) => ({
  ...{ signal, onMoved, sendTimeoutMs: 3_000 },
})

describe('moving a backlog', () => {
  it('ends after the batches under way when it is told to, and goes on there', async () => {
    const source = await broker.aTopic(2, 200)
    const target = await broker.aTopic(4)
    const interrupt = new AbortController()
    const first = await planForward(broker.admin, source, target)
    const ends = await forward(
      broker.admin,
      first,
      options(interrupt.signal, () => {
        interrupt.abort()
      }),
    )
    const copied = ends.reduce((sum, end) => sum + end, 0)
    expect(copied).toBeGreaterThan(0)
    expect(copied).toBeLessThan(200)
    expect(await bodiesOf(target)).toHaveLength(copied)

    const second = await planForward(broker.admin, source, target)
    expect(second.steps.map(({ from }) => from)).toEqual(ends)
    await forward(broker.admin, second, options(new AbortController().signal))
    expect((await bodiesOf(target)).sort()).toEqual(numbered(200))
    const third = await planForward(broker.admin, source, target)
    expect(third.steps.every(({ from, to }) => from === to)).toBe(true)
  })

  it('keeps the order of each key in a wider topic, and spreads the keys', async () => {
    const source = await broker.aTopic(1)
    const target = await broker.aTopic(8)
    for (let i = 0; i < 60; i++) {
      await broker.producer.send({ topic: source, body: `m${i}`, keys: `key-${i % 10}` })
    }
    const plan = await planForward(broker.admin, source, target)
    await forward(broker.admin, plan, options(new AbortController().signal))
    const byKey = new Map<string, number[]>()
    const queues = new Set<number>()
    const span = { from: { kind: 'start' }, to: { kind: 'end' } } as const
    for await (const messages of await TopicReader.open(broker.admin.client, {
      ...{ topic: target, ...span },
    })) {
      for (const { keys, body, queueId } of messages) {
        queues.add(queueId)
        byKey.set(keys, [...(byKey.get(keys) ?? []), Number(body.toString().slice(1))])
      }
    }
    expect(queues.size).toBeGreaterThan(1)
    for (const numbers of byKey.values()) expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    expect([...byKey.values()].flat()).toHaveLength(60)
  })

  it('has a group of its own also for names that are too long for one', async () => {
    const target = await broker.aTopic(1)
    const source = 's'.repeat(120)
    await broker.admin.topics.create({ topic: source, readQueues: 1, writeQueues: 1 })
    const { group } = await planForward(broker.admin, source, target)
    expect(group).toMatch(/^forward-[0-9a-f]{32}$/)
  })
})

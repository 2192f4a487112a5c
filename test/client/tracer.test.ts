import { afterEach, describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { MqClient } from '../../src/client/client.ts'
import type { OutgoingMessage } from '../../src/client/outgoing-message.ts'
import { Producer, type ProducerOptions } from '../../src/client/producer.ts'
import { Tracer } from '../../src/client/tracer.ts'
import { TransactionProducer } from '../../src/client/transaction-producer.ts'
import {
  type TraceRecord,
  decodeTraceRecords,
  encodeTraceRecord,
} from '../../src/protocol/trace-record.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { aBrokerForThisFile } from './real-broker.ts'

const broker = aBrokerForThisFile()
const open: { close(): unknown }[] = []
const TRACES = 'RMQ_SYS_TRACE_TOPIC'

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

function aProducer(options: Partial<ProducerOptions> = {}): Producer {
  const producer = Producer.open(nodeWorld, { nameServers: broker.nameServers, ...options })
  open.push(producer)
  return producer
}

/** What is told under that key, oldest first. */
async function told(key: string, topic = TRACES): Promise<TraceRecord[]> {
  const messages = await broker.admin.messages.byKey(topic, key)
  return messages.reverse().flatMap(({ body }) => decodeTraceRecords(body).records)
}

const of = (id: string, records: readonly TraceRecord[]) =>
  records.filter((record) => record.messageId === id)

describe('a producer that traces', () => {
  it('tells what it sent, found by the unique id and by each key', async () => {
    const topic = await broker.aTopic()
    const producer = aProducer({ trace: true, group: 'sellers' })
    const receipt = await producer.send({ topic, body: 'four', tags: 'paid', keys: 'A-1 A-2' })
    await producer.close()
    for (const key of [receipt.messageId, 'A-1', 'A-2']) {
      await expect.poll(async () => of(receipt.messageId, await told(key))).toHaveLength(1)
    }
    const [record] = await told(receipt.messageId)
    expect(record).toMatchObject({
      ...{ kind: 'Pub', group: 'sellers', topic, messageId: receipt.messageId, tags: 'paid' },
      ...{ keys: 'A-1 A-2', bodyBytes: 4, type: 'normal', ok: true, region: 'DefaultRegion' },
      offsetMessageId: receipt.offsetMessageId,
    })
  })

  it('tells of each message of a batch, and what kind of message it was', async () => {
    const topic = await broker.aTopic()
    const producer = aProducer({ trace: true })
    const batch = await producer.sendBatch(['a', 'b', 'c'].map((body) => ({ topic, body })))
    const delayed = await producer.send({ topic, body: 'd', delayLevel: 1 })
    const ordered = await producer.send({ topic, body: 'e', orderKey: 'k' })
    await producer.close()
    const types = ['normal', 'normal', 'normal', 'delayed', 'ordered']
    for (const [index, { messageId }] of [...batch, delayed, ordered].entries()) {
      const [record] = await expect
        .poll(async () => of(messageId, await told(messageId)))
        .toHaveLength(1)
        .then(async () => of(messageId, await told(messageId)))
      expect(record).toMatchObject({ kind: 'Pub', type: types[index] })
    }
  })

  it('tells of a transaction: the half message, and how it ended', async () => {
    const topic = await broker.aTopic()
    const producer = TransactionProducer.open(nodeWorld, {
      nameServers: broker.nameServers,
      group: broker.aGroup(),
      trace: true,
      check: () => 'unknown',
    })
    const sent = await producer.sendTransaction({ topic, body: 'x', keys: 'T-1' }, () => 'rollback')
    await producer.close()
    await expect.poll(() => told(sent.messageId)).toHaveLength(2)
    expect(await told(sent.messageId)).toMatchObject([
      { kind: 'Pub', type: 'half', ok: true },
      { kind: 'EndTransaction', decision: 'rollback', asked: false, keys: 'T-1', topic },
    ])
  })

  it('tells a topic of its own, when it is given one', async () => {
    const topic = await broker.aTopic()
    const traces = await broker.aTopic()
    const producer = aProducer({ trace: traces })
    const { messageId } = await producer.send({ topic, body: 'x' })
    await producer.close()
    await expect.poll(() => told(messageId, traces)).toHaveLength(1)
  })
})

describe('a consumer that traces', () => {
  it('tells of each try how it ended, also of those that failed', async () => {
    const topic = await broker.aTopic(1, 1)
    const group = broker.aGroup()
    let tries = 0
    let id = ''
    const { consumer } = await broker.consume(
      {
        group,
        trace: true,
        ordered: true,
        suspendMs: 10,
        handler: (message) => {
          id = message.messageId
          tries += 1
          if (tries === 1) throw new Error('not yet')
        },
      },
      topic,
    )
    await expect.poll(() => tries).toBe(2)
    await consumer.close()
    await expect.poll(async () => of(id, await told(id))).toHaveLength(4)
    const records = of(id, await told(id))
    expect(records).toMatchObject([
      { kind: 'SubBefore', group, tries: 0 },
      { kind: 'SubAfter', group, ok: false, result: 'exception' },
      { kind: 'SubBefore', group, tries: 1 },
      { kind: 'SubAfter', group, ok: true, result: 'success' },
    ])
    const requests = records.map((record) => 'requestId' in record && record.requestId)
    expect(requests[0]).toBe(requests[1])
    expect(requests[2]).toBe(requests[3])
    expect(requests[0]).not.toBe(requests[2])
  })

  it('tells nothing of what it left to others', async () => {
    const topic = await broker.aTopic(1, 2)
    const ids: string[] = []
    const { consumer } = await broker.consume(
      {
        group: broker.aGroup(),
        trace: true,
        concurrency: 1,
        handler: (message) => {
          ids.push(message.messageId)
          return ids.length === 1 ? 'leave' : undefined
        },
      },
      topic,
    )
    await expect.poll(() => ids.length).toBe(2)
    await consumer.close()
    const [left = '', done = ''] = ids
    await expect.poll(async () => of(done, await told(done))).toHaveLength(2)
    expect(of(left, await told(done))).toEqual([])
  })
})

describe('a tracer', () => {
  const record: TraceRecord = {
    ...{ kind: 'Recall', timeMs: 1, region: 'r', group: 'g', topic: 't' },
    ...{ messageId: 'ID', ok: true },
  }

  function aTracer(send: (message: OutgoingMessage) => Promise<unknown>) {
    const warnings: string[] = []
    const logger = { ...silentLogger, warn: (event: string) => void warnings.push(event) }
    const client = new MqClient(nodeWorld, { nameServers: '127.0.0.1:1', logger })
    open.push(client)
    return {
      tracer: new Tracer(client, { send, close: () => Promise.resolve() }, TRACES),
      warnings,
    }
  }

  it('sends 20 records a message, and the rest when it is closed', async () => {
    const sizes: number[] = []
    const { tracer } = aTracer((message) => {
      sizes.push(decodeTraceRecords(Buffer.from(message.body)).records.length)
      return Promise.resolve()
    })
    for (let i = 0; i < 50; i++) tracer.add({ ...record, messageId: `M${i}` })
    await tracer.close()
    expect([sizes, tracer.lost]).toEqual([[20, 20, 10], 0])
  })

  it('neither throws nor grows when nobody takes what it has, and says so once', async () => {
    const { tracer, warnings } = aTracer(() => new Promise(() => undefined))
    for (let round = 0; round < 100; round++) {
      for (let i = 0; i < 50; i++) tracer.add(record)
      await new Promise((resolve) => setImmediate(resolve))
    }
    // 2,048 wait and 4 × 20 are under way.
    expect(tracer.lost).toBe(5_000 - 2_048 - 80)
    expect(warnings).toEqual(['traces are not stored'])
  })

  it('counts what brokers refuse', async () => {
    const { tracer, warnings } = aTracer(() => Promise.reject(new Error('no room')))
    for (let i = 0; i < 45; i++) tracer.add(record)
    await tracer.close()
    expect([tracer.lost, tracer.whyLost]).toEqual([45, 'no room'])
    expect(warnings).toEqual(['traces are not stored', 'traces were lost'])
  })

  it('keeps the keys of a message within what brokers take', async () => {
    const keySizes: number[] = []
    const { tracer } = aTracer((message) => {
      keySizes.push([...(message.keys ?? [])].join(' ').length)
      return Promise.resolve()
    })
    const keys = (of: number) => Array.from({ length: 500 }, (_, i) => `key-${of}-${i}`).join(' ')
    for (let i = 0; i < 5; i++) {
      const trace = {
        ...record,
        kind: 'SubBefore',
        requestId: 'q',
        tries: 0,
        keys: keys(i),
      } as const
      tracer.add(trace)
      expect(encodeTraceRecord(trace)).toContain(`key-${i}-499`)
    }
    await tracer.close()
    expect(keySizes.length).toBeGreaterThan(1)
    expect(Math.max(...keySizes)).toBeLessThanOrEqual(16_000)
  })
})

import { afterEach, describe, expect, it } from 'vitest'
import type { ConsumerEvents, ProducerEvents } from '../../src/drivers/driver.ts'
import { LocalOutcome } from '../../src/drivers/driver.ts'
import { startNullTarget } from '../../src/drivers/null-target.ts'
import { RocketmqConsumer } from '../../src/drivers/rocketmq-consumer.ts'
import { RocketmqDriver } from '../../src/drivers/rocketmq.ts'
import { RocketmqProducer } from '../../src/drivers/rocketmq-producer.ts'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import { type Command, respond } from '../../src/protocol/command.ts'
import { decodeFrame, encodeFrame } from '../../src/protocol/frame.ts'
import { RecordParts, encodeRecord, recordBytes } from '../../src/protocol/record.ts'
import { FrameReader } from '../../src/remoting/frame-reader.ts'
import type { ByteStream } from '../../src/world/net.ts'
import { nodeWorld } from '../../src/world/node-world.ts'

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

/** A peer that answers each request as the test says. */
async function aBroker(answer: (command: Command, stream: ByteStream) => Command | null) {
  const streams: ByteStream[] = []
  const listener = await nodeWorld.net.listen('127.0.0.1', 0, (stream) => {
    streams.push(stream)
    const reader = new FrameReader((bytes, start, end) => {
      const command = decodeFrame(bytes, start, end)
      command.body = command.body === null ? null : Buffer.from(command.body)
      const response = answer(command, stream)
      if (response !== null) stream.write(encodeFrame(response))
    })
    stream.onData = (chunk) => {
      reader.push(chunk)
    }
  })
  closing.push(() => {
    for (const stream of streams) stream.destroy()
    void listener.close()
  })
  const address = `127.0.0.1:${listener.port}`
  const lanes = [0, 1].map((queueId) => ({ topic: 'T1', broker: 'broker-a', address, queueId }))
  return { address, lanes, streams }
}

const options = {
  topics: ['T1'],
  group: 'G',
  slots: 4,
  timeoutMs: 1000,
  kinds: [{ tag: null, properties: {} }],
  keyed: false,
  oneWay: false,
}
const body = Buffer.from('0123456789')

async function aProducer(
  broker: Awaited<ReturnType<typeof aBroker>>,
  events: Partial<ProducerEvents>,
  changes: Partial<typeof options> = {},
) {
  const line = await RocketmqProducer.open(
    nodeWorld,
    broker.lanes,
    '7F0000011234CAFEBABE',
    { ...options, ...changes },
    { onSettled: () => undefined, onBroken: () => undefined, ...events },
  )
  closing.push(() => {
    line.close()
  })
  return line
}

describe('the producer line', () => {
  it('settles each slot with its own answer, whatever their order', async () => {
    const held: Command[] = []
    const broker = await aBroker((command, stream) => {
      held.push(command)
      if (held.length === 3) {
        const codes = [ResponseCode.SUCCESS, ResponseCode.SYSTEM_BUSY, ResponseCode.SUCCESS]
        for (const index of [2, 0, 1]) {
          const to = held[index]
          if (to !== undefined) stream.write(encodeFrame(respond(to, codes[index] ?? 0)))
        }
      }
      return null
    })
    const settled: [number, number][] = []
    const line = await aProducer(broker, {
      onSettled: (slot, outcome) => settled.push([slot, outcome]),
    })
    line.turn(() => {
      for (const slot of [0, 1, 2]) line.send(slot, slot % 2, body, 0, body.length)
    })
    await expect
      .poll(() => settled)
      .toEqual([
        [2, ResponseCode.SUCCESS],
        [0, ResponseCode.SUCCESS],
        [1, ResponseCode.SYSTEM_BUSY],
      ])
    expect(held.map((command) => command.ext['e'])).toEqual(['0', '1', '0'])
  })

  it('counts an answer that came twice as a stray and settles nothing by it', async () => {
    const broker = await aBroker((command, stream) => {
      stream.write(encodeFrame(respond(command, 0)))
      return respond(command, 0)
    })
    let settled = 0
    const line = await aProducer(broker, { onSettled: () => (settled += 1) })
    line.turn(() => {
      line.send(0, 0, body, 0, body.length)
    })
    await expect.poll(() => line.strayAnswers).toBe(1)
    expect(settled).toBe(1)
  })

  it('settles what gets no answer as timed out, and a late answer not at all', async () => {
    const held: { command: Command; stream: ByteStream }[] = []
    const broker = await aBroker((command, stream) => {
      held.push({ command, stream })
      return null
    })
    const settled: [number, number][] = []
    const events = { onSettled: (slot: number, outcome: number) => settled.push([slot, outcome]) }
    const line = await aProducer(broker, events, { timeoutMs: 50 })
    line.turn(() => {
      line.send(3, 0, body, 0, body.length)
    })
    await expect.poll(() => settled).toEqual([[3, LocalOutcome.timeout]])
    for (const { command, stream } of held) stream.write(encodeFrame(respond(command, 0)))
    await expect.poll(() => line.strayAnswers).toBe(1)
    expect(settled).toHaveLength(1)
  })

  it('says that it is broken, then settles what was under way as lost', async () => {
    const broker = await aBroker((_, stream) => {
      stream.destroy()
      return null
    })
    const news: string[] = []
    const line = await aProducer(broker, {
      onSettled: (slot, outcome) => news.push(`${slot}:${outcome}`),
      onBroken: () => news.push('broken'),
    })
    line.turn(() => {
      line.send(1, 0, body, 0, body.length)
    })
    await expect.poll(() => news).toEqual(['broken', `1:${LocalOutcome.connectionLost}`])
  })

  it('is refused by an address where nobody listens', async () => {
    const lanes = [{ topic: 'T1', broker: 'b', address: '127.0.0.1:1', queueId: 0 }]
    const opening = RocketmqProducer.open(nodeWorld, lanes, '7F0000011234CAFEBABE', options, {
      onSettled: () => undefined,
      onBroken: () => undefined,
    })
    await expect(opening).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE', exitCode: 3 })
  })
})

describe('the null target', () => {
  it('acknowledges every message once', async () => {
    const listener = await startNullTarget(nodeWorld)
    closing.push(() => void listener.close())
    const address = `127.0.0.1:${listener.port}`
    const lanes = [{ topic: 'T1', broker: 'null', address, queueId: 0 }]
    let acked = 0
    const line = await RocketmqProducer.open(nodeWorld, lanes, '7F0000011234CAFEBABE', options, {
      onSettled: (slot, outcome) => {
        if (outcome === 0) acked += 1
        if (acked + 3 < 2000) line.send(slot, 0, body, 0, body.length)
      },
      onBroken: () => undefined,
    })
    closing.push(() => {
      line.close()
    })
    line.turn(() => {
      for (let slot = 0; slot < 4; slot += 1) line.send(slot, 0, body, 0, body.length)
    })
    await expect.poll(() => acked).toBe(2000)
    expect(line.strayAnswers).toBe(0)
  })
})

const host = Buffer.from([127, 0, 0, 1, 0, 0, 0x2a, 0x9f])
const hostV6 = Buffer.concat([Buffer.alloc(16, 1), Buffer.from([0, 0, 0x2a, 0x9f])])

function records(messages: { offset: number; text: string; storeHost?: Buffer }[]): Buffer {
  return Buffer.concat(
    messages.map(({ offset, text, storeHost = host }) => {
      const parts = new RecordParts()
      parts.topic = Buffer.from('T1')
      parts.body = Buffer.from(text)
      parts.bodyEnd = parts.body.length
      const bytes = Buffer.alloc(recordBytes(parts, storeHost.length))
      encodeRecord(bytes, 0, parts, storeHost, offset, 1000, 1)
      return bytes
    }),
  )
}

function pullAnswer(to: Command, code: number, next: number, max: number, bytes?: Buffer) {
  const ext = { suggestWhichBrokerId: 0, nextBeginOffset: next, minOffset: 0, maxOffset: max }
  return respond(to, code, null, ext, bytes ?? null)
}

describe('the consumer line', () => {
  async function read(
    answer: (command: Command, nth: number) => Command | null,
    events: Partial<ConsumerEvents> = {},
  ) {
    let nth = 0
    const broker = await aBroker((command) => answer(command, (nth += 1)))
    const line = await RocketmqConsumer.open(
      nodeWorld,
      broker.lanes,
      {
        topics: ['T1'],
        group: 'G',
        lanes: [{ lane: 1, offset: 5 }],
        batch: 32,
        processingMs: 0,
        retryMs: 0,
        holdMs: 1000,
      },
      {
        onMessage: () => undefined,
        onProgress: () => undefined,
        onTrouble: () => undefined,
        onBroken: () => undefined,
        ...events,
      },
    )
    closing.push(() => {
      line.close()
    })
    line.start()
    return line
  }

  it('hands over every record with its lane, offset and body, and goes on behind the last', async () => {
    const asked: string[] = []
    const got: [number, number, string][] = []
    await read(
      (command, nth) => {
        const { queueId, queueOffset, commitOffset, sysFlag } = command.ext
        asked.push([queueId, queueOffset, commitOffset, sysFlag].join(' '))
        if (nth > 1) return null
        const bytes = records([
          { offset: 5, text: 'five' },
          { offset: 6, text: 'six', storeHost: hostV6 },
          { offset: 7, text: '' },
        ])
        return pullAnswer(command, ResponseCode.SUCCESS, 8, 9, bytes)
      },
      {
        onMessage: (lane, queueOffset, bytes, start, end) =>
          got.push([lane, queueOffset, bytes.toString('utf8', start, end)]),
      },
    )
    await expect.poll(() => asked).toEqual(['1 5 5 7', '1 8 8 7'])
    expect(got).toEqual([
      [1, 5, 'five'],
      [1, 6, 'six'],
      [1, 7, ''],
    ])
  })

  it('tells its position and the end of the lane', async () => {
    const progress: number[][] = []
    await read(
      (command, nth) =>
        nth === 1 ? pullAnswer(command, ResponseCode.PULL_RETRY_IMMEDIATELY, 9, 50) : null,
      { onProgress: (...figures) => progress.push(figures) },
    )
    await expect.poll(() => progress).toEqual([[1, 9, 50]])
  })

  it('does not spin on a broker that holds nothing', async () => {
    let asked = 0
    await read((command) => {
      asked += 1
      return pullAnswer(command, ResponseCode.PULL_NOT_FOUND, 5, 5)
    })
    await expect.poll(() => asked).toBe(3)
    expect(asked).toBeLessThan(10)
  })

  it('tells a refusal and tries again', async () => {
    const troubles: number[][] = []
    await read(
      (command, nth) =>
        nth < 3 ? respond(command, ResponseCode.TOPIC_NOT_EXIST, 'no such topic') : null,
      { onTrouble: (...figures) => troubles.push(figures) },
    )
    await expect
      .poll(() => troubles)
      .toEqual([
        [1, ResponseCode.TOPIC_NOT_EXIST],
        [1, ResponseCode.TOPIC_NOT_EXIST],
      ])
  })

  it('reads a message again that could not be worked on, and none behind it before', async () => {
    const asked: string[] = []
    const got: number[] = []
    const troubles: number[] = []
    let refusals = 1
    await read(
      (command, nth) => {
        asked.push(command.ext['queueOffset'] ?? '')
        if (nth > 2) return null
        const all = [5, 6, 7].map((offset) => ({ offset, text: String(offset) }))
        const bytes = records(nth === 1 ? all : all.slice(1))
        return pullAnswer(command, ResponseCode.SUCCESS, 8, 8, bytes)
      },
      {
        accepts: () => got.length !== 1 || (refusals -= 1) < 0,
        onMessage: (_, queueOffset) => got.push(queueOffset),
        onTrouble: (_, outcome) => troubles.push(outcome),
      },
    )
    await expect.poll(() => asked).toEqual(['5', '6', '8'])
    expect([got, troubles]).toEqual([[5, 6, 7], [LocalOutcome.processingFailed]])
  })

  it('calls a record that runs over its frame trouble, and reads no further', async () => {
    const troubles: number[] = []
    let got = 0
    await read(
      (command, nth) => {
        if (nth > 1) return null
        const bytes = records([{ offset: 5, text: 'five' }])
        bytes.writeInt32BE(bytes.length + 1, 0)
        return pullAnswer(command, ResponseCode.SUCCESS, 6, 6, bytes)
      },
      { onMessage: () => (got += 1), onTrouble: (_, outcome) => troubles.push(outcome) },
    )
    await expect.poll(() => troubles).toHaveLength(1)
    expect(got).toBe(0)
  })
})

describe('the driver', () => {
  it('reads durability from what the broker says of its flushes', () => {
    const driver = new RocketmqDriver(nodeWorld, ['127.0.0.1:1'])
    closing.push(() => {
      driver.close()
    })
    const facts = (flushDiskType: string) => ({
      name: 'b',
      address: 'a:1',
      cluster: 'c',
      version: null,
      settings: { flushDiskType },
      runtime: {},
      inside: {
        pid: null,
        gcCount: null,
        gcPauseMs: null,
        eventLoopP99Ms: null,
        eventLoopMaxMs: null,
        fsyncCount: null,
        fsyncTotalMs: null,
        fsyncMaxMs: null,
      },
    })
    const profile = (...kinds: string[]) => driver.durability(kinds.map(facts)).profile
    expect(profile('ASYNC_FLUSH')).toBe('page-cache')
    expect(profile('SYNC_FLUSH', 'SYNC_FLUSH')).toBe('fsync')
    expect(profile('SYNC_FLUSH', 'ASYNC_FLUSH')).toBe('unknown')
    expect(profile()).toBe('unknown')
  })

  it('names a name server that does not answer, exit 3', async () => {
    const driver = new RocketmqDriver(nodeWorld, ['127.0.0.1:1'])
    closing.push(() => {
      driver.close()
    })
    await expect(driver.lanes(['T1'])).rejects.toMatchObject({
      code: 'NAMESRV_UNREACHABLE',
      exitCode: 3,
    })
  })

  it('refuses an illegal topic before it asks anybody', async () => {
    const driver = new RocketmqDriver(nodeWorld, ['127.0.0.1:1'])
    closing.push(() => {
      driver.close()
    })
    await expect(driver.createTopic('../x', 1)).rejects.toMatchObject({ code: 'NAME_ILLEGAL' })
  })

  it('names outcomes as RocketMQ does, and its own', () => {
    const driver = new RocketmqDriver(nodeWorld, ['127.0.0.1:1'])
    closing.push(() => {
      driver.close()
    })
    expect([2, 10, -1, -2].map((outcome) => driver.outcomeName(outcome))).toEqual([
      'SYSTEM_BUSY',
      'FLUSH_DISK_TIMEOUT',
      'TIMEOUT',
      'CONNECTION_LOST',
    ])
  })

  it('asks the next name server when one is down', async () => {
    const asked: number[] = []
    const broker = await aBroker((command) => {
      asked.push(command.code)
      return respond(command, ResponseCode.TOPIC_NOT_EXIST, 'no route')
    })
    const driver = new RocketmqDriver(nodeWorld, ['127.0.0.1:1', broker.address])
    closing.push(() => {
      driver.close()
    })
    await expect(driver.lanes(['T1'])).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' })
    expect(asked).toEqual([RequestCode.GET_ROUTEINFO_BY_TOPIC])
  })
})

import { inflateSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import { Producer, type ProducerOptions } from '../../src/client/producer.ts'
import { BatchReader } from '../../src/protocol/batch-body.ts'
import { decodeHeartbeatData } from '../../src/protocol/bodies/heartbeat-data.ts'
import { encodeTopicConfig, topicConfig } from '../../src/protocol/bodies/topic-config.ts'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import { respond } from '../../src/protocol/command.ts'
import { parseProperties } from '../../src/protocol/properties.ts'
import { readSendHeader } from '../../src/protocol/send-header.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import {
  type Script,
  ScriptedPeer,
  nameServerScript,
  refusing,
  routeBody,
  storing,
} from './scripted-peer.ts'

const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

async function aCluster(scripts: readonly Script[], options: Partial<ProducerOptions> = {}) {
  const brokers: ScriptedPeer[] = []
  for (const script of scripts) brokers.push(await ScriptedPeer.start(script))
  const routes = new Map([['T', routeBody(brokers.map((broker) => broker.address))]])
  const nameServer = await ScriptedPeer.start(nameServerScript(routes))
  const producer = Producer.open(nodeWorld, { nameServers: nameServer.address, ...options })
  open.push(...brokers, nameServer, producer)
  const sends = () => brokers.flatMap((broker) => broker.of(RequestCode.SEND_MESSAGE_V2))
  return { producer, brokers, nameServer, routes, sends }
}

describe('a send', () => {
  it('carries body, properties and group, and resolves with where the message is', async () => {
    const { producer, sends } = await aCluster([storing({ queueOffset: 7 })], { group: 'PG' })
    const receipt = await producer.send({
      topic: 'T',
      body: 'hällo',
      tags: 'A',
      keys: ['k1', 'k2'],
      properties: { source: 'test' },
      flag: 3,
    })
    expect(receipt).toMatchObject({ broker: 'a', queueOffset: 7, status: 'SEND_OK' })
    const [command] = sends()
    const header = readSendHeader(RequestCode.SEND_MESSAGE_V2, command!.ext)
    expect(header).toMatchObject({ producerGroup: 'PG', topic: 'T', flag: 3, batch: false })
    expect({ ...parseProperties(header.properties) }).toEqual({
      source: 'test',
      KEYS: 'k1 k2',
      TAGS: 'A',
      UNIQ_KEY: receipt.messageId,
      WAIT: 'true',
    })
    expect(command?.body?.toString()).toBe('hällo')
  })

  it('goes to all queues of all brokers in turn', async () => {
    const { producer, sends } = await aCluster([storing(), storing()])
    for (let i = 0; i < 8; i++) await producer.send({ topic: 'T', body: 'x' })
    const queues = sends().map((command) => `${command.ext['n']}${command.ext['e']}`)
    expect(queues.sort()).toEqual(['a0', 'a0', 'a1', 'a1', 'b0', 'b0', 'b1', 'b1'])
  })

  it('with an order key always goes to the same queue', async () => {
    const { producer, sends } = await aCluster([storing(), storing()])
    for (let i = 0; i < 5; i++) await producer.send({ topic: 'T', body: 'x', orderKey: 'user-1' })
    const queues = sends().map((command) => `${command.ext['n']}${command.ext['e']}`)
    expect(new Set(queues).size).toBe(1)
  })

  it('goes to the queue that it names', async () => {
    const { producer, sends } = await aCluster([storing(), storing()])
    await producer.send({ topic: 'T', body: 'x', queue: { brokerName: 'b', queueId: 1 } })
    expect([sends()[0]?.ext['n'], sends()[0]?.ext['e']]).toEqual(['b', '1'])
  })

  it.each([
    [ResponseCode.FLUSH_DISK_TIMEOUT, 'FLUSH_DISK_TIMEOUT'],
    [ResponseCode.FLUSH_SLAVE_TIMEOUT, 'FLUSH_SLAVE_TIMEOUT'],
    [ResponseCode.SLAVE_NOT_AVAILABLE, 'SLAVE_NOT_AVAILABLE'],
  ])('answered with %i is stored, with a status that says so', async (code, status) => {
    const { producer, sends } = await aCluster([
      (command) => respond(command, code, null, { msgId: 'M', queueId: 0, queueOffset: 1 }),
    ])
    expect(await producer.send({ topic: 'T', body: 'x' })).toMatchObject({ status })
    expect(sends()).toHaveLength(1)
  })

  it('compresses a large body when asked to', async () => {
    const { producer, sends } = await aCluster([storing()], { compressAboveBytes: 4_096 })
    await producer.send({ topic: 'T', body: 'x'.repeat(5_000) })
    await producer.send({ topic: 'T', body: 'x'.repeat(4_095) })
    const [large, small] = sends()
    expect(large?.ext['f']).toBe(String(0x301))
    expect(inflateSync(large!.body!).toString()).toBe('x'.repeat(5_000))
    expect([small?.ext['f'], small?.body?.length]).toEqual(['0', 4_095])
  })

  it('introduces its group to the broker', async () => {
    const { producer, brokers } = await aCluster([storing()], { group: 'PG' })
    await producer.send({ topic: 'T', body: 'x' })
    await expect.poll(() => brokers[0]?.countOf(RequestCode.HEART_BEAT)).toBe(1)
    const [beat] = brokers[0]!.of(RequestCode.HEART_BEAT)
    expect(decodeHeartbeatData(beat!.body)).toMatchObject({
      clientId: producer.clientId,
      producerGroups: ['PG'],
      consumers: [],
    })
  })
})

describe('a send that fails', () => {
  it.each([1, 2, 14, 16, 17, 204, 205, 1500])(
    'with code %i is tried at another broker',
    async (code) => {
      const { producer, brokers } = await aCluster([refusing(code), storing()])
      for (let i = 0; i < 4; i++) {
        expect(await producer.send({ topic: 'T', body: 'x' })).toMatchObject({ broker: 'b' })
      }
      expect(brokers[1]?.countOf(RequestCode.SEND_MESSAGE_V2)).toBe(4)
    },
  )

  it.each([13, 26, 29])('with code %i fails at once, with the text of the broker', async (code) => {
    const { producer, sends } = await aCluster([
      refusing(code, 'too bad'),
      refusing(code, 'too bad'),
    ])
    const error = await producer.send({ topic: 'T', body: 'x' }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(MqError)
    expect(error).toMatchObject({ code: 'REFUSED', message: expect.stringContaining('too bad') })
    expect(sends()).toHaveLength(1)
  })

  it('gives up after two more tries with the first reason', async () => {
    const { producer, sends } = await aCluster([refusing(ResponseCode.SYSTEM_BUSY, 'busy')])
    await expect(producer.send({ topic: 'T', body: 'x' })).rejects.toMatchObject({
      details: { responseCode: ResponseCode.SYSTEM_BUSY },
    })
    expect(sends()).toHaveLength(3)
  })

  it('because a broker is down is tried at another, and that broker is left aside after', async () => {
    const { producer, brokers } = await aCluster([storing(), storing()])
    await brokers[0]?.close()
    for (let i = 0; i < 6; i++) {
      expect(await producer.send({ topic: 'T', body: 'x' })).toMatchObject({ broker: 'b' })
    }
  })

  it('because nobody answers fails within its time', async () => {
    const { producer } = await aCluster([() => null], { sendTimeoutMs: 200 })
    const start = performance.now()
    await expect(producer.send({ topic: 'T', body: 'x' })).rejects.toMatchObject({
      code: 'REQUEST_TIMEOUT',
    })
    expect(performance.now() - start).toBeLessThan(2_000)
  })

  it('because the connection closes is tried again', async () => {
    let tries = 0
    const store = storing()
    const { producer } = await aCluster([
      (command, connection) => {
        if (command.code === RequestCode.SEND_MESSAGE_V2 && ++tries === 1) {
          connection.close('test')
          return null
        }
        return store(command, connection)
      },
    ])
    expect(await producer.send({ topic: 'T', body: 'x' })).toMatchObject({ status: 'SEND_OK' })
    expect(tries).toBe(2)
  })

  it('because no name server answers says so', async () => {
    const { producer, nameServer } = await aCluster([storing()])
    await nameServer.close()
    await expect(producer.send({ topic: 'T', body: 'x' })).rejects.toMatchObject({
      code: 'NAMESRV_UNREACHABLE',
      exitCode: 3,
    })
  })

  it('goes on without name servers once the route is known', async () => {
    const { producer, nameServer } = await aCluster([storing()])
    await producer.send({ topic: 'T', body: 'x' })
    await nameServer.close()
    expect(await producer.send({ topic: 'T', body: 'x' })).toMatchObject({ status: 'SEND_OK' })
  })
})

describe('messages that cannot be sent', () => {
  it.each([
    ['an illegal topic', { topic: 'a/b', body: 'x' }, 'NAME_ILLEGAL'],
    ['a topic that is too long', { topic: 'x'.repeat(128), body: 'x' }, 'NAME_ILLEGAL'],
    ['a topic of the system', { topic: 'SCHEDULE_TOPIC_XXXX', body: 'x' }, 'NAME_ILLEGAL'],
    ['an empty body', { topic: 'T', body: '' }, 'MESSAGE_ILLEGAL'],
    ['a body above 4 MiB', { topic: 'T', body: Buffer.alloc(4_194_305) }, 'MESSAGE_ILLEGAL'],
    [
      'a property with a separator',
      { topic: 'T', body: 'x', properties: { a: '\u0001' } },
      'PROPERTY_ILLEGAL',
    ],
    [
      'a property that has a field',
      { topic: 'T', body: 'x', properties: { TAGS: 'a' } },
      'PROPERTY_ILLEGAL',
    ],
    [
      'properties above 32 KiB',
      { topic: 'T', body: 'x', keys: 'k'.repeat(32_768) },
      'MESSAGE_ILLEGAL',
    ],
  ])('are refused here: %s', async (_, message, code) => {
    const { producer, sends } = await aCluster([storing()])
    await expect(producer.send(message)).rejects.toMatchObject({ code, exitCode: 2 })
    expect(sends()).toEqual([])
  })

  it('are refused after close', async () => {
    const { producer } = await aCluster([storing()])
    await producer.close()
    await expect(producer.send({ topic: 'T', body: 'x' })).rejects.toMatchObject({
      code: 'CLIENT_CLOSED',
    })
  })

  it('include any of a group with an illegal name', () => {
    expect(() => Producer.open(nodeWorld, { nameServers: '127.0.0.1:1', group: 'a b' })).toThrow(
      expect.objectContaining({ code: 'NAME_ILLEGAL' }),
    )
  })
})

describe('a batch', () => {
  it('is one frame; each message has its own id and offset', async () => {
    const { producer, brokers } = await aCluster([storing({ msgId: 'M1,M2,M3', queueOffset: 10 })])
    const messages = ['x', 'y', 'z'].map((body) => ({ topic: 'T', body, keys: body }))
    const receipts = await producer.sendBatch(messages)
    expect(receipts.map((one) => [one.offsetMessageId, one.queueOffset])).toEqual([
      ['M1', 10],
      ['M2', 11],
      ['M3', 12],
    ])
    const frames = brokers[0]!.of(RequestCode.SEND_BATCH_MESSAGE)
    expect([frames.length, frames[0]?.ext['m']]).toEqual([1, 'true'])
    const reader = new BatchReader()
    const body = frames[0]!.body!
    reader.open(body, 0, body.length)
    const items: unknown[] = []
    while (reader.next()) {
      const properties = parseProperties(
        body.toString('utf8', reader.propertiesStart, reader.propertiesEnd),
      )
      items.push([body.toString('utf8', reader.bodyStart, reader.bodyEnd), properties['KEYS']])
    }
    expect([items, reader.fault]).toEqual([
      [
        ['x', 'x'],
        ['y', 'y'],
        ['z', 'z'],
      ],
      null,
    ])
    expect(new Set(receipts.map((one) => one.messageId)).size).toBe(3)
  })

  it.each([
    [
      'topics',
      [
        { topic: 'T', body: 'x' },
        { topic: 'U', body: 'x' },
      ],
    ],
    [
      'waiting',
      [
        { topic: 'T', body: 'x' },
        { topic: 'T', body: 'x', waitStored: false },
      ],
    ],
    [
      'order keys',
      [
        { topic: 'T', body: 'x' },
        { topic: 'T', body: 'x', orderKey: 'a' },
      ],
    ],
    ['a delay', [{ topic: 'T', body: 'x', delayLevel: 3 }]],
    ['a size above 4 MiB', Array(5).fill({ topic: 'T', body: Buffer.alloc(1_000_000) })],
  ])('cannot mix %s', async (_, messages) => {
    const { producer } = await aCluster([storing()])
    await expect(producer.sendBatch(messages)).rejects.toMatchObject({ code: 'MESSAGE_ILLEGAL' })
  })

  /** The names of what two batches in a row say of themselves, and how often their broker was asked. */
  async function ofTwoBatches(answer: Script) {
    const stores = storing()
    const { producer, brokers } = await aCluster([
      (command, connection) =>
        (command.code === RequestCode.GET_TOPIC_CONFIG ? answer : stores)(command, connection),
    ])
    for (let i = 0; i < 2; i++) await producer.sendBatch([{ topic: 'T', body: 'x' }])
    const sent = brokers[0]?.of(RequestCode.SEND_BATCH_MESSAGE) ?? []
    return {
      names: sent.map(({ ext }) =>
        Object.keys(parseProperties(ext['i'] ?? ''))
          .sort()
          .join(),
      ),
      asked: brokers[0]?.countOf(RequestCode.GET_TOPIC_CONFIG),
    }
  }

  const configured =
    (attributes: Record<string, string>): Script =>
    (command) =>
      respond(
        command,
        ResponseCode.SUCCESS,
        null,
        {},
        encodeTopicConfig(topicConfig('T', { attributes })),
      )

  it('has an id of its own where it stays one record, which its broker is asked once', async () => {
    expect(await ofTwoBatches(configured({ 'queue.type': 'BatchCQ' }))).toEqual({
      names: ['UNIQ_KEY,WAIT', 'UNIQ_KEY,WAIT'],
      asked: 1,
    })
  })

  it.each([
    ['a plain topic', configured({}), 1],
    ['a broker too old to say', refusing(ResponseCode.REQUEST_CODE_NOT_SUPPORTED), 1],
    ['a broker that is busy, and is asked again', refusing(ResponseCode.SYSTEM_BUSY), 2],
  ])('has no id that its messages could get for their own: %s', async (_, answer, asked) => {
    expect(await ofTwoBatches(answer)).toEqual({ names: ['WAIT', 'WAIT'], asked })
  })

  it('of nothing is nothing', async () => {
    const { producer } = await aCluster([storing()])
    expect(await producer.sendBatch([])).toEqual([])
  })
})

describe('one way', () => {
  it('sends without waiting for an answer', async () => {
    const { producer, sends } = await aCluster([() => null])
    await producer.sendOneway({ topic: 'T', body: 'x' })
    await expect.poll(() => sends().length).toBe(1)
    expect(sends()[0]?.isOneway).toBe(true)
  })
})

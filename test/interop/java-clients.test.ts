/**
 * Official Java clients (producer, push, lite pull and pull consumer) on a broker. Contents are
 * compared, not exit codes: ids, offsets, bodies, keys, tags and properties come back as sent.
 */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { withJavaTarget } from './java-target.ts'
import {
  apacheClassPath,
  type Cluster,
  JavaPeer,
  type Received,
  type Sent,
  skipBecause,
} from './peers.ts'
import { targetKind } from './target.ts'

const peers = await apacheClassPath()

interface Spec {
  readonly body?: string
  readonly base64?: string
  readonly tags?: string
  readonly keys?: string
  readonly flag?: number
  readonly delayLevel?: number
  readonly deliverInMs?: number
  readonly properties?: Record<string, string>
}

interface Pulled {
  readonly status: string
  readonly next: number
  readonly min: number
  readonly max: number
  readonly messages: Received[]
}

function textOf(message: Received): string {
  return Buffer.from(message.body, 'base64').toString('utf8')
}

/** Unique ids carry the client's address: 32 digits with IPv4, 56 with IPv6. */
const uniqueId = /^(?:[0-9A-F]{32}|[0-9A-F]{56})$/

describe.skipIf(skipBecause('official Java clients', peers.missing))(
  `official Java clients on ${targetKind}`,
  () => {
    let cluster: Cluster
    let java: JavaPeer
    let topicCount = 0

    withJavaTarget(peers, {}, (target) => {
      ;({ cluster, java } = target)
    })

    /** A topic of its own for each test, on the broker and at the name server. */
    function aTopic(queues = 4): Promise<string> {
      return java.createTopic(cluster, `Interop_${++topicCount}`, queues)
    }

    async function aProducer(peer = java, extra: Record<string, unknown> = {}): Promise<string> {
      const name = `P${++topicCount}`
      await peer.call('producer.start', {
        name,
        group: `PG_${name}`,
        namesrv: cluster.namesrv,
        ...extra,
      })
      return name
    }

    function send(name: string, topic: string, messages: Spec[], extra = {}): Promise<Sent[]> {
      return java.call<Sent[]>('producer.send', { name, topic, messages, mode: 'sync', ...extra })
    }

    /** Everything that lies in a topic, queue by queue, by the official pull consumer. */
    async function readBack(topic: string, queues = 4, group = `CG_${topic}`): Promise<Received[]> {
      const name = `reader-${topic}-${++topicCount}`
      await java.call('pull.start', { name, group, namesrv: cluster.namesrv })
      const all: Received[] = []
      for (let queueId = 0; queueId < queues; queueId++) {
        for (let offset = 0; ;) {
          const pulled = await java.call<Pulled>('pull.fetch', {
            name,
            topic,
            broker: cluster.brokerName,
            queueId,
            offset,
          })
          all.push(...pulled.messages)
          offset = pulled.next
          if (pulled.status !== 'FOUND') break
        }
      }
      await java.call('pull.stop', { name })
      return all
    }

    it('stores what a synchronous producer sends, and a pull consumer reads it back as sent', async () => {
      const topic = await aTopic()
      const producer = await aProducer()
      const specs = Array.from({ length: 20 }, (_, i) => ({
        body: `body ${i} – grüße 消息 ${'x'.repeat(i * 7)}`,
        tags: i % 2 === 0 ? 'even' : 'odd',
        keys: `order-${i} second-${i}`,
        flag: i,
        properties: { colour: 'blau', n: String(i) },
      }))
      const sent = await send(producer, topic, specs)
      expect(sent.map((one) => one.status)).toEqual(specs.map(() => 'SEND_OK'))
      for (const one of sent) {
        expect(one.messageId).toMatch(uniqueId)
        expect(one.offsetMessageId).toMatch(/^[0-9A-F]{32}$/)
        // An offset message id is the broker's address and the physical offset.
        const [host = '', port = ''] = cluster.brokerAddress.split(':')
        const bytes = Buffer.from(one.offsetMessageId, 'hex')
        expect([...bytes.subarray(0, 4)].join('.')).toBe(host)
        expect(bytes.readInt32BE(4)).toBe(Number(port))
      }
      const back = await readBack(topic)
      expect(back).toHaveLength(specs.length)
      for (const [i, one] of sent.entries()) {
        const found = back.find((message) => message.messageId === one.messageId)
        const spec = specs[i]
        expect(found).toMatchObject({
          topic,
          queueId: one.queueId,
          queueOffset: one.queueOffset,
          offsetMessageId: one.offsetMessageId,
          keys: spec?.keys,
          tags: spec?.tags,
          flag: i,
          reconsumeTimes: 0,
          bornHost: '127.0.0.1',
        })
        expect(found && textOf(found)).toBe(spec?.body)
        expect(found?.properties).toMatchObject({ colour: 'blau', n: String(i) })
      }
      // Queue offsets are dense in each queue.
      for (let queueId = 0; queueId < 4; queueId++) {
        const offsets = back.filter((m) => m.queueId === queueId).map((m) => m.queueOffset)
        expect(offsets).toEqual(offsets.map((_, i) => i))
      }
    })

    it('answers asynchronous sends with the place of each message', async () => {
      const topic = await aTopic()
      const producer = await aProducer()
      const specs = Array.from({ length: 100 }, (_, i) => ({ body: `async ${i}` }))
      const sent = await send(producer, topic, specs, { mode: 'async' })
      expect(new Set(sent.map((one) => one.status))).toEqual(new Set(['SEND_OK']))
      const back = await readBack(topic)
      const placed = new Map(back.map((m) => [`${m.queueId}/${m.queueOffset}`, textOf(m)]))
      expect(placed.size).toBe(100)
      expect(sent.map((one) => placed.get(`${one.queueId}/${one.queueOffset}`))).toEqual(
        specs.map((spec) => spec.body),
      )
    })

    it('stores one-way messages', async () => {
      const topic = await aTopic(1)
      const producer = await aProducer()
      await send(
        producer,
        topic,
        [{ body: 'one' }, { body: 'two' }, { body: 'three' }].map((spec) => ({ ...spec })),
        { mode: 'oneway' },
      )
      // One-way has no answer: a synchronous send behind it on the same connection and queue does.
      await send(producer, topic, [{ body: 'after' }])
      expect((await readBack(topic, 1)).map(textOf).sort()).toEqual([
        'after',
        'one',
        'three',
        'two',
      ])
    })

    it('stores a batch as single messages in order, with an id for each', async () => {
      const topic = await aTopic()
      const producer = await aProducer()
      const specs = Array.from({ length: 32 }, (_, i) => ({
        body: `batch ${i}`,
        tags: 'b',
        keys: `bk-${i}`,
        properties: { index: String(i) },
      }))
      const sent = await java.call<Sent>('producer.send', {
        name: producer,
        topic,
        messages: specs,
        mode: 'batch',
      })
      expect(sent.status).toBe('SEND_OK')
      expect(sent.messageId.split(',')).toHaveLength(32)
      const back = await readBack(topic)
      expect(back.map(textOf)).toEqual(specs.map((spec) => spec.body))
      expect(back.map((m) => m.messageId)).toEqual(sent.messageId.split(','))
      expect(back.map((m) => m.offsetMessageId)).toEqual(sent.offsetMessageId.split(','))
      expect(back.map((m) => m.keys)).toEqual(specs.map((spec) => spec.keys))
      expect(new Set(back.map((m) => m.queueId))).toEqual(new Set([sent.queueId]))
    })

    it('keeps compressed and large bodies', async () => {
      const topic = await aTopic(1)
      const producer = await aProducer()
      const compressible = 'compress me '.repeat(2000)
      const random = createHash('sha512')
      const chunks = Array.from({ length: 4000 }, (_, i) =>
        random.copy().update(String(i)).digest(),
      )
      const large = Buffer.concat(chunks)
      await send(producer, topic, [{ body: compressible }, { base64: large.toString('base64') }])
      const back = await readBack(topic, 1)
      expect(back.map((m) => Buffer.from(m.body, 'base64').equals(large))).toEqual([false, true])
      expect(back[0] && textOf(back[0])).toBe(compressible)
      // The record on disk is the compressed one.
      expect(back[0]?.storeSize).toBeLessThan(2000)
    })

    it('sends to a chosen queue only', async () => {
      const topic = await aTopic(4)
      const producer = await aProducer()
      const sent = await send(producer, topic, [{ body: 'a' }, { body: 'b' }], {
        queueId: 2,
        broker: cluster.brokerName,
      })
      expect(sent.map((one) => [one.queueId, one.queueOffset])).toEqual([
        [2, 0],
        [2, 1],
      ])
    })

    it('creates an unknown topic for a producer, as auto-creation does by default', async () => {
      const topic = `InteropAuto_${process.pid}`
      const producer = await aProducer()
      const sent = await send(producer, topic, [{ body: 'first' }])
      expect(sent[0]?.status).toBe('SEND_OK')
      const config = await java.call<{ writeQueueNums: number; perm: number }>(
        'admin.topicConfig',
        {
          namesrv: cluster.namesrv,
          broker: cluster.brokerAddress,
          topic,
        },
      )
      expect(config).toMatchObject({ perm: 6, writeQueueNums: 4 })
      expect((await readBack(topic)).map(textOf)).toEqual(['first'])
    })

    describe.each([
      ['the binary header', ['-Drocketmq.serialize.type=ROCKETMQ']],
      ['the long (V1) send header', ['-Dorg.apache.rocketmq.client.sendSmartMsg=false']],
    ])('a client that speaks %s', (_, options) => {
      it('produces and consumes', async () => {
        if (peers.missing !== null) return
        const other = await JavaPeer.start(peers.classPath, options)
        try {
          const topic = await aTopic()
          const producer = await aProducer(other)
          const specs = Array.from({ length: 10 }, (_, i) => ({
            body: `dialect ${i}`,
            tags: 'T',
            keys: `d${i}`,
            properties: { p: 'q' },
          }))
          const sent = await other.call<Sent[]>('producer.send', {
            name: producer,
            topic,
            messages: specs,
            mode: 'sync',
          })
          const batch = await other.call<Sent>('producer.send', {
            name: producer,
            topic,
            messages: specs,
            mode: 'batch',
          })
          expect(batch.status).toBe('SEND_OK')
          await other.call('push.start', {
            name: `C${topic}`,
            group: `CG_${topic}`,
            namesrv: cluster.namesrv,
            topic,
            from: 'CONSUME_FROM_FIRST_OFFSET',
          })
          const received = await other.call<Received[]>('push.received', {
            name: `C${topic}`,
            atLeast: 20,
          })
          const ids = [...sent.map((one) => one.messageId), ...batch.messageId.split(',')]
          expect(received.map((m) => m.messageId).sort()).toEqual(ids.sort())
          expect(new Set(received.map((m) => m.properties['p']))).toEqual(new Set(['q']))
          await other.call('push.stop', { name: `C${topic}` })
        } finally {
          await other.stop()
        }
      })
    })

    it('delivers to a push consumer what was there and what comes, and remembers its progress', async () => {
      const topic = await aTopic()
      const producer = await aProducer()
      const before = await send(
        producer,
        topic,
        Array.from({ length: 10 }, (_, i) => ({ body: `before ${i}` })),
      )
      const consumer = {
        name: `C${topic}`,
        group: `CG_${topic}`,
        namesrv: cluster.namesrv,
        topic,
        from: 'CONSUME_FROM_FIRST_OFFSET',
      }
      await java.call('push.start', consumer)
      await java.call('push.received', { name: consumer.name, atLeast: 10 })
      const after = await send(
        producer,
        topic,
        Array.from({ length: 10 }, (_, i) => ({ body: `after ${i}` })),
      )
      const received = await java.call<Received[]>('push.received', {
        name: consumer.name,
        atLeast: 20,
      })
      expect(received.map((m) => m.messageId).sort()).toEqual(
        [...before, ...after].map((one) => one.messageId).sort(),
      )
      await java.call('push.stop', { name: consumer.name })
      const late = await send(producer, topic, [{ body: 'late' }])
      await java.call('push.start', { ...consumer, name: `${consumer.name}b` })
      const again = await java.call<Received[]>('push.received', {
        name: `${consumer.name}b`,
        atLeast: 1,
      })
      expect(again.map((m) => m.messageId)).toEqual(late.map((one) => one.messageId))
      await java.call('push.stop', { name: `${consumer.name}b` })
    })

    it('delivers only the tags that a consumer asked for, hash collisions left out', async () => {
      const topic = await aTopic()
      const producer = await aProducer()
      // "Aa" and "BB" have the same Java hash; the client filters again.
      const tags = ['Aa', 'BB', 'C', 'D', 'Aa', 'C']
      await send(
        producer,
        topic,
        tags.map((tag, i) => ({ body: `${tag} ${i}`, tags: tag })),
      )
      await java.call('push.start', {
        name: `C${topic}`,
        group: `CG_${topic}`,
        namesrv: cluster.namesrv,
        topic,
        expression: 'Aa || C',
        from: 'CONSUME_FROM_FIRST_OFFSET',
      })
      await java.call('push.received', { name: `C${topic}`, atLeast: 4 })
      await send(producer, topic, [
        { body: 'D last', tags: 'D' },
        { body: 'C last', tags: 'C' },
      ])
      const received = await java.call<Received[]>('push.received', {
        name: `C${topic}`,
        atLeast: 5,
      })
      expect(received.map(textOf).sort()).toEqual(['Aa 0', 'Aa 4', 'C 2', 'C 5', 'C last'])
      await java.call('push.stop', { name: `C${topic}` })
    })

    it('tells consumers of a joining and of a leaving one, so that queues move at once', async () => {
      const topic = await aTopic(4)
      if (peers.missing !== null) return
      const second = await JavaPeer.start(peers.classPath)
      try {
        const consumer = { group: `CG_${topic}`, namesrv: cluster.namesrv, topic }
        await java.call('push.start', { ...consumer, name: 'left' })
        // 10 s: without the broker's notice a client looks only every 20 s.
        const held = { topic, timeoutMs: 10_000 }
        expect(await java.call('push.assignment', { ...held, name: 'left', count: 4 })).toEqual([
          0, 1, 2, 3,
        ])
        await second.call('push.start', { ...consumer, name: 'right' })
        const left = await java.call<number[]>('push.assignment', {
          ...held,
          name: 'left',
          count: 2,
        })
        const right = await second.call<number[]>('push.assignment', {
          ...held,
          name: 'right',
          count: 2,
        })
        expect([...left, ...right].sort()).toEqual([0, 1, 2, 3])
        await java.call('push.stop', { name: 'left' })
        expect(await second.call('push.assignment', { ...held, name: 'right', count: 4 })).toEqual([
          0, 1, 2, 3,
        ])
        await second.call('push.stop', { name: 'right' })
      } finally {
        await second.stop()
      }
    })

    it('gives every message to every consumer of a broadcast group', async () => {
      const topic = await aTopic()
      const producer = await aProducer()
      const consumer = {
        group: `CG_${topic}`,
        namesrv: cluster.namesrv,
        topic,
        model: 'BROADCASTING',
        from: 'CONSUME_FROM_FIRST_OFFSET',
      }
      await java.call('push.start', { ...consumer, name: 'b1' })
      await java.call('push.start', { ...consumer, name: 'b2' })
      for (const name of ['b1', 'b2']) {
        await java.call('push.assignment', { name, topic, count: 4, timeoutMs: 20_000 })
      }
      const sent = await send(
        producer,
        topic,
        Array.from({ length: 12 }, (_, i) => ({ body: `to all ${i}` })),
      )
      for (const name of ['b1', 'b2']) {
        const received = await java.call<Received[]>('push.received', { name, atLeast: 12 })
        expect(received.map((m) => m.messageId).sort()).toEqual(
          sent.map((one) => one.messageId).sort(),
        )
        await java.call('push.stop', { name })
      }
    })

    it('wakes a held pull when a message arrives', async () => {
      const topic = await aTopic(1)
      const producer = await aProducer()
      await java.call('push.start', {
        name: `C${topic}`,
        group: `CG_${topic}`,
        namesrv: cluster.namesrv,
        topic,
        from: 'CONSUME_FROM_FIRST_OFFSET',
      })
      await java.call('push.assignment', { name: `C${topic}`, topic, count: 1 })
      await send(producer, topic, [{ body: 'first' }])
      await java.call('push.received', { name: `C${topic}`, atLeast: 1 })
      const start = performance.now()
      await send(producer, topic, [{ body: 'second' }])
      await java.call('push.received', { name: `C${topic}`, atLeast: 2 })
      // A pull that is not woken waits for the 5 s sweep or the 15 s limit.
      expect(performance.now() - start).toBeLessThan(3000)
      await java.call('push.stop', { name: `C${topic}` })
    })

    it('serves a lite pull consumer that subscribes, and keeps what it commits', async () => {
      const topic = await aTopic(2)
      const producer = await aProducer()
      const sent = await send(
        producer,
        topic,
        Array.from({ length: 30 }, (_, i) => ({ body: `lite ${i}` })),
      )
      const lite = { name: `L${topic}`, group: `LG_${topic}`, namesrv: cluster.namesrv, topic }
      await java.call('litepull.start', { ...lite, autoCommit: false })
      const got = await java.call<Received[]>('litepull.poll', { ...lite, atLeast: 30 })
      expect(got.map((m) => m.messageId).sort()).toEqual(sent.map((one) => one.messageId).sort())
      await java.call('litepull.commit', lite)
      await java.call('litepull.stop', lite)
      const reader = { ...lite, name: `${lite.name}-reader`, broker: cluster.brokerName }
      await java.call('pull.start', reader)
      for (const queueId of [0, 1]) {
        expect(await java.call('pull.offsets', { ...reader, queueId })).toMatchObject({
          min: 0,
          max: 15,
          reported: 15,
        })
      }
      await java.call('pull.stop', reader)
    })

    it('serves a lite pull consumer that assigns queues and seeks', async () => {
      const topic = await aTopic(1)
      const producer = await aProducer()
      await send(
        producer,
        topic,
        Array.from({ length: 10 }, (_, i) => ({ body: `seek ${i}` })),
      )
      const lite = { name: `L${topic}`, group: `LG_${topic}`, namesrv: cluster.namesrv, topic }
      await java.call('litepull.start', { ...lite, assign: true })
      expect(await java.call<Received[]>('litepull.poll', { ...lite, atLeast: 10 })).toHaveLength(
        10,
      )
      await java.call('litepull.seek', {
        ...lite,
        broker: cluster.brokerName,
        queueId: 0,
        offset: 7,
      })
      const again = await java.call<Received[]>('litepull.poll', { ...lite, atLeast: 3 })
      expect(again.map(textOf)).toEqual(['seek 7', 'seek 8', 'seek 9'])
      await java.call('litepull.stop', lite)
    })

    it('answers offsets by time, and pulls below and above the queue with a corrected position', async () => {
      const topic = await aTopic(1)
      const producer = await aProducer()
      await send(producer, topic, [{ body: 'old 0' }, { body: 'old 1' }])
      const stored = await readBack(topic, 1)
      const between = (stored[1]?.storedAt ?? 0) + 1
      // The next message must be stored in a later millisecond.
      while (Date.now() <= between) await new Promise((resolve) => setImmediate(resolve))
      await send(producer, topic, [{ body: 'new 2' }])
      const reader = {
        name: `R${topic}`,
        group: `CG_${topic}`,
        namesrv: cluster.namesrv,
        topic,
        broker: cluster.brokerName,
        queueId: 0,
      }
      await java.call('pull.start', reader)
      expect(await java.call('pull.offsets', { ...reader, timestamp: between })).toMatchObject({
        min: 0,
        max: 3,
        atTime: 2,
        earliest: stored[0]?.storedAt,
      })
      expect(await java.call<Pulled>('pull.fetch', { ...reader, offset: 3 })).toMatchObject({
        status: 'NO_NEW_MSG',
        next: 3,
        messages: [],
      })
      expect(await java.call<Pulled>('pull.fetch', { ...reader, offset: 100 })).toMatchObject({
        status: 'OFFSET_ILLEGAL',
        next: 3,
        min: 0,
        max: 3,
      })
      await java.call('pull.report', { ...reader, offset: 2 })
      expect(await java.call('pull.offsets', reader)).toMatchObject({ reported: 2 })
      await java.call('pull.stop', reader)
    })

    it('lets a failed message come again later, and does not spin', async () => {
      const topic = await aTopic(1)
      const producer = await aProducer()
      await java.call('push.start', {
        name: `C${topic}`,
        group: `CG_${topic}`,
        namesrv: cluster.namesrv,
        topic,
        from: 'CONSUME_FROM_FIRST_OFFSET',
        failures: 1,
      })
      const sent = await send(producer, topic, [{ body: 'fails once' }])
      const received = await java.call<Received[]>('push.received', {
        name: `C${topic}`,
        atLeast: 2,
        // A Java client sees a new retry topic at its next route poll, every 30 s.
        timeoutMs: 100_000,
      })
      expect(received.map((m) => [m.messageId, m.reconsumeTimes])).toEqual([
        [sent[0]?.messageId, 0],
        [sent[0]?.messageId, 1],
      ])
      await java.call('push.stop', { name: `C${topic}` })
    })

    it.runIf(targetKind === 'mqctl')(
      'delivers a message at the time that its sender names, not before, and not when it was recalled',
      async () => {
        const topic = await aTopic(1)
        const producer = await aProducer(java, { retries: 0 })
        const sentMs = Date.now()
        const [, recalled] = await java.call<Sent[]>('producer.send', {
          name: producer,
          topic,
          messages: [
            { body: 'timed', deliverInMs: 20_000 },
            { body: 'recalled', deliverInMs: 19_000 },
          ],
          mode: 'sync',
        })
        const handle = recalled?.recallHandle
        const id = await java.call('producer.recall', { name: producer, topic, handle })
        expect(id).toBe(recalled?.messageId)
        let received: Received[] = []
        while (received.length === 0 && Date.now() < sentMs + 60_000) {
          received = await readBack(topic, 1)
        }
        expect(received.map(textOf)).toEqual(['timed'])
        expect(Date.now() - sentMs).toBeGreaterThanOrEqual(20_000)
      },
    )
  },
)

/**
 * Delay levels, retry and dead letters with the official Java clients: what the listener refuses comes
 * again after the level's time and ends in the dead-letter topic; a delayed message outlives `kill -9`.
 */
import { describe, expect, it } from 'vitest'
import { Admin } from '../../src/client/admin.ts'
import { Consumer } from '../../src/client/consumer.ts'
import type { ReceivedMessage } from '../../src/client/received-message.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { mqctl, startMqctl } from './embedded.ts'
import { withJavaTarget } from './java-target.ts'
import {
  apacheClassPath,
  type Cluster,
  type JavaPeer,
  type Received,
  removeFolder,
  type Sent,
  skipBecause,
  temporaryFolder,
} from './peers.ts'
import { targetKind } from './target.ts'

const peers = await apacheClassPath()

/** Delivery is at most this much after its time; Apache looks ten times a second. */
const LATE_MS_MAX = 1_500

interface Pulled {
  readonly status: string
  readonly messages: Received[]
}

describe.skipIf(skipBecause('official Java clients', peers.missing))(
  `retry and delay with official Java clients on ${targetKind}`,
  () => {
    let cluster: Cluster
    let java: JavaPeer

    withJavaTarget(peers, {}, (target) => {
      ;({ cluster, java } = target)
    })

    function aTopic(topic: string, on = cluster): Promise<string> {
      return java.createTopic(on, topic, 1)
    }

    async function send(topic: string, messages: unknown[], on = cluster): Promise<Sent[]> {
      const name = `P_${topic}`
      await java.call('producer.start', { name, group: `PG_${topic}`, namesrv: on.namesrv })
      const sent = await java.call<Sent[]>('producer.send', { name, topic, messages, mode: 'sync' })
      await java.call('producer.stop', { name })
      return sent
    }

    async function readAll(topic: string): Promise<Received[]> {
      const name = `R_${topic}`
      await java.call('pull.start', { name, group: 'CG_reader', namesrv: cluster.namesrv })
      const place = { name, topic, broker: cluster.brokerName, queueId: 0, offset: 0 }
      const pulled = await java.call<Pulled>('pull.fetch', place)
      await java.call('pull.stop', { name })
      return pulled.messages
    }

    it('gives a message that always fails to the listener again, and then to the dead letters', async () => {
      const topic = await aTopic('Retry_poison')
      await java.call('push.start', {
        name: 'poison',
        group: 'CG_poison',
        namesrv: cluster.namesrv,
        topic,
        from: 'CONSUME_FROM_FIRST_OFFSET',
        failures: 1_000,
        maxReconsumeTimes: 1,
      })
      const [sent] = await send(topic, [{ body: 'poison', tags: 'red', keys: 'k1' }])
      const received = await java.call<Received[]>('push.received', {
        name: 'poison',
        atLeast: 2,
        // A Java client sees a new retry topic at its next route poll, every 30 s.
        timeoutMs: 100_000,
      })
      expect(received.map((m) => [m.topic, m.messageId, m.reconsumeTimes])).toEqual([
        [topic, sent?.messageId, 0],
        [topic, sent?.messageId, 1],
      ])
      const waitedMs = (received[1]?.storedAt ?? 0) - (received[0]?.storedAt ?? 0)
      expect(waitedMs).toBeGreaterThanOrEqual(10_000)
      let dead: Received[] = []
      for (let i = 0; i < 50 && dead.length === 0; i++) {
        await new Promise((resolve) => setTimeout(resolve, 200))
        dead = await readAll('%DLQ%CG_poison').catch(() => [])
      }
      await java.call('push.stop', { name: 'poison' })
      expect(dead).toHaveLength(1)
      expect(dead[0]).toMatchObject({
        messageId: sent?.messageId,
        reconsumeTimes: 2,
        tags: 'red',
        keys: 'k1',
        body: received[0]?.body,
      })
      expect(dead[0]?.properties).toMatchObject({
        RETRY_TOPIC: topic,
        ORIGIN_MESSAGE_ID: sent?.offsetMessageId,
      })
    })

    it('gives one message of a batch that is one record again, and not the others', async () => {
      const topic = await java.createTopic(cluster, 'Retry_inner', 1, { '+queue.type': 'BatchCQ' })
      await java.call('push.start', {
        name: 'inner',
        group: 'CG_inner',
        namesrv: cluster.namesrv,
        topic,
        from: 'CONSUME_FROM_FIRST_OFFSET',
        failures: 1,
      })
      const name = 'P_inner'
      await java.call('producer.start', { name, group: 'PG_inner', namesrv: cluster.namesrv })
      const messages = ['a', 'b', 'c'].map((body) => ({ body }))
      await java.call('producer.send', { name, topic, messages, mode: 'batch' })
      await java.call('producer.stop', { name })
      const received = await java.call<Received[]>('push.received', {
        name: 'inner',
        atLeast: 4,
        timeoutMs: 100_000,
      })
      await java.call('push.stop', { name: 'inner' })
      const first = received.filter(({ reconsumeTimes }) => reconsumeTimes === 0)
      const again = received.filter(({ reconsumeTimes }) => reconsumeTimes === 1)
      expect(new Set(first.map(({ body }) => body)).size).toBe(3)
      expect(first.map(({ queueOffset }) => queueOffset).sort()).toEqual([0, 1, 2])
      expect(again).toHaveLength(1)
      expect(first.map(({ body }) => body)).toContain(again[0]?.body)
    })

    it('a try that an official client failed may come to ours, and the other way round', async () => {
      const topic = await aTopic('Retry_shared')
      const group = 'CG_shared'
      const admin = Admin.open(nodeWorld, { nameServers: cluster.namesrv })
      const delayed = async () => {
        const offsets = await admin.topics.offsets('SCHEDULE_TOPIC_XXXX').catch(() => [])
        return offsets.reduce((sum, row) => sum + row.maxOffset, 0)
      }
      const before = await delayed()
      await java.call('push.start', {
        name: 'official',
        group,
        namesrv: cluster.namesrv,
        topic,
        from: 'CONSUME_FROM_FIRST_OFFSET',
        failures: 1,
      })
      const [sent] = await send(topic, [{ body: 'passed on', tags: 'red', keys: 'k1' }])
      await java.call('push.received', { name: 'official', atLeast: 1, timeoutMs: 60_000 })
      await expect.poll(delayed).toBe(before + 1)
      admin.close()
      await java.call('push.stop', { name: 'official' })
      const ours: ReceivedMessage[] = []
      const consumer = await Consumer.start(nodeWorld, {
        nameServers: cluster.namesrv,
        group,
        subscriptions: [{ topic }],
        retryLevel: () => 1,
        handler: (message) => {
          ours.push(message)
          throw new Error('pass it on')
        },
      })
      await expect.poll(() => ours.length, { timeout: 60_000 }).toBe(1)
      await consumer.close()
      expect(ours[0]).toMatchObject({ topic, messageId: sent?.messageId, reconsumeTimes: 1 })
      await java.call('push.start', {
        name: 'official again',
        group,
        namesrv: cluster.namesrv,
        topic,
        from: 'CONSUME_FROM_FIRST_OFFSET',
      })
      const received = await java.call<Received[]>('push.received', {
        name: 'official again',
        atLeast: 1,
        timeoutMs: 60_000,
      })
      await java.call('push.stop', { name: 'official again' })
      expect(received.map((m) => [m.topic, m.messageId, m.reconsumeTimes, m.tags])).toEqual([
        [topic, sent?.messageId, 2, 'red'],
      ])
    })

    it('delivers delayed messages at their time, never before', async () => {
      const topic = await aTopic('Delay_levels')
      await java.call('push.start', {
        name: 'delay',
        group: 'CG_delay',
        namesrv: cluster.namesrv,
        topic,
        from: 'CONSUME_FROM_FIRST_OFFSET',
      })
      const sent = await send(topic, [
        { body: 'five', delayLevel: 2 },
        { body: 'one', delayLevel: 1 },
        { body: 'now' },
      ])
      const received = await java.call<Received[]>('push.received', {
        name: 'delay',
        atLeast: 3,
        // A Java client that missed its first chance to share out queues tries again after 20 s.
        timeoutMs: 60_000,
      })
      await java.call('push.stop', { name: 'delay' })
      // The listener has several threads: the order is the one in the queue.
      received.sort((one, other) => one.queueOffset - other.queueOffset)
      const ids = sent.map((one) => one.messageId)
      expect(received.map((m) => m.messageId)).toEqual([ids[2], ids[1], ids[0]])
      for (const [index, delayMs] of [0, 1_000, 5_000].entries()) {
        const message = received[index]
        const waitedMs = (message?.storedAt ?? 0) - (message?.bornAt ?? 0)
        expect(waitedMs).toBeGreaterThanOrEqual(delayMs)
        expect(waitedMs).toBeLessThan(delayMs + LATE_MS_MAX)
      }
    })

    it.runIf(targetKind === 'mqctl')('delivers after kill -9 what was delayed before', async () => {
      const home = temporaryFolder('delay')
      const first = await startMqctl({ home })
      const topic = await aTopic('Delay_killed', first)
      const sent = await send(
        topic,
        Array.from({ length: 20 }, (_, i) => ({ body: `m${i}`, delayLevel: i % 2 === 0 ? 1 : 2 })),
        first,
      )
      await new Promise((resolve) => setTimeout(resolve, 1_500))
      await first.kill()
      const second = await startMqctl({ home })
      try {
        const args = ['consume', topic, '--from', 'start', '-o', 'ndjson', '--idle', '7s']
        const lines = (await mqctl([...args, '-n', second.namesrv], second.environment))
          .trimEnd()
          .split('\n')
          .map(
            (line) => JSON.parse(line) as { messageId: string; bornAt: number; storedAt: number },
          )
        expect(new Set(lines.map((line) => line.messageId))).toEqual(
          new Set(sent.map((one) => one.messageId)),
        )
      } finally {
        await second.stop()
        removeFolder(home)
      }
    })
  },
)

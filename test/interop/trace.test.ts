/**
 * Message traces of official Java clients, read by us, and ours, read by Apache's `mqadmin`: on our broker,
 * and with MQCTL_INTEROP_TARGET=apache on Apache's.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Admin } from '../../src/client/admin.ts'
import { Consumer } from '../../src/client/consumer.ts'
import type { MessageStory } from '../../src/client/message-story.ts'
import { Producer } from '../../src/client/producer.ts'
import { decodeTraceRecords, encodeTraceRecord } from '../../src/protocol/trace-record.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { mqctlBinary } from './embedded.ts'
import { withJavaTarget } from './java-target.ts'
import {
  apacheClassPath,
  type Cluster,
  type JavaPeer,
  type Sent,
  skipBecause,
  until,
} from './peers.ts'
import { targetKind } from './target.ts'

const peers = await apacheClassPath()
const TRACES = 'RMQ_SYS_TRACE_TOPIC'

describe.skipIf(skipBecause('official Java clients', peers.missing))(
  `message traces on ${targetKind}`,
  () => {
    let cluster: Cluster
    let java: JavaPeer
    let admin: Admin

    withJavaTarget(peers, { settings: { traceTopicEnable: 'true' } }, (target) => {
      ;({ cluster, java } = target)
    })

    beforeAll(() => {
      admin = Admin.open(nodeWorld, { nameServers: cluster.namesrv })
    })

    afterAll(() => {
      admin.close()
    })

    function aTopic(topic: string): Promise<string> {
      return java.createTopic(cluster, topic, 1)
    }

    /** Once it has so many events: Java sends its traces in the background, also at the end. */
    function story(id: string, events: number): Promise<MessageStory> {
      return until(`${events} events of ${id}`, async () => {
        const found = await admin.traces.story(id)
        return found.events.length >= events ? found : null
      })
    }

    it('of a Java producer and its consumers are one story', async () => {
      const topic = await aTopic('Trace_java')
      const { namesrv } = cluster
      const group = `PG_${topic}`
      await java.call('producer.start', { name: topic, group, namesrv, trace: true })
      const messages = [{ body: 'hello', keys: 'J-1 J-2', tags: 'paid' }]
      const [sent] = await java.call<Sent[]>('producer.send', { name: topic, topic, messages })
      await java.call('producer.stop', { name: topic })
      const consumer = { namesrv, topic, trace: true, from: 'CONSUME_FROM_FIRST_OFFSET' }
      const steady = { ...consumer, name: `${topic}-a`, group: `CG_${topic}_a` }
      const failing = { ...consumer, name: `${topic}-b`, group: `CG_${topic}_b` }
      await java.call('push.start', { ...steady, slowMs: 50 })
      await java.call('push.start', { ...failing, orderly: true, failures: 1, suspendMs: 100 })
      const told = await until('the whole story', async () => {
        const found = await admin.traces.story(sent?.messageId ?? '')
        const ended = found.events.filter(
          (event) => event.kind === 'tried' && event.tookMs !== null,
        )
        return ended.length === 3 ? found : null
      })
      for (const { name } of [steady, failing]) await java.call('push.stop', { name })
      expect(told).toMatchObject({ topic, tags: 'paid', keys: 'J-1 J-2' })
      const triesOf = (of: string) =>
        told.events.filter((event) => event.kind === 'tried').filter(({ group }) => group === of)
      expect(told.events.slice(0, 2)).toMatchObject([
        { kind: 'sent', group, bodyBytes: 5, ok: true, offsetMessageId: sent?.offsetMessageId },
        { kind: 'stored', broker: cluster.brokerName, queueId: 0, queueOffset: 0 },
      ])
      const [one, ...more] = triesOf(steady.group)
      expect([one, more]).toMatchObject([{ attempt: 1, result: 'success', ok: true }, []])
      expect(one?.tookMs).toBeGreaterThanOrEqual(49)
      expect(triesOf(failing.group)).toMatchObject([
        { attempt: 1, result: 'failed', ok: false },
        { result: 'success', ok: true },
      ])
      const byKey = await admin.traces.storiesOfKey(topic, 'J-2')
      expect(byKey).toEqual([told])
      const command = ['message', 'trace', told.messageId, '--namesrv', namesrv]
      const { stdout } = await promisify(execFile)(process.execPath, [mqctlBinary, ...command])
      expect(stdout).toMatch(/ sent \(5 B\) +PG_Trace_java .* ok$/m)
      expect(stdout).toMatch(/ processed +CG_Trace_java_a .* \d+ ms +success$/m)
      expect(stdout).toMatch(/ processed +CG_Trace_java_b .* failed$/m)

      // What Java wrote is what we would write, byte for byte.
      const bodies = (await admin.messages.byKey(TRACES, 'J-1')).map(({ body }) => body)
      expect(bodies.length).toBeGreaterThan(2)
      for (const body of bodies) {
        const { records, faults } = decodeTraceRecords(body)
        expect(faults).toEqual([])
        expect(records.map(encodeTraceRecord).join('')).toBe(body.toString('utf8'))
      }
    })

    it('of a Java batch are found by the id that its send returned', async () => {
      const topic = await aTopic('Trace_java_batch')
      const call = { name: topic, namesrv: cluster.namesrv, topic }
      await java.call('producer.start', { ...call, group: `PG_${topic}`, trace: true })
      const messages = [{ body: 'b1' }, { body: 'b2' }]
      const sent = await java.call<Sent>('producer.send', { ...call, mode: 'batch', messages })
      await java.call('producer.stop', call)
      expect(sent.messageId).toMatch(/^[0-9A-F]+,[0-9A-F]+$/)
      const { events } = await story(sent.messageId, 1)
      expect(events).toMatchObject([{ kind: 'sent', group: `PG_${topic}`, ok: true }])
    })

    it('of a Java transaction tell how it ended', async () => {
      const topic = await aTopic('Trace_java_txn')
      const { namesrv } = cluster
      const states = { local: 'COMMIT_MESSAGE', check: 'UNKNOW' }
      const name = topic
      const group = `TG_${topic}`
      await java.call('transaction.start', { name, group, namesrv, ...states, trace: true })
      const call = { name, topic, body: 'x', keys: 'T-1' }
      const { messageId } = await java.call<Sent>('transaction.send', call)
      await java.call('transaction.stop', { name })
      const { events } = await story(messageId, 3)
      expect(events.find(({ kind }) => kind === 'sent')).toMatchObject({ type: 'half', group })
      expect(events.find(({ kind }) => kind === 'decided')).toMatchObject({
        ...{ group, decision: 'commit', asked: false },
      })
      expect(events.find(({ kind }) => kind === 'stored')).toMatchObject({ queueOffset: 0 })
    })

    it('of ours are read by mqadmin', async () => {
      const topic = await aTopic('Trace_ours')
      const nameServers = cluster.namesrv
      const producer = Producer.open(nodeWorld, { nameServers, group: 'PG_ours', trace: true })
      // Without keys and tags, at which Apache's decoder would stumble if they were empty.
      const { messageId } = await producer.send({ topic, body: 'hello' })
      await producer.close()
      let tries = 0
      const consumer = await Consumer.start(nodeWorld, {
        ...{ nameServers, group: 'CG_ours', trace: true, from: 'first', ordered: true },
        subscriptions: [{ topic }],
        suspendMs: 50,
        handler: () => {
          tries += 1
          if (tries === 1) throw new Error('not yet')
        },
      })
      await expect.poll(() => tries, { timeout: 60_000 }).toBe(2)
      await consumer.close()
      await story(messageId, 4)
      const args = ['queryMsgTraceById', '-n', nameServers, '-i', messageId]
      const printed = await java.call<string>('mqadmin', { args })
      expect(printed).toMatch(/^Pub +PG_ours +127\.0\.0\.1 .* success/m)
      expect(printed).toMatch(/^Sub +CG_ours +127\.0\.0\.1 .* failed/m)
      expect(printed).toMatch(/^Sub +CG_ours +127\.0\.0\.1 .* success/m)
    })
  },
)

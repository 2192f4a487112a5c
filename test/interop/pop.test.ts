/**
 * POP consumption with official Java clients (`clientRebalance=false`, mode set by mqadmin
 * setConsumeMode): everything is processed, what the listener refuses comes again, what a member that
 * vanished had comes to another, and a broker that is killed in between loses nothing.
 */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import { type ExtValues, request } from '../../src/protocol/command.ts'
import { formatPopHandle, parseStartOffsets } from '../../src/protocol/pop-handle.ts'
import { readPopAnswer } from '../../src/protocol/pop-header.ts'
import { decodeRecords, type StoredMessage } from '../../src/protocol/record.ts'
import { RemotingClient } from '../../src/remoting/client.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { mqctl, startMqctl } from './embedded.ts'
import { withJavaTarget } from './java-target.ts'
import {
  apacheClassPath,
  type Cluster,
  freePort,
  JavaPeer,
  type Received,
  removeFolder,
  type Sent,
  skipBecause,
  startApache,
  temporaryFolder,
} from './peers.ts'
import { targetKind } from './target.ts'

const peers = await apacheClassPath()

/** The shortest time out of sight that the official client accepts. */
const INVISIBLE_MS = 5_000
/** So long that no machine is too slow to acknowledge in time. */
const LONG_MS = 120_000

function textsOf(messages: readonly Received[]): string[] {
  return messages.map(({ body }) => Buffer.from(body, 'base64').toString('utf8'))
}

describe.skipIf(skipBecause('POP with official Java clients', peers.missing))(
  `POP consumption with official Java clients on ${targetKind}`,
  () => {
    let cluster: Cluster
    let java: JavaPeer

    withJavaTarget(peers, {}, (target) => {
      ;({ cluster, java } = target)
    })

    /** A topic that the group takes from by POP. */
    async function aPopTopic(topic: string, on = cluster): Promise<string> {
      const { namesrv, brokerAddress: broker } = on
      const at = ['-n', namesrv, '-b', broker]
      const group = `CG_${topic}`
      await java.mqadmin('updateTopic', ...at, '-t', topic, '-r', '4', '-w', '4')
      await java.mqadmin('updateSubGroup', ...at, '-g', group)
      const mode = ['-t', topic, '-g', group, '-m', 'POP', '-q', '0']
      expect(await java.mqadmin('setConsumeMode', ...at, ...mode)).toContain('success')
      return topic
    }

    async function send(topic: string, texts: readonly string[], on = cluster): Promise<Sent[]> {
      const name = `P_${topic}`
      const messages = texts.map((body, i) => ({ body, tags: i % 2 === 0 ? 'even' : 'odd' }))
      await java.call('producer.start', { name, group: `PG_${topic}`, namesrv: on.namesrv })
      const sent = await java.call<Sent[]>('producer.send', { name, topic, messages, mode: 'sync' })
      await java.call('producer.stop', { name })
      return sent
    }

    async function consume(
      topic: string,
      name: string,
      given: Record<string, unknown> = {},
      peer = java,
      on = cluster,
    ): Promise<void> {
      await peer.call('push.start', {
        name,
        group: `CG_${topic}`,
        namesrv: on.namesrv,
        topic,
        from: 'CONSUME_FROM_FIRST_OFFSET',
        pop: true,
        invisibleMs: INVISIBLE_MS,
        ...given,
      })
      expect(await peer.call('push.popAssignment', { name, topic, count: 1 })).toEqual([-1])
    }

    const received = (name: string, atLeast: number, timeoutMs = 40_000) =>
      java.call<Received[]>('push.received', { name, atLeast, timeoutMs })

    const numbered = (count: number, what = 'm') =>
      Array.from({ length: count }, (_, i) => `${what}${i}`)

    it('two members share all messages, each of which comes once', async () => {
      const topic = await aPopTopic('Pop_share')
      await send(topic, numbered(100))
      await consume(topic, 'share-1', { invisibleMs: LONG_MS })
      await consume(topic, 'share-2', { invisibleMs: LONG_MS })
      await send(topic, numbered(100, 'n'))
      const wanted = [...numbered(100), ...numbered(100, 'n')].sort()
      await expect
        .poll(
          async () => {
            const all = await Promise.all([received('share-1', 0), received('share-2', 0)])
            return textsOf(all.flat()).sort()
          },
          { timeout: 40_000, interval: 200 },
        )
        .toEqual(wanted)
      await java.call('push.stop', { name: 'share-1' })
      await java.call('push.stop', { name: 'share-2' })
    })

    it('only what the filter wants comes', async () => {
      const topic = await aPopTopic('Pop_filter')
      await send(topic, numbered(40))
      await consume(topic, 'filter', { expression: 'odd', invisibleMs: LONG_MS })
      const messages = await received('filter', 20)
      await java.call('push.stop', { name: 'filter' })
      const odd = numbered(40).filter((_, i) => i % 2 === 1)
      expect(textsOf(messages).sort()).toEqual(odd.sort())
    })

    it('a priority names the queue, as the official producer is told', async () => {
      const topic = await aPopTopic('Pop_priority')
      const name = 'P_priority'
      const messages = [0, 2, 99].map((priority) => ({ body: `m${priority}`, priority }))
      await java.call('producer.start', { name, group: 'PG_priority', namesrv: cluster.namesrv })
      const sent = await java.call<Sent[]>('producer.send', { name, topic, messages, mode: 'sync' })
      await java.call('producer.stop', { name })
      expect(sent.map(({ queueId }) => queueId)).toEqual([0, 2, 3])
    })

    it('what the listener refuses comes again, with one try more', async () => {
      const topic = await aPopTopic('Pop_retry')
      await consume(topic, 'retry', { failures: 1, invisibleMs: LONG_MS })
      const [sent] = await send(topic, ['once more'])
      const messages = await received('retry', 2)
      await java.call('push.stop', { name: 'retry' })
      const told = messages.map((m) => [m.topic, m.messageId, m.reconsumeTimes])
      expect(told).toEqual([
        [topic, sent?.messageId, 0],
        [topic, sent?.messageId, 1],
      ])
    })

    it('dead letters that are sent again come to a member that takes by POP', async () => {
      const topic = await aPopTopic('Pop_dead')
      const at = ['--namesrv', cluster.namesrv]
      const group = `CG_${topic}`
      await send(topic, ['was dead'])
      const failing = ['--mode', 'pop', '--fail-rate', '1', '--retries', '0', '--count', '1']
      await mqctl(['consume', topic, '-g', group, '--from', 'start', ...failing, ...at])
      await consume(topic, 'dead', { invisibleMs: LONG_MS })
      await mqctl(['dlq', 'resend', group, '--execute', ...at])
      expect(textsOf(await received('dead', 1))).toEqual(['was dead'])
      await java.call('push.stop', { name: 'dead' })
    })

    it('what a member that vanished had comes to another, not before its time', async () => {
      if (peers.missing !== null) return
      const topic = await aPopTopic('Pop_vanished')
      const gone = await JavaPeer.start(peers.classPath)
      await consume(topic, 'gone', { slowMs: 600_000 }, gone)
      await send(topic, numbered(8))
      const had = await gone.call<Received[]>('push.received', { name: 'gone', atLeast: 2 })
      expect(had.length).toBeGreaterThanOrEqual(2)
      await gone.kill()
      await consume(topic, 'heir', { invisibleMs: LONG_MS })
      await expect
        .poll(async () => [...new Set(textsOf(await received('heir', 0)))].sort(), {
          timeout: 60_000,
        })
        .toEqual(numbered(8))
      const messages = await received('heir', 8)
      await java.call('push.stop', { name: 'heir' })
      const again = messages.filter(({ reconsumeTimes }) => reconsumeTimes > 0)
      const ids = new Set(again.map(({ messageId }) => messageId))
      for (const { messageId } of had) expect(ids).toContain(messageId)
      const firstPopped = had.map(({ storedAt }) => storedAt)
      for (const { storedAt } of again) {
        expect(storedAt - Math.min(...firstPopped)).toBeGreaterThanOrEqual(INVISIBLE_MS)
      }
    })

    it.skipIf(targetKind === 'apache')(
      'kill -9 of the broker in the middle: everything is processed',
      async () => {
        const home = temporaryFolder('pop-kill')
        const ports = ['--port', String(await freePort()), '--namesrv-port']
        const flags = [...ports, String(await freePort())]
        let broker = await startMqctl({ home, anyPort: false, flags })
        const topic = await aPopTopic('Pop_killed', broker)
        await send(topic, numbered(200), broker)
        await consume(topic, 'survivor', { slowMs: 20 }, java, broker)
        expect((await received('survivor', 40)).length).toBeGreaterThanOrEqual(40)
        await broker.kill()
        broker = await startMqctl({ home, anyPort: false, flags })
        await expect
          .poll(async () => new Set(textsOf(await received('survivor', 0))).size, {
            timeout: 90_000,
            interval: 500,
          })
          .toBe(200)
        await java.call('push.stop', { name: 'survivor' })
        await broker.stop()
        removeFolder(home)
      },
      150_000,
    )

    it.skipIf(targetKind === 'apache').each([
      ['mqctl', 'apache'],
      ['apache', 'mqctl'],
    ] as const)(
      'what was taken at %s comes again at %s, once its directory is handed over',
      async (from, to) => {
        if (peers.missing !== null) return
        const { classPath } = peers
        const root = temporaryFolder('pop-handover')
        const storeDirectory = join(root, 'broker-a')
        const start = (kind: Cluster['kind']): Promise<Cluster> =>
          kind === 'mqctl'
            ? startMqctl({ storeDirectory })
            : startApache({ classPath, storeDirectory })
        const first = await start(from)
        const topic = await aPopTopic(`Pop_from_${from}`, first)
        await send(topic, numbered(6), first)
        const client = new RemotingClient(nodeWorld)
        const ask = (code: number, ext: ExtValues) =>
          client.invoke(first.brokerAddress, request(code, ext), 10_000)
        const who = { consumerGroup: `CG_${topic}`, topic }
        const times = { invisibleTime: 20_000, pollTime: 0, bornTime: Date.now() }
        const taken: (StoredMessage & { handle: string })[] = []
        for (let i = 0; i < 50 && taken.length < 6; i++) {
          const asked = { ...who, ...times, queueId: -1, maxMsgNums: 32, initMode: 0, order: false }
          const answer = await ask(RequestCode.POP_MESSAGE, { ...asked, bornTime: Date.now() })
          const fields = readPopAnswer(answer.ext)
          if (answer.body === null || fields === null) continue
          const starts = parseStartOffsets(fields.startOffsets)
          for (const message of decodeRecords(answer.body).messages) {
            const { queueId, queueOffset: messageOffset } = message
            const startOffset = starts?.get(`0@${queueId}`) ?? -1
            const place = { startOffset, queueId, messageOffset, brokerName: first.brokerName }
            const handle = formatPopHandle({ ...fields, ...place, retryFlag: '0' })
            taken.push({ ...message, handle })
          }
        }
        expect(taken).toHaveLength(6)
        for (const { queueId, queueOffset: offset, handle: extraInfo } of taken.slice(0, 4)) {
          const acked = { ...who, queueId, offset, extraInfo }
          expect((await ask(RequestCode.ACK_MESSAGE, acked)).code).toBe(ResponseCode.SUCCESS)
        }
        client.close()
        await first.stop()
        const second = await start(to)
        await consume(topic, `from-${from}`, { invisibleMs: LONG_MS }, java, second)
        const messages = await received(`from-${from}`, 2, 90_000)
        await java.call('push.stop', { name: `from-${from}` })
        await second.stop()
        removeFolder(root)
        const open = taken.slice(4).map(({ messageId }) => messageId)
        expect(messages.map(({ messageId }) => messageId).sort()).toEqual(open.sort())
        expect(messages.map(({ reconsumeTimes }) => reconsumeTimes)).toEqual([1, 1])
      },
      180_000,
    )
  },
)

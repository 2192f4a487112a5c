/**
 * Transactions with the official Java client: committed messages are delivered once, rolled back ones
 * never, and what a producer leaves open is asked of it, or of a sibling when it was killed; a broker that
 * is killed between a half and its commit forgets neither.
 */
import { describe, expect, it } from 'vitest'
import { startMqctl } from './embedded.ts'
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
  temporaryFolder,
} from './peers.ts'
import { targetKind } from './target.ts'

const peers = await apacheClassPath()

const settings = { transactionCheckInterval: '1000', transactionTimeOut: '1000' }

interface Pulled {
  readonly messages: Received[]
}

type State = 'COMMIT_MESSAGE' | 'ROLLBACK_MESSAGE' | 'UNKNOW'

function textOf(message: Received): string {
  return Buffer.from(message.body, 'base64').toString('utf8')
}

describe.skipIf(skipBecause('official Java clients', peers.missing))(
  `transactions with official Java clients on ${targetKind}`,
  () => {
    let cluster: Cluster
    let java: JavaPeer

    // Apache's writes down what was ended every 3 s, and asks about it once more until then.
    withJavaTarget(
      peers,
      {
        settings,
        apacheSettings: { transactionOpBatchInterval: '50' },
      },
      (target) => {
        ;({ cluster, java } = target)
      },
    )

    function aTopic(topic: string, on = cluster): Promise<string> {
      return java.createTopic(on, topic, 1)
    }

    function start(peer: JavaPeer, name: string, local: State, check: State, on = cluster) {
      const group = `TG_${name.replace(/-.*/, '')}`
      return peer.call('transaction.start', { name, group, namesrv: on.namesrv, local, check })
    }

    function send(peer: JavaPeer, name: string, topic: string, body: string, more = {}) {
      return peer.call<Sent>('transaction.send', { name, topic, body, keys: body, ...more })
    }

    /** What consumers can see of a topic now. */
    async function seen(topic: string, on = cluster): Promise<Received[]> {
      const name = `R_${topic}_${performance.now()}`
      await java.call('pull.start', { name, group: 'CG_reader', namesrv: on.namesrv })
      const place = { name, topic, broker: on.brokerName, queueId: 0, offset: 0, max: 64 }
      const pulled = await java.call<Pulled>('pull.fetch', place)
      await java.call('pull.stop', { name })
      return pulled.messages
    }

    async function texts(topic: string, on = cluster): Promise<string[]> {
      return (await seen(topic, on)).map(textOf)
    }

    it('delivers what is committed, once and as it was sent, and never what is rolled back', async () => {
      const topic = await aTopic('Txn_ends')
      await start(java, 'ends-commit', 'COMMIT_MESSAGE', 'COMMIT_MESSAGE')
      await start(java, 'ends-rollback', 'ROLLBACK_MESSAGE', 'COMMIT_MESSAGE')
      const back = await send(java, 'ends-rollback', topic, 'rolled back')
      const sent = await send(java, 'ends-commit', topic, 'committed', { tags: 'red' })
      expect([back.status, sent.status]).toEqual(['SEND_OK', 'SEND_OK'])
      expect(sent).toMatchObject({ transactionId: sent.messageId })
      await expect.poll(() => texts(topic), { timeout: 30_000 }).toEqual(['committed'])
      const [message] = await seen(topic)
      expect(message).toMatchObject({ messageId: sent.messageId, tags: 'red', keys: 'committed' })
      expect(message?.properties).toMatchObject({ TRAN_MSG: 'true', PGROUP: 'TG_ends' })
      expect(message?.properties).not.toHaveProperty('REAL_TOPIC')
      // Long enough for several checks: nothing comes twice, and nothing that was taken back.
      await new Promise((resolve) => setTimeout(resolve, 4_000))
      expect(await texts(topic)).toEqual(['committed'])
      await java.call('transaction.stop', { name: 'ends-commit' })
      await java.call('transaction.stop', { name: 'ends-rollback' })
    })

    it('asks a producer that did not know, and does what it answers', async () => {
      const topic = await aTopic('Txn_asked')
      await start(java, 'asked', 'UNKNOW', 'COMMIT_MESSAGE')
      await start(java, 'refuser', 'UNKNOW', 'ROLLBACK_MESSAGE')
      const yes = await send(java, 'asked', topic, 'yes')
      const no = await send(java, 'refuser', topic, 'no')
      expect(await texts(topic)).toEqual([])
      await expect.poll(() => texts(topic), { timeout: 60_000 }).toEqual(['yes'])
      await expect
        .poll(() => java.call('transaction.asked', { name: 'refuser' }), { timeout: 60_000 })
        .toEqual([no.messageId])
      expect(await java.call('transaction.asked', { name: 'asked' })).toEqual([yes.messageId])
      await java.call('transaction.stop', { name: 'asked' })
      await java.call('transaction.stop', { name: 'refuser' })
      expect(await texts(topic)).toEqual(['yes'])
    })

    it('asks a sibling of the group when the producer was killed', async () => {
      const topic = await aTopic('Txn_sibling')
      const victim = await JavaPeer.start(peers.classPath ?? '')
      await start(victim, 'sibling-victim', 'UNKNOW', 'UNKNOW')
      const sent = await send(victim, 'sibling-victim', topic, 'orphan')
      await victim.kill()
      await start(java, 'sibling-heir', 'COMMIT_MESSAGE', 'COMMIT_MESSAGE')
      // A producer that has sent nothing has said nothing to the broker before its next heart-beat.
      await send(java, 'sibling-heir', topic, 'own')
      await expect
        .poll(async () => (await texts(topic)).sort(), { timeout: 90_000 })
        .toEqual(['orphan', 'own'])
      expect(await java.call('transaction.asked', { name: 'sibling-heir' })).toContain(
        sent.messageId,
      )
      await java.call('transaction.stop', { name: 'sibling-heir' })
    })

    it.runIf(targetKind === 'mqctl')(
      'keeps open halves open and ended ones ended across kill -9 of the broker',
      async () => {
        const home = temporaryFolder('txn-kill')
        try {
          const slow = { ...settings, transactionCheckInterval: '3600000' }
          const first = await startMqctl({ home, settings: slow })
          const topic = await aTopic('Txn_kill', first)
          await start(java, 'kill-a', 'COMMIT_MESSAGE', 'COMMIT_MESSAGE', first)
          await start(java, 'kill-b', 'UNKNOW', 'UNKNOW', first)
          await start(java, 'kill-c', 'ROLLBACK_MESSAGE', 'COMMIT_MESSAGE', first)
          for (let i = 0; i < 20; i++) {
            await send(java, 'kill-a', topic, `committed ${i}`)
            await send(java, 'kill-b', topic, `open ${i}`)
            await send(java, 'kill-c', topic, `rolled back ${i}`)
          }
          await expect.poll(async () => (await texts(topic, first)).length).toBe(20)
          for (const name of ['kill-a', 'kill-b', 'kill-c']) {
            await java.call('transaction.stop', { name })
          }
          await first.kill()
          const second = await startMqctl({ home, settings })
          await start(java, 'kill-d', 'COMMIT_MESSAGE', 'COMMIT_MESSAGE', second)
          await send(java, 'kill-d', topic, 'after')
          await expect
            .poll(async () => (await texts(topic, second)).length, { timeout: 60_000 })
            .toBe(41)
          const bodies = await texts(topic, second)
          expect(bodies.filter((body) => body.startsWith('rolled back'))).toEqual([])
          expect(new Set(bodies).size).toBe(41)
          await java.call('transaction.stop', { name: 'kill-d' })
          await second.stop()
        } finally {
          removeFolder(home)
        }
      },
    )

    it.runIf(targetKind === 'mqctl')(
      'takes a commit that comes after the broker was killed with the half in its log',
      async () => {
        const home = temporaryFolder('txn-between')
        try {
          // Nobody is asked: what is delivered was committed by the producer itself.
          const slow = { ...settings, transactionCheckInterval: '3600000' }
          const ports = ['--port', String(await freePort()), '--namesrv-port']
          const place = { home, settings: slow, anyPort: false }
          const flags = [...ports, String(await freePort())]
          const first = await startMqctl({ ...place, flags })
          const topic = await aTopic('Txn_between', first)
          const { namesrv } = first
          const states = { local: 'COMMIT_MESSAGE', check: 'UNKNOW', waits: true }
          const who = { name: 'between', group: 'TG_between', namesrv }
          await java.call('transaction.start', { ...who, ...states })
          const sending = send(java, 'between', topic, 'paid')
          const halves = { name: 'halves', topic: 'RMQ_SYS_TRANS_HALF_TOPIC' }
          await java.call('pull.start', { ...halves, group: 'CG_halves', namesrv })
          const half = { ...halves, broker: first.brokerName, queueId: 0, offset: 0, max: 1 }
          await expect
            .poll(async () => (await java.call<Pulled>('pull.fetch', half)).messages.length)
            .toBe(1)
          await java.call('pull.stop', { name: 'halves' })
          await first.kill()
          const second = await startMqctl({ ...place, flags })
          await java.call('transaction.decide', { name: 'between' })
          expect((await sending).status).toBe('SEND_OK')
          await expect.poll(() => texts(topic, second), { timeout: 30_000 }).toEqual(['paid'])
          expect(await java.call('transaction.asked', { name: 'between' })).toEqual([])
          await java.call('transaction.stop', { name: 'between' })
          await second.stop()
        } finally {
          removeFolder(home)
        }
      },
    )
  },
)

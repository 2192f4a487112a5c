/**
 * Request-reply with the official Java client as the one that asks and as the one that answers, alone
 * and with ours on the other side.
 */
import { describe, expect, it } from 'vitest'
import { Consumer } from '../../src/client/consumer.ts'
import { Producer } from '../../src/client/producer.ts'
import { Requester, replyTo } from '../../src/client/request-reply.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { withJavaTarget } from './java-target.ts'
import { apacheClassPath, type Cluster, type JavaPeer, skipBecause } from './peers.ts'
import { targetKind } from './target.ts'

const peers = await apacheClassPath()

interface Answer {
  readonly body: string
  readonly properties: Record<string, string>
}

describe.skipIf(skipBecause('official Java clients', peers.missing))(
  `request-reply with official Java clients on ${targetKind}`,
  () => {
    let cluster: Cluster
    let java: JavaPeer

    withJavaTarget(peers, {}, (target) => {
      ;({ cluster, java } = target)
    })

    function aTopic(topic: string): Promise<string> {
      return java.createTopic(cluster, topic, 2)
    }

    function replier(topic: string) {
      const { namesrv } = cluster
      return java.call('replier.start', { name: topic, group: `CG_${topic}`, namesrv, topic })
    }

    async function requester(name: string): Promise<string> {
      await java.call('requester.start', { name, group: `PG_${name}`, namesrv: cluster.namesrv })
      return name
    }

    it('brings the answer of a Java consumer to the Java producer that asked', async () => {
      const topic = await aTopic('Ask_java_java')
      await replier(topic)
      const name = await requester(topic)
      for (const body of ['one', 'two', 'three']) {
        const answer = await java.call<Answer>('requester.request', { name, topic, body })
        expect(answer.body).toBe(`re: ${body}`)
        expect(answer.properties['MSG_TYPE']).toBe('reply')
      }
      await java.call('requester.stop', { name })
      await java.call('replier.stop', { name: topic })
    })

    it('tells a Java producer that nobody answered', async () => {
      const topic = await aTopic('Ask_nobody')
      const name = await requester(topic)
      const call = { name, topic, body: 'hello?', timeoutMs: 1_500 }
      const refused = await java.refused('requester.request', call)
      expect(refused.class).toContain('RequestTimeoutException')
      await java.call('requester.stop', { name })
    })

    it('brings the answer of a Java consumer to our requester', async () => {
      const topic = await aTopic('Ask_ours_java')
      await replier(topic)
      const requesterOfOurs = Requester.open(nodeWorld, { nameServers: cluster.namesrv })
      const reply = await requesterOfOurs.request({ topic, body: 'pear' }, 60_000)
      expect(reply.body.toString()).toBe('re: pear')
      // From 4 KiB on, Java compresses it.
      const body = 'long '.repeat(2_000)
      const long = await requesterOfOurs.request({ topic, body }, 60_000)
      expect(long.body.toString()).toBe(`re: ${body}`)
      await requesterOfOurs.close()
      await java.call('replier.stop', { name: topic })
    })

    it('brings the answer of our consumer to the Java producer that asked', async () => {
      const topic = await aTopic('Ask_java_ours')
      const producer = Producer.open(nodeWorld, { nameServers: cluster.namesrv })
      const consumer = await Consumer.start(nodeWorld, {
        nameServers: cluster.namesrv,
        group: `CG_${topic}`,
        subscriptions: [{ topic }],
        from: 'first',
        handler: async (message) => {
          await producer.send(replyTo(message, `ours: ${message.body.toString()}`))
        },
      })
      const name = await requester(topic)
      const answer = await java.call<Answer>('requester.request', { name, topic, body: 'pear' })
      expect(answer.body).toBe('ours: pear')
      await java.call('requester.stop', { name })
      await consumer.close()
      await producer.close()
    })
  },
)

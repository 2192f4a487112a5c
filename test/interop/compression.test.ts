/**
 * Compressed bodies, by the official Java client and by ours: each reads what the other compressed, in
 * all kinds that RocketMQ 5 has, single and in batches.
 */
import { describe, expect, it } from 'vitest'
import { Admin } from '../../src/client/admin.ts'
import { bodyCompressor, compressionKinds } from '../../src/client/body-compressor.ts'
import { Producer } from '../../src/client/producer.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { withJavaTarget } from './java-target.ts'
import {
  apacheClassPath,
  type Cluster,
  type JavaPeer,
  type Received,
  skipBecause,
} from './peers.ts'
import { targetKind } from './target.ts'

const peers = await apacheClassPath()

describe.skipIf(skipBecause('official Java clients', peers.missing))(
  `compressed bodies with official Java clients on ${targetKind}`,
  () => {
    let cluster: Cluster
    let java: JavaPeer

    withJavaTarget(peers, {}, (target) => {
      ;({ cluster, java } = target)
    })

    function aTopic(topic: string): Promise<string> {
      return java.createTopic(cluster, topic, 1)
    }

    /** What a Java client reads: bodies, and whether they were stored compressed. */
    async function readByJava(topic: string): Promise<(readonly [string, boolean])[]> {
      const name = `R_${topic}`
      await java.call('pull.start', { name, group: 'CG_reader', namesrv: cluster.namesrv })
      const place = { name, topic, broker: cluster.brokerName, queueId: 0, offset: 0, max: 32 }
      const { messages } = await java.call<{ messages: Received[] }>('pull.fetch', place)
      await java.call('pull.stop', { name })
      return messages.map((message) => {
        const body = Buffer.from(message.body, 'base64')
        return [body.toString(), message.storeSize < body.length]
      })
    }

    const bodyOf = (what: string) => `${what} `.repeat(2_000)

    it.each(compressionKinds)('in %s: Java reads ours', async (kind) => {
      const topic = await aTopic(`Ours_${kind}`)
      const producer = Producer.open(nodeWorld, {
        nameServers: cluster.namesrv,
        compressAboveBytes: 100,
        compressor: await bodyCompressor(kind),
      })
      await producer.send({ topic, body: bodyOf('single') })
      await producer.sendBatch([
        { topic, body: bodyOf('first') },
        { topic, body: bodyOf('second') },
      ])
      await producer.sendBatch([
        { topic, body: bodyOf('large') },
        { topic, body: 'small' },
      ])
      await producer.close()
      const expected = ['single', 'first', 'second', 'large'].map(bodyOf)
      const read = await readByJava(topic)
      expect(read.map(([body]) => body)).toEqual([...expected, 'small'])
      expect(read.map(([, compressed]) => compressed)).toEqual([true, true, true, false, false])
    })

    it.each(compressionKinds)('in %s: we read what Java compressed', async (kind) => {
      const topic = await aTopic(`Java_${kind}`)
      const name = `P_${kind}`
      const { namesrv } = cluster
      const compress = { compressOver: 100, compressType: kind.toUpperCase() }
      await java.call('producer.start', { name, group: 'PG', namesrv, ...compress })
      const messages = [{ body: bodyOf('one') }, { body: 'small' }, { body: bodyOf('two') }]
      await java.call('producer.send', { name, topic, messages, mode: 'sync' })
      await java.call('producer.stop', { name })
      const admin = Admin.open(nodeWorld, { nameServers: namesrv })
      await admin.client.routes.get(topic)
      const queue = { topic, brokerName: cluster.brokerName, queueId: 0 }
      const { messages: read } = await admin.queues.pull(queue, { group: 'CG_ours', offset: 0 })
      admin.close()
      const bodies = read.map(({ body }) => body.toString())
      expect(bodies).toEqual([bodyOf('one'), 'small', bodyOf('two')])
    })
  },
)

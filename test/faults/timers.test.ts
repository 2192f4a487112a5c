/**
 * kill -9, again and again, while messages with a delivery time of their own are sent and delivered:
 * every one that was acknowledged comes, none before its time, none that nobody sent. What was
 * delivered in the last moment before a kill may come twice.
 *
 * MQCTL_TIMER_KILLS sets the kills (default 8).
 */
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Producer } from '../../src/client/producer.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { type MqctlCluster, mqctl, startMqctl } from '../interop/embedded.ts'
import { removeFolder, temporaryFolder } from '../interop/peers.ts'

const kills = Number(process.env['MQCTL_TIMER_KILLS'] ?? '8')
const topic = 'Timed'
const SENDERS = 16
const DELAY_MS_MAX = 12_000

/** Due times of what was acknowledged, and of everything that was sent, by body. */
interface Sent {
  readonly acknowledged: Map<string, number>
  readonly all: Set<string>
}

/** Sends until it is ended by what it returns. */
function load(cluster: MqctlCluster, sent: Sent): () => Promise<void> {
  const producer = Producer.open(nodeWorld, {
    nameServers: cluster.namesrv,
    retries: 0,
    sendTimeoutMs: 1_000,
  })
  let over = false
  const send = async () => {
    while (!over) {
      const deliverAtMs = Date.now() + 1_000 + Math.floor(Math.random() * DELAY_MS_MAX)
      const body = `${deliverAtMs} ${sent.all.size}`
      sent.all.add(body)
      try {
        await producer.send({ topic, body, deliverAtMs })
        sent.acknowledged.set(body, deliverAtMs)
      } catch {
        // Killed; whether it was stored is not known.
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  }
  const sending = Array.from({ length: SENDERS }, send)
  return async () => {
    over = true
    await Promise.all(sending)
    await producer.close().catch(() => undefined)
  }
}

interface Line {
  readonly body: string
  readonly storedAt: string
}

async function delivered(cluster: MqctlCluster): Promise<Line[]> {
  const args = ['consume', topic, '-n', cluster.namesrv, '--from', 'start', '--exit-at-end']
  const text = await mqctl([...args, '-o', 'ndjson'], cluster.environment)
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
}

describe('a broker that is killed while messages wait for their time', () => {
  let folder = ''

  beforeEach(() => {
    folder = temporaryFolder('timers')
  })

  afterEach(() => {
    removeFolder(folder)
  })

  it(
    `delivers all of them, and none early, after ${kills} kills`,
    async () => {
      const options = { home: join(folder, 'home'), flags: ['--topic', `${topic}:4`] }
      const sent: Sent = { acknowledged: new Map(), all: new Set() }
      let cluster: MqctlCluster | null = null
      try {
        for (let kill = 0; kill < kills; kill++) {
          cluster = await startMqctl(options)
          const end = load(cluster, sent)
          await new Promise((resolve) => setTimeout(resolve, 300 + Math.random() * 2_500))
          await cluster.kill()
          cluster = null
          await end()
        }
        // Less would mean that the loop tested nothing.
        expect(sent.acknowledged.size).toBeGreaterThan(kills * 50)
        cluster = await startMqctl(options)
        const missing = () =>
          [...sent.acknowledged.keys()].filter((body) => !bodies.has(body)).slice(0, 10)
        let lines: Line[] = []
        let bodies = new Set<string>()
        for (let round = 0; round < 60 && (round === 0 || missing().length > 0); round++) {
          await new Promise((resolve) => setTimeout(resolve, 1_000))
          lines = await delivered(cluster)
          bodies = new Set(lines.map(({ body }) => body))
        }
        expect(missing(), 'lost').toEqual([])
        const early = lines.filter(
          ({ body, storedAt }) => Date.parse(storedAt) < parseInt(body, 10),
        )
        expect(early.slice(0, 10), 'early').toEqual([])
        const unknown = [...bodies].filter((body) => !sent.all.has(body))
        expect(unknown.slice(0, 10), 'never sent').toEqual([])
        process.stderr.write(
          `faults: ${kills} kills, ${sent.acknowledged.size} timer messages acknowledged, ` +
            `${lines.length} delivered, ${lines.length - bodies.size} of them again, 0 lost, 0 early\n`,
        )
      } finally {
        await cluster?.stop()
      }
    },
    60_000 + kills * 20_000,
  )
})

/**
 * A store directory changes hands: ours to Apache's broker and Apache's to ours, after clean stops
 * and after kill -9. Whoever opens it serves every message under the same offsets and ids, finds them
 * by key, and goes on where groups were. And while one has it open, the other is refused.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { MqctlRefused, startMqctl } from './embedded.ts'
import {
  apacheClassPath,
  BrokerRefused,
  type Cluster,
  JavaPeer,
  type Received,
  removeFolder,
  type Sent,
  skipBecause,
  startApache,
  temporaryFolder,
  until,
} from './peers.ts'

const peers = await apacheClassPath()

type Kind = Cluster['kind']

const topic = 'Handed'
/** Of batch queues: what is sent together is one record. */
const inner = 'Inner'
const queues = 4

/** What of a message must survive, in the order of queues and offsets. */
function essence(message: Received): object {
  return {
    queueId: message.queueId,
    queueOffset: message.queueOffset,
    physicalOffset: message.physicalOffset,
    storeSize: message.storeSize,
    messageId: message.messageId,
    keys: message.keys,
    tags: message.tags,
    bornAt: message.bornAt,
    storedAt: message.storedAt,
    user: message.properties['user'],
    body: message.body,
  }
}

describe.skipIf(skipBecause('store hand-over', peers.missing))('a store that changes hands', () => {
  let java: JavaPeer
  let folder = ''
  let names = 0

  beforeAll(async () => {
    if (peers.missing !== null) return
    java = await JavaPeer.start(peers.classPath)
  })

  afterAll(async () => {
    await java.stop()
  })

  /** What a failed test leaves running. */
  const running = new Set<Cluster>()

  afterEach(async () => {
    for (const cluster of running) await cluster.kill()
    running.clear()
    removeFolder(folder)
  })

  async function open(
    kind: Kind,
    storeDirectory: string,
    brokerConf: Record<string, string> = {},
  ): Promise<Cluster> {
    if (peers.missing !== null) throw new Error(peers.missing)
    const cluster =
      kind === 'mqctl'
        ? await startMqctl({ storeDirectory })
        : await startApache({ classPath: peers.classPath, storeDirectory, brokerConf })
    running.add(cluster)
    return cluster
  }

  async function close(cluster: Cluster, how: 'clean' | 'killed' = 'clean'): Promise<void> {
    running.delete(cluster)
    await (how === 'killed' ? cluster.kill() : cluster.stop())
  }

  function newStore(): string {
    folder = temporaryFolder('handover')
    const store = join(folder, 'broker-a')
    fs.mkdirSync(store)
    return store
  }

  async function fillInnerBatches(cluster: Cluster): Promise<void> {
    const { namesrv, brokerAddress: broker } = cluster
    const attributes = { '+queue.type': 'BatchCQ' }
    await java.call('admin.createTopic', { namesrv, broker, topic: inner, queues: 1, attributes })
    await until('route of the topic', () => java.call('admin.route', { namesrv, topic: inner }))
    await sendInner(cluster, 'early')
  }

  async function sendInner({ namesrv }: Cluster, word: string): Promise<void> {
    const name = `producer-${++names}`
    await java.call('producer.start', { name, group: 'PG', namesrv })
    const messages = [1, 2, 3].map((number) => ({ body: `${word} ${number}` }))
    await java.call('producer.send', { name, topic: inner, mode: 'batch', messages })
    await java.call('producer.stop', { name })
  }

  /** Reads what is there once there are so many messages. */
  function innerOf(cluster: Cluster, count: number): Promise<string[]> {
    return until('inner batches', async () => {
      const some = await readInner(cluster)
      return some.length < count ? null : some
    })
  }

  /** The units of the batch queue, without what is not written yet. */
  function innerUnits(store: string): Buffer {
    const file = join(store, 'batchconsumequeue', inner, '0', '0'.repeat(20))
    const bytes = fs.readFileSync(file)
    let count = 0
    while (bytes.readInt32BE(count * 46 + 8) > 0) count++
    return bytes.subarray(0, count * 46)
  }

  async function readInner({ namesrv, brokerName: broker }: Cluster): Promise<string[]> {
    const name = `reader-${++names}`
    await java.call('pull.start', { name, group: 'Reader', namesrv })
    const from = { name, topic: inner, broker, queueId: 0, offset: 0 }
    const page = await java.call<{ messages: Received[] }>('pull.fetch', from)
    await java.call('pull.stop', { name })
    return page.messages.map(
      ({ queueOffset, body }) => `${queueOffset} ${Buffer.from(body, 'base64').toString()}`,
    )
  }

  async function makeTopic({ namesrv, brokerAddress: broker }: Cluster, name: string) {
    await java.call('admin.createTopic', { namesrv, broker, topic: name, queues })
    await until('route of the topic', () => java.call('admin.route', { namesrv, topic: name }))
  }

  async function deleteTopic({ namesrv, brokerAddress: broker }: Cluster, name: string) {
    await java.call('admin.deleteTopic', { namesrv, broker, topic: name })
  }

  async function send({ namesrv }: Cluster, name: string, bodies: readonly string[]) {
    const producer = `producer-${++names}`
    await java.call('producer.start', { name: producer, group: 'PG', namesrv })
    const messages = bodies.map((body) => ({ body }))
    await java.call('producer.send', { name: producer, topic: name, mode: 'sync', messages })
    await java.call('producer.stop', { name: producer })
  }

  async function takeByPop({ namesrv, brokerAddress: broker }: Cluster, atLeast: number) {
    const at = ['-n', namesrv, '-b', broker]
    const group = 'Poppers'
    await java.mqadmin('updateSubGroup', ...at, '-g', group)
    await java.mqadmin('setConsumeMode', ...at, '-t', topic, '-g', group, '-m', 'POP', '-q', '0')
    const name = `pop-${++names}`
    const from = 'CONSUME_FROM_FIRST_OFFSET'
    const given = { name, group, namesrv, topic, from, pop: true, invisibleMs: 5_000 }
    await java.call('push.start', given)
    await java.call('push.received', { name, atLeast, timeoutMs: 60_000 })
    await java.call('push.stop', { name })
  }

  /** Sends one by one and in a batch; some with keys, tags and properties. */
  async function fill(cluster: Cluster, name: string): Promise<void> {
    const producer = `producer-${++names}`
    await java.call('producer.start', { name: producer, group: 'PG', namesrv: cluster.namesrv })
    const messages = Array.from({ length: 60 }, (_, i) => ({
      body: `${name} ${i} ${'x'.repeat((i * 37) % 900)}`,
      tags: i % 3 === 0 ? 'third' : 'other',
      keys: `${name}-${i}`,
      properties: { user: name },
    }))
    await java.call('producer.send', { name: producer, topic, mode: 'sync', messages })
    await java.call('producer.send', { name: producer, topic, mode: 'batch', messages })
    await java.call('producer.stop', { name: producer })
  }

  async function readAll(cluster: Cluster): Promise<Received[]> {
    const name = `reader-${++names}`
    await java.call('pull.start', { name, group: 'Reader', namesrv: cluster.namesrv })
    const all: Received[] = []
    for (let queueId = 0; queueId < queues; queueId++) {
      for (let offset = 0; ;) {
        const page = await java.call<{ status: string; next: number; messages: Received[] }>(
          'pull.fetch',
          { name, topic, broker: cluster.brokerName, queueId, offset },
        )
        if (page.status !== 'FOUND') break
        all.push(...page.messages)
        offset = page.next
      }
    }
    await java.call('pull.stop', { name })
    return all
  }

  /** Lets a group consume what is there (or only what is new), and answers what it got. */
  async function consume(cluster: Cluster, atLeast: number): Promise<Received[]> {
    const name = `consumer-${++names}`
    await java.call('push.start', {
      name,
      group: 'Followers',
      topic,
      namesrv: cluster.namesrv,
      from: 'CONSUME_FROM_FIRST_OFFSET',
    })
    const received = await java.call<Received[]>('push.received', { name, atLeast })
    await java.call('push.stop', { name })
    return received
  }

  it.each<[Kind, Kind, 'clean' | 'killed']>([
    ['mqctl', 'apache', 'clean'],
    ['mqctl', 'apache', 'killed'],
    ['apache', 'mqctl', 'clean'],
    ['apache', 'mqctl', 'killed'],
  ])(
    'goes from %s to %s after it was %s, and back',
    async (first, second, how) => {
      const store = newStore()
      let cluster = await open(first, store)
      await java.call('admin.createTopic', {
        namesrv: cluster.namesrv,
        broker: cluster.brokerAddress,
        topic,
        queues,
      })
      await until('route of the topic', () =>
        java.call('admin.route', { namesrv: cluster.namesrv, topic }),
      )
      await fill(cluster, 'early')
      await fillInnerBatches(cluster)
      const early = ['0 early 1', '1 early 2', '2 early 3']
      expect(await innerOf(cluster, 3)).toEqual(early)
      const consumed = await consume(cluster, 120)
      expect(consumed).toHaveLength(120)
      const written = await readAll(cluster)
      expect(written).toHaveLength(120)
      await close(cluster, how)
      const units = innerUnits(store)
      // Built again from the log it has the same bytes. (Apache's broker builds nothing after a clean stop.)
      const isRebuilt = how === 'clean' && second === 'mqctl'
      if (isRebuilt) fs.rmSync(join(store, 'batchconsumequeue'), { recursive: true })

      cluster = await open(second, store)
      const seen = await readAll(cluster)
      expect(seen.map(essence)).toEqual(written.map(essence))
      // By key: from the index that the first one wrote. Each key was sent twice.
      for (const key of ['early-0', 'early-59']) {
        const found = await java.call<Received[]>('admin.byKey', {
          namesrv: cluster.namesrv,
          topic,
          key,
        })
        expect(found.map((message) => message.keys)).toEqual([key, key])
      }
      await fill(cluster, 'late')
      expect(await innerOf(cluster, 3)).toEqual(early)
      await sendInner(cluster, 'late')
      const inners = [...early, '3 late 1', '4 late 2', '5 late 3']
      expect(await innerOf(cluster, 6)).toEqual(inners)
      if (how === 'clean') {
        // The group goes on where it was. (After a kill its last report may be lost: at least once.)
        const news = await consume(cluster, 120)
        expect(new Set(news.map((message) => message.properties['user']))).toEqual(
          new Set(['late']),
        )
      }
      const both = await readAll(cluster)
      expect(both).toHaveLength(240)
      await close(cluster)
      if (how === 'clean') expect(innerUnits(store).subarray(0, units.length)).toEqual(units)

      cluster = await open(first, store)
      expect((await readAll(cluster)).map(essence)).toEqual(both.map(essence))
      expect(await innerOf(cluster, 6)).toEqual(inners)
      const found = await java.call<Received[]>('admin.byKey', {
        namesrv: cluster.namesrv,
        topic,
        key: 'late-7',
      })
      expect(found).toHaveLength(2)
      await close(cluster)
    },
    180_000,
  )

  it.each<[Kind, Kind, 'clean' | 'killed']>([
    ['mqctl', 'apache', 'clean'],
    ['mqctl', 'apache', 'killed'],
    ['apache', 'mqctl', 'clean'],
    ['apache', 'mqctl', 'killed'],
  ])(
    'goes from %s to %s after it was %s, with messages that wait for their time',
    async (first, second, how) => {
      const store = newStore()
      let cluster = await open(first, store)
      await java.call('admin.createTopic', {
        namesrv: cluster.namesrv,
        broker: cluster.brokerAddress,
        topic,
        queues,
      })
      await until('route of the topic', () =>
        java.call('admin.route', { namesrv: cluster.namesrv, topic }),
      )
      const producer = `timed-${++names}`
      await java.call('producer.start', { name: producer, group: 'PG', namesrv: cluster.namesrv })
      const sentMs = Date.now()
      const waitMs = 40_000
      const later = Array.from({ length: 40 }, (_, n) => ({
        body: `later ${n}`,
        deliverInMs: waitMs + (n % 3) * 1_000,
      }))
      const messages = [{ body: 'soon', deliverInMs: 2_000 }, ...later]
      await java.call('producer.send', { name: producer, topic, mode: 'sync', messages })
      await java.call('producer.stop', { name: producer })
      await until('the first one', async () => {
        const all = await readAll(cluster)
        if (all.length !== 1) throw new Error(`${all.length} messages`)
      })
      // Progress is written every second.
      await new Promise((resolve) => setTimeout(resolve, 2_500))
      await close(cluster, how)

      cluster = await open(second, store)
      const openedMs = Date.now()
      let all: Received[] = []
      while (all.length < messages.length && Date.now() < openedMs + 2 * waitMs) {
        all = await readAll(cluster)
        await new Promise((resolve) => setTimeout(resolve, 500))
      }
      const bodies = all.map(({ body }) => Buffer.from(body, 'base64').toString())
      expect([...bodies].sort()).toEqual(messages.map(({ body }) => body).sort())
      const early = all.filter(
        ({ body, storedAt }) =>
          Buffer.from(body, 'base64').toString() !== 'soon' && storedAt < sentMs + waitMs,
      )
      expect(early).toEqual([])
      await close(cluster)
    },
    180_000,
  )

  it.each<['clean' | 'killed']>([['clean'], ['killed']])(
    'goes from apache to mqctl after it was %s, with what Apache deleted and topics of names that mqctl does not allow',
    async (how) => {
      const store = newStore()
      // What is taken by POP is written to rmq_sys_REVIVE_LOG_prod.eu.
      const conf = { brokerClusterName: 'prod.eu' }
      let cluster = await open('apache', store, conf)
      await makeTopic(cluster, 'Deleted')
      await send(cluster, 'Deleted', ['gone for good'])
      await makeTopic(cluster, topic)
      await fill(cluster, 'before')
      await deleteTopic(cluster, topic)
      await deleteTopic(cluster, 'Deleted')
      await makeTopic(cluster, topic)
      const early = Array.from({ length: 10 }, (_, i) => `early ${i}`)
      await send(cluster, topic, early)
      await takeByPop(cluster, early.length)
      // They are written when the time is nearly over that what was taken is out of sight for.
      const alien = join(store, 'consumequeue', 'rmq_sys_REVIVE_LOG_prod.eu')
      await until('records of POP', () => Promise.resolve(fs.existsSync(alien) ? true : null))
      const late = Array.from({ length: 10 }, (_, i) => `late ${i}`)
      await send(cluster, topic, late)
      const written = await readAll(cluster)
      expect(written).toHaveLength(20)
      await close(cluster, how)

      cluster = await open('mqctl', store)
      expect((await readAll(cluster)).map(essence)).toEqual(written.map(essence))
      if (how === 'clean') {
        const { namesrv } = cluster
        expect(await java.call('admin.topics', { namesrv })).not.toContain('Deleted')
      }
      await send(cluster, topic, ['by mqctl'])
      await close(cluster)
      if (how === 'killed') return

      cluster = await open('apache', store, conf)
      const all = await readAll(cluster)
      expect(all).toHaveLength(21)
      expect(all.map(essence)).toEqual(expect.arrayContaining(written.map(essence)))
      await close(cluster)
    },
    300_000,
  )

  /**
   * Pids that hold a lock on a file, from /proc/locks (device and inode in its sixth column). A lock
   * of an open file description, such as ours, belongs to no process: -1.
   */
  function lockHolders(file: string): number[] {
    const { ino } = fs.statSync(file)
    return fs
      .readFileSync('/proc/locks', 'utf8')
      .split('\n')
      .map((line) => line.split(/\s+/))
      .filter((fields) => fields[5]?.endsWith(`:${ino}`) === true)
      .map((fields) => Number(fields[4]))
  }

  it.each<[Kind, Kind]>([
    ['mqctl', 'apache'],
    ['apache', 'mqctl'],
    ['mqctl', 'mqctl'],
  ])('is refused to a second broker: %s has it, %s asks', async (owner, other) => {
    const store = newStore()
    const cluster = await open(owner, store)
    if (process.platform === 'linux') {
      expect(lockHolders(join(store, 'lock'))).toEqual([
        owner === 'apache' ? cluster.brokerPid : -1,
      ])
    }
    const refusal = await open(other, store).then(
      () => null,
      (error: unknown) => error,
    )
    if (other === 'apache') {
      expect(refusal).toBeInstanceOf(BrokerRefused)
      expect(String(refusal)).toContain('Lock failed')
    } else {
      expect(refusal).toBeInstanceOf(MqctlRefused)
      expect((refusal as MqctlRefused).exitCode).toBe(1)
      expect(String(refusal)).toMatch(/in use|locked/i)
    }
    // The owner is not disturbed.
    const producer = `owner-${++names}`
    await java.call('producer.start', { name: producer, group: 'PG', namesrv: cluster.namesrv })
    const [sent] = await java.call<Sent[]>('producer.send', {
      name: producer,
      topic: 'Mine',
      mode: 'sync',
      messages: [{ body: 'still here' }],
    })
    expect(sent?.status).toBe('SEND_OK')
    await java.call('producer.stop', { name: producer })
    await close(cluster)
  })
})

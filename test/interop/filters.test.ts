/**
 * SQL92 filters held against Apache's: the evaluator against Apache's own filter library, the broker
 * against Apache's broker, with official clients on both. Same expressions, same messages, same outcome.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SqlFilter } from '../../src/protocol/filter/sql-filter.ts'
import { SqlError } from '../../src/protocol/filter/sql-token.ts'
import { noProperties } from '../../src/protocol/properties.ts'
import { startMqctl } from './embedded.ts'
import { expressions, messages, randomExpressions } from './filter-table.ts'
import {
  apacheClassPath,
  type Cluster,
  JavaPeer,
  type PeerError,
  type Received,
  skipBecause,
  startApache,
  until,
} from './peers.ts'

const peers = await apacheClassPath()

/** "refused", or the outcome for each message. */
type Outcomes = 'refused' | readonly string[]

function ours(expression: string): Outcomes {
  try {
    const filter = new SqlFilter(expression)
    return messages.map((message) => filter.outcomeOf(Object.assign(noProperties(), message)))
  } catch (error) {
    if (error instanceof SqlError) return 'refused'
    throw error
  }
}

describe.skipIf(skipBecause('SQL92 filters', peers.missing))('SQL92 filters', () => {
  let java: JavaPeer

  beforeAll(async () => {
    if (peers.missing === null) java = await JavaPeer.start(peers.classPath)
  })

  afterAll(() => java.stop())

  it('have the outcomes of Apache’s filter library, expression by expression', async () => {
    const all = [...expressions, ...randomExpressions(3_000, 20_261_121)]
    const theirs = await java.call<Outcomes[]>('filter.outcomes', { expressions: all, messages })
    const different = all
      .map((expression, index) => ({ expression, theirs: theirs[index], ours: ours(expression) }))
      .filter((row) => JSON.stringify(row.theirs) !== JSON.stringify(row.ours))
    expect(different).toEqual([])
    const passed = theirs.flat().filter((outcome) => outcome === 'true').length
    expect(passed).toBeGreaterThan(10_000)
    expect(theirs.filter((outcome) => outcome === 'refused').length).toBeGreaterThan(100)
  })
})

describe.skipIf(peers.missing !== null)('SQL92 filters on brokers', () => {
  let java: JavaPeer
  const clusters: Cluster[] = []

  beforeAll(async () => {
    if (peers.missing !== null) return
    java = await JavaPeer.start(peers.classPath)
    clusters.push(
      await startMqctl(),
      await startApache({
        classPath: peers.classPath,
        brokerConf: { enablePropertyFilter: 'true' },
      }),
    )
    for (const cluster of clusters) await fill(cluster)
    // A client filters once it knows the broker's version, from the answer to its next heart-beat.
    for (const cluster of clusters) {
      await until(
        `a filtered pull from ${cluster.kind}`,
        async () => ((await pulled(cluster, 'a > 5')) === null ? null : true),
        60_000,
      )
    }
  })

  afterAll(async () => {
    await java.stop()
    for (const cluster of clusters) await cluster.stop()
  })

  /** A topic with all messages of the table in one queue, and a pull consumer. */
  async function fill({ kind, namesrv, brokerAddress }: Cluster): Promise<void> {
    const topic = { namesrv, broker: brokerAddress, topic: 'Filtered', queues: 1 }
    await java.call('admin.createTopic', topic)
    await java.call('producer.start', { name: `P-${kind}`, group: 'PG', namesrv })
    for (const [index, properties] of messages.entries()) {
      const { TAGS: tags, KEYS: keys, ...others } = properties
      await java.call('producer.send', {
        name: `P-${kind}`,
        topic: 'Filtered',
        messages: [{ body: String(index), tags, keys, properties: others }],
      })
    }
    await java.call('pull.start', { name: `C-${kind}`, group: 'CG_pull', namesrv })
  }

  /** Bodies of what an official pull consumer gets, or the broker's code. */
  async function pulled(cluster: Cluster, sql: string): Promise<string[] | number | null> {
    const bodies: string[] = []
    let offset = 0
    while (offset < messages.length) {
      try {
        const result = await java.call<{ next: number; messages: Received[] }>('pull.fetch', {
          name: `C-${cluster.kind}`,
          topic: 'Filtered',
          broker: cluster.brokerName,
          queueId: 0,
          offset,
          sql,
        })
        bodies.push(
          ...result.messages.map((message) => Buffer.from(message.body, 'base64').toString()),
        )
        if (result.next <= offset) break
        offset = result.next
      } catch (error) {
        return (error as { peer: PeerError }).peer.code
      }
    }
    return bodies
  }

  it('give an official pull consumer the messages that Apache’s broker gives it', async () => {
    const [mine, apache] = clusters
    if (mine === undefined || apache === undefined) throw new Error('no clusters')
    const good = expressions.filter((expression) => ours(expression) !== 'refused')
    const different: unknown[] = []
    let passed = 0
    for (const sql of good) {
      const here = await pulled(mine, sql)
      const there = await pulled(apache, sql)
      if (JSON.stringify(here) !== JSON.stringify(there)) different.push({ sql, here, there })
      passed += Array.isArray(here) ? here.length : 0
    }
    expect(different).toEqual([])
    expect(passed).toBeGreaterThan(1_000)
  })

  it('that are wrong end the start of an official push consumer with Apache’s code', async () => {
    // Some of them: each is a client that starts and ends, on both.
    const wrong = expressions
      .filter((sql) => sql.trim() !== '' && ours(sql) === 'refused')
      .filter((_, index) => index % 6 === 0)
    const answers: unknown[][] = []
    for (const cluster of clusters) {
      const codes: unknown[] = []
      for (const [index, sql] of wrong.entries()) {
        const error = await java.refused('push.start', {
          name: `W${index}-${cluster.kind}`,
          group: 'CG_wrong',
          namesrv: cluster.namesrv,
          topic: 'Filtered',
          sql,
        })
        codes.push([sql, error.code])
      }
      answers.push(codes)
    }
    expect(answers[0]).toEqual(answers[1])
    expect(answers[0]?.every((row) => (row as unknown[])[1] === 23)).toBe(true)
  })

  it('give official push and lite-pull consumers what they describe, also what failed before', async () => {
    const sql = "a > 5 AND (region IN ('us', 'eu') OR TAGS = 'paid')"
    const wanted = ['3', '40', '41']
    for (const cluster of clusters.slice(0, 1)) {
      const consumer = {
        namesrv: cluster.namesrv,
        topic: 'Filtered',
        sql,
        from: 'CONSUME_FROM_FIRST_OFFSET',
      }
      const name = `Push-${cluster.kind}`
      await java.call('push.start', { ...consumer, name, group: 'CG_push', failures: 1 })
      const first = await java.call<Received[]>('push.received', {
        name,
        atLeast: 4,
        timeoutMs: 100_000,
      })
      const counts = new Map<string, number>()
      for (const message of first) {
        const body = Buffer.from(message.body, 'base64').toString()
        counts.set(body, (counts.get(body) ?? 0) + 1)
      }
      expect([...counts.keys()].sort()).toEqual(wanted)
      // The one that failed came again, through the retry topic, and nothing else did.
      expect(first.filter((message) => message.reconsumeTimes === 1)).toHaveLength(1)
      await java.call('push.stop', { name })
      const lite = { name: `Lite-${cluster.kind}` }
      await java.call('litepull.start', { ...consumer, ...lite, group: 'CG_lite' })
      const polled = await java.call<Received[]>('litepull.poll', { ...lite, atLeast: 3 })
      const bodies = polled.map((message) => Buffer.from(message.body, 'base64').toString())
      expect(bodies.sort()).toEqual(wanted)
      await java.call('litepull.stop', lite)
    }
  }, 240_000)
})

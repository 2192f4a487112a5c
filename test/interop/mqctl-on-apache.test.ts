/**
 * Our own client, as the commands use it, against a real Apache broker, and with official clients on
 * the other side: what we send they read, what they send we read, and administration says the same
 * as Apache's own admin client.
 */
import { spawn } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mqctlBinary } from './embedded.ts'
import {
  apacheClassPath,
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

interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface ProducedDocument {
  readonly sent: number
  readonly failed: number
  readonly messages: readonly {
    readonly messageId: string
    readonly offsetMessageId: string
    readonly broker: string
    readonly queueId: number
    readonly queueOffset: number
    readonly status: string
  }[]
}

interface ConsumedLine {
  readonly queueId: number
  readonly queueOffset: number
  readonly physicalOffset: number
  readonly messageId: string
  readonly keys: readonly string[]
  readonly tags: string
  readonly properties: Record<string, string>
  readonly body: string
  readonly bodyEncoding: string
}

describe.skipIf(skipBecause('mqctl on Apache', peers.missing))('mqctl on an Apache cluster', () => {
  let cluster: Cluster
  let java: JavaPeer
  let home = ''

  beforeAll(async () => {
    if (peers.missing !== null) return
    home = temporaryFolder('cli')
    cluster = await startApache({ classPath: peers.classPath })
    java = await JavaPeer.start(peers.classPath)
  })

  afterAll(async () => {
    await java.stop()
    await cluster.stop()
    removeFolder(home)
  })

  function run(args: readonly string[], input = ''): Promise<Outcome> {
    return new Promise((resolve) => {
      const child = spawn(process.execPath, [mqctlBinary, ...args, '--namesrv', cluster.namesrv], {
        env: { ...process.env, HOME: home, XDG_STATE_HOME: home, XDG_DATA_HOME: home },
      })
      let stdout = ''
      let stderr = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
      child.stdin.end(input)
      child.on('close', (code) => {
        resolve({ code, stdout, stderr })
      })
    })
  }

  async function json<T>(args: readonly string[], input = ''): Promise<T> {
    const outcome = await run([...args, '--json'], input)
    expect(outcome.code, `${args.join(' ')}: ${outcome.stdout}${outcome.stderr}`).toBe(0)
    return JSON.parse(outcome.stdout) as T
  }

  async function consume(topic: string, ...args: string[]): Promise<ConsumedLine[]> {
    const { code, stdout, stderr } = await run([
      ...['consume', topic, '--from', 'start', '--exit-at-end', '-o', 'ndjson'],
      ...args,
    ])
    expect(code, stderr).toBe(0)
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as ConsumedLine)
  }

  async function createTopic(topic: string, queues = 4): Promise<void> {
    await json(['topic', 'create', topic, '--queues', String(queues)])
  }

  it('creates a topic that the official client can use, and lists it', async () => {
    await createTopic('Made', 3)
    const config = await java.call<object>('admin.topicConfig', {
      namesrv: cluster.namesrv,
      broker: cluster.brokerAddress,
      topic: 'Made',
    })
    expect(config).toMatchObject({ readQueueNums: 3, writeQueueNums: 3, perm: 6 })
    const { topics } = await json<{ topics: { name: string; queues: number }[] }>(['topic', 'list'])
    expect(topics.find((one) => one.name === 'Made')).toMatchObject({ name: 'Made', queues: 3 })
  })

  it('sends what the official client reads: body, keys, tags and properties', async () => {
    await createTopic('FromUs')
    const sent = await json<ProducedDocument>([
      ...['produce', 'FromUs', 'grüße 消息', '--key', 'k1', '--key', 'k2', '--tag', 'T'],
      ...['-H', 'colour=blau'],
    ])
    expect(sent).toMatchObject({ sent: 1, failed: 0 })
    const lines = Array.from({ length: 500 }, (_, i) => `line ${i}`)
    const many = await json<ProducedDocument>(['produce', 'FromUs'], lines.join('\n'))
    expect(many).toMatchObject({ sent: 500, failed: 0 })

    await java.call('push.start', {
      name: 'reader',
      group: 'JavaReaders',
      topic: 'FromUs',
      namesrv: cluster.namesrv,
      from: 'CONSUME_FROM_FIRST_OFFSET',
    })
    const received = await java.call<Received[]>('push.received', { name: 'reader', atLeast: 501 })
    await java.call('push.stop', { name: 'reader' })
    const text = (message: Received): string => Buffer.from(message.body, 'base64').toString()
    expect(received.map(text).sort()).toEqual([...lines, 'grüße 消息'].sort())
    const first = received.find((message) => message.messageId === sent.messages[0]?.messageId)
    expect(first).toMatchObject({
      keys: 'k1 k2',
      tags: 'T',
      queueId: sent.messages[0]?.queueId,
      queueOffset: sent.messages[0]?.queueOffset,
      offsetMessageId: sent.messages[0]?.offsetMessageId,
    })
    expect(first?.properties['colour']).toBe('blau')
  })

  it('reads what the official client sent: single, batch, compressed, by tag', async () => {
    await createTopic('FromJava')
    await java.call('producer.start', { name: 'p', group: 'PG', namesrv: cluster.namesrv })
    const messages = Array.from({ length: 40 }, (_, i) => ({
      body: i === 0 ? 'compressed '.repeat(1000) : `body ${i}`,
      tags: i % 2 === 0 ? 'even' : 'odd',
      keys: `key-${i}`,
      properties: { n: String(i) },
    }))
    const sent = await java.call<Sent[]>('producer.send', {
      name: 'p',
      topic: 'FromJava',
      mode: 'sync',
      messages,
    })
    await java.call('producer.send', { name: 'p', topic: 'FromJava', mode: 'batch', messages })
    const all = await consume('FromJava')
    expect(all).toHaveLength(80)
    for (const [i, one] of sent.entries()) {
      const found = all.find((line) => line.messageId === one.messageId)
      expect(found).toMatchObject({
        queueId: one.queueId,
        queueOffset: one.queueOffset,
        body: messages[i]?.body,
        keys: [`key-${i}`],
        tags: messages[i]?.tags,
        properties: { n: String(i) },
      })
    }
    expect(await consume('FromJava', '--filter', 'even')).toHaveLength(40)
  })

  it('keeps a batch as one record where the topic says so, and takes it apart, also Java’s', async () => {
    await json(['topic', 'create', 'Inner', '--queues', '1', '--attr', 'queue.type=BatchCQ'])
    const ours = await json<ProducedDocument>(['produce', 'Inner', '--batch', '3'], 'a\nb\nc')
    expect(ours.messages.map(({ queueOffset }) => queueOffset)).toEqual([0, 1, 2])
    await java.call('producer.start', { name: 'inner', group: 'PG', namesrv: cluster.namesrv })
    const messages = ['d', 'e'].map((body) => ({ body, tags: `tag ${body}` }))
    await java.call('producer.send', { name: 'inner', topic: 'Inner', mode: 'batch', messages })
    await java.call('producer.stop', { name: 'inner' })
    const lines = await until('all of them', async () => {
      const some = await consume('Inner')
      return some.length < 5 ? null : some
    })
    expect(lines.map(({ queueOffset, body }) => `${queueOffset} ${body}`)).toEqual([
      ...['0 a', '1 b', '2 c', '3 d', '4 e'],
    ])
    expect(lines[4]?.tags).toBe('tag e')
    expect(lines.slice(0, 3).map(({ messageId }) => messageId)).toEqual(
      ours.messages.map(({ messageId }) => messageId),
    )
    expect(new Set(lines.map(({ physicalOffset }) => physicalOffset)).size).toBe(2)
    await java.call('push.start', {
      ...{ name: 'inner', group: 'InnerReaders', topic: 'Inner', namesrv: cluster.namesrv },
      from: 'CONSUME_FROM_FIRST_OFFSET',
    })
    const received = await java.call<Received[]>('push.received', { name: 'inner', atLeast: 5 })
    await java.call('push.stop', { name: 'inner' })
    expect(received.map(({ queueOffset }) => queueOffset).sort()).toEqual([0, 1, 2, 3, 4])
  })

  it('consumes as a member of a group beside an official consumer, and its progress is seen', async () => {
    await createTopic('Shared', 4)
    await json(
      ['produce', 'Shared'],
      Array.from({ length: 40 }, (_, i) => `shared ${i}`).join('\n'),
    )
    const { code, stdout } = await run([
      ...['consume', 'Shared', '--group', 'Mixed', '--from', 'start', '--count', '40'],
    ])
    expect(code).toBe(0)
    expect(stdout.split('\n').filter((line) => line !== '')).toHaveLength(40)
    const stats = await java.call<{ totalDiff: number }>('admin.consumeStats', {
      namesrv: cluster.namesrv,
      group: 'Mixed',
    })
    expect(stats.totalDiff).toBe(0)
    const lag = await json<{ groups: { name: string; lag: number }[] }>(['group', 'lag', 'Mixed'])
    expect(lag.groups[0]).toMatchObject({ name: 'Mixed', lag: 0 })

    // The official consumer goes on where ours left off.
    await json(['produce', 'Shared', 'new'])
    await java.call('push.start', {
      name: 'mixed',
      group: 'Mixed',
      topic: 'Shared',
      namesrv: cluster.namesrv,
      from: 'CONSUME_FROM_FIRST_OFFSET',
    })
    const received = await java.call<Received[]>('push.received', { name: 'mixed', atLeast: 1 })
    expect(received.map((one) => Buffer.from(one.body, 'base64').toString())).toEqual(['new'])
    await java.call('push.stop', { name: 'mixed' })
  })

  it('asks and answers, also with the official client on the other side', async () => {
    await createTopic('Prices', 2)
    const { namesrv } = cluster
    const replying = run(['reply', 'Prices', '--exec', 'cat', '--count', '2', '--idle', '60s'])
    const asked = await json<{ body: string }>(['request', 'Prices', 'pear', '--timeout', '60s'])
    expect(asked.body).toBe('pear')
    await java.call('requester.start', { name: 'cli', group: 'PG_cli', namesrv })
    const call = { name: 'cli', topic: 'Prices', body: 'plum' }
    expect(await java.call('requester.request', call)).toMatchObject({ body: 'plum' })
    await java.call('requester.stop', { name: 'cli' })
    expect((await replying).stderr).toBe('2 answered, 0 failed, 0 left out\n')
  })

  it('sends transactions and lists those that are open', async () => {
    await createTopic('Payments', 1)
    const more = ['--group', 'PG_payments', '--txn']
    for (const decision of ['rollback', 'commit', 'unknown']) {
      await json(['produce', 'Payments', decision, ...more, decision])
    }
    const read = await consume('Payments')
    expect(read.map(({ body }) => body)).toEqual(['commit'])
    // What was ended is written down every three seconds there.
    await expect
      .poll(
        async () => {
          const list = ['txn', 'list', '--topic', 'Payments']
          const { transactions } = await json<{ transactions: { producerGroup: string }[] }>(list)
          return transactions.map(({ producerGroup }) => producerGroup)
        },
        { timeout: 30_000 },
      )
      .toEqual(['PG_payments'])
  })

  it('consumes in order, a failed message again before the next one', async () => {
    await createTopic('Steps', 1)
    await json(['produce', 'Steps', '--order-key', 'A-1'], 'one\ntwo\nthree\n')
    const { code, stdout } = await run([
      ...['consume', 'Steps', '-g', 'workflow', '--orderly', '--from', 'start', '--exit-at-end'],
      ...['--retry-delay', '10ms', '--exec'],
      `sh -c 'read line; echo $line $MQCTL_RECONSUME_TIMES; [ $line != two ] || [ $MQCTL_RECONSUME_TIMES = 1 ]'`,
    ])
    expect([code, stdout]).toEqual([0, 'one 0\ntwo 0\ntwo 1\nthree 0\n'])
  })

  it('sends dead letters to a group that consumes in order, whose copies Apache puts among the dead', async () => {
    await createTopic('Line', 1)
    await json(['produce', 'Line', '--order-key', 'A-1'], 'bad\ngood\n')
    const member = ['consume', 'Line', '-g', 'queuing', '--orderly', '--from', 'start']
    await run([
      ...[...member, '--exit-at-end', '--retry-delay', '10ms', '--retries', '1', '--exec'],
      `sh -c 'read line; [ $line != bad ]'`,
    ])
    const consuming = run([...member, '--count', '1'])
    await until('the member has its queue', async () => {
      const { code, stdout } = await run(['group', 'running-info', 'queuing', '--json'])
      return code === 0 && /"topic": *"%RETRY%queuing"/.test(stdout) ? stdout : null
    })
    const { code, stderr } = await run(['dlq', 'resend', 'queuing', '--execute'])
    expect([code, stderr]).toEqual([0, expect.stringContaining('given back from where they are')])
    expect(await consuming).toMatchObject({ code: 0, stdout: 'bad\n' })
  })

  it('moves a group back, and the official client agrees', async () => {
    await run(['group', 'reset', 'Mixed', '--topic', 'Shared', '--to', 'start', '--execute'])
    const stats = await java.call<{ totalDiff: number }>('admin.consumeStats', {
      namesrv: cluster.namesrv,
      group: 'Mixed',
    })
    expect(stats.totalDiff).toBe(41)
  })

  it('finds messages by id, by offset id and by key', async () => {
    await createTopic('Found')
    const sent = await json<ProducedDocument>(['produce', 'Found', 'needle', '--key', 'hay'])
    const message = sent.messages[0]
    for (const id of [message?.messageId ?? '', message?.offsetMessageId ?? '']) {
      const got = await run(['message', 'get', id, '--topic', 'Found', '--json'])
      expect(got.code, got.stdout + got.stderr).toBe(0)
      expect(got.stdout).toContain('needle')
    }
    const found = await run(['message', 'find', '--topic', 'Found', '--key', 'hay', '--json'])
    expect(found.code).toBe(0)
    expect(found.stdout).toContain(message?.messageId)
  })

  it('tells the story of a message', async () => {
    await createTopic('Traced')
    await json(['produce', 'Traced', 'x', '--key', 'T-1', '--trace', '--group', 'PG_traced'])
    const consume = ['consume', 'Traced', '-g', 'CG_traced', '--trace', '--from', 'start']
    expect((await run([...consume, '-c', '1'])).stdout).toBe('x\n')
    const traced = ['message', 'trace', '--topic', 'Traced', '--key', 'T-1']
    const story = await until('the story', async () => {
      const { code, stdout } = await run(traced)
      return code === 0 && stdout.includes('CG_traced') ? stdout : null
    })
    expect(story).toMatch(/ sent \(1 B\) +PG_traced .* ok$/m)
    expect(story).toMatch(/ stored .* queue \d+, offset 0 /)
    expect(story).toMatch(/ processed +CG_traced .* success$/m)
  })

  it('describes the cluster and its broker', async () => {
    const info = await run(['cluster', 'info', '--json'])
    expect(info.code).toBe(0)
    expect(info.stdout).toContain(cluster.brokerAddress)
    const brokers = await run(['broker', 'list', '--json'])
    expect(brokers.code).toBe(0)
    expect(brokers.stdout).toContain(cluster.brokerName)
    const broker = await run(['broker', 'get', cluster.brokerName, '--json'])
    expect(broker.code).toBe(0)
    expect(broker.stdout).toContain('V5_5_0')
  })

  it('says with a code of its own that a topic is not there', async () => {
    const outcome = await run(['topic', 'get', 'NoSuchTopic', '--json'])
    expect(outcome.code).toBe(1)
    expect(JSON.parse(outcome.stdout)).toMatchObject({ error: { exitCode: 1 } })
  })

  it('shows what a Java consumer does, and where its threads are', async () => {
    const group = 'Shown'
    const { namesrv } = cluster
    await java.call('push.start', { name: 'shown', group, topic: 'Made', namesrv })
    try {
      const shown = () => json(['group', 'running-info', group, '--stack'])
      await expect.poll(shown, { timeout: 20_000, interval: 500 }).toMatchObject({
        members: [
          {
            orderly: false,
            subscriptions: expect.arrayContaining([{ topic: 'Made', expression: '*' }]),
            stack: expect.stringContaining('java.lang.Thread'),
          },
        ],
      })
    } finally {
      await java.call('push.stop', { name: 'shown' })
    }
  })

  it('deletes a topic for the official client as well', async () => {
    const outcome = await run(['topic', 'delete', 'Made', '--yes', '--json'])
    expect(outcome.code, outcome.stdout + outcome.stderr).toBe(0)
    const refusal = await java.refused('admin.route', { namesrv: cluster.namesrv, topic: 'Made' })
    expect(refusal.code).toBe(17)
  })

  it('runs its pressure test against the cluster', async () => {
    const outcome = await run([
      ...['bench', '--duration', '2s', '--warmup', '1s', '--threads', '8', '--json'],
    ])
    const result = JSON.parse(outcome.stdout) as { totals?: object; validity?: object }
    expect(result.totals, outcome.stdout.slice(0, 2000) + outcome.stderr).toBeDefined()
  })
})

/** Moving a backlog, watching lags and members, rates of a topic, and what should be in it: one engine for all. */
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Home } from './mqctl.ts'

let home: Home
beforeAll(async () => {
  home = await Home.make()
  await home.run(['start', '--detach', '--any-port', '--topic', 'narrow:2', '--topic', 'wide:6'])
})
afterAll(() => home.remove())

interface Line {
  readonly keys: readonly string[]
  readonly tags: string | null
  readonly queueId: number
  readonly queueOffset: number
  readonly messageId: string
  readonly body: string
  readonly properties: Readonly<Record<string, string>>
}

async function messagesOf(topic: string): Promise<Line[]> {
  const args = ['consume', topic, '--from', 'start', '--exit-at-end', '-o', 'ndjson']
  const { stdout } = await home.run(args)
  const lines = stdout.split('\n').filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line) as Line)
}

describe('topic forward', () => {
  const send = (from: number, count: number) => {
    const lines = Array.from({ length: count }, (_, index) => {
      const number = from + index
      const line = {
        body: `m${number}`,
        keys: [`k${number % 5}`],
        tags: 'T',
        properties: { a: 'b' },
      }
      return JSON.stringify(line)
    })
    const args = ['produce', 'narrow', '--input', 'ndjson', '--order-key', 'one']
    return home.run(args, { input: lines.join('\n') })
  }

  it('copies a backlog in order, goes on where it stopped, and plans first', async () => {
    await send(0, 40)
    const plan = await home.json(['topic', 'forward', 'narrow', 'wide'])
    expect(plan.document).toMatchObject({ executed: false, moved: 0, left: 40 })
    expect(await messagesOf('wide')).toEqual([])

    const first = await home.json(['topic', 'forward', 'narrow', 'wide', '--execute'])
    expect([first.exitCode, first.document]).toMatchObject([0, { moved: 40, left: 0 }])
    await send(40, 10)
    const second = await home.json(['topic', 'forward', 'narrow', 'wide', '--execute'])
    expect(second.document).toMatchObject({ moved: 10, left: 0 })

    const before = await messagesOf('narrow')
    const after = await messagesOf('wide')
    expect(after).toHaveLength(50)
    // One order key: one queue, in the order of before.
    const inOrder = after.toSorted((a, b) => a.queueOffset - b.queueOffset)
    expect(new Set(after.map(({ queueId }) => queueId)).size).toBe(1)
    const known = ({ body, messageId, keys, tags, properties }: Line) => ({
      ...{ body, messageId, keys, tags, a: properties['a'] },
    })
    expect(inOrder.map(known)).toEqual(before.map(known))
  })

  it('is refused for one topic, and for one that is not there', async () => {
    const self = await home.json(['topic', 'forward', 'wide', 'wide'])
    const none = await home.json(['topic', 'forward', 'wide', 'nowhere'])
    expect([self.exitCode, none.exitCode, none.document.error.code]).toEqual([
      ...[2, 1, 'TOPIC_NOT_FOUND'],
    ])
  })
})

describe('verify --expected', () => {
  it('names what is missing, sends it again, and is content then', async () => {
    await home.run(['topic', 'create', 'stock'])
    const line = (key: string) => JSON.stringify({ body: `body of ${key}`, keys: [key] })
    await home.run(['produce', 'stock', '--input', 'ndjson'], {
      input: ['a', 'c', 'x'].map(line).join('\n'),
    })
    const file = path.join(home.directory, 'expected.ndjson')
    await writeFile(file, ['a', 'b', 'c', 'd'].map(line).join('\n'))
    const verify = (...args: string[]) =>
      home.json(['verify', 'stock', '--expected', file, ...args])

    const first = await verify()
    expect([first.exitCode, first.document]).toMatchObject([
      12,
      { expected: 4, found: 2, missing: 2, unexpected: 1, resent: 0, missingNames: ['b', 'd'] },
    ])
    const resent = await verify('--resend')
    expect([resent.exitCode, resent.document.resent]).toEqual([0, 2])
    const last = await verify()
    expect([last.exitCode, last.document]).toMatchObject([0, { found: 4, missing: 0 }])
    const bodies = (await messagesOf('stock')).map(({ body }) => body)
    expect(bodies.sort()).toEqual(['a', 'b', 'c', 'd', 'x'].map((key) => `body of ${key}`))
  })

  it('counts messages of one key, and names them by their ids where all have one', async () => {
    await home.run(['topic', 'create', 'counted'])
    const line = (key: string, body: string) => JSON.stringify({ body, keys: [key] })
    const lines = [line('k', '1'), line('k', '2'), line('k', '3')]
    await home.run(['produce', 'counted', '--input', 'ndjson'], {
      input: lines.slice(0, 2).join('\n'),
    })
    const file = path.join(home.directory, 'counted.ndjson')
    await writeFile(file, lines.join('\n'))
    const short = await home.json(['verify', 'counted', '--expected', file, '--resend'])
    expect(short.document).toMatchObject({
      by: 'key',
      expected: 3,
      found: 2,
      missing: 1,
      resent: 1,
    })
    expect((await messagesOf('counted')).map(({ body }) => body).sort()).toEqual(['1', '2', '3'])

    const stored = await home.run([
      'consume',
      'counted',
      '--from',
      'start',
      '--exit-at-end',
      '-o',
      'ndjson',
    ])
    await writeFile(file, stored.stdout + stored.stdout)
    const all = await home.json(['verify', 'counted', '--expected', file])
    expect([all.exitCode, all.document]).toMatchObject([
      0,
      { by: 'id', expected: 3, found: 3, missing: 0, copies: 0 },
    ])
  })

  it('takes names alone, but sends nothing then', async () => {
    const file = path.join(home.directory, 'names')
    await writeFile(file, 'a\nz\n')
    const names = await home.json(['verify', 'stock', '--expected', file])
    expect([names.exitCode, names.document.missingNames]).toEqual([12, ['z']])
    const resend = await home.json(['verify', 'stock', '--expected', file, '--resend'])
    const alone = await home.json(['verify', 'stock'])
    expect([resend.exitCode, alone.exitCode]).toEqual([2, 2])
  })
})

describe('a group that works', () => {
  it('is shown with what its members do, where they hang, its rates, and its trend', async () => {
    await home.run(['topic', 'create', 'work', '--queues', '1'])
    await home.run(['produce', 'work', 'slow', '--count', '3'])
    const args = ['consume', 'work', '--group', 'workers', '--from', 'start', '--exec', 'sleep 20']
    const consumer = home.spawn([...args, '--verbose'])
    const ended = once(consumer, 'exit')
    try {
      const members = async () => {
        const asked = await home.json(['group', 'running-info', 'workers', '--stack'])
        return asked.document.members ?? []
      }
      const works = /handler works for \d+ ms on \w+ of work, broker-a queue 0, offset \d/
      await expect.poll(members, { timeout: 20_000, interval: 300 }).toMatchObject([
        {
          orderly: false,
          subscriptions: expect.arrayContaining([{ topic: 'work', expression: '*' }]),
          queues: expect.arrayContaining([
            expect.objectContaining({ topic: 'work', queueId: 0, waiting: 3, stuck: false }),
          ]),
          stack: expect.stringMatching(works),
        },
      ])
      const stranger = await home.json(['group', 'running-info', 'workers', '--client', 'nobody'])
      expect(stranger.exitCode).toBe(2)

      const watch = ['group', 'lag', 'workers', '--watch', '--interval', '50ms', '--count', '2']
      const { stdout } = await home.run([...watch, '-o', 'ndjson'])
      const looks = stdout.trimEnd().split('\n')
      expect(looks.map((look) => JSON.parse(look) as unknown)).toMatchObject([
        { name: 'workers', lag: 3, storedPerSecond: null, catchUpSeconds: null },
        { name: 'workers', lag: 3, storedPerSecond: 0, catchUpSeconds: null },
      ])
    } finally {
      consumer.kill('SIGKILL')
      await ended
    }
  }, 60_000)

  it('has rates in its topic', async () => {
    const { document } = await home.json(['topic', 'get', 'narrow', '--stats'])
    expect(document.stats).toMatchObject({ stored: { perSecond: expect.any(Number) } })
    const { stdout } = await home.run(['topic', 'get', 'narrow', '--stats'])
    expect(stdout).toMatch(/A SECOND +LAST MINUTE +HOUR +DAY\nstored/)
  })
})

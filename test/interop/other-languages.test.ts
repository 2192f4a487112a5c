/**
 * Clients that are not Java on a broker: the official Go client, the C++ client of the 4.x line
 * through its Python binding, Alibaba Cloud's for Node.js, and, with MQCTL_INTEROP_RUST=1, the one for
 * Rust, whose build takes a quarter of an hour. Each is fetched by its language's own tool and skipped, with the reason
 * printed, where tool or registry is not reachable.
 */
import { execFile } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Admin } from '../../src/client/admin.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { apacheClassPath, type Cluster, peerCache, skipBecause } from './peers.ts'
import { startTarget, targetKind } from './target.ts'

const run = promisify(execFile)
const here = fileURLToPath(new URL('.', import.meta.url))

type Outcome = { readonly path: string; readonly missing: null } | { readonly missing: string }

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n').slice(0, 3).join(' ').slice(0, 300)
}

/** Builds go/main.go; the module and its dependencies come through the Go proxy, once. */
async function buildGo(): Promise<Outcome> {
  const folder = join(peerCache, 'go')
  const binary = join(folder, 'peer')
  try {
    fs.mkdirSync(folder, { recursive: true })
    for (const name of ['main.go', 'features.go', 'more.go', 'go.mod'])
      fs.copyFileSync(join(here, 'go', name), join(folder, name))
    await run('go', ['mod', 'tidy'], { cwd: folder, timeout: 120_000 })
    await run('go', ['build', '-o', binary, '.'], { cwd: folder, timeout: 240_000 })
    return { path: binary, missing: null }
  } catch (error) {
    return { missing: reasonOf(error) }
  }
}

/** A Python with the binding in an environment of its own; the answer is the interpreter. */
async function installPython(): Promise<Outcome> {
  const folder = join(peerCache, 'python')
  const python = join(folder, 'bin', 'python')
  try {
    if (process.platform !== 'linux' || process.arch !== 'x64') {
      throw new Error(`the binding's native library is for Linux x64, not ${process.platform}`)
    }
    if (!fs.existsSync(python)) await run('python3', ['-m', 'venv', folder], { timeout: 60_000 })
    await run(join(folder, 'bin', 'pip'), ['install', '-q', 'rocketmq==0.4.4'], {
      timeout: 120_000,
    })
    await run(python, ['-c', 'import rocketmq.client'], { timeout: 30_000 })
    return { path: python, missing: null }
  } catch (error) {
    return { missing: reasonOf(error) }
  }
}

/** The client in a folder of its own, with the program beside it; the answer is the program. */
async function installNode(): Promise<Outcome> {
  const folder = join(peerCache, 'node')
  const program = join(folder, 'peer.mjs')
  try {
    fs.mkdirSync(folder, { recursive: true })
    fs.copyFileSync(join(here, 'node', 'peer.mjs'), program)
    if (!fs.existsSync(join(folder, 'node_modules', 'ali-ons', 'package.json'))) {
      fs.writeFileSync(join(folder, 'package.json'), '{"private": true}\n')
      const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock']
      await run('npm', ['install', 'ali-ons@3.12.0', ...flags], { cwd: folder, timeout: 120_000 })
    }
    return { path: program, missing: null }
  } catch (error) {
    return { missing: reasonOf(error) }
  }
}

/** rust/, with its dependencies from crates.io. */
async function buildRust(): Promise<Outcome> {
  if (process.env['MQCTL_INTEROP_RUST'] !== '1') {
    return { missing: 'MQCTL_INTEROP_RUST=1 builds it, in a quarter of an hour' }
  }
  const folder = join(peerCache, 'rust')
  try {
    fs.cpSync(join(here, 'rust'), folder, { recursive: true })
    await run('cargo', ['build', '--quiet'], { cwd: folder, timeout: 3_600_000 })
    return { path: join(folder, 'target', 'debug', 'peer'), missing: null }
  } catch (error) {
    return { missing: reasonOf(error) }
  }
}

interface Line {
  readonly kind: string
  readonly how?: string
  readonly mode?: string
  readonly body?: string
  readonly status?: number
  readonly messageId?: string
  readonly tags?: string
  readonly keys?: string
  readonly bytes?: number
  readonly times?: number
  readonly property?: string
  readonly queueId?: number
  readonly queueOffset?: number
  readonly ms?: number
  readonly who?: string
  readonly key?: string
  readonly afterMs?: number
}

async function linesOf(command: string, args: readonly string[]): Promise<Line[]> {
  const { stdout } = await run(command, args, {
    timeout: 150_000,
    env: { ...process.env, HOME: peerCache },
    maxBuffer: 64 << 20,
  })
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('@'))
    .map((line) => JSON.parse(line.slice(1)) as Line)
}

const bodiesOf = (lines: readonly Line[]): string[] => lines.map((line) => line.body ?? '').sort()

function range(count: number, name: string): string[] {
  return Array.from({ length: count }, (_, i) => `${name} ${i}`)
}

const [peers, go, python, node, rust] = await Promise.all([
  apacheClassPath(),
  buildGo(),
  installPython(),
  installNode(),
  buildRust(),
])
// Our broker needs no Java; Apache's, to prove these tests, does.
const noTarget = targetKind === 'apache' ? peers.missing : null

describe.skipIf(noTarget !== null)(`clients in other languages on ${targetKind}`, () => {
  let cluster: Cluster
  /** It waits ten seconds for what comes again: beside the others. */
  let ofNode: Promise<Line[]>

  beforeAll(async () => {
    const settings = { transactionCheckInterval: '1000', transactionTimeOut: '1000' }
    cluster = await startTarget(peers, {
      settings: { ...settings, enablePropertyFilter: 'true', traceTopicEnable: 'true' },
    })
    ofNode = node.missing === null ? linesOfNode(node.path) : Promise.resolve([])
    ofNode.catch(() => undefined)
  })

  /** For clients that make none themselves. */
  async function createTopics(...topics: string[]): Promise<void> {
    const admin = Admin.open(nodeWorld, { nameServers: cluster.namesrv })
    for (const topic of topics) {
      await admin.topics.create({ topic, readQueues: 4, writeQueues: 4 })
    }
    admin.close()
  }

  async function linesOfNode(program: string): Promise<Line[]> {
    await createTopics('NodeTopic')
    return linesOf(process.execPath, [program, cluster.namesrv, 'NodeTopic'])
  }

  afterAll(async () => {
    await cluster.stop()
  })

  it.skipIf(skipBecause('official Go client', go.missing))(
    'serves the official Go client: topic, every kind of send, push with tags, pull',
    async () => {
      if (go.missing !== null) return
      const lines = await linesOf(go.path, [
        cluster.namesrv,
        cluster.brokerAddress,
        cluster.brokerName,
        'GoTopic',
      ])
      expect(lines.at(-1)?.kind).toBe('done')
      expect(lines.some((line) => line.kind === 'listed')).toBe(true)
      const sent = lines.filter((line) => line.kind === 'sent')
      expect(sent).toHaveLength(20 + 10 + 1)
      expect(new Set(sent.map((line) => line.status))).toEqual(new Set([0]))

      const all = [
        ...range(20, 'sync'),
        ...range(10, 'async'),
        ...range(8, 'batch'),
        'oneway',
        'late',
      ]
      const pulled = lines.filter((line) => line.how === 'pull')
      expect(bodiesOf(pulled)).toEqual(all.sort())
      // Each lies where the answer to its send said, with the id of the answer.
      for (const line of sent.filter((one) => one.mode !== 'batch')) {
        const found = pulled.find((one) => one.body === line.body)
        expect(found).toMatchObject({
          messageId: line.messageId,
          queueId: line.queueId,
          queueOffset: line.queueOffset,
          property: 'grün',
        })
      }
      for (const line of pulled) expect(line.keys).toContain(`key-${line.tags}`)

      const pushed = lines.filter((line) => line.how === 'push')
      expect(bodiesOf(pushed)).toEqual(
        bodiesOf(pulled.filter((line) => line.tags === 'A' || line.tags === 'B')),
      )
      // Woken by the message, not by the end of the hold (15 s).
      expect(lines.find((line) => line.kind === 'woken')?.ms).toBeLessThan(4000)
    },
  )

  it.skipIf(skipBecause('official Go client', go.missing))(
    'keeps what it promises to the official Go client: order, transactions, delay, SQL filter, broadcast',
    async () => {
      if (go.missing !== null) return
      const lines = await linesOf(go.path, ['features', cluster.namesrv, cluster.brokerAddress])
      expect(lines.at(-1)?.kind).toBe('done')
      const gotBy = (who: string) => lines.filter((line) => line.kind === 'got' && line.who === who)

      // Each key in one queue and in its order, although a message failed once.
      const ordered = gotBy('Order')
      for (const key of ['a', 'b', 'c', 'd']) {
        const ofKey = ordered.filter((line) => line.key === key)
        expect(ofKey.map((line) => line.body)).toEqual(range(10, key))
        expect(new Set(ofKey.map((line) => line.queueId)).size).toBe(1)
      }
      expect(bodiesOf(gotBy('Transaction'))).toEqual(['commit at once', 'open commit later'])
      const asked = bodiesOf(lines.filter((line) => line.kind === 'asked'))
      expect([...new Set(asked)]).toEqual(['open commit later', 'open rollback later'])
      expect(bodiesOf(gotBy('Sql'))).toEqual(['10', '6', '8'])
      for (const who of ['One', 'Two']) expect(bodiesOf(gotBy(who))).toEqual(range(8, 'to all'))
      const delays = new Map(gotBy('Delay').map((line) => [line.body, line.afterMs ?? 0]))
      expect([...delays.keys()].sort()).toEqual(['level 1', 'level 2'])
      expect(delays.get('level 1')).toBeGreaterThanOrEqual(1_000)
      expect(delays.get('level 2')).toBeGreaterThanOrEqual(5_000)
    },
  )

  it.skipIf(skipBecause('official Go client', go.missing))(
    'and to the official Go client: dead letters, request and reply, traces, long bodies',
    async () => {
      if (go.missing !== null) return
      const lines = await linesOf(go.path, ['more', cluster.namesrv, cluster.brokerAddress])
      expect(lines.at(-1)?.kind).toBe('done')
      const of = (kind: string) => lines.filter((line) => line.kind === kind)
      const tried = of('tried').filter(({ body }) => body === 'poison')
      expect(tried.map(({ times }) => times)).toEqual([0, 1, 2])
      expect(of('dead').map(({ body, property }) => [body, property])).toEqual([
        ['poison', 'GoPoison'],
      ])
      // The first has lost its body on the way out of that client; it arrives as it was sent.
      expect(of('answered').map(({ body }) => body)).toEqual(['', 'answer to two'])
      expect(of('replied').map(({ status }) => status)).toEqual([0, 0])
      expect(of('unanswered')).toHaveLength(1)
      const admin = Admin.open(nodeWorld, { nameServers: cluster.namesrv })
      const [sent] = of('traced')
      const told = async () => {
        const story = await admin.traces.story(sent?.messageId ?? '').catch(() => null)
        return story?.events.map(({ kind }) => kind).sort()
      }
      await expect.poll(told, { timeout: 30_000 }).toEqual(['sent', 'stored', 'tried'])
      admin.close()
    },
  )

  it.skipIf(skipBecause('C++ client with its Python binding', python.missing))(
    'serves the C++ client through its Python binding: sends, push with tags, pull',
    async () => {
      if (python.missing !== null) return
      const lines = await linesOf(python.path, [
        join(here, 'python', 'peer.py'),
        cluster.namesrv,
        'PyTopic',
      ])
      expect(lines.at(-1)?.kind).toBe('done')
      const sent = lines.filter((line) => line.kind === 'sent')
      expect(sent.map((line) => line.status)).toEqual(sent.map(() => 0))
      const pulled = lines.filter((line) => line.how === 'pull')
      expect(bodiesOf(pulled)).toEqual([...range(20, 'sync'), 'oneway'].sort())
      expect(new Set(pulled.map((line) => line.property))).toEqual(new Set(['blue']))
      for (const line of sent) {
        const found = pulled.find((one) => one.body === line.body)
        expect(found).toMatchObject({ messageId: line.messageId })
      }
      const pushed = lines.filter((line) => line.how === 'push')
      expect(bodiesOf(pushed)).toEqual(range(20, 'sync').sort())

      const got = lines.filter((line) => line.kind === 'got')
      for (const key of ['0', '1', '2']) {
        const ofKey = got.filter(({ body }) => body?.startsWith(`${key} `))
        expect(ofKey.map(({ body }) => body)).toEqual(range(6, key))
        expect(new Set(ofKey.map(({ queueId }) => queueId)).size).toBe(1)
      }
      expect(got.filter(({ body }) => body === 'long')).toHaveLength(1)
      const [waited] = got.filter(({ body }) => body === 'waiting')
      expect(waited?.afterMs).toBeGreaterThanOrEqual(1_000)
    },
  )

  it.skipIf(skipBecause('Node.js client', node.missing))(
    'serves the Node.js client: order keys, long bodies, tags, SQL, broadcast, retry',
    async () => {
      if (node.missing !== null) return
      const lines = await ofNode
      expect(lines.at(-1)?.kind).toBe('done')
      const sent = lines.filter((line) => line.kind === 'sent')
      expect(new Set(sent.map(({ how }) => how))).toEqual(new Set(['SEND_OK']))
      const got = lines.filter((line) => line.kind === 'got')
      const gotBy = (who: string) => got.filter((line) => line.who === who)
      const numbers = (...which: number[]) => which.map((i) => `number ${i}`).sort()
      const long = 'long '.repeat(4)
      expect(bodiesOf(gotBy('Tag'))).toEqual(numbers(0, 2, 4, 6, 8, 10))
      expect(bodiesOf(gotBy('Sql'))).toEqual(numbers(9, 10, 11))
      expect(bodiesOf(gotBy('All'))).toEqual(bodiesOf(sent))
      const together = gotBy('All').filter(({ keys }) => /^k[0369] /.test(keys ?? ''))
      expect(together.map(({ body }) => body)).toEqual(numbers(0, 3, 6, 9))
      expect(new Set(together.map(({ queueId }) => queueId)).size).toBe(1)
      expect(gotBy('All').find(({ body }) => body === long)?.bytes).toBe(25_000)
      const first = gotBy('Again').filter(({ times }) => times === 0)
      const again = gotBy('Again').filter(({ times }) => times === 1)
      expect(bodiesOf(first)).toEqual([long, ...numbers(1, 3, 7, 9, 11)].sort())
      expect(bodiesOf(again)).toEqual(numbers(1, 3))
    },
  )

  it.skipIf(skipBecause('Rust client', rust.missing))(
    'serves the Rust client: sends, timers, transactions, tags, SQL, order, POP, retry',
    async () => {
      if (rust.missing !== null) return
      await createTopics('RustMany', 'RustOrder', 'RustTransaction')
      const lines = await linesOf(rust.path, [cluster.namesrv])
      expect(lines.at(-1)?.kind).toBe('done')
      const gotBy = (who: string) =>
        lines.filter((line) => line.kind === 'got' && line.who === who && line.times === 0)
      const numbers = [0, 1, 2, 3, 5, 6, 7, 8, 9].map((i) => `many ${i}`)
      const others = ['fail 4', 'level 1', 'long '.repeat(5).slice(0, 24), 'oneway', 'timer']
      const all = [...numbers, ...others, ...range(5, 'batch')].sort()
      for (const who of ['many', 'pop']) expect(bodiesOf(gotBy(who))).toEqual(all)
      const again = lines.filter((line) => line.kind === 'got' && line.times === 1)
      expect(again.map(({ who, body }) => [who, body]).sort()).toEqual([
        ['many', 'fail 4'],
        ['order', '1 3'],
        ['pop', 'fail 4'],
      ])
      expect(lines.filter(({ kind }) => kind === 'recalled')).toHaveLength(1)
      expect(bodiesOf(gotBy('sql'))).toEqual(['many 7', 'many 8', 'many 9'])
      for (const key of ['0', '1', '2']) {
        const ofKey = lines.filter(({ who, body }) => who === 'order' && body?.startsWith(key))
        expect(ofKey.map(({ body }) => body)).toEqual(range(6, key))
      }
      expect(bodiesOf(gotBy('transaction'))).toEqual(['commit now', 'open commit'])
      const asked = lines.filter(({ kind }) => kind === 'asked')
      expect([...new Set(bodiesOf(asked))]).toEqual(['open commit', 'open rollback'])
    },
  )
})

import { readFile, readdir, writeFile } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { identityOf, isAlive } from '../../src/engine/process-identity.ts'
import { Home, outcomeOf, shows } from './mqctl.ts'

let home: Home

beforeAll(async () => {
  home = await Home.make()
})
afterAll(() => home.remove())
afterEach(() => home.run(['stop', '--all']))

const start = (...args: string[]) =>
  home.json(['start', '--detach', '--wait', '--any-port', ...args])

interface Role {
  readonly name: string
  readonly pid: number
  readonly address: string
}

const pidsOf = (status: { supervisorPid: number; nameServers: Role[]; brokers: Role[] }) => [
  status.supervisorPid,
  ...[...status.nameServers, ...status.brokers].map(({ pid }) => pid),
]

async function untilGone(pids: number[]): Promise<void> {
  const identities = pids.map(identityOf)
  while (identities.some(isAlive)) await new Promise((resolve) => setTimeout(resolve, 10))
}

describe('start in the background', () => {
  it('gives the fields that scripts rely on', async () => {
    const { document, exitCode, stderr } = await start()
    expect([exitCode, stderr]).toEqual([0, ''])
    expect(document).toMatchObject({ name: 'local', state: 'running', engine: 'embedded' })
    expect(document.namesrv).toEqual([expect.stringMatching(/^127\.0\.0\.1:\d+$/)])
    expect(document.brokers).toEqual([
      {
        name: 'broker-a',
        role: 'master',
        address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        pid: expect.any(Number),
        rssBytes: expect.any(Number),
      },
    ])
    const status = await home.json(['status'])
    expect(status.exitCode).toBe(0)
    expect(status.document.brokers[0].pid).toBe(document.brokers[0].pid)
    expect(status.document.brokers[0]).toMatchObject({ badRecords: 0, firstBadOffset: null })
    expect(document.dataDir.startsWith(home.directory)).toBe(true)
  })

  it('has the topics that were asked for, with their queues', async () => {
    await start('--topic', 'orders:3', '--topic', 'events')
    const { document } = await home.json(['topic', 'list'])
    expect(document.topics).toEqual([
      { name: 'events', queues: 8, perm: 'rw', type: 'NORMAL' },
      { name: 'orders', queues: 3, perm: 'rw', type: 'NORMAL' },
    ])
  })

  it('runs several brokers and name servers, which clients find', async () => {
    const { document } = await start('--brokers', '2', '--namesrvs', '2')
    expect([document.brokers.length, document.namesrv.length]).toEqual([2, 2])
    const info = await home.json(['cluster', 'info'])
    const names = info.document.clusters[0].brokers.map(({ name }: { name: string }) => name)
    expect(names).toEqual(['broker-a', 'broker-b'])
  })

  it('refuses a second one under the same name, and says which process it is', async () => {
    const first = await start()
    const second = await start()
    expect(second.exitCode).toBe(1)
    expect(second.document.error.code).toBe('ALREADY_RUNNING')
    expect(second.document.error.message).toContain(`pid ${first.document.supervisorPid}`)
  })

  it('refuses a second one on the same data', async () => {
    const first = await start()
    const second = await start('other', '--data-dir', first.document.dataDir)
    expect([second.exitCode, second.document.error.code]).toEqual([1, 'STORE_IN_USE'])
    const { document } = await home.json(['status', '--all'])
    expect(document.instances.map(({ name }: { name: string }) => name)).not.toContain('other')
  })

  it('names a port that is taken, and leaves nothing running', async () => {
    const blocker = net.createServer()
    const port = await new Promise<number>((resolve) => {
      blocker.listen(0, '127.0.0.1', () => {
        resolve((blocker.address() as net.AddressInfo).port)
      })
    })
    const args = ['--detach', '--port', '0', '--namesrv-port', String(port)]
    const { document, exitCode } = await home.json(['start', 'blocked', ...args])
    blocker.close()
    expect([exitCode, document.error.code]).toEqual([1, 'PORT_TAKEN'])
    expect(document.error.hint).toContain('--any-port')
    const { stdout } = await home.run(['status', '--all', '-o', 'name'])
    expect(stdout.split('\n')).not.toContain('blocked')
    expect(await readdir(path.join(home.directory, 'state/mqctl/clusters'))).not.toContain(
      'blocked',
    )
  })

  it.each(['file/below', '/proc/nowhere'])(
    'refuses a directory that cannot be: %s',
    async (dir) => {
      await writeFile(path.join(home.directory, 'file'), '')
      const { document, exitCode } = await start('--data-dir', path.resolve(home.directory, dir))
      expect([exitCode, document.error.code]).toEqual([1, 'STORE_UNWRITABLE'])
    },
  )

  it('refuses a broker option that does not exist, with the nearest one', async () => {
    const { document, exitCode } = await start('unborn', '--set', 'flushInterval=1s')
    expect([exitCode, document.error.code]).toEqual([2, 'CONFIG_INVALID'])
    expect(document.error.hint).toContain('flushIntervalMs')
    // No process was started for it: there are no logs.
    expect(await readdir(path.join(home.directory, 'state/mqctl/clusters'))).not.toContain('unborn')
  })
})

describe('what runs', () => {
  it('is stopped in order, and stopping again is fine', async () => {
    const { document } = await start()
    const first = await home.json(['stop'])
    expect([first.exitCode, first.document.stopped[0].wasRunning]).toEqual([0, true])
    expect(pidsOf(document).map(identityOf).filter(isAlive)).toEqual([])
    const again = await home.json(['stop'])
    expect([again.exitCode, again.document.stopped[0].wasRunning]).toEqual([0, false])
    const status = await home.json(['status'])
    expect([status.exitCode, status.document.state]).toEqual([1, 'stopped'])
  })

  it('leaves nothing behind when its supervisor is killed, and starts again', async () => {
    const { document } = await start()
    process.kill(document.supervisorPid, 'SIGKILL')
    await untilGone(pidsOf(document))
    expect((await home.json(['status'])).document.state).toBe('stopped')
    expect((await start()).exitCode).toBe(0)
  })

  it('is partial when one of two brokers was killed, and the other one serves', async () => {
    const { document } = await start('--brokers', '2', '--topic', 'orders:2')
    process.kill(document.brokers[0].pid, 'SIGKILL')
    await untilGone([document.brokers[0].pid])
    const status = await home.json(['status'])
    expect([status.exitCode, status.document.state]).toEqual([1, 'partial'])
    expect(status.document.brokers.map(({ pid }: { pid: number | null }) => pid === null)).toEqual([
      true,
      false,
    ])
    expect((await home.run(['produce', 'orders', 'still here'])).exitCode).toBe(0)
  })

  it('starts with the brokers and the durability that it had, unless told otherwise', async () => {
    const args = ['start', 'kept', '--detach', '--any-port', '--json']
    await home.run([...args, '--brokers', '2', '--flush', 'sync'])
    await home.run(['stop', 'kept'])
    const again = await home.run(args)
    expect(JSON.parse(again.stdout).brokers).toHaveLength(2)
    expect(again.stderr).toContain('as before: 2 brokers, flush sync')
    await home.run(['stop', 'kept'])
    const fewer = await home.json(['start', 'kept', '--detach', '--any-port', '--brokers', '1'])
    expect(fewer.document.brokers).toHaveLength(1)
    expect(fewer.document.warnings.join()).toContain('there were 2 brokers')
    await home.run(['stop', 'kept'])
  })

  it('does not start without what it knew of groups and topics', async () => {
    const args = ['start', 'hurt', '--detach', '--any-port', '--topic', 't:1']
    const { document } = await home.json(args)
    await home.run(['stop', 'hurt'])
    const config = path.join(document.dataDir, 'broker-a', 'config')
    for (const name of ['topics.json', 'topics.json.bak']) {
      await writeFile(path.join(config, name), '{broken')
    }
    const start = await home.json(['start', 'hurt', '--detach', '--any-port'])
    expect([start.exitCode, start.document.error.code]).toEqual([1, 'STORE_DAMAGED'])
    expect(start.document.error.message).toContain('topics.json')
  })

  it('keeps its messages over restart and kill -9', async () => {
    await start('--topic', 'kept:1')
    await home.run(['produce', 'kept', 'before'])
    expect((await home.json(['restart'])).document.state).toBe('running')
    const { document } = await home.json(['status'])
    await home.run(['produce', 'kept', 'between'])
    for (const pid of pidsOf(document)) process.kill(pid, 'SIGKILL')
    await untilGone(pidsOf(document))
    await start()
    const { stdout } = await home.run(['consume', 'kept', '--from', 'start', '--exit-at-end'])
    expect(stdout).toBe('before\nbetween\n')
  })

  it('logs NDJSON, which can be narrowed down', async () => {
    await start('logged')
    const all = await home.run(['logs', 'logged'])
    const lines = all.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(new Set(lines.map(({ role }) => role))).toEqual(
      new Set(['broker-a', 'namesrv-1', 'supervisor']),
    )
    const last = await home.run(['logs', 'logged', '--tail', '1', '--role', 'broker-a'])
    expect(JSON.parse(last.stdout)).toMatchObject({ role: 'broker-a' })
    expect((await home.run(['logs', 'logged', '--level', 'error', '--since', '1h'])).stdout).toBe(
      '',
    )
  })
})

describe('a name that nobody has', () => {
  it.each([['status'], ['stop'], ['restart'], ['logs'], ['purge', '--yes']])(
    'is what %s says, with those that there are',
    async (command, ...flags) => {
      await start('known')
      const { document, exitCode } = await home.json([command, 'nosuch', ...flags])
      expect([exitCode, document.error.code]).toEqual([1, 'INSTANCE_NOT_FOUND'])
      expect(document.error.hint).toContain('known')
    },
  )
})

describe('purge', () => {
  it('refuses while it runs, asks, and then removes messages and traces', async () => {
    const { document } = await start('gone')
    await home.run(['produce', 'orders', 'x', '-n', document.namesrv[0]])
    expect((await home.json(['purge', 'gone', '--yes'])).document.error.code).toBe(
      'ALREADY_RUNNING',
    )
    await home.run(['stop', 'gone'])
    const unasked = await home.run(['purge', 'gone'])
    expect([unasked.exitCode, unasked.stderr]).toEqual([2, expect.stringContaining('--yes')])
    const dry = await home.json(['purge', 'gone', '--dry-run'])
    expect(dry.document).toMatchObject({ removed: false, bytes: expect.any(Number) })
    expect(dry.document.bytes).toBeGreaterThan(0)
    expect((await home.json(['purge', 'gone', '--yes'])).document.removed).toBe(true)
    await expect(readdir(document.dataDir)).rejects.toThrow('ENOENT')
  })

  it('leaves files that are not its own', async () => {
    const dataDir = path.join(home.directory, 'mine')
    await start('mixed', '--data-dir', dataDir)
    await home.run(['stop', 'mixed'])
    await writeFile(path.join(dataDir, 'notes.txt'), 'mine')
    await home.run(['purge', 'mixed', '--yes'])
    expect(await readdir(dataDir)).toEqual(['notes.txt'])
    expect(await readFile(path.join(dataDir, 'notes.txt'), 'utf8')).toBe('mine')
  })
})

describe('purge --all', () => {
  let other: Home
  beforeEach(async () => {
    other = await Home.make()
  })
  afterEach(() => other.remove())
  const begin = (...args: string[]) => other.json(['start', '--detach', '--any-port', ...args])

  it('deletes nothing while one of them runs, and asks', async () => {
    const one = await begin('one')
    await other.run(['stop', 'one'])
    await begin('two')
    const refused = await other.json(['purge', '--all', '--yes'])
    expect([refused.exitCode, refused.document.error.code]).toEqual([1, 'ALREADY_RUNNING'])
    await other.run(['stop', 'two'])
    const unasked = await other.run(['purge', '--all'])
    expect([unasked.exitCode, unasked.stderr]).toEqual([2, expect.stringContaining('--yes')])
    expect(await readdir(one.document.dataDir)).not.toEqual([])
  })

  it('leaves nothing of any instance, nor of a start that failed', async () => {
    await begin('one')
    // Found out when the broker runs.
    await begin('bad', '--topic', 'SCHEDULE_TOPIC_XXXX')
    await other.run(['stop', '--all'])
    const { document, exitCode } = await other.json(['purge', '--all', '--yes'])
    const names = document.purged.map(({ name }: { name: string }) => name)
    expect([exitCode, names]).toEqual([0, ['bad', 'one']])
    const left = await readdir(other.directory, { recursive: true })
    expect(left.sort()).toEqual(['data', 'state'])
    const again = await other.run(['purge', '--all'])
    expect([again.exitCode, again.stdout]).toEqual([0, 'there is nothing to delete\n'])
  })

  it('leaves a store alone that somebody else has open', async () => {
    const one = await begin('one')
    const dataDir: string = one.document.dataDir
    const env = { XDG_STATE_HOME: path.join(other.directory, 'state-of-somebody-else') }
    const refused = await other.json(['purge', '--all', '--yes'], { env })
    expect([refused.exitCode, refused.document.error.code]).toEqual([1, 'STORE_IN_USE'])
    expect(await readdir(dataDir)).toEqual(['broker-a', 'namesrv-1'])
  })
})

describe('start in the foreground', () => {
  it('says where it is, logs to stderr, and ends with 130 on Ctrl-C', async () => {
    const child = home.spawn(['start', 'front', '--any-port'])
    const outcome = outcomeOf(child)
    await shows(child, 'next')
    const { document } = await home.json(['status', 'front'])
    child.kill('SIGINT')
    const { stdout, stderr, exitCode } = await outcome
    expect(exitCode).toBe(130)
    expect(stdout).toContain(document.namesrv[0])
    expect(stdout).toContain('mqctl produce orders "hello"')
    expect(stderr).toMatch(/INFO .*broker-a/)
    expect(pidsOf(document).map(identityOf).filter(isAlive)).toEqual([])
  })

  it('ends with 143 on SIGTERM', async () => {
    const child = home.spawn(['start', 'term', '--any-port', '--quiet'])
    const outcome = outcomeOf(child)
    await shows(child, 'next')
    child.kill('SIGTERM')
    expect((await outcome).exitCode).toBe(143)
  })

  it('stops in order when nobody reads its logs any more', async () => {
    const { stdout, stderr } = await home.shell(
      '{ mqctl start unread --any-port 2>&1; echo "exit $?" >&2; } | head -1',
    )
    expect(stdout).toContain('INFO')
    expect(stderr).toContain('exit 0')
    const { document } = await home.json(['status', 'unread'])
    expect(document.state).toBe('stopped')
    expect((await home.run(['logs', 'unread'])).stdout).toContain('"stopped"')
  })

  it('ends with 1 when its last role has died', async () => {
    const child = home.spawn(['start', 'dying', '--any-port', '--json'])
    const outcome = outcomeOf(child)
    await shows(child, '"brokers"')
    const { document } = await home.json(['status', 'dying'])
    for (const { pid } of [...document.brokers, ...document.nameServers]) {
      process.kill(pid, 'SIGKILL')
    }
    expect((await outcome).exitCode).toBe(1)
  })
})

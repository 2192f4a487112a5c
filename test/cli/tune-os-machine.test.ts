/**
 * The host check on what only a real machine has: `/proc/sys` that takes values, control groups with
 * limits, system calls that can be watched and cut short. Namespaces keep the machine as it was: the
 * values are those of a network namespace, /etc/sysctl.d and /var/lib are empty file systems. What a
 * machine does not allow is skipped, and the name of the test says why.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { shows } from './mqctl.ts'

const bin =
  process.env['MQCTL_TEST_BIN'] ?? path.join(import.meta.dirname, '..', '..', 'bin', 'run.js')
const scratch = mkdtempSync(path.join(os.tmpdir(), 'mqctl-machine-'))
const env = { ...process.env, HOME: scratch, XDG_CONFIG_HOME: path.join(scratch, 'config') }
const isRoot = process.getuid?.() === 0

afterAll(() => {
  rmSync(scratch, { recursive: true, force: true })
})

/** Why a command cannot be used here; null when it can. */
function whyNot(command: string, ...args: string[]): string | null {
  if (process.platform !== 'linux') return 'not Linux'
  if (!isRoot) return 'not root'
  const { status, error } = spawnSync(command, args, { stdio: 'ignore' })
  if (error !== undefined) return `${command} is not installed`
  return status === 0 ? null : `${[command, ...args].join(' ')} is not permitted here`
}

const said = (why: string | null) => (why === null ? '' : ` (skipped: ${why})`)

/** Runs a command to its end, as a rule mqctl below another. */
function run(words: readonly string[]) {
  const [command = '', ...args] = words
  const { status, signal, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    cwd: '/',
    env,
  })
  return { exitCode: status, signal, stdout, stderr }
}

const mqctl = (...args: string[]) => [process.execPath, bin, ...args]

// A place of its own ------------------------------------------------------------------------------

const noPlace =
  whyNot('unshare', '-m', '-n', 'mount', '-t', 'tmpfs', 'none', '/tmp') ??
  whyNot('nsenter', '--version') ??
  (existsSync('/etc/sysctl.d') ? null : 'there is no /etc/sysctl.d')
const noStrace = noPlace ?? whyNot('strace', '-o', '/dev/null', 'true')

const SOMAXCONN = '/proc/sys/net/core/somaxconn'
const SYN_BACKLOG = '/proc/sys/net/ipv4/tcp_max_syn_backlog'
const only = ['--only', 'net.somaxconn,net.syn-backlog,persist.drift']
const placeScript = `
mount -t tmpfs -o mode=755 none /etc/sysctl.d || exit 1
mount -t tmpfs -o mode=755 none /var/lib || exit 1
echo 128 > ${SOMAXCONN}; echo 256 > ${SYN_BACKLOG}
echo ready; exec sleep 600`

/** Namespaces that live as long as a process that sleeps in them. */
class Place {
  readonly #keeper: ChildProcess

  private constructor(keeper: ChildProcess) {
    this.#keeper = keeper
  }

  static async make(): Promise<Place> {
    const keeper = spawn('unshare', ['-m', '-n', 'sh', '-c', placeScript], { stdio: 'pipe' })
    await shows(keeper, 'ready')
    return new Place(keeper)
  }

  run(...words: string[]) {
    return run(['nsenter', '-t', String(this.#keeper.pid), '-m', '-n', ...words])
  }

  json(...args: string[]) {
    const { exitCode, stdout } = this.run(...mqctl(...args, '--json'))
    return { exitCode, document: JSON.parse(stdout) }
  }

  write(file: string, text: string): void {
    writeFileSync(`/proc/${this.#keeper.pid}/root${file}`, text)
  }

  /** Live values, and every file with its mode, owner and content. */
  get state(): Record<string, string> {
    const state: Record<string, string> = {}
    for (const value of [SOMAXCONN, SYN_BACKLOG]) state[value] = this.run('cat', value).stdout
    for (const directory of ['/etc/sysctl.d', '/var/lib']) {
      const root = `/proc/${this.#keeper.pid}/root${directory}`
      for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
        const full = path.join(entry.parentPath, entry.name)
        const { mode, uid } = statSync(full)
        const text = entry.isFile() ? readFileSync(full, 'latin1') : ''
        state[path.join(directory, path.relative(root, full))] = `${mode} ${uid} ${text}`
      }
    }
    return state
  }

  close(): void {
    this.#keeper.kill('SIGKILL')
  }
}

describe.skipIf(noPlace !== null)(`a real /proc/sys${said(noPlace)}`, () => {
  let place: Place
  beforeAll(async () => {
    place = await Place.make()
  })
  afterAll(() => {
    place.close()
  })

  it('takes the values once, and gives back every value and byte', () => {
    const before = place.state
    const first = place.json('tune-os', 'apply', '--yes', ...only)
    expect([first.exitCode, first.document.applied, first.document.ok]).toEqual([0, true, true])
    const between = place.state
    expect([between[SOMAXCONN], between[SYN_BACKLOG]]).toEqual(['4096\n', '4096\n'])
    const second = place.json('tune-os', 'apply', '--yes', ...only)
    expect([second.exitCode, second.document.applied]).toEqual([0, false])
    expect(place.state).toEqual(between)
    const back = place.json('tune-os', 'rollback')
    expect([back.exitCode, back.document.undone]).toEqual([0, 1])
    expect(place.state).toEqual(before)
  })

  it('shows a value set by hand, one lost at reboot, and the file that overrides another', () => {
    place.write('/etc/sysctl.d/50-first.conf', 'net.core.somaxconn = 8192\n')
    place.write('/etc/sysctl.d/70-later.conf', '# theirs\nnet.core.somaxconn = 128\n')
    const look = (value: number) => {
      place.run('sh', '-c', `echo ${value} > ${SOMAXCONN}`)
      const { document } = place.json('tune-os', 'check', '--only', 'net.somaxconn,persist')
      return document.results
    }
    const [wrong] = look(64)
    expect([wrong.status, wrong.actual.value]).toEqual(['fail', 64])
    const [right, drift, duplicates] = look(8192)
    expect(right).toMatchObject({
      status: 'pass',
      persisted: {
        file: '/etc/sysctl.d/70-later.conf',
        line: 2,
        shadowed: [{ file: '/etc/sysctl.d/50-first.conf', line: 1 }],
      },
    })
    expect(drift.text).toContain('net.core.somaxconn = 8192 now')
    expect(duplicates.text).toContain('50-first.conf:1 overridden by /etc/sysctl.d/70-later.conf:2')
    const { document } = place.json('tune-os', 'plan', ...only)
    expect(document.diff).toContain('+net.core.somaxconn = 8192')
    expect(JSON.stringify(document.commands)).not.toContain('somaxconn')
    place.run('sh', '-c', `rm /etc/sysctl.d/*.conf; echo 128 > ${SOMAXCONN}`)
  })

  it('is left alone where a later file of somebody else sets the key', () => {
    place.write('/etc/sysctl.d/95-theirs.conf', 'net.core.somaxconn = 128\n')
    const before = place.state
    const { exitCode, document } = place.json('tune-os', 'apply', '--yes', ...only)
    expect([exitCode, document.error.code]).toEqual([1, 'TUNING_REFUSED'])
    expect(document.error.message).toContain('/etc/sysctl.d/95-theirs.conf:1')
    expect(place.state).toEqual(before)
    place.run('rm', '/etc/sysctl.d/95-theirs.conf')
  })

  it('is left alone where it is read-only', () => {
    const before = place.state
    place.run('mount', '--bind', '/proc/sys', '/proc/sys')
    place.run('mount', '-o', 'remount,ro,bind', '/proc/sys')
    const { exitCode, document } = place.json('tune-os', 'apply', '--yes', ...only)
    place.run('umount', '/proc/sys')
    expect([exitCode, document.error.code]).toEqual([3, 'TUNING_NOT_PERMITTED'])
    expect(document.error.message).toContain('read-only')
    expect(place.state).toEqual(before)
  })

  it.skipIf(noStrace !== null)(
    `is as before after kill -9 at each step and rollback${said(noStrace)}`,
    () => {
      const before = place.state
      const touched = [
        '/var/lib',
        ...['/var/lib/mqctl', '/var/lib/mqctl/tune-os'],
        ...['000001.json', '.000001.json.mqctl-new'].map(
          (name) => `/var/lib/mqctl/tune-os/${name}`,
        ),
        ...['', '/90-mqctl.conf', '/.90-mqctl.conf.mqctl-new'].map(
          (name) => `/etc/sysctl.d${name}`,
        ),
        ...[SOMAXCONN, SYN_BACKLOG],
      ].flatMap((file) => ['-P', file])
      const apply = mqctl('tune-os', 'apply', '--yes', ...only)
      let killed = 0
      for (const call of ['mkdir', 'write', 'fsync', 'rename']) {
        for (let time = 1; ; time += 1) {
          const inject = `inject=${call}:signal=KILL:when=${time}`
          const trace = ['-f', '-qq', '-o', '/dev/null', ...touched, '-e', inject]
          const outcome = place.run('strace', ...trace, ...apply)
          const back = place.run(...mqctl('tune-os', 'rollback', '--all'))
          const at = `${call} ${time}`
          expect([at, back.exitCode, back.stderr]).toEqual([at, 0, ''])
          expect({ at, state: place.state }).toEqual({ at, state: before })
          if (outcome.exitCode === 0) break
          killed += 1
        }
      }
      // Two directories, the journal twice, a file, two values: each write and what makes it last.
      expect(killed).toBeGreaterThan(15)
    },
    120_000,
  )
})

// Control groups ----------------------------------------------------------------------------------

interface Group {
  readonly directories: readonly string[]
  /** File and value, in the first, second, third … directory. */
  readonly limits: readonly (readonly [string, string])[]
}

const name = `mqctl-test-${process.pid}`
const MEMORY = 536_870_912

function mounts(): { at: string; type: string; options: string }[] {
  if (process.platform !== 'linux') return []
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .map(([, at = '', type = '', options = '']) => ({ at, type, options }))
}

/** A version 2 group, or why there is none. */
function groupV2(): Group | string {
  const root = mounts().find(({ type }) => type === 'cgroup2')?.at
  if (root === undefined) return 'no version 2 hierarchy is mounted'
  const given = readFileSync(`${root}/cgroup.subtree_control`, 'utf8').trim().split(' ')
  const missing = ['memory', 'cpu', 'pids'].filter((controller) => !given.includes(controller))
  if (missing.length > 0) return `the version 2 hierarchy has no ${missing.join(', ')} to give`
  return {
    directories: [`${root}/${name}`],
    limits: [
      [`${root}/${name}/memory.max`, String(MEMORY)],
      [`${root}/${name}/cpu.max`, '20000 100000'],
      [`${root}/${name}/pids.max`, '300'],
    ],
  }
}

/** Version 1 groups of three controllers, or why there are none. */
function groupV1(): Group | string {
  const at = (controller: string) =>
    mounts().find(
      ({ type, options }) => type === 'cgroup' && options.split(',').includes(controller),
    )?.at
  const [memory, cpu, pids] = [at('memory'), at('cpu'), at('pids')]
  if (memory === undefined || cpu === undefined || pids === undefined) {
    return 'no version 1 hierarchies are mounted'
  }
  return {
    directories: [...new Set([memory, cpu, pids].map((root) => `${root}/${name}`))],
    limits: [
      [`${memory}/${name}/memory.limit_in_bytes`, String(MEMORY)],
      [`${cpu}/${name}/cpu.cfs_quota_us`, '20000'],
      [`${pids}/${name}/pids.max`, '300'],
    ],
  }
}

function notMakable(group: Group | string): string | null {
  if (typeof group === 'string') return group
  if (!isRoot) return 'not root'
  try {
    for (const directory of group.directories) {
      mkdirSync(directory)
      rmdirSync(directory)
    }
    return null
  } catch (error) {
    return `no group can be made: ${(error as Error).message}`
  }
}

/** A process that keeps a CPU busy inside of the group. */
async function busyIn(group: Group): Promise<ChildProcess> {
  for (const directory of group.directories) mkdirSync(directory)
  for (const [file, value] of group.limits) writeFileSync(file, value)
  const script = 'console.log("up"); process.stdin.once("data", () => { for (;;) {} })'
  const child = spawn(process.execPath, ['--max-old-space-size=2048', '-e', script])
  await shows(child, 'up')
  for (const directory of group.directories) {
    writeFileSync(`${directory}/cgroup.procs`, String(child.pid))
  }
  child.stdin.write('go')
  return child
}

async function gone(child: ChildProcess, group: Group): Promise<void> {
  const closed = new Promise((resolve) => child.once('close', resolve))
  child.kill('SIGKILL')
  await closed
  for (const directory of group.directories) rmdirSync(directory)
}

describe.each([
  ['2', groupV2()],
  ['1', groupV1()],
] as const)('a real control group of version %s', (_, group) => {
  const why = notMakable(group)

  it.skipIf(why !== null)(
    `limits memory, CPU and tasks, and the report says where${said(why)}`,
    async () => {
      if (typeof group === 'string') return
      const child = await busyIn(group)
      try {
        const args = ['--profile', 'node-broker', '--window', '1s', '--pid', String(child.pid)]
        const { stdout } = run(
          mqctl('tune-os', 'check', '--json', ...args, '--only', 'node.heap,limit.nproc,cpu.quota'),
        )
        const report = JSON.parse(stdout)
        expect(report.summary.error).toBe(0)
        const result = (id: string) =>
          report.results.find((one: { id: string }) => one.id === id) as {
            status: string
            actual: { value: number }
            evidence: { source: string }[]
          }
        const sources = (id: string) => result(id).evidence.map(({ source }) => source)
        expect([result('node.heap').status, sources('node.heap')]).toEqual([
          'fail',
          expect.arrayContaining([group.limits[0]?.[0]]),
        ])
        expect([result('cpu.quota').status, result('cpu.quota').actual.value]).toEqual([
          'fail',
          0.2,
        ])
        expect(sources('cpu.quota')).toContain(group.limits[1]?.[0])
        expect([result('limit.nproc').status, result('limit.nproc').actual.value]).toEqual([
          'fail',
          300,
        ])
        expect(sources('limit.nproc')).toContain(group.limits[2]?.[0])
      } finally {
        await gone(child, group)
      }
    },
  )
})

// What it reads, and as whom ----------------------------------------------------------------------

const noWatch = whyNot('strace', '-o', '/dev/null', 'true')
const noNobody =
  whyNot('setpriv', '--reuid=65534', '--clear-groups', 'true') ??
  whyNot('setpriv', '--reuid=65534', '--clear-groups', ...mqctl('version'))
const noLimit = whyNot('prlimit', '--nofile=512:512', 'true')

describe('tune-os check', () => {
  it.skipIf(noWatch !== null)(
    `opens nothing but /proc, /sys and configuration, apart from itself${said(noWatch)}`,
    () => {
      const trace = path.join(scratch, 'opened')
      const watch = ['strace', '-f', '-qq', '-e', 'trace=open,openat', '-o', trace]
      const target = ['--pid', String(process.pid), '--data-dir', scratch]
      const { exitCode } = run([...watch, ...mqctl('tune-os', 'check', ...target)])
      expect(exitCode).toBeLessThan(2)
      const project = path.join(path.dirname(bin), '..')
      const itself = [project, scratch, path.dirname(process.execPath), os.tmpdir()]
      const opened = readFileSync(trace, 'utf8')
        .split('\n')
        .map((line) => /"([^"]*)"/.exec(line)?.[1])
        .filter((file) => file !== undefined)
        .filter((file) => !itself.some((own) => file.startsWith(own)) && !/\.so(\.|$)/.test(file))
        .filter((file) => !file.includes('/node_modules/'))
      const allowed = /^\/(proc|sys|etc|boot\/config-|run\/|usr\/(local\/)?lib\/|lib\/|dev\/null$)/
      expect(opened.length).toBeGreaterThan(50)
      expect(opened.filter((file) => !allowed.test(file) && file !== '/proc')).toEqual([])
    },
  )

  it.skipIf(noNobody !== null)(
    `says as nobody what only root may see of a process of root${said(noNobody)}`,
    () => {
      const before = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
      const args = ['--profile', 'node-broker', '--pid', String(process.pid), '--json']
      const { exitCode, stdout } = run([...before, ...mqctl('tune-os', 'check', ...args)])
      const report = JSON.parse(stdout)
      expect([report.summary.error, exitCode]).toEqual([0, report.summary.exitCode])
      const pool = report.results.find((one: { id: string }) => one.id === 'node.threadpool')
      expect([pool.status, pool.reason]).toEqual(['skip', 'needs-root'])
    },
  )

  it.skipIf(noLimit !== null)(
    `finds few open files critical for a broker and not for development${said(noLimit)}`,
    () => {
      const look = (profile: string) => {
        const args = ['--only', 'limit.nofile', '--profile', profile, '--json']
        // Node raises its own limit; that of the shell above it is judged.
        const script = `"$0" "$@"; exit $?`
        const words = ['sh', '-c', script, ...mqctl('tune-os', 'check', ...args)]
        const { exitCode, stdout } = run(['prlimit', '--nofile=512:512', ...words])
        const [result] = JSON.parse(stdout).results
        return [exitCode, result.status, result.severity]
      }
      expect(look('node-broker')).toEqual([1, 'fail', 'critical'])
      expect(look('dev')).toEqual([0, 'fail', 'info'])
    },
  )
})

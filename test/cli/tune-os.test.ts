/** The host check as it ships: on the machine that runs the tests, and on a tree of its own. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  chmodSync,
  writeFileSync,
} from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { Home } from './mqctl.ts'

let home: Home
let scratch: string

beforeAll(async () => {
  home = await Home.make()
  scratch = mkdtempSync(path.join(os.tmpdir(), 'mqctl-tune-'))
})
afterAll(async () => {
  rmSync(scratch, { recursive: true, force: true })
  await home.remove()
})

const bin =
  process.env['MQCTL_TEST_BIN'] ?? path.join(import.meta.dirname, '..', '..', 'bin', 'run.js')
const isLinux = process.platform === 'linux'
const isRoot = process.getuid?.() === 0

/** Why a tool that a test needs cannot be used here; null when it can. */
function whyNot(command: string, args: readonly string[]): string | null {
  if (!isLinux) return 'not Linux'
  const { status, error } = spawnSync(command, args, { stdio: 'ignore' })
  if (error !== undefined) return `${command} is not installed`
  return status === 0 ? null : `${command} ${args.join(' ')} is not permitted here`
}

const noStrace = whyNot('strace', ['-o', '/dev/null', 'true'])
const noUnshare = whyNot('unshare', ['-n', 'true'])
const noNobody = isRoot
  ? (whyNot('setpriv', ['--reuid=65534', '--clear-groups', 'true']) ??
    whyNot('setpriv', ['--reuid=65534', '--clear-groups', process.execPath, bin, 'version']))
  : 'not root'

/** Runs mqctl below another command. */
function below(command: string, before: readonly string[], args: readonly string[]) {
  const result = spawnSync(command, [...before, process.execPath, bin, ...args], {
    encoding: 'utf8',
    cwd: '/',
    env: { ...process.env, HOME: scratch },
  })
  return { exitCode: result.status, stdout: result.stdout, stderr: result.stderr }
}

describe.runIf(isLinux)('tune-os check here', () => {
  const profiles = ['jvm-broker', 'node-broker', 'loadgen', 'dev']

  it.each(profiles)(
    '%s: no errors, and the same exit code with and without --json',
    async (profile) => {
      const json = await home.json(['tune-os', 'check', '--profile', profile])
      const text = await home.run(['tune-os', 'check', '--profile', profile])
      expect(json.document.summary.error).toBe(0)
      expect([json.exitCode, text.exitCode]).toEqual([
        json.document.summary.exitCode,
        json.document.summary.exitCode,
      ])
      expect(json.document.results.length).toBe(json.document.summary.total)
    },
  )

  it('is a document of its published schema', async () => {
    const file = path.join(
      import.meta.dirname,
      '..',
      '..',
      'docs',
      'schemas',
      'tune-os-check-1.schema.json',
    )
    const schema = z.fromJSONSchema(JSON.parse(readFileSync(file, 'utf8')))
    const { document } = await home.json(['tune-os', 'check', '--profile', 'node-broker'])
    expect(schema.safeParse(document).error).toBeUndefined()
    expect(schema.safeParse({ ...document, results: [{ id: 5 }] }).success).toBe(false)
  })

  it('gives the same verdict from collected facts', async () => {
    const facts = path.join(scratch, 'facts.json')
    writeFileSync(facts, (await home.run(['tune-os', 'collect', '--json'])).stdout)
    const { document } = await home.json(['tune-os', 'check', '--facts', facts])
    expect(document.schema).toBe('mqctl.tune-os.check/1')
    const piped = await home.run(['tune-os', 'check', '--facts', '-', '--json'], {
      input: readFileSync(facts),
    })
    expect(JSON.parse(piped.stdout).results).toEqual(document.results)
  })

  it('probes the disk and leaves nothing there', async () => {
    const directory = mkdtempSync(path.join(scratch, 'probe-'))
    const { document } = await home.json([
      'tune-os',
      'check',
      '--only',
      'disk.fsync',
      '--probe',
      '--data-dir',
      directory,
    ])
    expect(document.results[0].evidence[0].value).toMatch(/× 4 KiB \+ fdatasync: p50/)
    expect(readdirSync(directory)).toEqual([])
  })

  it.each([
    [['--only', 'vm.swapiness'], /did you mean vm\.swappiness/],
    [['--skip', 'nonsense'], /tune-os list/],
    [['--facts', '/nowhere.json'], /check the path/],
    [['--waivers', '/nowhere.yaml'], /check the path/],
    [['--pid', '1', '--port', '1'], /./],
    [['--unit', '../../etc'], /written? it as|write it as/],
    [['--rtt', 'soon'], /./],
    [['--window', '0s'], /a second or more/],
  ])('%j is wrong usage: exit 2, with a hint', async (flags, hint) => {
    const { exitCode, document } = await home.json(['tune-os', 'check', ...flags])
    const text = await home.run(['tune-os', 'check', ...flags])
    expect([exitCode, text.exitCode, document.error.exitCode]).toEqual([2, 2, 2])
    expect(document.error.hint).toMatch(hint)
  })

  it.each([[['--pid', '4194303']], [['--unit', 'no-such-unit-of-mqctl']]])(
    '%j cannot be judged: exit 3',
    async (flags) => {
      const { exitCode, document } = await home.json(['tune-os', 'check', ...flags])
      expect([exitCode, document.error.code]).toEqual([3, 'TARGET_GONE'])
    },
  )

  it.skipIf(noNobody !== null)(
    `works as nobody${noNobody === null ? '' : ` (skipped: ${noNobody})`}`,
    () => {
      const before = ['--reuid=65534', '--clear-groups']
      const args = ['tune-os', 'check', '--pid', String(process.pid)]
      const json = below('setpriv', before, [...args, '--json'])
      const text = below('setpriv', before, args)
      const strict = below('setpriv', before, [...args, '--json', '--strict'])
      const report = JSON.parse(json.stdout)
      expect(report.summary.error).toBe(0)
      expect(report.host).toMatchObject({ uid: 65_534, privileged: false })
      expect([json.exitCode, text.exitCode]).toEqual([
        report.summary.exitCode,
        report.summary.exitCode,
      ])
      const needsRoot = report.results.filter(
        (result: { reason: string }) => result.reason === 'needs-root',
      )
      expect(strict.exitCode).toBe(needsRoot.length > 0 ? 3 : report.summary.exitCode)
    },
  )

  it.skipIf(noUnshare !== null)(
    `works in a network namespace that lacks keys${noUnshare === null ? '' : ` (skipped: ${noUnshare})`}`,
    () => {
      const { exitCode, stdout } = below('unshare', ['-n'], ['tune-os', 'check', '--json'])
      const { summary } = JSON.parse(stdout)
      expect([summary.error, exitCode]).toEqual([0, summary.exitCode])
    },
  )

  it.skipIf(noStrace !== null)(
    `writes nothing and runs nothing${noStrace === null ? '' : ` (skipped: ${noStrace})`}`,
    () => {
      const trace = path.join(scratch, 'trace')
      const calls =
        'execve,open,openat,creat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,truncate,ftruncate,link,linkat,symlink,symlinkat,chmod,fchmodat,chown,connect'
      const args = ['-f', '-qq', '-e', `trace=${calls}`, '-o', trace]
      const { stdout } = below('strace', args, [
        'tune-os',
        'check',
        '--json',
        '--pid',
        String(process.pid),
      ])
      expect(JSON.parse(stdout).schema).toBe('mqctl.tune-os.check/1')
      const lines = readFileSync(trace, 'utf8').split('\n')
      const changing = lines.filter((line) =>
        /(O_WRONLY|O_RDWR|O_CREAT)|(rename|unlink|mkdir|truncate|link|chmod|chown|creat|connect)\w*\(/.test(
          line,
        ),
      )
      // readlink is no change; Node opens /dev/null for standard streams that are closed; whose
      // SHELL is not set is looked up, by the C library, in the account database (nscd, if it runs).
      const harmless = /readlink|\/dev\/null|connect\(.*\/nscd\/socket/
      expect(changing.filter((line) => !harmless.test(line)).join('\n')).toBe('')
      expect(lines.filter((line) => line.includes('execve(')).length).toBe(1)
    },
  )
})

describe('tune-os explain and list', () => {
  it('explains by the origin advice and whether it still holds', async () => {
    const { stdout } = await home.run(['tune-os', 'explain', 'vm.max-map-count'])
    expect(stdout).toMatch(/origin advice +655360 \(default 65536\)/)
    for (const part of [
      'JVM broker',
      'Node broker',
      'load generator',
      'who says what',
      'by hand',
    ]) {
      expect(stdout).toContain(part)
    }
  })

  it('suggests for an unknown id', async () => {
    const { exitCode, document } = await home.json(['tune-os', 'explain', 'max_map_count'])
    expect([exitCode, document.error.hint]).toEqual([
      2,
      expect.stringContaining('vm.max-map-count'),
    ])
  })

  it('lists every check with its weight', async () => {
    const { stdout } = await home.run(['tune-os', 'list', '-o', 'name'])
    expect(stdout.trim().split('\n').length).toBeGreaterThan(60)
  })
})

/** Every file with its mode and content. */
function treeOf(directory: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const full = path.join(entry.parentPath, entry.name)
    const stat = lstatSync(full)
    const text = entry.isFile() ? readFileSync(full, 'latin1') : ''
    found[path.relative(directory, full)] = `${stat.mode.toString(8)} ${text}`
  }
  return found
}

/** A small host as a tree: values, an empty /etc, a unit. */
function hostTree(name: string): string {
  const root = path.join(scratch, name)
  const put = (file: string, text: string) => {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true })
    writeFileSync(path.join(root, file), text)
  }
  put('/proc/sys/kernel/osrelease', '6.1.0\n')
  put('/proc/stat', 'cpu  1 0 1 9 0 0 0 0 0 0\ncpu0 1 0 1 9 0 0 0 0 0 0\n')
  put(
    '/proc/meminfo',
    'MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\nSwapTotal: 1048576 kB\nSwapFree: 1048576 kB\n',
  )
  put('/proc/sys/vm/swappiness', '60\n')
  put('/proc/sys/vm/max_map_count', '65530\n')
  put('/proc/sys/net/core/somaxconn', '128\n')
  put('/sys/kernel/mm/transparent_hugepage/enabled', '[always] madvise never\n')
  put('/etc/systemd/system/mq.service', '[Service]\nLimitNOFILE=1024\n')
  mkdirSync(path.join(root, 'var/lib'), { recursive: true })
  return root
}

const applying = (root: string) => ['tune-os', 'apply', '--yes', '--sysroot', root, '--unit', 'mq']

describe('tune-os apply and rollback on a tree', () => {
  it('changes, changes nothing again, and goes back to the byte', async () => {
    const root = hostTree('whole')
    const before = treeOf(root)
    const first = await home.json(applying(root))
    expect([first.exitCode, first.document.applied, first.document.ok]).toEqual([0, true, true])
    expect(readFileSync(path.join(root, 'proc/sys/vm/swappiness'), 'utf8')).toBe('1\n')
    const between = treeOf(root)
    const second = await home.json(applying(root))
    expect([second.exitCode, second.document.applied]).toEqual([0, false])
    expect(treeOf(root)).toEqual(between)
    const back = await home.json(['tune-os', 'rollback', '--sysroot', root])
    expect([back.exitCode, back.document.undone]).toEqual([0, 1])
    expect(treeOf(root)).toEqual(before)
  })

  it('plans what it would do, and says by exit code that something is pending', async () => {
    const root = hostTree('planned')
    const before = treeOf(root)
    const flags = ['--sysroot', root, '--detailed-exitcode']
    const { exitCode, document } = await home.json(['tune-os', 'plan', ...flags])
    expect([exitCode, document.pending]).toEqual([1, true])
    expect(document.diff).toContain('+vm.swappiness = 1')
    expect(treeOf(root)).toEqual(before)
  })

  it('asks, and refuses to guess where nobody can answer', async () => {
    const root = hostTree('asked')
    const { exitCode, stderr } = await home.run(['tune-os', 'apply', '--sysroot', root])
    expect(exitCode).toBe(2)
    expect(stderr).toContain('--yes')
  })

  it('does not follow a link, and trusts no directory that others can write', async () => {
    const linked = hostTree('linked')
    const target = mkdtempSync(path.join(scratch, 'target-'))
    symlinkSync(target, path.join(linked, 'etc/sysctl.d'))
    const open = hostTree('open')
    mkdirSync(path.join(open, 'etc/sysctl.d'))
    chmodSync(path.join(open, 'etc/sysctl.d'), 0o777)
    for (const [root, what] of [
      [linked, /symbolic link/],
      [open, /written by others/],
    ] as const) {
      const before = treeOf(root)
      const { exitCode, document } = await home.json(applying(root))
      expect([exitCode, document.error.code]).toEqual([1, 'TUNING_REFUSED'])
      expect(document.error.message).toMatch(what)
      expect(treeOf(root)).toEqual(before)
    }
    expect(readdirSync(target)).toEqual([])
  })

  it.skipIf(noStrace !== null)(
    `is undone after a real kill -9 at every file operation${noStrace === null ? '' : ` (skipped: ${noStrace})`}`,
    async () => {
      const original = hostTree('killed')
      const before = treeOf(original)
      let killed = 0
      for (const call of ['rename', 'fsync', 'mkdir']) {
        for (let at = 1; at <= 12; at += 2) {
          const root = `${original}-${call}-${at}`
          cpSync(original, root, { recursive: true })
          const inject = [
            '-f',
            '-qq',
            '-o',
            '/dev/null',
            '-e',
            `inject=${call}:signal=KILL:when=${at}`,
          ]
          const outcome = below('strace', inject, applying(root))
          if (outcome.exitCode === 0) break
          killed += 1
          const back = await home.run(['tune-os', 'rollback', '--all', '--sysroot', root])
          expect([call, at, back.exitCode, back.stderr]).toEqual([call, at, 0, ''])
          expect(treeOf(root)).toEqual(before)
        }
      }
      expect(killed).toBeGreaterThan(5)
    },
    120_000,
  )
})

describe('tune-os render', () => {
  it.each(['sysctl', 'systemd', 'ansible', 'shell', 'k8s'])(
    '%s has the values of the profile',
    async (format) => {
      const { stdout, exitCode } = await home.run([
        'tune-os',
        'render',
        '--all',
        '--format',
        format,
        '--unit',
        'mq',
      ])
      expect(exitCode).toBe(0)
      expect(stdout).toMatch(format === 'systemd' ? /LimitNOFILE=655350/ : /vm\.max_map_count/)
    },
  )

  it.runIf(isLinux)(
    'shell is a script that a shell accepts, ansible and k8s are YAML',
    async () => {
      const { parseAllDocuments } = await import('yaml')
      const script = path.join(scratch, 'tune.sh')
      writeFileSync(script, (await home.run(['tune-os', 'render', '--all'])).stdout)
      execFileSync('sh', ['-n', script])
      for (const format of ['ansible', 'k8s']) {
        const { stdout } = await home.run(['tune-os', 'render', '--all', '--format', format])
        const errors = parseAllDocuments(stdout).flatMap((document) =>
          'errors' in document ? document.errors : [],
        )
        expect(errors).toEqual([])
      }
    },
  )
})

describe('tune-os jvm and observe', () => {
  it('judges flags and ends like a check', async () => {
    const flags = '-Xms8g -Xmx8g -Xmn4g -XX:-UseBiasedLocking'
    const { exitCode, document } = await home.json([
      'tune-os',
      'jvm',
      '--flags',
      flags,
      '--jdk',
      '21',
    ])
    expect(exitCode).toBe(1)
    const failed = document.results.filter((result: { status: string }) => result.status === 'fail')
    expect(failed.map((result: { id: string }) => result.id)).toEqual(
      expect.arrayContaining(['jvm.flags', 'jvm.young-fixed']),
    )
  })

  it.runIf(isLinux)('says which resource hurts, over a window', async () => {
    const { exitCode, document } = await home.json(['tune-os', 'observe', '--seconds', '0.2'])
    expect(exitCode).toBe(0)
    expect(document.seconds).toBeGreaterThanOrEqual(0.2)
    expect(document.signals.map((signal: { name: string }) => signal.name)).toContain('busy')
  })
})

describe('doctor', () => {
  it('has the same exit code with and without --json', async () => {
    const json = await home.json(['doctor', '--timeout', '1s'])
    const text = await home.run(['doctor', '--timeout', '1s'])
    expect([json.exitCode, text.exitCode]).toEqual([
      json.document.summary.exitCode,
      json.document.summary.exitCode,
    ])
    const ids = json.document.checks.map((row: { id: string }) => row.id)
    expect(ids).toEqual(
      expect.arrayContaining(['node', 'terminal', 'data-dir', 'port 9876', 'clock', 'processes']),
    )
  })

  it('finds a name server that does not answer, and says where it is named', async () => {
    const { exitCode, document } = await home.json([
      'doctor',
      '-n',
      '127.0.0.1:1',
      '--timeout',
      '1s',
    ])
    const row = document.checks.find((one: { id: string }) => one.id.startsWith('name server'))
    expect([exitCode, row.status, row.hint]).toEqual([
      1,
      'fail',
      expect.stringContaining('--namesrv'),
    ])
  })

  it('says when what listens there is something else', async () => {
    const server = net.createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as net.AddressInfo
    const { exitCode, document } = await home.json(['doctor', '-n', `127.0.0.1:${port}`])
    server.close()
    const row = document.checks.find((one: { id: string }) => one.id.startsWith('name server'))
    expect([exitCode, row.status]).toEqual([1, 'fail'])
    expect(row.text).toMatch(/does not speak RocketMQ/)
  })

  it('finds a broker that tells an address at which nobody can reach it', async () => {
    // 192.0.2.0/24 is for documentation and leads nowhere (RFC 5737).
    const start = ['start', 'lost', '--detach', '--any-port', '--advertise', '192.0.2.1']
    const { document: started } = await home.json(start)
    const port = /:(\d+)$/.exec(started.namesrv[0])?.[1]
    const flags = ['-n', `127.0.0.1:${port}`, '--timeout', '1s']
    const { exitCode, document } = await home.json(['doctor', ...flags])
    const row = document.checks.find((one: { id: string }) => one.id === 'broker broker-a:0')
    expect([exitCode, row.status]).toEqual([1, 'fail'])
    expect(row.text).toMatch(/^192\.0\.2\.1:\d+ does not answer/)
    expect(row.hint).toMatch(/brokerIP1 .*--advertise/)
    await home.run(['stop', 'lost'])
  })

  it.runIf(isLinux)('finds a broker that outlived its supervisor', async () => {
    const { document: started } = await home.json(['start', 'orphan', '--detach', '--any-port'])
    const { pid } = started.brokers[0]
    // A broker that hangs: it cannot see that its supervisor is gone.
    process.kill(pid, 'SIGSTOP')
    process.kill(started.supervisorPid, 'SIGKILL')
    const { exitCode, document } = await home.json(['doctor', '--timeout', '1s'])
    process.kill(pid, 'SIGKILL')
    const row = document.checks.find((one: { id: string }) => one.id === 'processes')
    expect([exitCode, row.status]).toEqual([1, 'fail'])
    expect(row.text).toContain(`orphan/broker-a (pid ${pid})`)
  })

  it('writes an archive in which no planted secret appears', async () => {
    const file = path.join(scratch, 'bundle.tar.gz')
    const conf = path.join(scratch, 'broker.conf')
    writeFileSync(
      conf,
      'brokerName=a\nsecretKey=PLANTED1\naclPassword: PLANTED2\nmyOwnThing=PLANTED3\nflushDiskType=SYNC_FLUSH\n',
    )
    const state = path.join(home.directory, 'state', 'mqctl', 'clusters', 'old')
    mkdirSync(state, { recursive: true })
    writeFileSync(
      path.join(state, 'broker-a.log'),
      '{"level":"info","msg":"go","token":"PLANTED4","url":"http://u:PLANTED5@h/"}\n',
    )
    const run = {
      version: 1,
      name: 'old',
      supervisor: { pid: 999_999, startedAt: '1' },
      startedAt: '2026-01-01',
      ready: true,
      dataDir: '/x',
      roles: [],
      plan: { name: 'old', set: { secretKey: 'PLANTED6' } },
    }
    writeFileSync(path.join(state, 'last.json'), JSON.stringify(run))
    const { exitCode, document } = await home.json(
      [
        ...['doctor', '--bundle', file, '--broker-conf', conf, '--timeout', '500ms'],
        ...['--data-dir', path.join(scratch, 'password=PLANTED9')],
      ],
      {
        env: {
          ACCESS_TOKEN: 'PLANTED7',
          NAMESRV_ADDR: '',
          MQ_PASSWORD: 'PLANTED8',
          JAVA_HOME: '/opt/jdk',
        },
      },
    )
    expect([0, 1]).toContain(exitCode)
    expect(document.bundle.file).toBe(file)
    const text = gunzipSync(readFileSync(file)).toString('latin1')
    expect(text).not.toMatch(/PLANTED/)
    expect(text).toMatch(/flushDiskType=SYNC_FLUSH/)
    expect(text).toContain('/opt/jdk')
    expect(lstatSync(file).mode & 0o777).toBe(0o600)
    const again = await home.json(['doctor', '--bundle', file, '--timeout', '500ms'])
    expect(again.exitCode).toBe(2)
  })

  it.skipIf(whyNot('tar', ['--version']) !== null)('writes an archive that tar reads', async () => {
    const file = path.join(scratch, 'second.tar.gz')
    await home.run(['doctor', '--bundle', file, '--timeout', '500ms'])
    expect(existsSync(file)).toBe(true)
    const names = execFileSync('tar', ['-tzf', file], { encoding: 'utf8' })
    expect(names).toContain('mqctl-doctor/doctor.json')
  })
})

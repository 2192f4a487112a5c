/** How a run ends that does not end well: interrupted, killed, or without those whom it needs. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resultSchema } from '../../src/bench/result.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { Home, bin, isAlive, outcomeOf, shows } from './mqctl.ts'

let home: Home

beforeAll(async () => {
  home = await Home.make()
})
afterAll(() => home.remove())

const short = ['--no-ceiling', '--warmup', '300ms', '--set', 'validity.minSamples=1']

/** A run of a minute that has begun to measure, its directory, and its processes. */
async function measuring() {
  const before = new Set(home.benchDirectories())
  const child = home.spawn(['bench', 'smoke', '--duration', '60s', ...short])
  const ended = outcomeOf(child)
  await shows(child, 'measure (60.0 s)')
  const left = home.benchDirectories().filter((name) => !before.has(name))
  const root = path.join(home.directory, 'data', 'mqctl', 'bench', left[0] ?? '')
  const { roles } = JSON.parse(readFileSync(path.join(root, 'state', 'run.json'), 'utf8'))
  return { child, ended, root, roles }
}

describe('a run of mqctl bench', () => {
  it('stops at Ctrl-C, reports what there is, and exits with 130', async () => {
    const child = home.spawn(['bench', 'smoke', '--duration', '60s', '--json', ...short])
    const ended = outcomeOf(child)
    await shows(child, 'measure (60.0 s)')
    child.kill('SIGINT')
    const { exitCode, stdout } = await ended
    const result = resultSchema.parse(JSON.parse(stdout))
    expect([exitCode, result.verdict, result.exitCode]).toEqual([130, 'interrupted', 130])
    expect(result.integrity.violations).toEqual([])
    expect(home.benchDirectories()).toEqual([])
  })

  it('ends at once at a second Ctrl-C, and leaves no process behind', async () => {
    const { child, ended, roles } = await measuring()
    child.kill('SIGINT')
    await shows(child, 'drain')
    child.kill('SIGINT')
    expect((await ended).exitCode).toBe(130)
    for (const { process: role } of roles) {
      await expect.poll(() => isAlive(role.pid), { timeout: 20_000 }).toBe(false)
    }
  })

  it('shows its result when the disk under the result directory is full, and exits with 1', async () => {
    const file = path.join(home.directory, 'alone.yaml')
    await writeFile(
      file,
      'version: 1\nname: alone\ntarget: {driver: "null"}\nconsumers: {instances: 0}\nload: [{for: 200ms}]\n',
    )
    const out = path.join(home.directory, 'full')
    // No file may grow beyond 4 KiB: to those who write it looks like a disk without room.
    const line = `ulimit -f 8; mqctl bench ${file} --out ${out} --json ${short.join(' ')}`
    const { stdout, exitCode } = await home.shell(line)
    // What the command adds leaves the document one that compare and report can read.
    const document = resultSchema.parse(JSON.parse(stdout))
    expect([exitCode, document.kind, document.artifacts]).toEqual([1, 'run', []])
    expect(document.warnings.map(({ text }) => text).join('\n')).toMatch(
      /full.*EFBIG[^]*the run was not kept/,
    )
    expect(readdirSync(out).filter((name) => name.includes('result.json'))).toEqual([])
  })

  it.skipIf(process.platform !== 'linux' || process.getuid?.() !== 0)(
    'shows its result when a real disk is full (needs root on Linux for a small file system)',
    async ({ skip }) => {
      const out = path.join(home.directory, 'small')
      await mkdir(out)
      const { stdout, exitCode } = await home.shell(
        `mount -t tmpfs -o size=8k tmpfs ${out} || exit 99
        trap 'umount ${out}' EXIT
        mqctl bench smoke --duration 200ms --out ${out} --no-keep --json \
          --set 'target.driver="null"' --consumers 0 ${short.join(' ')}`,
      )
      if (exitCode === 99) skip('nothing can be mounted here')
      const document = resultSchema.parse(JSON.parse(stdout))
      expect([exitCode, document.artifacts]).toEqual([1, []])
      expect(document.warnings.map(({ text }) => text).join('\n')).toContain('ENOSPC')
    },
  )

  it.each([
    ['is silent', ''],
    ['answers with something else', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
  ])('says that nobody answers when the target %s, exit 3', async (_, answer) => {
    const listener = await nodeWorld.net.listen('127.0.0.1', 0, (stream) => {
      if (answer !== '') stream.onData = () => stream.write(Buffer.from(answer))
    })
    const address = `127.0.0.1:${listener.port}`
    const { exitCode, document } = await home.json(['bench', 'smoke', '--namesrv', address])
    expect([exitCode, document.error.code]).toEqual([3, 'NAMESRV_UNREACHABLE'])
    await listener.close()
  })

  it('ends when a producer dies, and judges no loss of what nobody knows of', async () => {
    const { child, ended } = await measuring()
    const pid = child.pid ?? 0
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
    const producer = children.find((one) =>
      readFileSync(`/proc/${one}/cmdline`, 'utf8').includes('roles/producer'),
    )
    process.kill(Number(producer), 'SIGKILL')
    const { exitCode, stdout } = await ended
    expect(exitCode).toBe(3)
    expect(stdout).toContain('producer-1 ended with signal SIGKILL')
    expect(stdout).toMatch(/judged: a producer ended without its last report/)
  })

  it('ends when the broker dies, says so, and keeps its data', async () => {
    const { ended, root, roles } = await measuring()
    process.kill(
      roles.find((role: { role: string }) => role.role === 'broker').process.pid,
      'SIGKILL',
    )
    const { exitCode, stdout, stderr } = await ended
    expect(exitCode).toBe(3)
    expect(stdout).toMatch(/^TARGET LOST · /)
    // Up to eight were under way; a sender that had its answer just then lost nothing.
    expect(stdout).toMatch(/CONNECTION_LOST [1-8]\b/)
    expect(stderr).toContain(`kept for a look: ${path.join(root, 'data')}`)
    expect(existsSync(path.join(root, 'data', 'broker-a', 'commitlog'))).toBe(true)
  })

  it('that was killed leaves no process behind, and its directory to the next run to clear', async () => {
    const { child, ended, root, roles } = await measuring()
    child.kill('SIGKILL')
    await ended
    for (const { process: role } of roles) {
      await expect.poll(() => isAlive(role.pid), { timeout: 20_000 }).toBe(false)
    }
    expect(existsSync(root)).toBe(true)
    const { document } = await home.json(['bench', 'runs'])
    expect(document.runs).toContainEqual(
      expect.objectContaining({ scenario: 'smoke', verdict: 'unfinished' }),
    )
    await home.run(['bench', 'smoke', '--duration', '200ms', ...short])
    expect(existsSync(root)).toBe(false)
  })
})

describe('a gate of mqctl bench', () => {
  const few = ['--pairs', '8', '--same', '0', '--one-look', '--no-confirm']

  it.skipIf(process.platform !== 'linux' || process.getuid?.() !== 0).for([
    ['before they run', '24k', bin, 1, 'ENOSPC'],
    ['while they run', '600k', 'self', 13, 'SERVICE_NOT_AVAILABLE'],
  ] as const)(
    'says what to do when the disk of its brokers is full %s, and leaves nothing (needs root on Linux for a small file system)',
    async ([, size, side, code, why], { skip }) => {
      const data = path.join(home.directory, `data-${size}`)
      await mkdir(data)
      const { stdout, stderr, exitCode } = await home.shell(
        `mount -t tmpfs -o size=${size} tmpfs ${data} || exit 99
        trap 'umount ${data}' EXIT
        mqctl bench gate ${side} ${side} smoke --duration 200ms --set message.size=64KiB ${few.join(' ')}
        code=$?
        ls ${data}/mqctl/bench
        exit $code`,
        { env: { XDG_DATA_HOME: data } },
      )
      if (exitCode === 99) skip('nothing can be mounted here')
      expect([exitCode, stdout + stderr]).toEqual([code, expect.stringContaining(why)])
      expect(stdout + stderr).toMatch(/free some space/i)
      expect(stdout).not.toMatch(/^(run|build)-/m)
    },
  )

  it('that was killed leaves no broker of another build, and nothing that it wrote', async () => {
    const before = new Set(home.benchDirectories())
    const left = () => home.benchDirectories().filter((name) => !before.has(name))
    const child = home.spawn(['bench', 'gate', bin, bin, 'smoke', '--duration', '60s', ...few])
    const ended = outcomeOf(child)
    const running = () => {
      const [name = ''] = left()
      const root = path.join(home.directory, 'data', 'mqctl', 'bench', name)
      const file = path.join(root, 'state', 'mqctl', 'clusters', 'gate', 'run.json')
      return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null
    }
    await expect.poll(() => running()?.ready, { timeout: 30_000 }).toBe(true)
    const { supervisor, roles } = running()
    child.kill('SIGKILL')
    await ended
    for (const { pid } of [supervisor, ...roles.map((role: { process: object }) => role.process)]) {
      await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false)
    }
    await expect.poll(left, { timeout: 20_000 }).toEqual([])
  })
})

/**
 * The laboratory: broker and load on the two sides of a shaped link. Links are slow here, so that a
 * busy machine is not the limit before they are; what holds at 5 Mbit/s holds at a gigabit, where the
 * machine is fast enough for it. Needs root, iproute2 and a kernel with network namespaces, veth
 * and token buckets; skipped with the reason where one of them is missing.
 */
import { execFileSync } from 'node:child_process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Home } from '../cli/mqctl.ts'

function namespaces(): string[] {
  const names = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).split('\n')
  return names
    .map((line) => line.split(' ')[0] ?? '')
    .filter((name) => name.startsWith('mqctl-lab'))
}

/** Why no laboratory can be built here; null when one can. */
function whyNot(): string | null {
  if (process.platform !== 'linux') return 'not Linux'
  if (process.getuid?.() !== 0) return 'not root'
  const name = `mqctl-probe-${process.pid}`
  try {
    execFileSync('ip', ['netns', 'add', name], { stdio: 'pipe' })
    try {
      const bucket = ['qdisc', 'add', 'dev', 'lo', 'root', 'tbf', 'rate', '1mbit']
      execFileSync('tc', ['-n', name, ...bucket, 'burst', '16kb', 'limit', '64kb'], {
        stdio: 'pipe',
      })
    } finally {
      execFileSync('ip', ['netns', 'delete', name], { stdio: 'pipe' })
    }
    return null
  } catch (error) {
    return error instanceof Error ? (error.message.split('\n')[1] ?? error.message) : String(error)
  }
}

const why = whyNot()
if (why !== null) process.stderr.write(`the laboratory is not tested here: ${why}\n`)

describe.skipIf(why !== null)('bench --lab', () => {
  let home: Home
  beforeEach(async () => {
    home = await Home.make()
  })
  afterEach(() => home.remove())

  const bench = ['bench', '--no-ceiling', '--no-keep', '--warmup', '1500ms']

  it('fills a link: the verdict is nic-tx, and the prediction was right within 5 %', async () => {
    const args = [...bench, '--lab', 'link=5mbit', '--duration', '4s']
    const { document, exitCode } = await home.json(args)
    expect(exitCode).toBe(0)
    const { bottleneck, prediction, hosts, environment, integrity } = document
    expect(bottleneck.resource).toBe('nic-tx')
    expect(Math.abs(bottleneck.predictionError)).toBeLessThan(0.05)
    expect(prediction.first).toBe('nic-tx')
    const link = hosts[0].nics.find(({ name }: { name: string }) => name === 'link0')
    expect(link.linkBitsPerSecond).toBe(5e6)
    expect(link.txShare).toBeGreaterThan(0.9)
    expect(link.txShare).toBeLessThanOrEqual(1.02)
    expect(environment.lab).toContain('a link of 5 Mbit/s each way between broker and load')
    expect(environment.brokers[0]).toMatchObject({ isLocal: true, pid: expect.any(Number) })
    expect(integrity.violations).toEqual([])
  })

  it('has room on a link that is wide enough for what is sent, and says how much', async () => {
    const args = [...bench, '--lab', 'link=100mbit', '--duration', '3s', '--rate', '500/s']
    const { document } = await home.json(args)
    expect(document.bottleneck.resource).not.toMatch(/^nic-/)
    const link = document.hosts[0].nics.find(({ name }: { name: string }) => name === 'link0')
    expect(link.txShare).toBeLessThan(0.2)
  })

  it('is taken down at the end, and after a kill -9 by the next one', async () => {
    const before = new Set(namespaces())
    const ours = () => namespaces().filter((name) => !before.has(name))
    const killed = home.spawn([...bench, '--lab', 'link=5mbit', '--duration', '60s'])
    await expect.poll(ours, { timeout: 60_000 }).toHaveLength(2)
    const [left] = ours()
    killed.kill('SIGKILL')
    await home.json([...bench, 'smoke', '--lab', 'link=100mbit'])
    expect(namespaces()).not.toContain(left)
    expect(ours()).toEqual([])
  })

  it('stops at an interruption, reports what there is, and is taken down', async () => {
    const before = new Set(namespaces())
    const ours = () => namespaces().filter((name) => !before.has(name))
    const child = home.spawn([...bench, '--lab', 'link=5mbit', '--duration', '60s', '--json'])
    let [stdout, stderr] = ['', '']
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
    await expect.poll(() => stderr, { timeout: 60_000 }).toContain('measure')
    child.kill('SIGINT')
    expect(await ended).toBe(130)
    expect(JSON.parse(stdout).verdict).toBe('interrupted')
    expect(ours()).toEqual([])
  })
})

// Plants each bottleneck for real and counts how many `mqctl bench` names rightly.
//
//   npm run bench:verdicts -- [--only nic-tx,gc] [--seconds 5]
//
// Needs Linux and root for most of them: control groups (CPU quota, disk throttle), network
// namespaces, a loop device, a swap file. What the machine forbids is left out and said, and so are
// those that other programs on a busy machine would hide. Everything is taken back at the end.
import { execFileSync, spawn } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import {
  Impossible,
  cleanly,
  cpuQuota,
  deviceUnder,
  group,
  inGroup,
  loopDisk,
  takeBack,
  throttledDisk,
  tool,
  undo,
  work,
} from './planting.mjs'

const { values } = parseArgs({
  options: { only: { type: 'string' }, seconds: { type: 'string', default: '5' } },
})
const only = values.only?.split(',')
const bin = path.join(import.meta.dirname, '..', 'bin', 'run.js')
const env = {
  ...process.env,
  XDG_DATA_HOME: path.join(work, 'data'),
  XDG_STATE_HOME: path.join(work, 'state'),
}
/** Runs a bench to its end and returns its result; `launcher` stands in front of the command. */
function bench(args, { launcher = [], more = {} } = {}) {
  const words = [bin, 'bench', '--json', '--no-keep', '--warmup', '1500ms', ...args]
  if (!args.includes('--duration')) words.push('--duration', `${values.seconds}s`)
  const [command, ...rest] = [...launcher, process.execPath, ...words]
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, {
      env: { ...env, ...more },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk) => (stdout += chunk))
    child.stderr.on('data', (chunk) => (stderr += chunk))
    child.on('error', reject)
    child.on('exit', () => {
      try {
        const document = JSON.parse(stdout)
        if (document.error !== undefined) reject(new Impossible(document.error.message))
        else resolve(document)
      } catch {
        reject(new Error(`no result: ${stdout.slice(0, 200)} ${stderr.slice(-500)}`))
      }
    })
  })
}

/** Starts an instance of its own; returns its name server and its broker's pid. */
function start(name, args = [], { more = {}, launcher = [] } = {}) {
  const words = [bin, 'start', name, '--any-port', '--detach', '--wait', '--json', ...args]
  const [command, ...rest] = [...launcher, process.execPath, ...words]
  const status = JSON.parse(
    execFileSync(command, rest, { encoding: 'utf8', env: { ...env, ...more } }),
  )
  undo.push(() => tool(process.execPath, bin, 'purge', name, '--yes'))
  undo.push(() => execFileSync(process.execPath, [bin, 'stop', name], { env, stdio: 'ignore' }))
  return { namesrv: status.namesrv[0], pid: status.brokers[0].pid }
}

/** A preload for the broker alone. */
function inBroker(code) {
  const file = path.join(work, 'plant.cjs')
  writeFileSync(
    file,
    `if (process.argv.some((word) => word.startsWith('broker-'))) {\n${code}\n}\n`,
  )
  return file
}

const plants = {
  'nic-tx': () => bench(['--lab', 'link=5mbit', '--no-ceiling']),
  'nic-rx': () => bench(['--lab', 'link=5mbit', '--no-ceiling', '--consumers', '0']),
  'disk-bandwidth': () => {
    // The disk below the loop device is throttled, so that the device itself is slow.
    const { mount } = loopDisk('sync')
    const { namesrv, pid } = start('slow', ['--data-dir', path.join(mount, 'd')])
    writeFileSync(throttledDisk(deviceUnder(work), 1_500_000), String(pid))
    return bench(['--namesrv', namesrv, '--no-ceiling', '--size', '32KiB', '--threads', '8'])
  },
  'disk-flush': () => {
    const { mount, numbers } = loopDisk('defaults')
    const { namesrv, pid } = start('flush', [
      '--flush',
      'sync',
      '--data-dir',
      path.join(mount, 'd'),
    ])
    writeFileSync(throttledDisk(numbers, 2_000_000), String(pid))
    return bench(['--namesrv', namesrv, '--no-ceiling'])
  },
  'cpu-broker': () => {
    const { namesrv, pid } = start('quota')
    writeFileSync(cpuQuota(0.1), String(pid))
    return bench(['--namesrv', namesrv, '--no-ceiling'])
  },
  'cpu-host': () => {
    for (let core = 0; core < 2 * os.availableParallelism(); core += 1) {
      const burner = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' })
      undo.push(() => burner.kill('SIGKILL'))
    }
    return bench(['--no-ceiling'])
  },
  gc: () => {
    // A live heap of small objects under a small limit, and garbage beside it.
    const plant = inBroker(`
const live = Array.from({ length: 600_000 }, (_, i) => ({ i, next: null, text: 'x' + i }))
let garbage = []
setInterval(() => { garbage = live.slice(0, 60_000).map((one) => ({ ...one })) }, 5)
`)
    const options = `--max-old-space-size=120 --require ${plant}`
    const { namesrv } = start('tiny-heap', [], { more: { NODE_OPTIONS: options } })
    return bench(['--namesrv', namesrv, '--no-ceiling'])
  },
  memory: () => {
    const file = path.join(work, 'swap')
    tool('dd', 'if=/dev/zero', `of=${file}`, 'bs=1M', 'count=512', 'status=none')
    undo.push(() => rmSync(file, { force: true }))
    tool('chmod', '600', file)
    tool('mkswap', file)
    tool('swapon', file)
    undo.push(() => tool('swapoff', file))
    // Memory that is touched all the time, and room for half of it.
    const plant = inBroker(`
const blocks = Array.from({ length: 250 }, () => Buffer.alloc(1 << 20, 1))
let at = 0
setInterval(() => { for (let i = 0; i < 10; i += 1) blocks[at++ % 250].fill(at) }, 10)
`)
    const procs = group('memory', {
      v1: { 'memory.limit_in_bytes': String(260 << 20) },
      v2: { 'memory.max': String(260 << 20) },
    })
    const { namesrv } = start('squeezed', [], {
      more: { NODE_OPTIONS: `--require ${plant}` },
      launcher: inGroup(procs),
    })
    return bench(['--namesrv', namesrv, '--no-ceiling', '--rate', '500/s'])
  },
  client: () => {
    const { namesrv } = start('starved')
    return bench(['--namesrv', namesrv, '--no-ceiling'], { launcher: inGroup(cpuQuota(0.3)) })
  },
  'flow-control': () => {
    const { mount, numbers } = loopDisk('sync')
    const { namesrv, pid } = start('stuck', ['--data-dir', path.join(mount, 'd')])
    writeFileSync(throttledDisk(numbers, 20_000), String(pid))
    return bench(['--namesrv', namesrv, '--no-ceiling', '--duration', '10s'])
  },
  'latency-bound': () =>
    bench(['--no-ceiling', '--producers', '1', '--threads', '1', '--consumers', '0']),
  none: () => bench(['--no-ceiling', '--rate', '200/s']),
}

/** Verdicts that other programs on the same cores hide: nothing else may be full. */
const needQuiet = new Set(['latency-bound', 'none'])

let [planted, found] = [0, 0]
for (const [name, plant] of Object.entries(plants)) {
  if (only !== undefined && !only.includes(name)) continue
  let line
  try {
    const { bottleneck, hosts, processes } = await plant()
    const ours = processes.reduce((sum, { cores }) => sum + (cores ?? 0), 0)
    const [host] = hosts
    const others = (host.cpu?.busy ?? 0) * host.cpuCount - ours
    const isHidden = needQuiet.has(name) && bottleneck.resource === 'cpu-host' && others > 0.5
    if (isHidden) {
      line = `left out: other programs took ${others.toFixed(1)} of ${host.cpuCount} cores`
    } else {
      planted += 1
      if (bottleneck.resource === name) found += 1
      const mark = bottleneck.resource === name ? 'found' : `MISSED, found ${bottleneck.resource}`
      line = `${mark} (${bottleneck.confidence}): ${bottleneck.evidence[0] ?? bottleneck.text}`
    }
  } catch (error) {
    line = `left out: ${error instanceof Impossible ? error.message : String(error)}`
  }
  process.stdout.write(`${name.padEnd(16)}${line}\n`)
  takeBack()
}
process.stdout.write(`${found} of ${planted} planted bottlenecks were found\n`)
process.exitCode = planted > 0 && found / planted >= 0.9 ? 0 : 1

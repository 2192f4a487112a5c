// Plants each bottleneck for real and counts how many `mqctl bench` names rightly.
//
//   npm run bench:verdicts -- [--only nic-tx,gc] [--seconds 5]
//
// Needs Linux and root for most of them: control groups (CPU quota, disk throttle), network
// namespaces, a loop device, a swap file. What the machine forbids is left out and said, and so are
// those that other programs on a busy machine would hide. Everything is taken back at the end.
import { execFileSync, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { only: { type: 'string' }, seconds: { type: 'string', default: '5' } },
})
const only = values.only?.split(',')
const bin = path.join(import.meta.dirname, '..', 'bin', 'run.js')
const work = mkdtempSync(path.join(os.tmpdir(), 'mqctl-verdicts-'))
const env = {
  ...process.env,
  XDG_DATA_HOME: path.join(work, 'data'),
  XDG_STATE_HOME: path.join(work, 'state'),
}
/** What must be undone, the last first. */
const undo = []

class Impossible extends Error {}

function tool(command, ...args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    throw new Impossible(
      `${command} ${args[0] ?? ''}: ${String(error.stderr || error.message).trim()}`,
    )
  }
}

function cleanly(step) {
  try {
    step()
  } catch {
    // It is gone already, or was never made.
  }
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

const groups = '/sys/fs/cgroup'

/** A control group with these files written; processes are put into it by writing to the file it returns. */
function group(controller, files) {
  const name = `mqctl-verdicts-${process.pid}-${controller}`
  const isOld = existsSync(path.join(groups, controller))
  const directory = isOld ? path.join(groups, controller, name) : path.join(groups, name)
  try {
    mkdirSync(directory)
    // At the very end: a group can go when nothing lives in it any more.
    undo.unshift(() => rmdirSync(directory))
    for (const [file, text] of Object.entries(isOld ? files.v1 : files.v2)) {
      writeFileSync(path.join(directory, file), text)
    }
  } catch (error) {
    throw new Impossible(`control group ${controller}: ${error.message}`)
  }
  return path.join(directory, 'cgroup.procs')
}

function cpuQuota(cores) {
  return group('cpu', {
    v1: { 'cpu.cfs_period_us': '100000', 'cpu.cfs_quota_us': String(cores * 100_000) },
    v2: { 'cpu.max': `${cores * 100_000} 100000` },
  })
}

/** A launcher whose command, and whatever it starts, is in the control group. */
function inGroup(procs) {
  return ['sh', '-c', `echo $$ > ${procs}; exec "$@"`, 'sh']
}

/** The block device under a path, as `major:minor` of the whole disk. */
function deviceUnder(file) {
  const name = path.basename(tool('findmnt', '-n', '-o', 'SOURCE', '-T', file).trim())
  return readFileSync(`/sys/class/block/${name}/dev`, 'utf8').trim()
}

/** A file system on a loop device; returns where it is mounted and the device's numbers. */
function slowDisk(options, megabytes = 600) {
  const file = path.join(work, 'disk.img')
  const mount = path.join(work, 'disk')
  tool('truncate', '-s', `${megabytes}M`, file)
  undo.push(() => rmSync(file, { force: true }))
  const device = tool('losetup', '--direct-io=on', '--find', '--show', file).trim()
  undo.push(() => tool('losetup', '--detach', device))
  tool('mkfs.ext4', '-q', '-E', 'lazy_itable_init=0', device)
  mkdirSync(mount, { recursive: true })
  tool('mount', '-o', options, device, mount)
  undo.push(() => tool('umount', mount))
  const numbers = readFileSync(`/sys/block/${path.basename(device)}/dev`, 'utf8').trim()
  return { mount, numbers }
}

function throttledDisk(numbers, bytesPerSecond) {
  return group('blkio', {
    v1: { 'blkio.throttle.write_bps_device': `${numbers} ${bytesPerSecond}` },
    v2: { 'io.max': `${numbers} wbps=${bytesPerSecond}` },
  })
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
    const { mount } = slowDisk('sync')
    const { namesrv, pid } = start('slow', ['--data-dir', path.join(mount, 'd')])
    writeFileSync(throttledDisk(deviceUnder(work), 1_500_000), String(pid))
    return bench(['--namesrv', namesrv, '--no-ceiling', '--size', '32KiB', '--threads', '8'])
  },
  'disk-flush': () => {
    const { mount, numbers } = slowDisk('defaults')
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
    const { mount, numbers } = slowDisk('sync')
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

function takeBack() {
  for (const step of undo.splice(0).reverse()) cleanly(step)
}
process.on('exit', () => {
  takeBack()
  rmSync(work, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

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

// Holds the sampler of `mqctl bench` against known truth: volumes, work, writes and collections whose
// amount is known from somewhere else than the counters that the sampler reads.
//
//   npm run bench:accuracy -- [--only nic,cpu] [--seconds 8]
//
// Needs Linux and root (network namespaces, a control group, a loop device); a JVM for `gc`, sysstat
// for the comparison with sar, pidstat and iostat. What is missing is left out and said.
import { execFile, execFileSync, spawn } from 'node:child_process'
import { closeSync, fdatasyncSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { LinkLab } from '../dist/src/engine/link-lab.js'
import { openHostProbe } from '../dist/src/host/host.js'
import { readJvmGc } from '../dist/src/host/jvm-perfdata.js'
import { HostSampler } from '../dist/src/host/sampler.js'
import { usageBetween } from '../dist/src/host/usage.js'
import { nodeWorld } from '../dist/src/world/node-world.js'
import { Impossible, cpuQuota, loopDisk, takeBack, tool, undo, work } from './planting.mjs'

const { values } = parseArgs({
  options: { only: { type: 'string' }, seconds: { type: 'string', default: '8' } },
})
const only = values.only?.split(',')
const seconds = Number(values.seconds)
const { clock } = nodeWorld

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const percent = (share) => `${(share * 100).toFixed(2)} %`

/** One line: what was known, what was seen, and whether that is close enough. */
function compare(what, unit, known, seen, allowed, how) {
  const error = known === 0 ? (seen === 0 ? 0 : 1) : seen / known - 1
  return { what, unit, known, seen, error, ok: Math.abs(error) <= allowed, allowed, how }
}

/** Runs a program to its end; its last line of output is JSON. */
function run(command, ...args) {
  return new Promise((resolve, reject) => {
    execFile(command, args, { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${command}: ${stderr || error.message}`))
    })
  })
}

/** The number behind a name in the columns of sysstat; the `Average:` line that holds `row`. */
function average(text, row, column) {
  const lines = text.split('\n')
  const head = lines
    .findLast((line) => line.includes(column))
    ?.trim()
    .split(/\s+/)
  const found = lines.findLast((line) => line.startsWith('Average:') && line.includes(row))
  return Number(found?.trim().split(/\s+/)[head?.indexOf(column) ?? -1])
}

/** A cell of the last table of sysstat that has a row which begins with `row`. */
function columnsOf(text, row) {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/))
  const at = lines.findLastIndex(([first]) => first === row)
  const head = lines.slice(0, at).findLast(([first]) => first === 'Device')
  return (column) => Number(lines[at]?.[head?.indexOf(column) ?? -1])
}

/** Mean times, of which the tool prints hundredths. */
function awaitLine(what, saidMs, seenMs, how) {
  const line = compare(what, 'ms', saidMs, seenMs, 0.05, how)
  return { ...line, ok: line.ok || Math.abs(seenMs - saidMs) <= 0.006 }
}

function withoutSysstat(what) {
  return { what, why: 'sysstat is not installed (apt install sysstat)' }
}

function hasTool(name) {
  try {
    execFileSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Known datagrams and a known stream through a link between two network namespaces. */
async function nic() {
  const lab = await LinkLab.build(nodeWorld, { linkBitsPerSecond: 400e6 })
  try {
    const host = lab.site.brokerHost
    const receiver = `
const dgram = require('node:dgram').createSocket({ type: 'udp4', recvBufferSize: 1 << 22 })
dgram.bind(5001, '${host}')
let bytes = 0
require('node:net').createServer((socket) => socket.on('data', (chunk) => (bytes += chunk.length))
  .on('end', () => { process.stdout.write(bytes + '\\n'); socket.end() })).listen(5002, '${host}', () => process.stdout.write('ready\\n'))
require('node:net').createServer((socket) => socket.end(Buffer.alloc(20_000_000))).listen(5003, '${host}')`
    const [command, ...words] = [...lab.site.brokerLauncher, process.execPath, '-e', receiver]
    const sink = spawn(command, words, { stdio: ['ignore', 'pipe', 'inherit'] })
    undo.push(() => sink.kill('SIGKILL'))
    let said = ''
    sink.stdout.on('data', (chunk) => (said += chunk))
    while (!said.includes('ready')) await sleep(20)
    const probe = openHostProbe(clock, { diskPath: null, networkOf: sink.pid })
    const look = async () =>
      (await probe.snapshot([], false)).nics.find(({ name }) => name === 'link0')
    const inLoad = (code) => {
      const [first, ...rest] = [...lab.loadLauncher, process.execPath, '-e', code]
      return run(first, ...rest)
    }
    // Who is behind which address is asked beforehand, so that it is not in the volume.
    await inLoad(
      `const s = require('node:dgram').createSocket('udp4'); s.send('x', 5001, '${host}', () => s.close())`,
    )
    await sleep(300)

    const datagrams = 20_000
    const sarNic = hasTool('sar')
      ? run(
          lab.site.brokerLauncher[0],
          ...lab.site.brokerLauncher.slice(1),
          'sar',
          '-n',
          'DEV',
          '1',
          '8',
        )
      : Promise.resolve('')
    const sarFrom = await look()
    const first = await look()
    await inLoad(`
const s = require('node:dgram').createSocket({ type: 'udp4', sendBufferSize: 1 << 22 })
const body = Buffer.alloc(1000)
let sent = 0
const next = () => {
  if (sent === ${datagrams}) return s.close()
  sent += 1
  s.send(body, 5001, '${host}', () => (sent % 50 === 0 ? setTimeout(next, 1) : next()))
}
next()`)
    await sleep(200)
    const second = await look()
    const streamBytes = 40_000_000
    await inLoad(`
const socket = require('node:net').connect(5002, '${host}', () => socket.end(Buffer.alloc(${streamBytes})))
socket.resume()`)
    await sleep(200)
    const third = await look()
    // And out of the broker's side, which is the direction that a broker fills first.
    const outBytes = 20_000_000
    await inLoad(`
require('node:net').connect(5003, '${host}', function () { this.on('data', () => undefined) })`)
    await sleep(200)
    const fourth = await look()
    const sar = await sarNic
    const last = await look()
    const lines = [
      compare(
        'link, datagrams in',
        'B',
        datagrams * (1000 + 8 + 20 + 14),
        second.rxBytes - first.rxBytes,
        0.01,
        `${datagrams} UDP datagrams of 1,000 bytes, 42 bytes of headers each`,
      ),
      compare(
        'link, stream in',
        'B',
        streamBytes + Math.ceil(streamBytes / 1448) * 66,
        third.rxBytes - second.rxBytes,
        0.01,
        `${streamBytes} bytes over TCP in segments of 1,448 bytes with 66 bytes of headers`,
      ),
      compare(
        'link, stream out',
        'B',
        outBytes + Math.ceil(outBytes / 1448) * 66,
        fourth.txBytes - third.txBytes,
        0.01,
        `${outBytes} bytes the other way`,
      ),
    ]
    if (sar !== '') {
      // sar averages over its own seconds; both see the same bytes when all of them lie inside.
      const seen = (last.rxBytes - sarFrom.rxBytes) / 1024
      lines.push(
        compare('link, sar', 'KiB', average(sar, 'link0', 'rxkB/s') * 8, seen, 0.02, 'sar -n DEV'),
      )
    }
    return lines
  } finally {
    takeBack()
    await lab.remove()
  }
}

/** A burner that may use half a core. */
async function cpu() {
  const procs = cpuQuota(0.5)
  const burner = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' })
  undo.push(() => burner.kill('SIGKILL'))
  writeFileSync(procs, String(burner.pid))
  const pidstat = hasTool('pidstat')
  await sleep(1000)
  const probe = openHostProbe(clock, { diskPath: null })
  const usage = pidstat
    ? run('pidstat', '-u', '-p', String(burner.pid), '1', String(seconds))
    : null
  // One report over the same seconds: of the whole host, which other programs use as well.
  const sar = hasTool('sar') ? run('sar', '-u', String(seconds), '1') : null
  const first = await probe.snapshot([burner.pid], true)
  await sleep(seconds * 1000)
  const last = await probe.snapshot([burner.pid], true)
  const text = usage === null ? '' : await usage
  const whole = usageBetween(first, last)
  const [seen] = whole.processes
  const { cores, throttledShare } = seen.quota
  const lines = []
  // The quota is the truth only when the burner got all that it may have.
  if (throttledShare > 0.95) {
    const line = compare(
      'CPU under a quota',
      'cores',
      cores,
      seen.cores,
      0.04,
      'a burner that may use half a core',
    )
    lines.push({ ...line, ok: Math.abs(seen.cores - cores) <= 0.02, allowed: null })
  } else {
    lines.push({
      what: 'CPU under a quota',
      why: `the machine is too busy: the burner was stopped by its quota in ${percent(throttledShare)} of the periods only`,
    })
  }
  if (text !== '') {
    const said = average(text, String(burner.pid), '%CPU') / 100
    const line = compare('CPU, pidstat', 'cores', said, seen.cores, 0.04, 'pidstat -u')
    lines.push({ ...line, ok: Math.abs(seen.cores - said) <= 0.02, allowed: null })
  } else lines.push(withoutSysstat('CPU, pidstat'))
  if (sar === null) return [...lines, withoutSysstat('CPU, sar')]
  const report = await sar
  const off = (column) => average(report, 'all', column) / 100
  // Neither idle nor waiting for a disk. The edges of the two windows are some milliseconds apart.
  const busy = compare(
    'CPU, sar',
    'of all',
    1 - off('%idle') - off('%iowait'),
    whole.cpu.busy,
    0.02,
    'sar -u, all but %idle and %iowait',
  )
  lines.push({ ...busy, ok: Math.abs(busy.seen - busy.known) <= 0.02, allowed: null })
  return lines
}

/** Writes of a known size in place, a flush behind each. */
async function disk() {
  const { mount } = loopDisk('noatime', ['-O', '^has_journal'], 300)
  const file = path.join(mount, 'known')
  const block = Buffer.alloc(1 << 20, 7)
  const count = 100
  const fill = openSync(file, 'w')
  for (let at = 0; at < count; at += 1) writeSync(fill, block, 0, block.length, at * block.length)
  fdatasyncSync(fill)
  closeSync(fill)
  tool('sync', '-f', mount)
  await sleep(500)
  const probe = openHostProbe(clock, { diskPath: mount })
  const device = (await probe.snapshot([], false)).disk?.device ?? ''
  const iostat = hasTool('iostat') ? run('iostat', '-d', '-k', device, '1', '6') : null
  await sleep(1200)
  // One report over a time that has all of the writes in it; %util is of that time, so it is looked at twice.
  const spanSeconds = 4
  const extended = hasTool('iostat')
    ? run('iostat', '-x', '-d', '-y', device, String(spanSeconds), '1')
    : null
  const first = await probe.snapshot([process.pid], false)
  // Until iostat has looked for the first time.
  await sleep(300)
  const known = openSync(file, 'r+')
  for (let at = 0; at < count; at += 1) {
    writeSync(known, block, 0, block.length, at * block.length)
    fdatasyncSync(known)
    await sleep(10)
  }
  closeSync(known)
  const last = await probe.snapshot([process.pid], false)
  const usage = usageBetween(first, last)
  await sleep(Math.max(0, spanSeconds * 1000 - usage.spanMs))
  const span = usageBetween(first, await probe.snapshot([process.pid], false))
  const bytes = count * block.length
  const lines = [
    compare(
      'disk, written',
      'B',
      bytes,
      usage.disk.writtenBytes,
      0.02,
      `${count} writes of 1 MiB to a loop device`,
    ),
    compare('disk, flushes', '', count, usage.disk.flushes, 0.02, 'an fdatasync behind each'),
    compare(
      'process, written',
      'B',
      bytes,
      usage.processes[0].diskWrittenBytes,
      0.02,
      'of this process',
    ),
  ]
  if (iostat !== null) {
    const rows = (await iostat).split('\n').filter((line) => line.startsWith(device))
    // The first report is about the time since boot.
    const written = rows
      .slice(1)
      .reduce((sum, row) => sum + Number(row.trim().split(/\s+/)[6]) * 1024, 0)
    lines.push(compare('disk, iostat', 'B', written, usage.disk.writtenBytes, 0.05, 'iostat -d -k'))
  }
  if (extended === null) return [...lines, withoutSysstat('disk, iostat')]
  const said = columnsOf(await extended, device)
  const share = said('%util') / 100
  const util = compare('disk, iostat %util', '', share, span.disk.utilisation, 0.05, 'iostat -x')
  lines.push(
    // It prints two digits of the milliseconds.
    awaitLine('disk, iostat await', said('w_await'), span.disk.writeAwaitMs, 'iostat -x, w_await'),
    { ...util, ok: Math.abs(util.seen - util.known) <= 0.02, allowed: null },
    awaitLine('disk, flush await', said('f_await'), span.disk.flushAwaitMs, 'iostat -x, f_await'),
  )
  return lines
}

/** JVMs that make garbage: their own logs, jstat, and what the counter file says. */
async function gc() {
  if (!hasTool('java')) throw new Impossible('no java')
  const lines = []
  // The collector of brokers is G1; that of small heaps and few cores is the serial one.
  for (const collector of ['Serial', 'G1']) lines.push(...(await gcOf(collector)))
  return lines
}

async function gcOf(collector) {
  const source = path.join(work, 'Garbage.java')
  writeFileSync(
    source,
    `public class Garbage {
  public static void main(String[] args) throws Exception {
    java.util.ArrayList<byte[]> live = new java.util.ArrayList<>();
    for (int i = 0; i < 20000; i++) live.add(new byte[1024]);
    System.in.read();
    for (int i = 0; i < 3_000_000; i++) live.set(i % 20000, new byte[1024]);
    System.out.println("done");
    System.in.read();
  }
}
`,
  )
  const log = path.join(work, `${collector}.log`)
  const flags = [
    '-Xmx64m',
    `-XX:+Use${collector}GC`,
    '-XX:+UsePerfData',
    `-Xlog:gc:file=${log}:uptime`,
  ]
  const jvm = spawn('java', [...flags, source], { stdio: ['pipe', 'pipe', 'inherit'] })
  undo.push(() => jvm.kill('SIGKILL'))
  let said = ''
  jvm.stdout.on('data', (chunk) => (said += chunk))
  const pauses = () =>
    [...readFileSync(log, 'utf8').matchAll(/Pause .* ([\d.]+)ms$/gm)].map((match) =>
      Number(match[1]),
    )
  while (readJvmGc(jvm.pid) === null) await sleep(100)
  await sleep(2500)
  const [before, first] = [pauses(), readJvmGc(jvm.pid)]
  jvm.stdin.write('\n')
  while (!said.includes('done')) await sleep(100)
  await sleep(500)
  const [after, last] = [pauses(), readJvmGc(jvm.pid)]
  const window = after.slice(before.length)
  const logMs = window.reduce((sum, ms) => sum + ms, 0)
  const lines = [
    compare(
      `${collector}, collections`,
      '',
      window.length,
      last.count - first.count,
      0,
      'pauses in the GC log',
    ),
    compare(
      `${collector}, time`,
      'ms',
      logMs,
      last.pauseMs - first.pauseMs,
      0.02,
      'sum of the pauses in the GC log',
    ),
  ]
  if (hasTool('jstat')) {
    const [head, row] = tool('jstat', '-gcutil', String(jvm.pid))
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
    const cell = (name) => Number(row[head.indexOf(name)]) || 0
    const count = cell('YGC') + cell('FGC') + cell('CGC')
    const how = 'YGC + FGC + CGC since the start'
    lines.push(
      compare(`${collector}, jstat`, '', count, last.count, 0, how),
      compare(`${collector}, jstat`, 'ms', cell('GCT') * 1000, last.pauseMs, 0.02, 'GCT'),
    )
  }
  return lines
}

/** What the sampler itself costs, with ten processes, once a second. */
async function sampling() {
  const sampler = new HostSampler(clock, openHostProbe(clock, { diskPath: work }), () => undefined)
  for (let at = 0; at < 9; at += 1) {
    const idle = spawn('sleep', ['600'], { stdio: 'ignore' })
    undo.push(() => idle.kill())
    sampler.watch(idle.pid)
  }
  sampler.watch(process.pid)
  sampler.start(1000)
  await sleep(seconds * 1000 + 500)
  await sampler.stop()
  const { cores, samples } = sampler.cost()
  return [
    {
      ...compare(
        'sampling',
        'cores',
        0.01,
        cores,
        0,
        `${samples} looks at ten processes, once a second`,
      ),
      ok: cores <= 0.01,
      allowed: null,
    },
  ]
}

const parts = { nic, cpu, disk, gc, sampling }
let [judged, right] = [0, 0]
for (const [name, part] of Object.entries(parts)) {
  if (only !== undefined && !only.includes(name)) continue
  let lines
  try {
    lines = await part()
  } catch (error) {
    const isExpected = error instanceof Impossible || error.code === 'LAB_IMPOSSIBLE'
    lines = [{ what: name, why: isExpected ? error.message : String(error.stack ?? error) }]
  } finally {
    takeBack()
  }
  for (const line of lines) {
    if (line.why !== undefined) {
      process.stdout.write(`${line.what.padEnd(22)}left out: ${line.why}\n`)
      continue
    }
    judged += 1
    if (line.ok) right += 1
    const number = (value) => Number(value.toPrecision(9)).toLocaleString('en')
    const against = line.what === 'sampling' ? 'goal at most' : 'known'
    const off = line.what === 'sampling' ? '' : ` (${percent(line.error)})`
    process.stdout.write(
      `${line.what.padEnd(22)}${line.ok ? 'right' : 'WRONG'}  seen ${number(line.seen)} ${line.unit}, ${against} ${number(line.known)}${off}: ${line.how}\n`,
    )
  }
}
process.stdout.write(`${right} of ${judged} figures are right\n`)
process.exitCode = right === judged && judged > 0 ? 0 : 1

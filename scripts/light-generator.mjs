#!/usr/bin/env node
/**
 * A light load generator for any broker that speaks RocketMQ's remoting protocol. It exists to find
 * out what the *broker* can do: frames are built once, a send patches two numbers into a copy, an
 * answer is read by looking at its code and its opaque and nothing else. It checks no identity and
 * no offset: `mqctl bench` is the instrument that does.
 *
 *   node scripts/light-generator.mjs --broker 127.0.0.1:10911 --topic T --seconds 10 [--pid BROKER]
 *
 * Load: `--processes` processes, one connection each, `--outstanding` requests in flight on each
 * (what that many synchronous senders of one official producer look like on the wire). The latency
 * is service time: a sender that waits sends less, so slow moments are under-represented.
 *
 * As a module: `generate(options)` answers the same object that `--json` prints.
 */
import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { availableParallelism } from 'node:os'

/** Opaques have nine digits, so that a patch never changes a frame's length. */
const firstOpaque = 100_000_000
/** Slots for send times: a power of two above any number of requests in flight. */
const slotCount = 65_536
/** Linux clock ticks a second, the unit of CPU time in /proc/PID/stat (USER_HZ, 100 on Linux). */
const ticksPerSecond = 100

// ---------------------------------------------------------------- latency: a log-linear histogram

/** Counts of microseconds, 64 buckets to each doubling: at most 1.6 % off. */
export class LatencyCounts {
  constructor(counts = new Float64Array(64 * 27)) {
    this.counts = counts
  }

  static bucketOf(us) {
    if (us < 64) return us < 0 ? 0 : Math.floor(us)
    const exponent = Math.min(31 - Math.clz32(us), 31)
    return (exponent - 5) * 64 + ((us >>> (exponent - 6)) & 63)
  }

  static upperUs(bucket) {
    if (bucket < 64) return bucket
    const exponent = Math.floor(bucket / 64) + 5
    return (64 + (bucket % 64)) * 2 ** (exponent - 6)
  }

  record(us) {
    this.counts[LatencyCounts.bucketOf(us)]++
  }

  add(other) {
    for (let i = 0; i < this.counts.length; i++) this.counts[i] += other.counts[i]
  }

  /** The value at a share (0…1), in milliseconds. */
  quantileMs(share) {
    let total = 0
    for (const count of this.counts) total += count
    if (total === 0) return 0
    let seen = 0
    for (let i = 0; i < this.counts.length; i++) {
      seen += this.counts[i]
      if (seen >= total * share) return LatencyCounts.upperUs(i) / 1000
    }
    return LatencyCounts.upperUs(this.counts.length - 1) / 1000
  }
}

// ---------------------------------------------------------------- frames

/**
 * One SEND_MESSAGE_V2 (310) frame with a JSON header as the official Java client writes it, and the
 * places in it that each send patches.
 */
function sendTemplate({ topic, queueId, size, worker, syncWait }) {
  const unique = '7F000001' + 'A1B2C3D4'.padEnd(8, '0') + worker.toString(16).padStart(4, '0')
  const uniqueKey = (unique + '0'.repeat(32)).slice(0, 24) + '00000000'
  const properties = `UNIQ_KEY\u0001${uniqueKey.toUpperCase()}\u0002WAIT\u0001${syncWait}`
  const header = Buffer.from(
    JSON.stringify({
      code: 310,
      extFields: {
        a: 'light-generator',
        b: topic,
        c: 'TBW102',
        d: '8',
        e: String(queueId),
        f: '0',
        g: String(Date.now()),
        h: '0',
        i: properties,
        j: '0',
        k: 'false',
        m: 'false',
      },
      flag: 0,
      language: 'JAVA',
      opaque: firstOpaque,
      serializeTypeCurrentRPC: 'JSON',
      version: 479,
    }),
  )
  const body = Buffer.alloc(size, 'x')
  const frame = Buffer.alloc(8 + header.length + size)
  frame.writeUInt32BE(4 + header.length + size, 0)
  frame.writeUInt32BE(header.length, 4)
  header.copy(frame, 8)
  body.copy(frame, 8 + header.length)
  const opaqueAt = frame.indexOf(`"opaque":${firstOpaque}`) + '"opaque":'.length
  const uniqueAt = frame.indexOf('UNIQ_KEY') + 'UNIQ_KEY\\u0001'.length + 24
  return { frame, opaqueAt, uniqueAt }
}

const hexDigits = Buffer.from('0123456789ABCDEF')

function patchDecimal(target, at, digits, value) {
  for (let i = digits - 1; i >= 0; i--) {
    target[at + i] = 48 + (value % 10)
    value = Math.floor(value / 10)
  }
}

function patchHex(target, at, value) {
  for (let i = 7; i >= 0; i--) {
    target[at + i] = hexDigits[value & 15]
    value >>>= 4
  }
}

const opaqueKey = Buffer.from('"opaque":')
const codeKey = Buffer.from('"code":')

function numberAfter(bytes, key, start, end) {
  let at = bytes.indexOf(key, start)
  if (at < 0 || at >= end) return -1
  at += key.length
  let value = 0
  for (let c = bytes[at]; c >= 48 && c <= 57; c = bytes[++at]) value = value * 10 + (c - 48)
  return value
}

// ---------------------------------------------------------------- one process

/** Runs one connection's load; resolves with its figures. Times in milliseconds. */
function runConnection(options) {
  const { host, port, outstanding, queues, topics = 1, warmupMs, measureMs, worker } = options
  const templates = []
  for (let queueId = 0; queueId < queues; queueId++) {
    for (let i = 0; i < topics; i++) {
      const topic = topics === 1 ? options.topic : `${options.topic}_${i}`
      templates.push(sendTemplate({ ...options, topic, queueId }))
    }
  }
  // Topic names of different lengths make frames of different lengths.
  const frameBytesMax = Math.max(...templates.map((template) => template.frame.length))
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true })
    const sentAtUs = new Float64Array(slotCount)
    const latency = new LatencyCounts()
    const codes = {}
    let sent = 0
    let answered = 0
    let measured = 0
    let phase = 'warm-up'
    let tail = null
    let measureStart = 0
    let cpuStart = null
    let stopAsked = false
    let result = null
    const nowUs = () => performance.now() * 1000

    function send(count) {
      if (stopAsked) return
      const out = Buffer.allocUnsafe(frameBytesMax * count)
      let at = 0
      const now = nowUs()
      for (let i = 0; i < count; i++) {
        const template = templates[sent % templates.length]
        template.frame.copy(out, at)
        patchDecimal(out, at + template.opaqueAt, 9, firstOpaque + sent)
        patchHex(out, at + template.uniqueAt, sent)
        at += template.frame.length
        sentAtUs[sent % slotCount] = now
        sent++
      }
      socket.write(at === out.length ? out : out.subarray(0, at))
    }

    function onAnswer(bytes, start, end) {
      const typeAndLength = bytes.readUInt32BE(start + 4)
      let code
      let opaque
      if (typeAndLength >>> 24 === 0) {
        const headerEnd = start + 8 + (typeAndLength & 0xffffff)
        code = numberAfter(bytes, codeKey, start + 8, headerEnd)
        opaque = numberAfter(bytes, opaqueKey, start + 8, headerEnd)
      } else {
        code = bytes.readInt16BE(start + 8)
        opaque = bytes.readInt32BE(start + 13)
      }
      answered++
      if (phase === 'measure') {
        if (code === 0) {
          measured++
          latency.record(nowUs() - sentAtUs[(opaque - firstOpaque) % slotCount])
        } else codes[code] = (codes[code] ?? 0) + 1
      }
      if (code !== 0 && !codes.firstRemark) {
        codes.firstRemark = bytes.toString('utf8', start + 8, Math.min(end, start + 400))
      }
    }

    socket.on('data', (chunk) => {
      const bytes = tail === null ? chunk : Buffer.concat([tail, chunk])
      let at = 0
      let free = 0
      while (bytes.length - at >= 4) {
        const end = at + 4 + bytes.readUInt32BE(at)
        if (end > bytes.length) break
        onAnswer(bytes, at, end)
        free++
        at = end
      }
      tail = at === bytes.length ? null : bytes.subarray(at)
      if (free > 0) send(free)
      if (stopAsked && answered === sent) socket.end()
    })
    socket.on('error', reject)
    socket.on('close', () => {
      if (result) resolve(result)
      else reject(new Error(`worker ${worker}: the broker closed the connection`))
    })
    socket.on('connect', () => {
      send(outstanding)
      setTimeout(() => {
        phase = 'measure'
        measureStart = performance.now()
        cpuStart = process.cpuUsage()
        setTimeout(() => {
          phase = 'done'
          const cpu = process.cpuUsage(cpuStart)
          result = {
            messages: measured,
            elapsedMs: performance.now() - measureStart,
            cpuUs: cpu.user + cpu.system,
            codes,
            counts: Array.from(latency.counts),
          }
          stopAsked = true
          setTimeout(() => socket.destroy(), 3000).unref()
        }, measureMs)
      }, warmupMs)
    })
  })
}

// ---------------------------------------------------------------- the whole load

/** CPU time (µs) and resident memory (bytes) of a process, from /proc; null when it is not there. */
export function processFacts(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const ticks = Number(fields[11]) + Number(fields[12])
    const rss = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))
    return { cpuUs: (ticks * 1e6) / ticksPerSecond, rssBytes: rss ? Number(rss[1]) * 1024 : 0 }
  } catch {
    return null
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Runs the load and answers one object. Options: host, port, topic, processes (2), outstanding (80),
 * queues (8), topics (1; more get numbers), sizeBytes (500), warmupMs (2000), measureMs (10000), brokerPid (none).
 */
export async function generate(options) {
  const settings = {
    processes: 2,
    outstanding: 80,
    queues: 8,
    topics: 1,
    sizeBytes: 500,
    warmupMs: 2000,
    measureMs: 10_000,
    brokerPid: null,
    ...options,
  }
  const children = []
  const results = []
  for (let worker = 0; worker < settings.processes; worker++) {
    const child = fork(fileURLToPath(import.meta.url), ['--worker'], { stdio: 'inherit' })
    children.push(child)
    results.push(
      new Promise((resolve, reject) => {
        child.on('message', (message) => {
          if (message.failed) reject(new Error(message.failed))
          else resolve(message)
        })
        child.on('error', reject)
        child.on('exit', (code) => {
          if (code !== 0) reject(new Error(`generator process exited with ${code}`))
        })
      }),
    )
    child.send({ ...settings, size: settings.sizeBytes, worker, syncWait: 'true' })
  }
  const all = Promise.all(results)
  all.catch(() => undefined)
  // The broker's CPU is read over a window inside the measured one, so start-up never counts.
  let brokerCpuCores = null
  let rssBytes = null
  if (settings.brokerPid !== null) {
    await Promise.race([sleep(settings.warmupMs + 300), all])
    const before = processFacts(settings.brokerPid)
    const start = performance.now()
    await Promise.race([sleep(Math.max(settings.measureMs - 600, 100)), all])
    const after = processFacts(settings.brokerPid)
    if (before && after) {
      brokerCpuCores = (after.cpuUs - before.cpuUs) / 1000 / (performance.now() - start)
      rssBytes = after.rssBytes
    }
  }
  let parts
  try {
    parts = await all
  } finally {
    for (const child of children) if (child.exitCode === null) child.kill()
  }
  const latency = new LatencyCounts()
  const codes = {}
  let messages = 0
  let ratePerSecond = 0
  let generatorCpuUs = 0
  for (const part of parts) {
    latency.add(new LatencyCounts(Float64Array.from(part.counts)))
    messages += part.messages
    ratePerSecond += (part.messages / part.elapsedMs) * 1000
    generatorCpuUs += part.cpuUs
    for (const [code, count] of Object.entries(part.codes)) {
      codes[code] = code === 'firstRemark' ? count : (codes[code] ?? 0) + count
    }
  }
  return {
    messages,
    ratePerSecond: Math.round(ratePerSecond),
    failuresByCode: codes,
    serviceTimeMs: {
      p50: latency.quantileMs(0.5),
      p99: latency.quantileMs(0.99),
      p999: latency.quantileMs(0.999),
      max: latency.quantileMs(1),
    },
    generatorCpuUsPerMessage: messages === 0 ? null : generatorCpuUs / messages,
    brokerCpuCores,
    brokerCpuUsPerMessage: brokerCpuCores === null ? null : (brokerCpuCores * 1e6) / ratePerSecond,
    brokerRssBytes: rssBytes,
  }
}

/** One line for people. */
export function describe(result) {
  const { serviceTimeMs: t } = result
  const parts = [
    `${result.ratePerSecond.toLocaleString('en')} msg/s`,
    `p50 ${t.p50.toFixed(2)} ms`,
    `p99 ${t.p99.toFixed(2)} ms`,
    `p99.9 ${t.p999.toFixed(1)} ms`,
    `max ${t.max.toFixed(0)} ms`,
    `generator ${result.generatorCpuUsPerMessage?.toFixed(2)} µs/msg`,
  ]
  if (result.brokerCpuCores !== null) {
    parts.push(
      `broker ${result.brokerCpuCores.toFixed(2)} cores = ${result.brokerCpuUsPerMessage.toFixed(2)} µs/msg`,
      `RSS ${(result.brokerRssBytes / 2 ** 20).toFixed(0)} MiB`,
    )
  }
  if (Object.keys(result.failuresByCode).length > 0) {
    parts.push(`FAILURES ${JSON.stringify(result.failuresByCode)}`)
  }
  return parts.join(' · ')
}

async function main() {
  const { values } = parseArgs({
    options: {
      broker: { type: 'string' },
      topic: { type: 'string', default: 'light_generator' },
      seconds: { type: 'string', default: '10' },
      warmup: { type: 'string', default: '2' },
      processes: { type: 'string', default: '2' },
      outstanding: { type: 'string', default: '80' },
      queues: { type: 'string', default: '8' },
      size: { type: 'string', default: '500' },
      pid: { type: 'string' },
      rounds: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
    },
  })
  if (!values.broker) {
    process.stderr.write(
      'usage: light-generator.mjs --broker HOST:PORT [--topic T] [--seconds 10]\n',
    )
    process.exit(2)
  }
  const colon = values.broker.lastIndexOf(':')
  const options = {
    host: values.broker.slice(0, colon),
    port: Number(values.broker.slice(colon + 1)),
    topic: values.topic,
    processes: Number(values.processes),
    outstanding: Number(values.outstanding),
    queues: Number(values.queues),
    sizeBytes: Number(values.size),
    warmupMs: Number(values.warmup) * 1000,
    measureMs: Number(values.seconds) * 1000,
    brokerPid: values.pid ? Number(values.pid) : null,
  }
  if (!values.json) {
    process.stdout.write(
      `${options.processes} processes × 1 connection × ${options.outstanding} outstanding, ` +
        `${options.sizeBytes} B, ${options.queues} queues, ${availableParallelism()} cores shared\n`,
    )
  }
  for (let round = 0; round < Number(values.rounds); round++) {
    const result = await generate(options)
    process.stdout.write((values.json ? JSON.stringify(result) : describe(result)) + '\n')
  }
}

if (process.argv[2] === '--worker') {
  process.once('message', (options) => {
    runConnection(options).then(
      (result) => {
        process.send(result, () => process.exit(0))
      },
      (error) => {
        process.send({ failed: String(error) }, () => process.exit(1))
      },
    )
  })
} else if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main()
}

#!/usr/bin/env node
/**
 * How long a broker's event loop is held up by what is not a send: key queries over a large store,
 * listings of many topics and offsets, catching up on data that is not in the page cache. Delays are
 * those of a timer of 1 ms inside the broker's process, so about 1 ms of each is the timer's own.
 *
 *   npm run bench:event-loop -- [--messages 10000000] [--topics 1000] [--queries 2000] [--dir DIR]
 */
import * as fs from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { machineLine, sleep, startMqctl, writeBack } from './bench-peers.mjs'
import { describe, generate, processFacts } from './light-generator.mjs'
import { pullAll } from './light-puller.mjs'

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '10000000' },
    topics: { type: 'string', default: '1000' },
    queries: { type: 'string', default: '2000' },
    dir: { type: 'string', default: tmpdir() },
  },
})
const say = (text) => process.stderr.write(`${text}\n`)
const directory = fs.mkdtempSync(path.join(values.dir, 'mqctl-bench-'))
const file = path.join(directory, 'event-loop')

/** One connection that asks one request after the other and answers {code, bytes, ms}. */
async function open(host, port) {
  const socket = connect({ host, port, noDelay: true })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  let rest = Buffer.alloc(0)
  let waiting = null
  socket.on('data', (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    if (rest.length < 4 || rest.length < 4 + rest.readUInt32BE(0)) return
    const frame = rest
    rest = Buffer.alloc(0)
    const header = JSON.parse(frame.toString('utf8', 8, 8 + (frame.readUInt32BE(4) & 0xffffff)))
    waiting({ code: header.code, bytes: frame.length })
  })
  let opaque = 1
  return {
    async ask(code, extFields = {}) {
      const header = Buffer.from(
        JSON.stringify({
          code,
          extFields,
          flag: 0,
          language: 'JAVA',
          opaque: opaque++,
          version: 479,
        }),
      )
      const frame = Buffer.allocUnsafe(8 + header.length)
      frame.writeUInt32BE(4 + header.length, 0)
      frame.writeUInt32BE(header.length, 4)
      header.copy(frame, 8)
      const start = performance.now()
      const answer = new Promise((resolve) => {
        waiting = resolve
      })
      socket.write(frame)
      return { ...(await answer), ms: performance.now() - start }
    },
    close: () => socket.destroy(),
  }
}

/** Delays since the last call, of the process `pid`. */
async function delays(pid) {
  const at = `${file}.${pid}`
  fs.rmSync(at, { force: true })
  process.kill(pid, 'SIGUSR2')
  for (let i = 0; i < 500 && !fs.existsSync(at); i++) await sleep(10)
  return JSON.parse(fs.readFileSync(at, 'utf8'))
}

const lines = []
async function during(what, side, work) {
  await delays(side.pid)
  const note = await work()
  const { p50, p99, p999, max } = await delays(side.pid)
  const ms = (value) => value.toFixed(1)
  const line = `${what.padEnd(34)} p50 ${ms(p50)}  p99 ${ms(p99)}  p99.9 ${ms(p999)}  max ${ms(max)} ms   ${note}`
  say(line)
  lines.push(line)
}

const times = (answers) => {
  const sorted = answers.map((answer) => answer.ms).sort((a, b) => a - b)
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  return `answered in p50 ${at(0.5).toFixed(1)}, p99 ${at(0.99).toFixed(1)} ms`
}

/** Memory that the store's files have in the page cache is given back (root only; needs no dirty pages). */
function dropCaches() {
  writeBack()
  try {
    fs.writeFileSync('/proc/sys/vm/drop_caches', '1')
    return 'cold'
  } catch {
    return 'from the page cache (only root may drop it)'
  }
}

process.env.NODE_OPTIONS = `--import=${fileURLToPath(new URL('hooks/event-loop.mjs', import.meta.url))}`
process.env.MQCTL_EVENT_LOOP_FILE = file
const side = await startMqctl({ directory })
delete process.env.NODE_OPTIONS
try {
  say(machineLine(directory))
  let stored = 0
  const load = (measureMs, extra = {}) =>
    generate({
      host: side.host,
      port: side.port,
      topic: 'loop',
      brokerPid: side.pid,
      warmupMs: 0,
      measureMs,
      ...extra,
    })
  await during(`filling with ${Number(values.messages).toLocaleString('en')}`, side, async () => {
    let result
    while (stored < Number(values.messages)) {
      result = await load(10_000)
      stored += result.messages
    }
    return describe(result)
  })
  await load(3_000, { topic: 'many', topics: Number(values.topics), queues: 4 })
  const broker = await open(side.host, side.port)
  const unique = await load(1_000)
  say(`then ${unique.messages} more; ${stored.toLocaleString('en')} messages in the store`)
  await during(`${values.queries} key queries`, side, async () => {
    const answers = []
    for (let i = 0; i < Number(values.queries); i++) {
      const number = Math.floor(Math.random() * 100_000)
      const key =
        `7F000001A1B2C3D40000000${i % 2}`.slice(0, 24) + number.toString(16).padStart(8, '0')
      answers.push(
        await broker.ask(12, {
          topic: 'loop',
          key: key.toUpperCase(),
          maxNum: '32',
          beginTimestamp: '0',
          endTimestamp: String(Date.now() + 60_000),
        }),
      )
    }
    const found = answers.filter((answer) => answer.code === 0).length
    return `${found} found, ${times(answers)}`
  })
  await during(`200 listings of ${values.topics} topics`, side, async () => {
    const answers = []
    for (let i = 0; i < 200; i++) answers.push(await broker.ask(21))
    return `${answers[0].bytes.toLocaleString('en')} bytes each, ${times(answers)}`
  })
  broker.close()
  const state = dropCaches()
  await during(`catch-up, ${state}`, side, async () => {
    const result = await pullAll({ host: side.host, port: side.port, topic: 'loop' })
    return `${Math.round(result.ratePerSecond).toLocaleString('en')} msg/s`
  })
  dropCaches()
  await during('catch-up beside sends', side, async () => {
    const [result, sent] = await Promise.all([
      pullAll({ host: side.host, port: side.port, topic: 'loop' }),
      load(8_000, { processes: 1, outstanding: 20 }),
    ])
    return `${Math.round(result.ratePerSecond).toLocaleString('en')} msg/s out, ${sent.ratePerSecond.toLocaleString('en')} in`
  })
  const { rssBytes } = processFacts(side.pid)
  process.stdout.write(`${lines.join('\n')}\nRSS ${(rssBytes / 2 ** 20).toFixed(0)} MiB\n`)
} finally {
  await side.stop()
  fs.rmSync(directory, { recursive: true, force: true })
}

#!/usr/bin/env node
/**
 * The official Java client as the load: 2 JVMs × 80 threads that send synchronously, 500 bytes, on
 * our broker and on Apache's alternately. Most of the cost is the client's.
 *
 *   npm run bench:java-client -- [--pairs 10] [--seconds 8] [--warm-up 30] [--flush async|sync] [--dir DIR]
 *
 * Both sides are warm before anything counts: each has JVMs of its own for the whole run, and half a
 * minute of load on broker and clients first; who waits is stopped, clients with their broker. Windows
 * are short and many, and every ratio is of two that follow each other.
 */
import { execFileSync, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import {
  apacheJars,
  machineLine,
  median,
  sleep,
  spread,
  startApache,
  startMqctl,
  writeBack,
} from './bench-peers.mjs'
import { processFacts } from './light-generator.mjs'

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '8' },
    warm: { type: 'string', default: '2' },
    'warm-up': { type: 'string', default: '30' },
    threads: { type: 'string', default: '80' },
    processes: { type: 'string', default: '2' },
    size: { type: 'string', default: '500' },
    flush: { type: 'string', default: 'async' },
    heap: { type: 'string', default: '4g' },
    dir: { type: 'string', default: tmpdir() },
  },
})
const say = (text) => process.stderr.write(`${text}\n`)
const directory = fs.mkdtempSync(path.join(values.dir, 'mqctl-bench-'))

/** The interop tests' Java programs, compiled into the run's own folder. */
function compile(jars) {
  const sources = path.join(import.meta.dirname, '..', 'test', 'interop', 'java')
  const classes = path.join(directory, 'classes')
  execFileSync('javac', [
    ...['-nowarn', '-d', classes, '-cp', path.join(jars, '*')],
    ...fs.readdirSync(sources).map((name) => path.join(sources, name)),
  ])
  return `${classes}:${path.join(jars, '*')}`
}

/** One JVM with a producer that has joined; it stays for the whole run. */
async function startLoad(classPath, side, index) {
  const child = spawn('java', ['-Xmx512m', `-Duser.home=${directory}`, '-cp', classPath, 'Peer'], {
    cwd: directory,
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const answers = []
  const waiting = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('@')) return
    const answer = JSON.parse(line.slice(1))
    const next = waiting.shift()
    if (next) next(answer)
    else answers.push(answer)
  })
  child.on('exit', () => {
    for (const next of waiting.splice(0)) next({ error: { message: 'a JVM with clients ended' } })
  })
  const answer = async () => {
    const one = answers.shift() ?? (await new Promise((resolve) => waiting.push(resolve)))
    if (one.error) throw new Error(one.error.message)
    return one.result
  }
  const ask = (request) => {
    child.stdin.write(`${JSON.stringify({ id: 1, name: `load-${index}`, ...request })}\n`)
    return answer()
  }
  process.on('exit', () => child.kill('SIGKILL'))
  await answer()
  await ask({ do: 'producer.start', group: 'load', namesrv: side.namesrv })
  return {
    /** Sends for that long; what counts are the seconds behind the warm ones. */
    run: (seconds, warmupSeconds) =>
      ask({
        do: 'producer.pressure',
        topic: 'java_load',
        threads: Number(values.threads),
        seconds,
        warmupSeconds,
        sizeBytes: Number(values.size),
      }),
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    stop: () => child.kill('SIGKILL'),
  }
}

function pause({ side, loads }) {
  for (const one of [...loads, side]) one.pause()
}

function resume({ side, loads }) {
  for (const one of [side, ...loads]) one.resume()
}

/** Messages a second of one window; the other side stands still. */
async function measure(one, seconds, warmSeconds) {
  const { side, loads } = one
  resume(one)
  await sleep(300)
  const parts = await Promise.all(loads.map((load) => load.run(seconds, warmSeconds)))
  writeBack()
  pause(one)
  const rate = parts.reduce((sum, part) => sum + part.ratePerSecond, 0)
  const failed = parts.reduce((sum, part) => sum + part.failed, 0)
  const error = parts.find((part) => part.firstError)?.firstError
  if (error) say(`first failure: ${error.split('\n')[0]}`)
  const { rssBytes } = processFacts(side.pid)
  say(
    `${side.name.padEnd(6)} ${rate.toLocaleString('en')} msg/s, ${failed} failed, ` +
      `broker RSS ${(rssBytes / 2 ** 20).toFixed(0)} MiB`,
  )
  return rate
}

const sides = []
try {
  say(machineLine(directory))
  const classPath = compile(apacheJars())
  const start = async (startSide) => {
    const one = { side: await startSide(), loads: [] }
    sides.push(one)
    for (let index = 0; index < Number(values.processes); index++) {
      one.loads.push(await startLoad(classPath, one.side, index))
    }
    pause(one)
    return one
  }
  const { flush, heap } = values
  const apache = await start(() => startApache({ directory, flush, heap }))
  const ours = await start(() => startMqctl({ directory, flush }))
  for (const { side } of sides) say(`${side.version}: ${side.flags}`)
  say('warming up')
  for (const one of sides) await measure(one, 5, Number(values['warm-up']) - 5)
  say('measuring')
  const rates = { mqctl: [], apache: [] }
  for (let i = 0; i < Number(values.pairs); i++) {
    for (const one of i % 2 === 0 ? [ours, apache] : [apache, ours]) {
      rates[one.side.name].push(await measure(one, Number(values.seconds), Number(values.warm)))
    }
  }
  const ratios = rates.mqctl.map((rate, i) => rate / rates.apache[i])
  process.stdout.write(
    `official Java client, ${values.processes} × ${values.threads} threads  ${spread(ratios)} × Apache's ` +
      `(${median(rates.mqctl).toLocaleString('en')} and ${median(rates.apache).toLocaleString('en')} msg/s)\n`,
  )
} finally {
  for (const { side, loads } of sides) {
    for (const load of loads) load.stop()
    await side.stop()
  }
  fs.rmSync(directory, { recursive: true, force: true })
}

#!/usr/bin/env node
/**
 * The official Java client as the load: 2 JVMs × 80 threads that send synchronously, 500 bytes, on
 * our broker and on Apache's alternately. Most of the cost is the client's.
 *
 *   npm run bench:java-client -- [--pairs 5] [--seconds 15] [--flush async|sync] [--dir DIR]
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
    pairs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '15' },
    warm: { type: 'string', default: '5' },
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

/** One JVM: joins, sends for the time that was asked, answers what it managed. */
async function load(classPath, side, index) {
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
  const answer = async () => {
    const one = answers.shift() ?? (await new Promise((resolve) => waiting.push(resolve)))
    if (one.error) throw new Error(one.error.message)
    return one.result
  }
  const ask = (request) => {
    child.stdin.write(`${JSON.stringify({ id: 1, name: `load-${index}`, ...request })}\n`)
    return answer()
  }
  try {
    await answer()
    await ask({ do: 'producer.start', group: 'load', namesrv: side.namesrv })
    return await ask({
      do: 'producer.pressure',
      topic: 'java_load',
      threads: Number(values.threads),
      seconds: Number(values.seconds),
      warmupSeconds: Number(values.warm),
      sizeBytes: Number(values.size),
    })
  } finally {
    child.stdin.end()
    child.kill()
  }
}

async function measure(classPath, side) {
  side.resume()
  await sleep(300)
  const parts = await Promise.all(
    Array.from({ length: Number(values.processes) }, (_, index) => load(classPath, side, index)),
  )
  writeBack()
  side.pause()
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
  const apache = await startApache({ directory, flush: values.flush, heap: values.heap })
  sides.push(apache)
  const ours = await startMqctl({ directory, flush: values.flush })
  sides.push(ours)
  for (const side of sides) say(`${side.version}: ${side.flags}`)
  for (const side of sides) side.pause()
  for (const side of sides) await measure(classPath, side)
  const rates = { mqctl: [], apache: [] }
  for (let i = 0; i < Number(values.pairs); i++) {
    for (const side of i % 2 === 0 ? [ours, apache] : [apache, ours]) {
      rates[side.name].push(await measure(classPath, side))
    }
  }
  const ratios = rates.mqctl.map((rate, i) => rate / rates.apache[i])
  process.stdout.write(
    `official Java client, ${values.processes} × ${values.threads} threads  ${spread(ratios)} × Apache's ` +
      `(${median(rates.mqctl).toLocaleString('en')} and ${median(rates.apache).toLocaleString('en')} msg/s)\n`,
  )
} finally {
  for (const side of sides) await side.stop()
  fs.rmSync(directory, { recursive: true, force: true })
}

#!/usr/bin/env node
/**
 * From the moment a message was due until a consumer in long polling has it: ours and Apache's, alternately,
 * at one steady rate far below what either carries.
 *
 *   npm run bench:latency -- [--rate 10000] [--pairs 3] [--seconds 20] [--warm 30] [--consumers 2] [--dir DIR]
 *
 * Both times come from one clock (one host); the schedule, not the answer of the message before, says when
 * a message is due, so a broker that stalls cannot hide it. `mqctl bench` is the generator with all its checks.
 */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import {
  machineLine,
  median,
  runBench,
  sleep,
  spread,
  startApache,
  startMqctl,
  writeBack,
} from './bench-peers.mjs'

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '10000' },
    pairs: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '20' },
    warm: { type: 'string', default: '30' },
    consumers: { type: 'string', default: '2' },
    heap: { type: 'string', default: '4g' },
    dir: { type: 'string', default: tmpdir() },
  },
})

const say = (text) => process.stderr.write(`${text}\n`)
const directory = fs.mkdtempSync(path.join(values.dir, 'mqctl-bench-latency-'))

function scenarioOf(seconds) {
  const file = path.join(directory, `steady-${seconds}.yaml`)
  fs.writeFileSync(
    file,
    `version: 1
name: bench-latency
target: { driver: rocketmq }
topics: { queues: 8 }
producers: { instances: 2, threads: 80, mode: sync, timeout: 3s }
consumers: { instances: ${values.consumers}, mode: pull, prefetch: 32 }
message: { size: 500B, entropy: 1, pool: 1000 }
warmup: { min: 3s }
load:
  - { as: steady, model: open, shape: hold, rate: ${values.rate}/s, for: ${seconds}s }
`,
  )
  return file
}

/** Latencies in milliseconds of one run against one side; the other side stands still. */
async function measure(side, seconds) {
  side.resume()
  await sleep(500)
  const result = await runBench([
    ...[scenarioOf(seconds), '--namesrv', side.namesrv],
    ...['--out', path.join(directory, 'runs')],
  ])
  writeBack()
  side.pause()
  const { response, endToEnd } = result.latency
  const line = (name, one) =>
    `${name} p50 ${one.p50Ms} p99 ${one.p99Ms} p99.9 ${one.p999Ms} max ${one.maxMs} ms`
  say(
    `${side.name.padEnd(6)} ${Math.round(result.totals.rates.acked.meanPerSecond)} msg/s, ` +
      `${line('end to end', endToEnd)}, ${line('response', response)}`,
  )
  return { response, endToEnd }
}

const sides = []
try {
  say(machineLine(directory))
  const apache = await startApache({ directory, flush: 'async', heap: values.heap })
  sides.push(apache)
  const ours = await startMqctl({ directory, flush: 'async' })
  sides.push(ours)
  for (const side of sides) say(`${side.version}: ${side.flags}`)
  for (const side of sides) side.pause()
  await measure(apache, Number(values.warm))
  await measure(ours, 5)
  const runs = { mqctl: [], apache: [] }
  for (let i = 0; i < Number(values.pairs); i++) {
    for (const side of i % 2 === 0 ? [ours, apache] : [apache, ours]) {
      runs[side.name].push(await measure(side, Number(values.seconds)))
    }
  }
  for (const [name, of] of [
    ['end to end p50  ', (run) => run.endToEnd.p50Ms],
    ['end to end p99  ', (run) => run.endToEnd.p99Ms],
    ['end to end p99.9', (run) => run.endToEnd.p999Ms],
    ['response p99    ', (run) => run.response.p99Ms],
  ]) {
    if ([...runs.mqctl, ...runs.apache].some((run) => of(run) === null)) {
      process.stdout.write(`${name}  too few samples; longer runs or a higher rate have it\n`)
      continue
    }
    const ratios = runs.mqctl.map((run, i) => of(run) / of(runs.apache[i]))
    const both = ['mqctl', 'apache'].map((side) => median(runs[side].map(of)).toFixed(2))
    process.stdout.write(`${name}  ${spread(ratios)} × Apache's (${both.join(' and ')} ms)\n`)
  }
} finally {
  for (const side of sides) await side.stop()
  fs.rmSync(directory, { recursive: true, force: true })
}

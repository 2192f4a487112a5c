#!/usr/bin/env node
/**
 * Catch-up consumption: how fast a light puller reads a backlog from our broker and from Apache's,
 * 32 messages a pull, 8 queues, one connection, alternately. The backlog was just written, so it
 * comes from the page cache (on Apache's side from mapped files, which dropping caches leaves alone).
 *
 *   npm run bench:catchup -- [--pairs 5] [--messages 1500000] [--dir DIR]
 *   npm run bench:catchup -- --against OTHER/bin/run.js    with another build of ours in Apache's place
 */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import {
  machineLine,
  median,
  sleep,
  spread,
  startApache,
  startMqctl,
  writeBack,
} from './bench-peers.mjs'
import { generate, processFacts } from './light-generator.mjs'
import { pullAll } from './light-puller.mjs'

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '5' },
    messages: { type: 'string', default: '1500000' },
    dir: { type: 'string', default: tmpdir() },
    heap: { type: 'string', default: '4g' },
    against: { type: 'string' },
  },
})
const say = (text) => process.stderr.write(`${text}\n`)
const directory = fs.mkdtempSync(path.join(values.dir, 'mqctl-bench-'))
const topic = 'bench_catchup'

async function fill(side, messages) {
  let stored = 0
  while (stored < messages) {
    const result = await generate({
      host: side.host,
      port: side.port,
      topic,
      warmupMs: 0,
      measureMs: 5000,
    })
    stored += result.messages
  }
  writeBack()
}

const sides = []
try {
  say(machineLine(directory))
  const other = values.against
    ? { ...(await startMqctl({ directory, binary: values.against })), name: 'other' }
    : await startApache({ directory, heap: values.heap })
  sides.push(other)
  const ours = await startMqctl({ directory })
  sides.push(ours)
  for (const side of sides) await fill(side, Number(values.messages))
  const read = async (side) => {
    for (const idle of sides) if (idle !== side) idle.pause()
    side.resume()
    await sleep(300)
    const { cpuUs } = processFacts(side.pid)
    const result = await pullAll({ host: side.host, port: side.port, topic })
    const usPerMessage = (processFacts(side.pid).cpuUs - cpuUs) / result.messages
    say(
      `${side.name.padEnd(6)} ${result.messages.toLocaleString('en')} messages, ` +
        `${Math.round(result.ratePerSecond).toLocaleString('en')} msg/s, ` +
        `${(result.bytes / result.elapsedMs / 1000).toFixed(0)} MB/s, ` +
        `${usPerMessage.toFixed(3)} µs of broker CPU a message`,
    )
    return { rate: result.ratePerSecond, cpu: usPerMessage }
  }
  for (const side of sides) await read(side)
  const rates = { [ours.name]: [], [other.name]: [] }
  const cpu = { [ours.name]: [], [other.name]: [] }
  for (let i = 0; i < Number(values.pairs); i++) {
    for (const side of i % 2 === 0 ? [ours, other] : [other, ours]) {
      const result = await read(side)
      rates[side.name].push(result.rate)
      cpu[side.name].push(result.cpu)
    }
  }
  const ratios = (of) => of[ours.name].map((value, i) => value / of[other.name][i])
  const both = (of, text) => [ours, other].map((side) => text(median(of[side.name]))).join(' and ')
  const whose = values.against ? "the other build's" : "Apache's"
  process.stdout.write(
    `catch-up from the page cache  ${spread(ratios(rates))} × ${whose} ` +
      `(${both(rates, (rate) => Math.round(rate).toLocaleString('en'))} msg/s)\n` +
      `broker CPU a message          ${spread(ratios(cpu))} × ${whose} ` +
      `(${both(cpu, (us) => us.toFixed(2))} µs)\n`,
  )
} finally {
  for (const side of sides) await side.stop()
  fs.rmSync(directory, { recursive: true, force: true })
}

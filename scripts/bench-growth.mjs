#!/usr/bin/env node
/**
 * What a broker of ours costs as work grows: the rate with a backlog of millions, with 1,000 topics
 * and with 500 connections of which 2 are busy, each as a ratio to the empty broker with one topic
 * and two connections in the same run; and its memory.
 *
 *   npm run bench:growth -- [--backlog 10000000] [--topics 1000] [--connections 500] [--seconds 10]
 */
import * as fs from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { machineLine, median, spread, startMqctl, writeBack } from './bench-peers.mjs'
import { describe, generate, processFacts } from './light-generator.mjs'

const { values } = parseArgs({
  options: {
    backlog: { type: 'string', default: '10000000' },
    topics: { type: 'string', default: '1000' },
    connections: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '10' },
    pairs: { type: 'string', default: '3' },
    dir: { type: 'string', default: tmpdir() },
  },
})
const say = (text) => process.stderr.write(`${text}\n`)
const seconds = Number(values.seconds)
const directory = fs.mkdtempSync(path.join(values.dir, 'mqctl-bench-'))
const mib = (bytes) => (bytes / 2 ** 20).toFixed(0)
const lines = []
const sides = []

const start = async () => {
  const side = await startMqctl({ directory })
  sides.push(side)
  return side
}

async function rate(side, label, extra = {}) {
  const result = await generate({
    host: side.host,
    port: side.port,
    topic: 'growth',
    brokerPid: side.pid,
    warmupMs: 1000,
    measureMs: seconds * 1000,
    ...extra,
  })
  writeBack()
  say(`${label.padEnd(24)} ${describe(result)}`)
  return result.ratePerSecond
}

/** Runs both in turn (ABBA) and notes the ratio of the second to the first. */
async function compare(what, plain, grown) {
  const ratios = []
  for (let i = 0; i < Number(values.pairs); i++) {
    let a
    let b
    if (i % 2 === 0) {
      a = await plain()
      b = await grown()
    } else {
      b = await grown()
      a = await plain()
    }
    ratios.push(b / a)
  }
  lines.push(`${what.padEnd(34)} ${spread(ratios)} × the plain rate`)
  return median(ratios)
}

try {
  say(machineLine(directory))
  const plain = await start()
  const grown = await start()

  say(`filling ${Number(values.backlog).toLocaleString('en')} messages`)
  let stored = 0
  let peak = 0
  while (stored < Number(values.backlog)) {
    const result = await generate({
      host: grown.host,
      port: grown.port,
      topic: 'growth',
      brokerPid: grown.pid,
      warmupMs: 0,
      measureMs: 10_000,
    })
    stored += result.messages
    peak = Math.max(peak, result.brokerRssBytes ?? 0)
  }
  writeBack()
  await compare(
    `backlog of ${(stored / 1e6).toFixed(1)} million`,
    () => rate(plain, 'empty'),
    () => rate(grown, 'backlog'),
  )
  peak = Math.max(peak, processFacts(grown.pid).rssBytes)
  lines.push(`memory with that backlog            RSS ${mib(peak)} MiB at most`)
  await grown.stop()
  sides.splice(sides.indexOf(grown), 1)

  const many = await start()
  await compare(
    `${values.topics} topics`,
    () => rate(plain, '1 topic'),
    () => rate(many, `${values.topics} topics`, { topics: Number(values.topics), queues: 4 }),
  )
  lines.push(`memory with those topics            RSS ${mib(processFacts(many.pid).rssBytes)} MiB`)

  const idle = await Promise.all(
    Array.from(
      { length: Number(values.connections) - 2 },
      () =>
        new Promise((resolve, reject) => {
          const socket = connect({ host: many.host, port: many.port }, () => resolve(socket))
          socket.on('error', reject)
        }),
    ),
  )
  await compare(
    `${values.connections} connections, 2 busy`,
    () => rate(plain, '2 connections'),
    () => rate(many, `${values.connections} connections`),
  )
  for (const socket of idle) socket.destroy()
  process.stdout.write(`${lines.join('\n')}\n`)
} finally {
  for (const side of sides) await side.stop()
  fs.rmSync(directory, { recursive: true, force: true })
}

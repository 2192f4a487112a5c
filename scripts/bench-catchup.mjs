#!/usr/bin/env node
/**
 * Catch-up consumption: how fast a light puller reads a backlog from our broker and from Apache's,
 * 32 messages a pull, 8 queues, one connection, alternately. The backlog was just written, so it
 * comes from the page cache (on Apache's side from mapped files, which dropping caches leaves alone).
 *
 *   npm run bench:catchup -- [--pairs 5] [--messages 1500000] [--dir DIR]
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
import { generate } from './light-generator.mjs'
import { pullAll } from './light-puller.mjs'

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '5' },
    messages: { type: 'string', default: '1500000' },
    dir: { type: 'string', default: tmpdir() },
    heap: { type: 'string', default: '4g' },
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
  const apache = await startApache({ directory, heap: values.heap })
  sides.push(apache)
  const ours = await startMqctl({ directory })
  sides.push(ours)
  for (const side of sides) await fill(side, Number(values.messages))
  const read = async (side) => {
    for (const other of sides) if (other !== side) other.pause()
    side.resume()
    await sleep(300)
    const result = await pullAll({ host: side.host, port: side.port, topic })
    say(
      `${side.name.padEnd(6)} ${result.messages.toLocaleString('en')} messages, ` +
        `${Math.round(result.ratePerSecond).toLocaleString('en')} msg/s, ` +
        `${(result.bytes / result.elapsedMs / 1000).toFixed(0)} MB/s`,
    )
    return result.ratePerSecond
  }
  for (const side of sides) await read(side)
  const rates = { mqctl: [], apache: [] }
  for (let i = 0; i < Number(values.pairs); i++) {
    for (const side of i % 2 === 0 ? [ours, apache] : [apache, ours]) {
      rates[side.name].push(await read(side))
    }
  }
  const ratios = rates.mqctl.map((rate, i) => rate / rates.apache[i])
  const thousands = (list) => Math.round(median(list)).toLocaleString('en')
  process.stdout.write(
    `catch-up from the page cache  ${spread(ratios)} × Apache's ` +
      `(${thousands(rates.mqctl)} and ${thousands(rates.apache)} msg/s)\n`,
  )
} finally {
  for (const side of sides) await side.stop()
  fs.rmSync(directory, { recursive: true, force: true })
}

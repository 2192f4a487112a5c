#!/usr/bin/env node
/**
 * Recovery after kill -9: seconds a GiB of log that has to be read again. Checkpoints are every few
 * seconds, so an ordinary crash leaves little to read; here they are taken away, so that all of it is.
 *
 *   npm run bench:recovery -- [--gib 2] [--dir DIR]
 */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { machineLine, startMqctl } from './bench-peers.mjs'
import { generate } from './light-generator.mjs'

const { values } = parseArgs({
  options: { gib: { type: 'string', default: '2' }, dir: { type: 'string', default: tmpdir() } },
})
const say = (text) => process.stderr.write(`${text}\n`)
const directory = fs.mkdtempSync(path.join(values.dir, 'mqctl-bench-'))
const dataDir = path.join(directory, 'data')

/** Bytes of the log that are in use: the last record's end, as the broker reports it at its start. */
function used(store) {
  const log = path.join(store, 'commitlog')
  return fs.readdirSync(log).reduce((sum, name) => {
    const stats = fs.statSync(path.join(log, name))
    return sum + Math.min(stats.size, stats.blocks * 512)
  }, 0)
}

let side = null
try {
  say(machineLine(directory))
  side = await startMqctl({ directory, dataDir })
  const empty = side.readyMs
  const { store } = side
  while (used(store) < Number(values.gib) * 2 ** 30) {
    await generate({
      host: side.host,
      port: side.port,
      topic: 'recovery',
      warmupMs: 0,
      measureMs: 3000,
    })
  }
  const bytes = used(store)
  await side.kill()
  const checkpointed = await startMqctl({ directory, dataDir })
  await checkpointed.kill()
  for (const name of ['mqctl.durable', 'checkpoint']) {
    fs.rmSync(path.join(store, name), { force: true })
  }
  side = await startMqctl({ directory, dataDir })
  const gib = bytes / 2 ** 30
  process.stdout.write(
    [
      `start of an empty store                 ${(empty / 1000).toFixed(2)} s`,
      `start after kill -9, ${gib.toFixed(1)} GiB stored      ${(checkpointed.readyMs / 1000).toFixed(2)} s`,
      `start with no checkpoint at all         ${(side.readyMs / 1000).toFixed(2)} s = ` +
        `${((side.readyMs - empty) / 1000 / gib).toFixed(2)} s a GiB`,
      '',
    ].join('\n'),
  )
} finally {
  await side?.stop()
  fs.rmSync(directory, { recursive: true, force: true })
}

// What one message costs the store alone: `npm run bench:store`. Appends 500-byte messages in turns of
// 160, as 160 synchronous senders would, with a tag and a unique key (one index key each), through
// write, dispatch and index; then pulls from the tail, 32 at a time. Prints nanoseconds a message: of
// wall time, and of CPU (all threads of this process, the kernel's share included).
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { resolveOptions } from '../dist/src/base/options.js'
import { silentLogger } from '../dist/src/base/logger.js'
import { AppendRequest } from '../dist/src/store/append.js'
import { storeOptions } from '../dist/src/store/options.js'
import { Store } from '../dist/src/store/store.js'
import { nodeWorld } from '../dist/src/world/node-world.js'

const MESSAGES = Number(process.env.MESSAGES ?? 1_000_000)
const TURN = 160
const QUEUES = 8
const BODY_BYTES = 500

const dir = mkdtempSync(path.join(process.env.BENCH_DIR ?? os.tmpdir(), 'mqctl-bench-store-'))
let wake = () => undefined
const hooks = { onAdvanced: () => wake(), onLost: () => undefined, onDispatched: () => undefined }
const settings = {
  ...resolveOptions(storeOptions, {}),
  dir,
  storeHost: '127.0.0.1:10911',
}
const store = await Store.open(nodeWorld, settings, hooks, silentLogger)
const queues = Array.from({ length: QUEUES }, (_, i) => store.queue('bench', i))

const request = new AppendRequest()
request.body = Buffer.alloc(BODY_BYTES, 'x')
request.bodyEnd = BODY_BYTES
request.bornTimestamp = 1_800_000_000_000
request.suffix = Buffer.from('CLUSTER\x01DefaultCluster\x02MSG_REGION\x01DefaultRegion\x02')
const properties = Buffer.from(
  'UNIQ_KEY\x017F00000100002A9F0000000000000000\x02WAIT\x01true\x02TAGS\x01a\x02',
)
const digitsAt = properties.indexOf('0000000000000000')

async function turn(first) {
  for (let i = 0; i < TURN; i++) {
    properties.write(String(first + i).padStart(16, '0'), digitsAt, 'latin1')
    request.queue = queues[i % QUEUES]
    request.setProperties(properties, 0, properties.length)
    while (store.append(request) !== 0) await new Promise((resolve) => setImmediate(resolve))
  }
  const { end } = store.lastAppend
  while (store.watermarks.dispatched < end) await new Promise((resolve) => (wake = resolve))
}

async function measured(name, count, work) {
  const cpu = process.cpuUsage()
  const start = process.hrtime.bigint()
  await work(count)
  const ns = Number(process.hrtime.bigint() - start)
  const { user, system } = process.cpuUsage(cpu)
  const line = [
    name.padEnd(30),
    `${Math.round(ns / count)} ns wall`.padStart(14),
    `${Math.round((user * 1000) / count)} ns user`.padStart(14),
    `${Math.round((system * 1000) / count)} ns system`.padStart(16),
  ]
  process.stdout.write(`${line.join('  ')}\n`)
}

async function append(count) {
  for (let sent = 0; sent < count; sent += TURN) await turn(sent)
}

const target = {
  bytes: Buffer.alloc(1024 * 1024),
  length: 0,
  reserve(count) {
    if (this.length + count > this.bytes.length) throw new Error('reply too long')
    return this.length
  },
}

function pullTail(count) {
  let pulled = 0
  for (let i = 0; pulled < count; i++) {
    const queue = queues[i % QUEUES]
    target.length = 0
    const outcome = store.pullNow(
      queue,
      queue.maxOffset - 32 - (i % 1000),
      32,
      262_144,
      null,
      target,
    )
    pulled += outcome.count
  }
}

async function pullCold(count) {
  const offsets = queues.map((queue) => queue.minOffset)
  for (let pulled = 0; pulled < count;) {
    let moved = 0
    for (const [i, queue] of queues.entries()) {
      target.length = 0
      const outcome = await store.pull(queue, offsets[i], 32, 262_144, null, target)
      offsets[i] = outcome.nextBeginOffset
      moved += outcome.count
    }
    pulled += moved
    if (moved === 0) return
  }
}

try {
  process.stdout.write(`${BODY_BYTES}-byte bodies, ${TURN} a turn, ${QUEUES} queues, ${dir}\n`)
  await append(100_000)
  await measured('append + write + dispatch + index', MESSAGES, append)
  await measured('pull 32 from the tail', MESSAGES, pullTail)
  await measured('pull 32 of the backlog, checked', MESSAGES, pullCold)
  const { tailBytes } = store.facts()
  const rss = Math.round(process.memoryUsage.rss() / 1048576)
  process.stdout.write(`tail ${tailBytes / 1048576} MiB, RSS ${rss} MiB\n`)
} finally {
  await store.close()
  rmSync(dir, { recursive: true, force: true })
}

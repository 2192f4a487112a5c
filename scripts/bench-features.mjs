#!/usr/bin/env node
/**
 * What the features of messages cost, as ratios to the plain path of the same run, on a broker of its own.
 *
 *   npm run bench:features -- [--messages 200000] [--senders 160] [--seconds 5] [--dir DIR]
 *     [--timers 1000000]     0 leaves them out
 *
 * Sends go through the library's own producer in this process (all checks, one connection), so that
 * both sides of a ratio pay the same client.
 */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { Consumer, Producer, TransactionProducer } from '../dist/src/mqctl.js'
import { machineLine, median, spread, startMqctl, writeBack } from './bench-peers.mjs'
import { processFacts } from './light-generator.mjs'
import { pullAll } from './light-puller.mjs'

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '200000' },
    senders: { type: 'string', default: '160' },
    seconds: { type: 'string', default: '5' },
    delayed: { type: 'string', default: '100000' },
    timers: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '3' },
    dir: { type: 'string', default: tmpdir() },
  },
})
const messages = Number(values.messages)
const senders = Number(values.senders)
const rounds = Number(values.rounds)
const say = (text) => process.stderr.write(`${text}\n`)
const directory = fs.mkdtempSync(path.join(values.dir, 'mqctl-bench-'))
const lines = []
const note = (line) => {
  say(line)
  lines.push(line)
}
const body = Buffer.alloc(500, 'x')
const perSecond = (rate) => `${Math.round(rate).toLocaleString('en')}/s`

/** Calls `one(i)` for i below `count`, `senders` at a time; calls a second. */
async function pump(count, one) {
  let next = 0
  const start = performance.now()
  await Promise.all(
    Array.from({ length: senders }, async () => {
      for (let i = next++; i < count; i = next++) await one(i)
    }),
  )
  return (count / (performance.now() - start)) * 1000
}

/** The same for a time. */
async function pumpFor(seconds, one) {
  const end = performance.now() + seconds * 1000
  let count = 0
  const start = performance.now()
  await Promise.all(
    Array.from({ length: senders }, async () => {
      while (performance.now() < end) await one(count++)
    }),
  )
  return (count / (performance.now() - start)) * 1000
}

/** Both in turn, so that a machine that changes favours neither. */
async function ratio(what, plain, other, goal) {
  const ratios = []
  const rates = { plain: [], other: [] }
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? ['plain', 'other'] : ['other', 'plain']
    for (const side of order) rates[side].push(await (side === 'plain' ? plain() : other()))
    ratios.push(rates.other[round] / rates.plain[round])
  }
  note(
    `${what.padEnd(34)} ${spread(ratios)} × (${perSecond(median(rates.other))} and ${perSecond(median(rates.plain))})  goal: ${goal}`,
  )
}

const side = await startMqctl({ directory })
const { host, port } = side
const options = { nameServers: side.namesrv }
const producer = Producer.open(options)
try {
  say(machineLine(directory))
  const seconds = Number(values.seconds)
  const plain = (topic) => () => pumpFor(seconds, () => producer.send({ topic, body }))
  await plain('plain')()

  await ratio(
    'ordered sends',
    plain('plain'),
    () => pumpFor(seconds, (i) => producer.send({ topic: 'plain', body, orderKey: `k${i % 997}` })),
    '0.9',
  )

  const transactional = TransactionProducer.open({
    ...options,
    group: 'bench',
    check: () => 'commit',
  })
  await ratio(
    'transactions, half and commit',
    plain('plain'),
    () =>
      pumpFor(seconds, () =>
        transactional.sendTransaction({ topic: 'plain', body }, () => 'commit'),
      ),
    '0.35',
  )
  await transactional.close()

  say(`storing ${messages.toLocaleString('en')} messages with tags and properties`)
  await pump(messages, (i) =>
    producer.send({
      topic: 'filtered',
      body,
      tags: `T${i % 100}`,
      properties: { price: String(i % 100), region: i % 2 ? 'eu' : 'us' },
    }),
  )
  const pulled = async (extra) => {
    const { messages: scanned, elapsedMs } = await pullAll({
      host,
      port,
      topic: 'filtered',
      queues: 4,
      ...extra,
    })
    if (scanned < messages) throw new Error(`only ${scanned} of ${messages} messages were passed`)
    return (scanned / elapsedMs) * 1000
  }
  await pulled({})
  await ratio(
    '1 message in 100 by tag',
    () => pulled({}),
    () => pulled({ subscription: 'T7' }),
    '5',
  )
  const sql = { subscription: "price = 7 AND region = 'eu'", expressionType: 'SQL92' }
  await pulled(sql)
  const before = processFacts(side.pid).cpuUs
  const rates = []
  for (let round = 0; round < rounds; round++) rates.push(await pulled(sql))
  const cpuUs = (processFacts(side.pid).cpuUs - before) / (rounds * messages)
  note(
    `${'SQL filter, evaluations'.padEnd(34)} ${perSecond(median(rates))}, ${cpuUs.toFixed(2)} µs of broker CPU each  goal: 300,000/s`,
  )

  const delayed = Number(values.delayed)
  say(`${delayed.toLocaleString('en')} messages wait half an hour`)
  await pump(delayed, () => producer.send({ topic: 'later', body, delayLevel: 16 }))
  writeBack()
  const other = await startMqctl({ directory })
  const fresh = Producer.open({ nameServers: other.namesrv })
  await pumpFor(2, () => fresh.send({ topic: 'plain', body }))
  await ratio(
    'plain sends, so many waiting',
    () => pumpFor(seconds, () => fresh.send({ topic: 'plain', body })),
    plain('plain'),
    'no less than 1, within the noise',
  )
  await fresh.close()
  await other.stop()

  const timers = Number(values.timers)
  if (timers > 0) {
    say(
      `${timers.toLocaleString('en')} messages wait for a time of their own, one to two hours ahead`,
    )
    const keeper = await startMqctl({ directory })
    const sender = Producer.open({ nameServers: keeper.namesrv })
    const hourMs = 3_600_000
    const spreadMs = (i) => hourMs + Math.floor((i / timers) * hourMs)
    const rate = await pump(timers, (i) =>
      sender.send({ topic: 'timed', body, delayMs: spreadMs(i) }),
    )
    await sender.close()
    const rssMiB = processFacts(keeper.pid).rssBytes / 2 ** 20
    note(
      `${'times of their own, that many'.padEnd(34)} taken at ${perSecond(rate)}, then RSS ${rssMiB.toFixed(0)} MiB  goal: 250 MB`,
    )
    await keeper.stop()
    writeBack()
  }

  say('messages of delay level 2 (5 s), and when they come')
  const late = []
  const consumer = await Consumer.start({
    ...options,
    group: 'bench-late',
    from: 'first',
    subscriptions: [{ topic: 'soon' }],
    concurrency: 64,
    handler: (message) => {
      late.push(Date.now() - Number(message.properties.sentAt) - 5000)
    },
  })
  const pace = 2000
  const total = pace * 10
  const startMs = Date.now()
  await pump(total, async (i) => {
    const dueMs = startMs + (i / pace) * 1000
    if (dueMs > Date.now()) await new Promise((resolve) => setTimeout(resolve, dueMs - Date.now()))
    await producer.send({
      topic: 'soon',
      body,
      delayLevel: 2,
      properties: { sentAt: String(Date.now()) },
    })
  })
  while (late.length < total && Date.now() < startMs + 60_000) {
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  await consumer.close()
  late.sort((a, b) => a - b)
  const at = (share) => late[Math.min(late.length - 1, Math.floor(late.length * share))]
  note(
    `${'delay level 2, lateness'.padEnd(34)} earliest ${at(0)} ms, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms, ${late.length} of ${total} came  goal: p99 ≤ 100 ms, never early`,
  )
  const { rssBytes } = processFacts(side.pid)
  process.stdout.write(`${lines.join('\n')}\nRSS ${(rssBytes / 2 ** 20).toFixed(0)} MiB\n`)
} finally {
  await producer.close()
  await side.stop()
  fs.rmSync(directory, { recursive: true, force: true })
}

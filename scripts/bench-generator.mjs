#!/usr/bin/env node
/**
 * What the load generator of `mqctl bench` can do, and what it costs: one producer process against
 * the null target, bare (the body is copied and nothing more) and with all checks (identity,
 * sequence, send time, checksum), several times in turn. Budgets: at most 4 µs of CPU a message
 * bare, 6 µs with all checks.
 *
 *   node scripts/bench-generator.mjs [--rounds 3] [--seconds 3] [--size 500] [--senders 80] [--json]
 *
 * Needs `npm run build`.
 */
import { parseArgs } from 'node:util'
import { measureCeiling } from '../dist/src/bench/ceiling.js'
import { loadHistograms } from '../dist/src/bench/histogram.js'
import { plainMix } from '../dist/src/bench/message-mix.js'
import { nodeWorld } from '../dist/src/world/node-world.js'

const BUDGET_US = { bare: 4, checked: 6 }

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    size: { type: 'string', default: '500' },
    senders: { type: 'string', default: '80' },
    producers: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
})

const [rounds, seconds, sizeBytes, slots, producers] = [
  values.rounds,
  values.seconds,
  values.size,
  values.senders,
  values.producers,
].map(Number)

function setups(checks) {
  return Array.from({ length: producers }, (_, producer) => ({
    kind: 'producer',
    driver: 'null',
    endpoints: [],
    topics: ['mqctl_bench_generator'],
    group: 'mqctl_bench_generator',
    runId: 1,
    sequence: checks,
    checksum: checks,
    producer,
    producers,
    slots,
    timeoutMs: 3000,
    oneWay: false,
    batchSize: 1,
    lingerMs: 0,
    kinds: [{ tag: null, properties: {} }],
    mix: plainMix,
    sizes: [{ sizeBytes, weight: 1 }],
    pool: 1000,
    entropy: 1,
    seed: 1,
  }))
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor((numbers.length - 1) / 2)]

await loadHistograms()
const times = { warmupMs: 1000, measureMs: seconds * 1000 }
const runs = { bare: [], checked: [] }
for (let round = 0; round < rounds; round += 1) {
  for (const kind of round % 2 === 0 ? ['bare', 'checked'] : ['checked', 'bare']) {
    runs[kind].push(await measureCeiling(nodeWorld.clock, setups(kind === 'checked'), times))
  }
}

const result = Object.fromEntries(
  Object.entries(runs).map(([kind, list]) => [
    kind,
    {
      perSecond: Math.round(median(list.map((run) => run.perSecond))),
      cpuUsPerMessage: Number(median(list.map((run) => run.cpuUsPerMessage)).toFixed(2)),
      cpuUsPerMessageMax: Number(Math.max(...list.map((run) => run.cpuUsPerMessage)).toFixed(2)),
      budgetUs: BUDGET_US[kind],
    },
  ]),
)

if (values.json)
  console.log(JSON.stringify({ sizeBytes, senders: slots, producers, rounds, ...result }))
else {
  console.log(
    `${producers} producer process × ${slots} senders, ${sizeBytes} B, ${rounds} rounds of ${seconds} s against the null target`,
  )
  for (const [kind, row] of Object.entries(result)) {
    const ok = row.cpuUsPerMessage <= row.budgetUs ? 'within' : 'ABOVE'
    console.log(
      `${kind.padEnd(8)} ${row.perSecond.toLocaleString('en-US').padStart(9)} msg/s   ${row.cpuUsPerMessage.toFixed(2)} µs of CPU a message (worst ${row.cpuUsPerMessageMax.toFixed(2)}), ${ok} the budget of ${row.budgetUs} µs`,
    )
  }
}
process.exitCode = Object.values(result).every((row) => row.cpuUsPerMessage <= row.budgetUs) ? 0 : 1

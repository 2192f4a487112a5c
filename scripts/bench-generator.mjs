#!/usr/bin/env node
/**
 * What the load generator of `mqctl bench` can do, and what it costs: one producer process against
 * the null target, bare (the body is copied and nothing more) and with all checks (identity,
 * sequence, send time, checksum), several times in turn. Budgets: at most 4 µs of CPU a message
 * bare, 6 µs with all checks.
 *
 * Then the schedule: two producers at 50,000 messages a second against the null target alone, with
 * the pacing error (budget: p99 at most 1 ms), and one at 100,000 a second, with its memory over
 * time (budget: 200 MB a process, and flat: the second half at most 10 % above the first).
 *
 *   node scripts/bench-generator.mjs [--rounds 3] [--seconds 3] [--size 500] [--senders 80] [--json]
 *     [--pacing-seconds 10] [--memory-seconds 30]     0 leaves one out; the budget of memory is for 600
 *
 * Exit code 1 when a budget is missed; figures of a machine that does something else as well mean little.
 *
 * Needs `npm run build`.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { measureCeiling } from '../dist/src/bench/ceiling.js'
import { Crew } from '../dist/src/bench/crew.js'
import { loadHistograms } from '../dist/src/bench/histogram.js'
import { plainMix } from '../dist/src/bench/message-mix.js'
import { NullTargetProcess } from '../dist/src/bench/null-target-process.js'
import { LatencyHistogram } from '../dist/src/bench/histogram.js'
import { nodeWorld } from '../dist/src/world/node-world.js'

const BUDGET_US = { bare: 4, checked: 6 }

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    size: { type: 'string', default: '500' },
    senders: { type: 'string', default: '80' },
    producers: { type: 'string', default: '1' },
    'pacing-seconds': { type: 'string', default: '10' },
    'memory-seconds': { type: 'string', default: '30' },
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

function setups(checks, count = producers) {
  return Array.from({ length: count }, (_, producer) => ({
    kind: 'producer',
    driver: 'null',
    endpoints: [],
    topics: ['mqctl_bench_generator'],
    group: 'mqctl_bench_generator',
    runId: 1,
    sequence: checks,
    checksum: checks,
    producer,
    producers: count,
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

/** An open load by a schedule; what it cost is in the histogram and in the memory of the processes. */
async function scheduled(rateHz, count, runSeconds) {
  const { clock } = nodeWorld
  const target = await NullTargetProcess.start(clock)
  const pacing = new LatencyHistogram()
  const tally = { scheduled: 0, acked: 0, unsent: 0 }
  const crew = await Crew.gather(
    clock,
    setups(true, count).map((setup) => ({
      name: `producer-${setup.producer + 1}`,
      setup: { ...setup, slots: 500, endpoints: [target.address] },
    })),
    {
      onTick: (_name, tick) => {
        for (const one of tick.tallies ?? []) {
          for (const key of Object.keys(tally)) tally[key] += one[key]
          if (one.latency.pacing === undefined) continue
          const part = LatencyHistogram.decode(one.latency.pacing)
          pacing.add(part)
          part.destroy()
        }
      },
      onLost: (name, why) => console.error(`${name}: ${why}`),
    },
  )
  try {
    const startNs = Number(clock.monotonicNs()) + 2e9
    const shape = { kind: 'hold', rateHz }
    const phase = (number, fromNs, ms) => ({
      phase: number,
      startNs: fromNs,
      endNs: fromNs + ms * 1e6,
      load: { model: 'open', shape, durationMs: ms },
    })
    crew.start(startNs, [phase(null, startNs - 1e9, 1000)])
    crew.extend([phase(0, startNs, runSeconds * 1000)], true)
    const memory = []
    const stop = clock.every(1000, () => {
      if (Number(clock.monotonicNs()) < startNs) return
      memory.push(Math.max(...crew.processes.map(({ pid }) => rssBytes(pid))) / 1e6)
    })
    await crew.producerReports(runSeconds * 1000 + 20_000)
    stop()
    return { rateHz, seconds: runSeconds, producers: count, ...tally, pacing, memory }
  } finally {
    crew.end()
    target.end()
  }
}

function rssBytes(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * 4096
  } catch {
    return 0
  }
}

const misses = []
const [pacingSeconds, memorySeconds] = [values['pacing-seconds'], values['memory-seconds']].map(
  Number,
)
if (pacingSeconds > 0) {
  const { pacing, memory: _, ...run } = await scheduled(50_000, 2, pacingSeconds)
  const p99Ms = pacing.atMs(99)
  result.pacing = { ...run, p50Ms: pacing.atMs(50), p99Ms, maxMs: pacing.maxMs, budgetMs: 1 }
  if (p99Ms > 1) misses.push('pacing')
}
if (memorySeconds > 0) {
  const { pacing: _, memory, ...run } = await scheduled(100_000, 1, memorySeconds)
  const half = Math.floor(memory.length / 2)
  const [first, second] = [memory.slice(0, half), memory.slice(half)].map((part) => median(part))
  const mostMb = Math.max(...memory)
  result.memory = { ...run, firstHalfMb: first, secondHalfMb: second, mostMb, budgetMb: 200 }
  if (mostMb > 200 || second > first * 1.1) misses.push('memory')
}

if (values.json)
  console.log(JSON.stringify({ sizeBytes, senders: slots, producers, rounds, ...result }))
else {
  console.log(
    `${producers} producer process × ${slots} senders, ${sizeBytes} B, ${rounds} rounds of ${seconds} s against the null target`,
  )
  for (const kind of ['bare', 'checked']) {
    const row = result[kind]
    const ok = row.cpuUsPerMessage <= row.budgetUs ? 'within' : 'ABOVE'
    console.log(
      `${kind.padEnd(8)} ${row.perSecond.toLocaleString('en-US').padStart(9)} msg/s   ${row.cpuUsPerMessage.toFixed(2)} µs of CPU a message (worst ${row.cpuUsPerMessageMax.toFixed(2)}), ${ok} the budget of ${row.budgetUs} µs`,
    )
  }
  const { pacing, memory } = result
  if (pacing !== undefined) {
    console.log(
      `pacing at 50,000/s, ${pacing.producers} producers, ${pacing.seconds} s: ${pacing.p50Ms.toFixed(3)} ms at p50, ${pacing.p99Ms.toFixed(3)} ms at p99 (${misses.includes('pacing') ? 'ABOVE' : 'within'} the budget of 1 ms), ${pacing.maxMs.toFixed(1)} ms at most; ${pacing.acked} of ${pacing.scheduled} acknowledged`,
    )
  }
  if (memory !== undefined) {
    console.log(
      `memory at 100,000/s, 1 producer, ${memory.seconds} s: ${memory.firstHalfMb.toFixed(0)} MB in the first half, ${memory.secondHalfMb.toFixed(0)} MB in the second, ${memory.mostMb.toFixed(0)} MB at most (${misses.includes('memory') ? 'ABOVE' : 'within'} the budget of 200 MB and flat); ${memory.acked} of ${memory.scheduled} acknowledged`,
    )
  }
}
const within = ['bare', 'checked'].every((kind) => result[kind].cpuUsPerMessage <= BUDGET_US[kind])
process.exitCode = within && misses.length === 0 ? 0 : 1
for (const kind of ['bare', 'checked']) {
  if (result[kind].cpuUsPerMessage > result[kind].budgetUs) misses.push(kind)
}
process.exitCode = misses.length > 0 ? 1 : 0

#!/usr/bin/env node
/**
 * How often `mqctl bench gate` is right on this machine: real gates of equals, which must not alarm, and
 * real gates with a slow-down planted in the brokers of HEAD (they stand still for a share of the
 * time), which must be found. Each trial is a gate with one look and no confirmation.
 *
 *   node scripts/bench-gate-trials.mjs [--trials 20] [--pairs 8] [--plant 30%] [--duration 1s] [--json]
 *
 * Needs `npm run build`. Twenty of each take about an hour.
 */
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    trials: { type: 'string', default: '20' },
    pairs: { type: 'string', default: '8' },
    plant: { type: 'string', default: '30%' },
    duration: { type: 'string', default: '1s' },
    scenario: { type: 'string', default: 'pressure-80x500' },
    json: { type: 'boolean', default: false },
  },
})

const bin = path.join(import.meta.dirname, '..', 'bin', 'run.js')

function gate(seed, plant) {
  const args = ['bench', 'gate', 'self', 'self', values.scenario, '--one-look', '--no-confirm']
  args.push('--pairs', values.pairs, '--duration', values.duration, '--warmup', '500ms')
  args.push('--seed', String(seed), '--json', '--quiet', ...plant)
  const { stdout } = spawnSync(process.execPath, [bin, ...args], {
    encoding: 'utf8',
    maxBuffer: 64e6,
  })
  try {
    const { verdict = 'error', reasons = [] } = JSON.parse(stdout)
    return { verdict, reasons }
  } catch {
    return { verdict: 'error', reasons: [stdout.slice(0, 200)] }
  }
}

const kinds = { same: [], planted: ['--plant', values.plant] }
const counts = { same: {}, planted: {} }
for (let trial = 1; trial <= Number(values.trials); trial += 1) {
  for (const [kind, plant] of Object.entries(kinds)) {
    const { verdict, reasons } = gate(trial * 100, plant)
    counts[kind][verdict] = (counts[kind][verdict] ?? 0) + 1
    if (!values.json)
      console.log(`${kind} ${trial}: ${verdict}${reasons[0] ? ` (${reasons[0]})` : ''}`)
  }
}
const trials = Number(values.trials)
const falseAlarms = (counts.same.regressed ?? 0) + (counts.same.improved ?? 0)
const found = counts.planted.regressed ?? 0
const summary = {
  trials,
  pairs: Number(values.pairs),
  plant: values.plant,
  falseAlarms,
  found,
  counts,
}
if (values.json) console.log(JSON.stringify(summary))
else {
  console.log(`equals: ${falseAlarms} false alarms in ${trials} gates`)
  console.log(`planted ${values.plant}: found in ${found} of ${trials} gates`)
}
process.exitCode = falseAlarms <= Math.ceil(trials * 0.1) && found >= trials * 0.9 ? 0 : 1

#!/usr/bin/env node
/**
 * Our broker and Apache's, alternately, under the same load: the ratio, with its spread.
 *
 *   npm run bench:broker -- [--pairs 5] [--seconds 30] [--warm 60] [--flush async|sync] [--dir DIR]
 *                           [--generator light|mqctl] [--consumers 2]
 *
 * The light generator checks nothing and shows what the broker can do; `--generator mqctl` is `mqctl
 * bench` with all its checks, and with `--consumers` its consumers as well.
 *
 * Both brokers live for the whole comparison; the one that is not measured is stopped (SIGSTOP), so
 * that it costs nothing. Pairs run ABBA (ours, Apache's, Apache's, ours …), so that a machine that
 * grows slower favours nobody. The Apache side is warmed under load before the first pair. Only
 * ratios of one run mean anything: the same broker gives different absolute rates an hour apart.
 * The latency is service time, of a closed loop.
 */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { describe, generate, processFacts } from './light-generator.mjs'
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
    pairs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '30' },
    warm: { type: 'string', default: '60' },
    flush: { type: 'string', default: 'async' },
    dir: { type: 'string', default: tmpdir() },
    processes: { type: 'string', default: '2' },
    outstanding: { type: 'string', default: '80' },
    size: { type: 'string', default: '500' },
    queues: { type: 'string', default: '8' },
    heap: { type: 'string', default: '4g' },
    generator: { type: 'string', default: 'light' },
    consumers: { type: 'string', default: '0' },
    json: { type: 'boolean', default: false },
  },
})

const say = (text) => process.stderr.write(`${text}\n`)
const directory = fs.mkdtempSync(path.join(values.dir, 'mqctl-bench-'))

/** The figures that are compared, from the result document of `mqctl bench`. */
function asLight(result, cores, rssBytes) {
  const { totals, latency, wholeRun, client } = result
  const ratePerSecond = totals.rates.acked.meanPerSecond
  return {
    messages: totals.acked,
    ratePerSecond: Math.round(ratePerSecond),
    receivedPerSecond: Math.round(totals.rates.received.meanPerSecond),
    failuresByCode: totals.errors,
    serviceTimeMs: {
      p50: latency.service.p50Ms,
      p99: latency.service.p99Ms ?? latency.service.maxMs,
      p999: latency.service.p999Ms ?? latency.service.maxMs,
      max: latency.service.maxMs,
    },
    generatorCpuUsPerMessage: client.producerCpuUsPerMessage,
    brokerCpuCores: cores,
    // Over the whole run, so that warm-up and window are in both the time and the messages.
    brokerCpuUsPerMessage: (cores * 1e6 * result.elapsedSeconds) / wholeRun.acked,
    brokerRssBytes: rssBytes,
  }
}

/** `mqctl bench` against one side, brought into the shape of the light generator's result. */
async function benchOf(side, seconds) {
  const before = processFacts(side.pid)
  const start = performance.now()
  const result = await runBench([
    ...['--namesrv', side.namesrv, '--topic', 'bench_broker'],
    ...['--duration', `${seconds}s`, '--warmup', '2s', '--consumers', values.consumers],
    ...['--producers', values.processes, '--threads', values.outstanding],
    ...['--size', values.size, '--queues', values.queues],
    ...['--out', path.join(directory, 'runs')],
  ])
  const elapsedSeconds = (performance.now() - start) / 1000
  const after = processFacts(side.pid)
  const cores = (after.cpuUs - before.cpuUs) / 1e6 / elapsedSeconds
  return asLight({ ...result, elapsedSeconds }, cores, after.rssBytes)
}

async function measure(side, seconds) {
  side.resume()
  await sleep(500)
  const result = await (values.generator === 'mqctl'
    ? benchOf(side, seconds)
    : lightOf(side, seconds))
  writeBack()
  side.pause()
  return result
}

function lightOf(side, seconds) {
  return generate({
    host: side.host,
    port: side.port,
    topic: 'bench_broker',
    processes: Number(values.processes),
    outstanding: Number(values.outstanding),
    sizeBytes: Number(values.size),
    queues: Number(values.queues),
    warmupMs: 2000,
    measureMs: seconds * 1000,
    brokerPid: side.pid,
  })
}

async function compare() {
  const sides = []
  try {
    say(machineLine(directory))
    const apache = await startApache({ directory, flush: values.flush, heap: values.heap })
    sides.push(apache)
    const ours = await startMqctl({ directory, flush: values.flush })
    sides.push(ours)
    for (const side of [ours, apache]) say(`${side.version}: ${side.flags}`)
    say(
      `load by the ${values.generator} generator, ${values.consumers} consumers: ${values.processes} processes × 1 connection × ${values.outstanding} outstanding, ` +
        `${values.size} B, ${values.queues} queues, SEND_MESSAGE_V2 with JSON headers`,
    )
    ours.pause()
    say(`warming Apache's for ${values.warm} s, ours for a moment`)
    await measure(apache, Number(values.warm))
    await measure(ours, 5)
    const pairs = []
    for (let i = 0; i < Number(values.pairs); i++) {
      const order = i % 2 === 0 ? [ours, apache] : [apache, ours]
      const pair = {}
      for (const side of order) {
        pair[side.name] = await measure(side, Number(values.seconds))
        say(`pair ${i + 1} ${side.name.padEnd(6)} ${describe(pair[side.name])}`)
      }
      pairs.push(pair)
    }
    return { ours, apache, pairs }
  } finally {
    for (const side of sides) await side.stop()
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

const { ours, apache, pairs } = await compare()
const ratios = (of) => pairs.map((pair) => of(pair.mqctl) / of(pair.apache))
const summary = {
  flush: values.flush,
  versions: [ours.version, apache.version],
  pairs: pairs.length,
  secondsEach: Number(values.seconds),
  rate: {
    mqctl: median(pairs.map((pair) => pair.mqctl.ratePerSecond)),
    apache: median(pairs.map((pair) => pair.apache.ratePerSecond)),
    ratios: ratios((r) => r.ratePerSecond),
  },
  brokerCpuUsPerMessage: {
    mqctl: median(pairs.map((pair) => pair.mqctl.brokerCpuUsPerMessage)),
    apache: median(pairs.map((pair) => pair.apache.brokerCpuUsPerMessage)),
    ratios: ratios((r) => r.brokerCpuUsPerMessage),
  },
  serviceTimeP99Ms: {
    mqctl: median(pairs.map((pair) => pair.mqctl.serviceTimeMs.p99)),
    apache: median(pairs.map((pair) => pair.apache.serviceTimeMs.p99)),
    ratios: ratios((r) => r.serviceTimeMs.p99),
  },
  rssBytes: {
    mqctl: Math.max(...pairs.map((pair) => pair.mqctl.brokerRssBytes)),
    apache: Math.max(...pairs.map((pair) => pair.apache.brokerRssBytes)),
  },
  failures: pairs.flatMap((pair) => [pair.mqctl.failuresByCode, pair.apache.failuresByCode]),
}
if (values.json) process.stdout.write(`${JSON.stringify({ ...summary, runs: pairs })}\n`)
else {
  const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`
  process.stdout.write(
    [
      `rate         ${spread(summary.rate.ratios)} × Apache's (${summary.rate.mqctl.toLocaleString('en')} and ${summary.rate.apache.toLocaleString('en')} msg/s)`,
      `broker CPU   ${spread(summary.brokerCpuUsPerMessage.ratios)} × Apache's (${summary.brokerCpuUsPerMessage.mqctl.toFixed(2)} and ${summary.brokerCpuUsPerMessage.apache.toFixed(2)} µs a message)`,
      `p99          ${spread(summary.serviceTimeP99Ms.ratios)} × Apache's (${summary.serviceTimeP99Ms.mqctl.toFixed(2)} and ${summary.serviceTimeP99Ms.apache.toFixed(2)} ms, service time only)`,
      `RSS          ${mib(summary.rssBytes.mqctl)} and ${mib(summary.rssBytes.apache)}`,
      '',
    ].join('\n'),
  )
}

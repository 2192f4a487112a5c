/** Results and their parts for tests: healthy by default, each test changes what it is about. */
import type { BenchResult } from '../../src/bench/result.ts'
import type { PhaseFigures } from '../../src/bench/result-figures.ts'
import type { HostResult, ProcessResult } from '../../src/bench/result-hosts.ts'

export function aHost(changes: Partial<HostResult> = {}): HostResult {
  return {
    name: 'box',
    roles: ['load', 'broker'],
    cpuCount: 4,
    cpu: { user: 0.3, system: 0.1, irq: 0, iowait: 0, steal: 0, idle: 0.6, busy: 0.4 },
    load1: 1,
    pressure: null,
    memory: {
      totalBytes: 16e9,
      availableBytes: 8e9,
      cachedBytes: 4e9,
      dirtyBytes: 1e6,
      swapUsedBytes: 0,
      swapInPages: 0,
      swapOutPages: 0,
    },
    disk: {
      device: 'vda',
      readBytes: 0,
      writtenBytes: 5e8,
      readBytesPerSecond: 0,
      writtenBytesPerSecond: 5e7,
      readsPerSecond: 0,
      writesPerSecond: 100,
      utilisation: 0.1,
      writeAwaitMs: 1,
      flushes: 20,
      flushAwaitMs: 0.5,
      journalCommits: null,
    },
    nics: [aNic({ name: 'lo', isLoopback: true, txBytesPerSecond: 2e8, rxBytesPerSecond: 2e8 })],
    samplerCores: 0.005,
    unavailable: {},
    ...changes,
  }
}

export function aNic(changes: Partial<HostResult['nics'][number]>): HostResult['nics'][number] {
  return {
    name: 'eth0',
    isLoopback: false,
    rxBytesPerSecond: 0,
    txBytesPerSecond: 0,
    rxPacketsPerSecond: 0,
    txPacketsPerSecond: 0,
    rxDrops: 0,
    txDrops: 0,
    linkBitsPerSecond: null,
    rxShare: null,
    txShare: null,
    ...changes,
  }
}

export function aProcess(changes: Partial<ProcessResult>): ProcessResult {
  return {
    name: 'broker-a',
    role: 'broker',
    pid: 100,
    cores: 0.8,
    userCores: 0.6,
    systemCores: 0.2,
    busiestThread: { name: 'node', cores: 0.7 },
    quota: null,
    threads: 11,
    rssBytes: 150e6,
    rssPeakBytes: 160e6,
    gc: { count: 10, pauseMs: 20, share: 0.002, pauseMsMax: null },
    loop: { p99Ms: 2, maxMs: 9, scope: 'the window' },
    diskReadBytes: 0,
    diskWrittenBytes: 5e8,
    fsync: { count: 20, meanMs: 0.4, maxMs: 2 },
    unavailable: {},
    ...changes,
  }
}

export const aProducer = (changes: Partial<ProcessResult> = {}) =>
  aProcess({
    name: 'producer-1',
    role: 'producer',
    pid: 101,
    cores: 0.4,
    busiestThread: { name: 'node', cores: 0.35 },
    fsync: null,
    diskWrittenBytes: 0,
    ...changes,
  })

const latency = {
  label: 'service time only: closed load',
  count: 100_000,
  minMs: 0.1,
  meanMs: 1.2,
  p50Ms: 0.9,
  p90Ms: 2,
  p95Ms: 2.5,
  p99Ms: 5,
  p999Ms: 12.3,
  p9999Ms: null,
  maxMs: 1234.5,
  negative: 0,
  clamped: 0,
  precisionDigits: 3,
  histogram: 'AAAA',
}

const totals: BenchResult['totals'] = {
  sent: 100_000,
  acked: 100_000,
  failed: 0,
  unanswered: 0,
  pending: 0,
  received: 99_990,
  sentBytes: 5e7,
  receivedBytes: 5e7,
  wireBytesSent: 8.7e7,
  rates: {
    acked: {
      meanPerSecond: 10_000,
      medianPerSecond: 10_100,
      minPerSecond: 9_000,
      maxPerSecond: 11_000,
    },
    received: {
      meanPerSecond: 9_999,
      medianPerSecond: 10_000,
      minPerSecond: 9_000,
      maxPerSecond: 11_000,
    },
    sent: {
      meanPerSecond: 10_000,
      medianPerSecond: 10_100,
      minPerSecond: 9_000,
      maxPerSecond: 11_000,
    },
    offeredPerSecond: null,
  },
  errors: {},
  consumerTroubles: {},
  scheduled: 0,
  unsent: 0,
  blocked: 0,
}

const latencies: BenchResult['latency'] = {
  response: null,
  service: latency,
  sendDelay: null,
  endToEnd: { ...latency },
  unavailable: {},
}

const pacing: BenchResult['pacing'] = { model: 'closed', text: 'no schedule', error: null }

type Phase = BenchResult['phases'][number]

/** A phase that counts, ten seconds of it. */
export function aPhase(
  changes: Partial<Omit<Phase, 'figures'>> = {},
  figures: Partial<PhaseFigures> = {},
): Phase {
  return {
    name: 'measure',
    startedAt: '2026-11-21T10:00:05.000Z',
    durationMs: 10_000,
    excluded: null,
    repetition: 1,
    ...changes,
    figures: {
      index: 0,
      load: 'closed, 10 s',
      totals,
      latency: latencies,
      pacing,
      lag: { max: 200, maxSeconds: 0.02, slopePerSecond: 1.5 },
      drain: null,
      ...figures,
    },
  }
}

export function aResult(changes: Partial<BenchResult> = {}): BenchResult {
  return {
    schemaVersion: 1,
    kind: 'run',
    runId: '0badcafe',
    startedAt: '2026-11-21T10:00:00.000Z',
    endedAt: '2026-11-21T10:00:20.000Z',
    tool: { name: 'mqctl', version: '0.1.0', node: 'v20.20.2', platform: 'linux-x64' },
    verdict: 'ok',
    exitCode: 0,
    reasons: [],
    scenario: { name: 'smoke', source: 'smoke.yaml', hash: 'abc', overrides: [], resolved: {} },
    environment: {
      hosts: [],
      brokers: [
        {
          name: 'broker-a',
          address: '127.0.0.1:10911',
          cluster: 'DefaultCluster',
          version: 'V5_5_0',
          pid: 100,
          isLocal: true,
          settings: {},
        },
      ],
      lab: null,
      target: {
        driver: 'rocketmq',
        endpoints: ['127.0.0.1:9876'],
        topic: 'T1',
        topics: 1,
        lanes: 8,
      },
    },
    durability: {
      profile: 'page-cache',
      acknowledged: 'the message is in memory of the operating system',
      verifiedBy: 'broker',
    },
    phases: [
      {
        name: 'warm-up',
        startedAt: '',
        durationMs: 3000,
        excluded: 'it counts nowhere',
        repetition: 1,
        figures: null,
      },
      aPhase(),
    ],
    totals,
    wholeRun: {
      sent: 130_000,
      acked: 130_000,
      failed: 0,
      unanswered: 0,
      pending: 0,
      received: 130_000,
    },
    latency: latencies,
    clock: { layout: 'single', offsetMs: 0, uncertaintyMs: 0, method: 'one clock' },
    pacing,
    integrity: {
      scope: 'every message',
      lost: 0,
      duplicated: 0,
      reordered: 0,
      corrupted: 0,
      foreign: 0,
      misplaced: 0,
      unconfirmedStored: 0,
      unreceived: null,
      unverified: 0,
      lostRanges: [],
      conservation: {
        sent: 130_000,
        acked: 130_000,
        failed: 0,
        unanswered: 0,
        pending: 0,
        balanced: true,
        stored: 130_000,
        storedExplained: true,
      },
      violations: [],
      why: null,
      groups: [],
    },
    lag: {
      groups: [
        {
          name: 'G',
          atEnd: 10,
          max: 200,
          drainMs: 60,
          maxSeconds: 0.5,
          slopePerSecond: 1.5,
          queueCount: 2,
          queues: [0, 1].map((queueId) => ({
            topic: '',
            broker: 'broker-a',
            queueId,
            stored: 65_000,
            atEnd: 5,
            max: 100,
            maxSeconds: 0.5,
            slopePerSecond: 0.75,
          })),
          skew: { maxToMean: 1, fullest: 'broker-a/0' },
        },
      ],
    },
    series: [],
    hosts: [aHost()],
    processes: [aProcess({}), aProducer()],
    client: {
      loopLagP99Ms: 2,
      producerCpuUsPerMessage: 1.5,
      consumerCpuUsPerMessage: 2.5,
      ceiling: {
        perSecond: 500_000,
        producerCpuUsPerMessage: 1.1,
        share: 0.02,
        text: 'null target',
      },
      payloadCompressRatio: 1,
      strayAnswers: 0,
      senders: '2 producer processes × 80 concurrent synchronous senders',
    },
    bottleneck: {
      resource: 'latency-bound',
      confidence: 'medium',
      text: 'the senders wait',
      evidence: ['160 senders'],
      predictedCeiling: null,
      predictionError: null,
    },
    prediction: null,
    efficiency: {
      brokerCpuUsPerMessage: 4.5,
      wireBytesPerMessage: 870,
      brokerDiskBytesPerMessage: 690,
    },
    search: null,
    curve: null,
    balance: null,
    thresholds: [],
    validity: [],
    valid: true,
    warnings: [],
    artifacts: [],
    ...changes,
  }
}

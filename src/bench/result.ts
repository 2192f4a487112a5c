/**
 * The result of a run: one versioned document from which every report is made. Names carry their
 * units; a value that could not be had is null, and `unavailable` or a `why` beside it gives the
 * reason. Fields may be added within a version; none changes its meaning or goes away.
 */
import { z } from 'zod'
import { nullable, number, text } from './result-fields.ts'
import { figuresSchema, latenciesSchema, pacingSchema, totalsSchema } from './result-figures.ts'
import { hostRowSchema, hostSchema, processSchema } from './result-hosts.ts'

export const RESULT_SCHEMA_VERSION = 1

const bottleneckNames = [
  'nic-tx',
  'nic-rx',
  'disk-bandwidth',
  'disk-flush',
  'cpu-broker',
  'cpu-host',
  'gc',
  'memory',
  'client',
  'flow-control',
  'latency-bound',
  'none',
] as const
export type BottleneckName = (typeof bottleneckNames)[number]

const checkSchema = z.object({
  check: text,
  value: nullable(number),
  limit: nullable(number),
  unit: text,
  ok: z.boolean(),
  /** A failed `error` makes the run invalid. */
  severity: z.enum(['error', 'warning']),
  text: text,
})

const thresholdSchema = z.object({
  expression: text,
  /** Null when it is about everything that counts. */
  phase: nullable(text),
  repetition: number,
  /** Null when it was not measured; it has failed then. */
  actual: nullable(number),
  limit: number,
  /** ms, /s, share, count or us. */
  unit: text,
  pass: z.boolean(),
  why: nullable(text),
})

/** One queue of the topic, in the eyes of one group. */
const queueLagSchema = z.object({
  /** Empty when there is only one. */
  topic: text.default(''),
  broker: text,
  queueId: number,
  /** Messages by which it grew in the whole run; null when the broker did not say. */
  stored: nullable(number),
  atEnd: number,
  max: number,
  maxSeconds: number,
  slopePerSecond: nullable(number),
})

const seriesRowSchema = z.object({
  /** Seconds since the start of the window; the row covers the second before it. */
  t: number,
  /** Index in `measured`; null between phases. */
  phase: nullable(number).default(0),
  /** Messages that became due by the schedule; 0 in a closed load. */
  offered: number.default(0),
  sent: number,
  acked: number,
  failed: number,
  received: number,
  lag: number,
  lagSeconds: number.default(0),
  /** Response time in an open load, service time in a closed one. */
  p50Ms: nullable(number),
  p99Ms: nullable(number),
  maxMs: nullable(number),
  host: nullable(hostRowSchema),
  /** The hosts of agents, by address; absent without agents. */
  agents: z.record(text, hostRowSchema).optional(),
})

const predictionSchema = z.object({
  text: text,
  assumptions: z.object({
    bodyBytes: number,
    /** Hosts of brokers. */
    machines: number,
    followers: number,
    groups: number,
    messagesPerRequest: number.default(1),
    messagesPerPull: number,
    messagesPerWrite: number,
    /** Bytes of a stream in one segment. */
    segmentBytes: number,
    linkBitsPerSecond: nullable(number),
  }),
  /** Of one message that reaches every group and follower, as counters of the broker's machine show it. */
  perMessage: z.object({ inBytes: number, outBytes: number, diskBytes: number }),
  /** The lowest first; a resource of unknown capacity is not among them. */
  limits: z.array(z.object({ resource: text, perSecond: number })),
  /** What would be full first; null when no capacity is known. */
  first: nullable(text),
  ceilingPerSecond: nullable(number),
  /** Messages a second that would have reached every group with what the first resource carried. */
  carriedPerSecond: nullable(number),
  /** Bytes a message, predicted for the rates that there were, and measured; error is predicted over measured − 1. */
  checks: z.array(
    z.object({ what: text, predictedBytes: number, measuredBytes: number, error: number }),
  ),
  /**
   * What the disk of the brokers wrote beside their own bytes, where answers wait for a flush: nobody
   * predicts it. Null where it cannot be told.
   */
  beside: z
    .object({ bytesPerMessage: number, journalCommits: nullable(number), text: text })
    .nullable()
    .default(null),
})

/** A rate that was tried. */
const trialSchema = z.object({
  ratePerSecond: number,
  phase: text,
  pass: z.boolean(),
  /** What did not hold; empty when everything did. */
  reasons: z.array(text),
  ackedPerSecond: number,
  receivedPerSecond: number.default(0),
  /** Response time. */
  meanMs: nullable(number).default(null),
  p50Ms: nullable(number).default(null),
  p99Ms: nullable(number),
  lagSlopePerSecond: nullable(number),
  /** Shares that were in use, 0 … 1; null where it cannot be told. */
  resources: z
    .object({
      /** Of all cores of the host. */
      cpu: nullable(number),
      /** Of a core: the busiest thread of a broker. */
      broker: nullable(number),
      disk: nullable(number),
      /** Of the fullest link whose speed is known. */
      nic: nullable(number),
      memory: nullable(number),
    })
    .default({ cpu: null, broker: null, disk: null, nic: null, memory: null }),
})

export const resultSchema = z.object({
  schemaVersion: z.literal(RESULT_SCHEMA_VERSION),
  kind: z.literal('run'),
  runId: text,
  startedAt: text,
  endedAt: text,
  tool: z.object({ name: text, version: text, node: text, platform: text }),
  /** `ok` · `integrity` (12) · `invalid` (13) · `unreachable` (3: the target went away) · `threshold` (10) · `interrupted` (130) */
  verdict: z.enum(['ok', 'integrity', 'invalid', 'unreachable', 'threshold', 'interrupted']),
  exitCode: number,
  /** Why the verdict is what it is; empty for `ok`. */
  reasons: z.array(text),
  scenario: z.object({
    name: text,
    source: text,
    hash: text,
    overrides: z.array(text),
    resolved: z.record(text, z.unknown()),
  }),
  environment: z.object({
    hosts: z.array(z.record(text, z.unknown())),
    brokers: z.array(
      z.object({
        name: text,
        address: text,
        cluster: text,
        version: nullable(text),
        pid: nullable(number),
        isLocal: z.boolean(),
        settings: z.record(text, text),
      }),
    ),
    /** The laboratory in which it ran; null outside of one. */
    lab: nullable(text).default(null),
    target: z.object({
      driver: text,
      endpoints: z.array(text),
      /** The first, when there are several. */
      topic: text,
      topics: number.default(1),
      lanes: number,
    }),
  }),
  durability: z.object({
    profile: z.enum(['memory', 'page-cache', 'fsync', 'unknown']),
    acknowledged: text,
    verifiedBy: z.enum(['broker', 'declared']),
  }),
  phases: z.array(
    z.object({
      name: text,
      startedAt: text,
      durationMs: number,
      /** Null for a phase that counts. */
      excluded: nullable(text),
      /** From 1: the round of the whole load to which it belongs. */
      repetition: number.default(1),
      /** What it measured; null for a phase that does not count. */
      figures: nullable(figuresSchema).default(null),
    }),
  ),
  /** All phases that count together, by the time messages were due or sent; `received` by the time of receipt. */
  totals: totalsSchema,
  /** Warm-up, window and drain together. */
  wholeRun: z.object({
    sent: number,
    acked: number,
    failed: number,
    unanswered: number.default(0),
    pending: number,
    received: number,
  }),
  latency: latenciesSchema,
  clock: z.object({
    layout: z.enum(['single', 'multi']),
    offsetMs: number,
    uncertaintyMs: number,
    method: text,
    /** Of each agent, against the clock of the host that ran the bench; absent without agents. */
    agents: z
      .array(
        z.object({
          address: text,
          offsetMs: number,
          /** When the run began: half of the shortest round trip. */
          uncertaintyMs: number,
          /** How far off what was reckoned with may have been at any moment of the run; null when it could not be read again. */
          errorMs: nullable(number),
          /** How far it was, at most, from `offsetMs` in the course of the run: drift, and the error of that. */
          movedMs: number.optional(),
        }),
      )
      .optional(),
  }),
  pacing: pacingSchema,
  integrity: z.object({
    scope: text,
    lost: nullable(number),
    /** Null, like the next ones, when nobody looked: without consumers, or without what a check needs in the messages. */
    duplicated: nullable(number),
    reordered: nullable(number),
    corrupted: nullable(number),
    foreign: nullable(number),
    misplaced: nullable(number),
    unconfirmedStored: number,
    /** One-way messages that nobody received; null for others, or when it could not be judged. */
    unreceived: nullable(number).default(null),
    unverified: number,
    lostRanges: z.array(z.object({ producer: number, from: number, to: number })),
    conservation: z.object({
      sent: number,
      acked: number,
      failed: number,
      unanswered: number.default(0),
      pending: number,
      balanced: z.boolean(),
      stored: nullable(number),
      storedExplained: nullable(z.boolean()),
    }),
    violations: z.array(text),
    why: nullable(text),
    /** Each consumer group by itself; empty when there is only one. */
    groups: z
      .array(
        z.object({
          name: text,
          received: number,
          lost: nullable(number),
          duplicated: nullable(number),
          reordered: nullable(number),
          corrupted: nullable(number),
        }),
      )
      .default([]),
  }),
  lag: z.object({
    groups: z.array(
      z.object({
        name: text,
        /** Messages not yet received at the end of the window and at their most. */
        atEnd: number,
        max: number,
        /** Time from the end of the window until everything was received; null when it never was. */
        drainMs: nullable(number),
        /** Age of the last received message of the queue that was furthest behind, at its most. */
        maxSeconds: number.default(0),
        /** Messages a second by which the lag grew over the window, by least squares; null when too short. */
        slopePerSecond: nullable(number).default(null),
        /** Of very many, those that were furthest behind. */
        queues: z.array(queueLagSchema).default([]),
        queueCount: number.default(0),
        /** How evenly messages lie in the queues; null when nothing was stored. */
        skew: nullable(
          z.object({
            /** Messages of the fullest queue over the mean: 1 is even. */
            maxToMean: number,
            fullest: text,
          }),
        ).default(null),
      }),
    ),
  }),
  series: z.array(seriesRowSchema),
  hosts: z.array(hostSchema),
  processes: z.array(processSchema),
  client: z.object({
    loopLagP99Ms: nullable(number),
    /** CPU of all generators, microseconds a message. */
    producerCpuUsPerMessage: nullable(number),
    consumerCpuUsPerMessage: nullable(number),
    /** What the same generators reach against a target that only acknowledges; null when not measured. */
    ceiling: nullable(
      z.object({
        perSecond: number,
        producerCpuUsPerMessage: number,
        share: number,
        text: text,
      }),
    ),
    payloadCompressRatio: number,
    strayAnswers: number,
    senders: text,
  }),
  bottleneck: z.object({
    resource: z.enum(bottleneckNames),
    confidence: z.enum(['high', 'medium', 'low']),
    text: text,
    evidence: z.array(text),
    predictedCeiling: nullable(number),
    predictionError: nullable(number),
  }),
  /** What was said of cost and ceiling before the run, and how far off it was; null when nothing was. */
  prediction: predictionSchema.nullable().default(null),
  efficiency: z.object({
    brokerCpuUsPerMessage: nullable(number),
    wireBytesPerMessage: nullable(number),
    brokerDiskBytesPerMessage: nullable(number),
  }),
  /** Of a stage of shape `search`; null when there was none. */
  search: z
    .object({
      sla: z.array(text),
      trials: z.array(trialSchema),
      /** The highest rate that held, and held again with fresh counters; null when none did. */
      sustainablePerSecond: nullable(number),
      /** The lowest rate that did not hold; null when none was found. */
      failedPerSecond: nullable(number),
      text: text,
    })
    .nullable()
    .default(null),
  /** Of a stage of shape `curve`: latency by rate. */
  curve: z
    .object({
      steps: z.array(trialSchema),
      /** Null when the target carried none of the rates. */
      knee: nullable(
        z.object({ ratePerSecond: number, meanMs: nullable(number), p99Ms: nullable(number) }),
      ),
      /** How the knee was found. */
      method: text,
      highestAckedPerSecond: number,
      text: text,
    })
    .nullable()
    .default(null),
  /** Of a stage of shape `balance`. */
  balance: z
    .object({
      /** Shares by resource. */
      limits: z.record(text, number),
      steps: z.array(trialSchema),
      /** The highest rate at which no resource was above its share, twice; null when none was. */
      balancedPerSecond: nullable(number),
      failedPerSecond: nullable(number),
      limitedBy: nullable(text),
      text: text,
    })
    .nullable()
    .default(null),
  thresholds: z.array(thresholdSchema).default([]),
  validity: z.array(checkSchema),
  valid: z.boolean(),
  warnings: z.array(z.object({ check: text, text: text, hint: text })),
  artifacts: z.array(z.object({ path: text, mediaType: text })),
})

export type BenchResult = z.infer<typeof resultSchema>
export type SeriesRow = z.infer<typeof seriesRowSchema>
export type ValidityCheck = z.infer<typeof checkSchema>
export type ThresholdResult = z.infer<typeof thresholdSchema>
export type Bottleneck = BenchResult['bottleneck']
export type Trial = z.infer<typeof trialSchema>

/**
 * When the window began, in wall-clock milliseconds; rows of the series are seconds from then on. It
 * is the end of the warm-up, and before the first phase that counts when a new rate settles first.
 */
export function windowStartMs(phases: BenchResult['phases']): number {
  const first = phases.find(({ name, excluded }) => excluded === null || name !== 'warm-up')
  return Date.parse(first?.startedAt ?? '')
}

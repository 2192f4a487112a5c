/**
 * The keys of a scenario file, their kinds, ranges and defaults. Strict: a key that is not here is
 * an error, so that a typing mistake never runs as a default. Sizes, durations and shares are
 * written with their units (`500B`, `10s`, `5%`) and become plain numbers.
 */
import { z } from 'zod'
import { MqError, messageOf } from '../base/errors.ts'
import {
  parseBytesPerSecond,
  parseDurationMs,
  parseLinkBits,
  parseRateHz,
  parseSizeBytes,
} from '../base/units.ts'
import type { MessageKind } from '../drivers/driver.ts'
import { driverNames } from '../drivers/open-driver.ts'
import type { MessageMix } from './message-mix.ts'

/** A text with a unit that becomes a number; what the parser throws becomes the issue. */
function withUnit(parse: (text: string) => number, min: number, max: number, range: string) {
  return z
    .union([z.string(), z.number()], { error: `expected ${range}` })
    .transform((written, context): number => {
      let value: number
      try {
        value = parse(String(written))
      } catch (error) {
        const hint = error instanceof MqError ? `; ${error.hint}` : ''
        context.addIssue({ code: 'custom', message: messageOf(error) + hint })
        return z.NEVER
      }
      if (value >= min && value <= max) return value
      context.addIssue({ code: 'custom', message: `${String(written)} is out of range: ${range}` })
      return z.NEVER
    })
}

const MAX_SIZE_BYTES = 4 * 1024 * 1024
const DAY_MS = 86_400_000

const size = withUnit(parseSizeBytes, 1, MAX_SIZE_BYTES, 'a size from 1B to 4MiB, such as 500B')
const duration = (minMs: number, range: string) => withUnit(parseDurationMs, minMs, DAY_MS, range)
const rate = withUnit(parseRateHz, 0.001, 10_000_000, 'a rate such as 5000/s or 20k/s')
const linkSpeed = withUnit(parseLinkBits, 1e3, 1e13, 'the speed of a link, such as 1gbit')
const diskSpeed = withUnit(parseBytesPerSecond, 1e3, 1e12, 'a throughput such as 500MB/s')
const share = withUnit(parseShare, 0, 1, 'a share from 0% to 100%')
const count = (min: number, max: number) =>
  z
    .number({ error: `expected a whole number from ${min} to ${max}` })
    .int({ error: `expected a whole number from ${min} to ${max}` })
    .min(min, { error: `expected a whole number from ${min} to ${max}` })
    .max(max, { error: `expected a whole number from ${min} to ${max}` })
const oneOf = <const Words extends readonly string[]>(words: Words) =>
  z.enum(words, { error: `expected one of ${words.join(', ')}` })
const text = z.string({ error: 'expected text' })
const number = (min: number, max: number) =>
  z
    .number({ error: `expected a number from ${min} to ${max}` })
    .min(min, { error: `expected a number from ${min} to ${max}` })
    .max(max, { error: `expected a number from ${min} to ${max}` })
const weights = z
  .array(count(0, 1_000_000))
  .min(1, { error: 'expected at least one weight' })
  .max(10_000, { error: 'expected at most 10000 weights' })

/** What RocketMQ's clients write is in capitals, and a name in small letters is never taken for it. */
const propertyName = /^[a-z][A-Za-z0-9_.-]{0,62}$/
const PROPERTY_ERROR =
  'expected names that begin with a small letter, and texts without control characters'
const properties = z.record(
  text.regex(propertyName, { error: PROPERTY_ERROR }),
  text.regex(/^\P{Cc}{0,1024}$/u, { error: PROPERTY_ERROR }),
)
const tag = text.regex(/^[^\s|\p{Cc}]{1,127}$/u, {
  error: 'expected a tag without spaces, bars and control characters',
})

function parseShare(written: string): number {
  const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(written.trim())
  if (match === null) {
    throw new MqError('VALUE_INVALID', {
      what: `${written} is not a share`,
      hint: 'write 5% or 0.05',
    })
  }
  return Number(match[1]) / (match[2] === '%' ? 100 : 1)
}

/** `1%/10s`: change of a value as a share of itself, over a window. */
const slope = text.transform((written, context): { share: number; windowMs: number } => {
  const [change, window] = written.split('/')
  try {
    return { share: parseShare(change ?? ''), windowMs: parseDurationMs(window ?? '') }
  } catch (error) {
    const hint = 'write a share and a window, as in 5%/5s'
    context.addIssue({ code: 'custom', message: `${messageOf(error)}; ${hint}` })
    return z.NEVER
  }
})

/** One part of the load. What belongs to which shape is checked with the whole scenario. */
const stageSchema = z.strictObject({
  /** Name of its phase in the result. */
  as: text.default('measure'),
  /** `closed`: a sender waits for its answer. `open`: messages are due by a schedule. `idle`: nothing is sent. */
  model: oneOf(['closed', 'open', 'idle']).default('closed'),
  shape: oneOf(['hold', 'ramp', 'step', 'sine', 'burst', 'search', 'curve', 'balance']).default(
    'hold',
  ),
  /** Messages a second of all producers together. */
  rate: rate.optional(),
  from: rate.optional(),
  to: rate.optional(),
  /** Stairs of shape `step`, points of shape `curve`. */
  steps: count(2, 1000).optional(),
  /** Of shapes `sine` and `burst`. */
  period: duration(100, 'a duration of at least 100ms').optional(),
  /** Length of a burst, at the end of its period. */
  burst: duration(10, 'a duration of at least 10ms').optional(),
  for: duration(100, 'a duration of at least 100ms').default(10_000),
  /** `paused`: they ask for nothing, and a backlog builds up. */
  consumers: oneOf(['running', 'paused']).default('running'),
  /** `drained`: the stage ends as soon as the consumers have read everything, after `for` at the latest. */
  until: oneOf(['drained']).optional(),
  /** Of shapes `search` and `balance`: what must hold of a rate, as in thresholds. */
  sla: z.union([text, z.array(text).min(1)], { error: 'expected a text or a list' }).optional(),
  /** Of shape `search`: how close the rate that holds and the one that does not must come. */
  resolution: share.optional(),
  /** Of shape `search`: rates that are tried at most. */
  maxTrials: count(3, 50).optional(),
  /** Of shape `balance`: the share of each resource that may be in use. */
  max: z
    .strictObject({
      /** Of all cores of the host. */
      cpu: share,
      /** Of a core: the busiest thread of a broker. */
      broker: share,
      disk: share,
      nic: share,
      memory: share,
    })
    .partial()
    .optional(),
})
export type Stage = z.output<typeof stageSchema>

export const scenarioSchema = z.strictObject({
  version: z.literal(1, { error: 'expected 1, the version of the scenario format' }),
  name: text.regex(/^[a-z0-9][a-z0-9-]{0,62}$/, {
    error: 'expected a name of small letters, digits and dashes',
  }),
  description: text.default(''),
  seed: count(0, 0xffff_ffff).default(1),
  tags: z.array(text).default([]),
  target: z
    .strictObject({
      driver: oneOf(driverNames).default('embedded'),
      /** Name servers, HOST:PORT. Not for `embedded`. */
      endpoints: z.array(text).default([]),
      topology: z
        .strictObject({ masters: count(1, 16).default(1), slaves: count(0, 0).default(0) })
        .prefault({}),
      /** Of the embedded broker; of others it is read back. */
      durability: oneOf(['page-cache', 'fsync']).default('page-cache'),
    })
    .prefault({}),
  topics: z
    .strictObject({
      name: text.nullable().default(null),
      /** Several topics are called NAME_1, NAME_2 … */
      count: count(1, 10_000).default(1),
      queues: count(1, 1024).default(8),
      /** How the load lies over the topics: `zipf`, or one weight for each. */
      weights: z
        .union([oneOf(['even', 'zipf']), weights], {
          error: 'expected even, zipf, or a list of weights',
        })
        .default('even'),
      /** One weight for each queue of a topic. */
      queueWeights: weights.nullable().default(null),
      keys: z
        .strictObject({
          distribution: oneOf(['none', 'uniform', 'zipf', 'hot']).default('none'),
          /** Different keys. */
          cardinality: count(1, 1_000_000).default(10_000),
          /** Of `zipf`. */
          exponent: number(0.1, 5).default(1),
          /** Of `hot`: so many keys get `hotShare` of all messages. */
          hotKeys: count(1, 1_000_000).default(10),
          hotShare: share.default(0.8),
          /** All messages of one key go to one queue. */
          chooseQueue: z.boolean({ error: 'expected true or false' }).default(false),
        })
        .prefault({}),
    })
    .prefault({}),
  producers: z
    .strictObject({
      instances: count(1, 64).default(2),
      /** Concurrent synchronous senders of each instance, over one connection to each broker. */
      threads: count(1, 4096).default(80),
      /**
       * `sync`: threads wait for their answers. `async`: a window of messages under way. `batch`: threads
       * send several messages in one request. `one-way`: nobody answers, threads wait for the network.
       */
      mode: oneOf(['sync', 'async', 'batch', 'one-way']).default('sync'),
      batch: z
        .strictObject({
          /** Messages of a request, at most. */
          size: count(1, 4096).default(32),
          /** The longest that a message of an open load waits for others. */
          linger: duration(0, 'a duration such as 2ms').default(0),
        })
        .prefault({}),
      /** Messages under way at once in each instance, mode `async`. */
      inFlight: count(1, 65_536).default(1_000),
      timeout: duration(10, 'a duration of at least 10ms').default(3_000),
    })
    .prefault({}),
  consumers: z
    .strictObject({
      instances: count(0, 64).default(2),
      /** Each group receives every message, with so many instances. */
      groups: count(1, 32).default(1),
      mode: oneOf(['pull']).default('pull'),
      /** Messages asked for at once. */
      prefetch: count(1, 1024).default(32),
      /** Work on each message; those of one queue are worked on one after the other. */
      processingTime: duration(0, 'a duration such as 2ms').default(0),
      /** Messages that cannot be worked on at a try; their queue rests and goes on with them. */
      failRate: share.default(0),
      retryAfter: duration(0, 'a duration such as 100ms').default(100),
      /** `end`: with this run's messages. `beginning`: with everything. `10m`: with what is so old. */
      startAt: z
        .union(
          [z.enum(['end', 'beginning']), duration(1, 'end, beginning, or a duration such as 10m')],
          {
            error: 'expected end, beginning, or a duration such as 10m',
          },
        )
        .default('end'),
    })
    .prefault({}),
  message: z
    .strictObject({
      size: size.default(500),
      /** A mix of sizes with weights, instead of one. */
      sizes: z
        .array(z.strictObject({ size, weight: count(1, 1_000_000).default(1) }))
        .min(1, { error: 'expected at least one size' })
        .max(100, { error: 'expected at most 100 sizes' })
        .nullable()
        .default(null),
      entropy: z.number({ error: 'expected a number from 0 to 1' }).min(0).max(1).default(1),
      pool: count(1, 100_000).default(1_000),
      tag: tag.nullable().default(null),
      /** A mix of tags with weights, instead of one; `tag: null` for messages without. */
      tags: z
        .array(z.strictObject({ tag: tag.nullable(), weight: count(1, 1_000_000).default(1) }))
        .min(1, { error: 'expected at least one tag' })
        .max(64, { error: 'expected at most 64 tags' })
        .nullable()
        .default(null),
      /** Properties of every message, or a mix of sets of them with weights. */
      properties: z
        .union(
          [
            properties,
            z
              .array(z.strictObject({ set: properties, weight: count(1, 1_000_000).default(1) }))
              .min(1)
              .max(64),
          ],
          { error: `${PROPERTY_ERROR}; or a list of {set, weight}` },
        )
        .default({}),
    })
    .prefault({}),
  warmup: z
    .strictObject({
      min: duration(0, 'a duration such as 3s').default(3_000),
      /** The longest warm-up while waiting for a steady rate. */
      max: duration(0, 'a duration such as 60s').default(60_000),
      /** Wait until the rate of acknowledgements moves less than this. */
      steady: z
        .strictObject({ metric: oneOf(['rate.acked']).default('rate.acked'), slope })
        .nullable()
        .default(null),
    })
    .prefault({}),
  load: z
    .array(stageSchema)
    .min(1, { error: 'expected at least one stage' })
    .max(100, { error: 'expected at most 100 stages' })
    .prefault([{}]),
  /** How often the whole load runs, one after the other. */
  repeat: count(1, 100).default(1),
  drain: z
    .strictObject({
      timeout: duration(0, 'a duration such as 10s').default(10_000),
      idle: duration(0, 'a duration such as 2s').default(2_000),
    })
    .prefault({}),
  verify: z
    .strictObject({
      sequence: z.boolean({ error: 'expected true or false' }).default(true),
      checksum: z.boolean({ error: 'expected true or false' }).default(true),
    })
    .prefault({}),
  metrics: z
    .strictObject({
      interval: duration(100, 'a duration of at least 100ms').default(1_000),
      /** Bits a second of the brokers' link, where the machine does not know it or it is limited elsewhere. */
      linkSpeed: linkSpeed.nullable().default(null),
      /** Bytes a second that the brokers' disk can write, for the prediction. */
      diskSpeed: diskSpeed.nullable().default(null),
      /** Hosts that are sampled beside this one, by the agents that run there. */
      hosts: z
        .array(
          z.strictObject({
            /** What it is called in the result; its own name when nothing is said. */
            name: text.min(1).max(100).optional(),
            /** `broker`: the resources of the brokers are its, also when no process of theirs is seen there. */
            role: oneOf(['broker', 'other']).default('other'),
            via: z.literal('agent', {
              error: 'expected agent; this host is sampled without being named',
            }),
            address: text.regex(/^(?:\[[0-9a-fA-F:.%]+\]|[^\s:/]+):\d{1,5}$/, {
              error: 'expected the HOST:PORT of its agent',
            }),
          }),
        )
        .max(64, { error: 'expected at most 64 hosts' })
        .optional(),
      /** File with the token of the agents, never the token itself; from the working directory. */
      tokenFile: text.min(1).optional(),
      /** File with the certificate that theirs must be from, PEM. */
      agentCa: text.min(1).optional(),
    })
    .prefault({}),
  validity: z
    .strictObject({
      /** CPU time that the hypervisor may keep for itself. */
      maxSteal: share.default(0.1),
      /** 99th percentile of the delay of a generator's event loop. */
      maxLoopLag: duration(1, 'a duration such as 200ms').default(200),
      /** Share of the null target's rate above which the generator counts as the limit. */
      maxCeiling: share.default(0.9),
      /** 99th percentile of the lateness of sends for which a sender was free, open load. */
      maxPacingError: duration(0.001, 'a duration such as 1ms').default(1),
      /** How far the clocks of load on several hosts may be apart from what was measured. */
      maxClockSkew: duration(0.001, 'a duration such as 10ms').default(10),
      /** Acknowledged messages that a result needs. */
      minSamples: count(1, 1_000_000_000).default(1_000),
      /** Share of what lay in its queues that each group must have received in the end. */
      minReceived: share.default(0.1),
    })
    .prefault({}),
  /** What must hold of the result: `response.p99 < 20ms`, of everything or of one phase. */
  thresholds: z
    .array(
      z.union([text, z.strictObject({ expr: text, phase: text.optional() })], {
        error: 'expected a text such as "response.p99 < 20ms", or {expr, phase}',
      }),
    )
    .default([]),
  output: z.strictObject({ dir: text.nullable().default(null) }).prefault({}),
})

/** Every combination of tag and properties, with its weight. */
export function weightedKinds({ message }: Scenario): { kind: MessageKind; weight: number }[] {
  const tags = message.tags ?? [{ tag: message.tag, weight: 1 }]
  const sets = Array.isArray(message.properties)
    ? message.properties
    : [{ set: message.properties, weight: 1 }]
  return tags.flatMap((one) =>
    sets.map(({ set, weight }) => ({
      kind: { tag: one.tag, properties: set },
      weight: one.weight * weight,
    })),
  )
}

export function kindsOf(scenario: Scenario): MessageKind[] {
  return weightedKinds(scenario).map(({ kind }) => kind)
}

/** Where messages go, of which kind they are, and which keys they have. */
export function mixOf(scenario: Scenario, topics: readonly string[]): MessageMix {
  const { keys, queueWeights } = scenario.topics
  const { distribution, cardinality, exponent, hotKeys, hotShare, chooseQueue } = keys
  return {
    topics,
    topicWeights: topicWeights(scenario),
    queueWeights,
    kindWeights: weightedKinds(scenario).map(({ weight }) => weight),
    keys:
      distribution === 'none'
        ? null
        : { distribution, cardinality, exponent, hotKeys, hotShare, chooseQueue },
    seed: scenario.seed,
  }
}

function topicWeights({ topics }: Scenario): readonly number[] | null {
  if (topics.weights === 'even') return null
  if (topics.weights !== 'zipf') return topics.weights
  return Array.from({ length: topics.count }, (_, rank) => 1 / (rank + 1))
}

/** Sizes of a message with their weights, also when there is only one. */
export function sizesOf({ message }: Scenario): { sizeBytes: number; weight: number }[] {
  if (message.sizes === null) return [{ sizeBytes: message.size, weight: 1 }]
  return message.sizes.map((one) => ({ sizeBytes: one.size, weight: one.weight }))
}

/** Bytes of a message on average. */
export function meanSizeBytes(scenario: Scenario): number {
  const sizes = sizesOf(scenario)
  const weight = sizes.reduce((sum, one) => sum + one.weight, 0)
  return sizes.reduce((sum, one) => sum + one.sizeBytes * one.weight, 0) / weight
}

/** Messages that one producer instance may have under way at once. */
export function slotsOf({ producers }: Scenario): number {
  return producers.mode === 'async' ? producers.inFlight : producers.threads
}

/** A scenario with all defaults filled in: durations in milliseconds, sizes in bytes, shares 0 … 1. */
export type Scenario = z.output<typeof scenarioSchema>

/** Keys of the full instrument that this version does not know yet, by path. */
export const laterKeys: ReadonlySet<string> = new Set([
  'faults',
  'baseline',
  'cooldown',
  'resetBetween',
  'target.auth',
  'target.tls',
  'target.raw',
  'target.topology.queues',
  'target.topology.replication',
  'topics.retention',
  'topics.prefill',
  'producers.connections',
  'producers.retries',
  'producers.compression',
  'consumers.threads',
  'consumers.ack',
  'consumers.readFrom',
  'message.file',
  'message.headers',
  'load.search',
  'load.sla',
  'load.holdFor',
  'load.backlog',
  'load.pacing',
  'verify.order',
  'verify.allowDuplicates',
  'verify.sampleRate',
  'metrics.collect',
  'validity.maxNegativeE2e',
  'output.formats',
  'output.interval',
  'output.labels',
])

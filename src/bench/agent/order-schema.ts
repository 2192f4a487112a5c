/**
 * What an agent takes from its controller, and nothing else: numbers within limits, names of topics
 * and groups, properties of messages. There is no path, command or template in it. The limits are
 * those of a scenario, and of what one process can hold.
 */
import { z } from 'zod'
import { driverNames } from '../../drivers/open-driver.ts'
import type { ConsumerSetup, ProducerSetup } from '../role-messages.ts'

const whole = (max: number, min = 0) => z.number().int().min(min).max(max)
/** A number up to a limit, or infinite: nobody knows yet when it ends. */
const forever = (max: number) =>
  z.custom<number>(
    (value) =>
      typeof value === 'number' &&
      value >= 0 &&
      (value <= max || value === Number.POSITIVE_INFINITY),
  )
const share = z.number().min(0).max(1)
/**
 * A moment on a monotonic clock, which counts from the host's boot: up to 31 years of it. Beyond
 * 104 days it is no safe integer any more, and is some 100 ns off: nothing here.
 */
export const momentNs = z.number().min(0).max(1e18)
const name = z.string().regex(/^[%|a-zA-Z0-9_-]{1,255}$/)
/** HOST:PORT. */
export const endpointSchema = z
  .string()
  .max(300)
  .regex(/^(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+):[0-9]{1,5}$/)
const weights = z.array(z.number().min(0).max(1e12)).min(1).max(65_536)

const TOPICS_MAX = 10_000
const LANES_MAX = 1_000_000
const PRODUCERS_MAX = 64
const DAY_MS = 86_400_000
/** Of one pool of bodies. */
const POOL_BYTES_MAX = 1 << 30
/** Senders times lanes of all producers: a consumer keeps a number for each. */
const ORDER_CELLS_MAX = 1 << 27

const target = {
  driver: z.enum(driverNames),
  endpoints: z.array(endpointSchema).min(1).max(64),
  topics: z.array(name).min(1).max(TOPICS_MAX),
  group: name,
  runId: whole(0xffff_ffff),
  sequence: z.boolean(),
  checksum: z.boolean(),
}

const propertyText = z.string().regex(/^\P{Cc}{0,1024}$/u)

const mix = z.strictObject({
  topics: z.array(name).max(TOPICS_MAX),
  topicWeights: weights.nullable(),
  queueWeights: weights.nullable(),
  kindWeights: weights,
  keys: z
    .strictObject({
      distribution: z.enum(['uniform', 'zipf', 'hot']),
      cardinality: whole(1_000_000, 1),
      exponent: z.number().min(0.1).max(5),
      hotKeys: whole(1_000_000, 1),
      hotShare: share,
      chooseQueue: z.boolean(),
    })
    .nullable(),
  seed: whole(0xffff_ffff),
})

const producerSetup: z.ZodType<ProducerSetup> = z
  .strictObject({
    ...target,
    kind: z.literal('producer'),
    producer: whole(PRODUCERS_MAX - 1),
    producers: whole(PRODUCERS_MAX, 1),
    slots: whole(65_536, 1),
    timeoutMs: z.number().min(1).max(DAY_MS),
    oneWay: z.boolean(),
    batchSize: whole(4_096, 1),
    lingerMs: z.number().min(0).max(DAY_MS),
    kinds: z
      .array(
        z.strictObject({
          tag: z
            .string()
            .regex(/^[^\s|\p{Cc}]{1,127}$/u)
            .nullable(),
          properties: z.record(z.string().regex(/^[a-z][A-Za-z0-9_.-]{0,62}$/), propertyText),
        }),
      )
      .min(1)
      .max(4_096),
    mix,
    sizes: z
      .array(
        z.strictObject({
          sizeBytes: whole(4 * 1024 * 1024, 1),
          weight: z.number().min(0).max(1e6),
        }),
      )
      .min(1)
      .max(100),
    pool: whole(100_000, 1),
    entropy: share,
    seed: whole(0xffff_ffff),
  })
  .refine(
    ({ pool, sizes }) => pool * largest(sizes) <= POOL_BYTES_MAX,
    'its pool of bodies takes more than 1 GiB (message.pool × the largest size)',
  )

const producerClocks = z.strictObject({
  aheadNs: z.array(z.number()).max(PRODUCERS_MAX),
  toleranceNs: z.array(z.number().min(0)).max(PRODUCERS_MAX),
})

const consumerSetup: z.ZodType<ConsumerSetup> = z
  .strictObject({
    ...target,
    kind: z.literal('consumer'),
    groupIndex: whole(31),
    producers: whole(PRODUCERS_MAX, 1),
    sendersOfEach: whole(65_536, 1),
    lanes: z
      .array(
        z.strictObject({
          lane: whole(LANES_MAX),
          offset: whole(Number.MAX_SAFE_INTEGER),
        }),
      )
      .max(LANES_MAX),
    laneCount: whole(LANES_MAX, 1),
    batch: whole(1_024, 1),
    processingMs: z.number().min(0).max(DAY_MS),
    failRate: share,
    retryMs: z.number().min(0).max(DAY_MS),
    seed: whole(Number.MAX_SAFE_INTEGER),
    producerClocks: producerClocks.nullable(),
  })
  .refine(
    ({ producers, sendersOfEach, laneCount }) =>
      producers * sendersOfEach * laneCount <= ORDER_CELLS_MAX,
    'senders × queues are more than the order of a consumer can be checked for',
  )

const hz = z.number().min(0).max(1e8)
const shape = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('hold'), rateHz: hz }),
  z.strictObject({ kind: z.literal('ramp'), fromHz: hz, toHz: hz }),
  z.strictObject({ kind: z.literal('step'), fromHz: hz, toHz: hz, steps: whole(1_000, 1) }),
  z.strictObject({
    kind: z.literal('sine'),
    fromHz: hz,
    toHz: hz,
    periodMs: z.number().min(1).max(DAY_MS),
  }),
  z.strictObject({
    kind: z.literal('burst'),
    fromHz: hz,
    toHz: hz,
    periodMs: z.number().min(1).max(DAY_MS),
    burstMs: z.number().min(0).max(DAY_MS),
  }),
])

const load = z.discriminatedUnion('model', [
  z.strictObject({ model: z.literal('closed') }),
  z.strictObject({ model: z.literal('idle') }),
  z.strictObject({
    model: z.literal('open'),
    shape,
    durationMs: forever(366 * DAY_MS),
  }),
])

const segments = z
  .array(
    z.strictObject({
      phase: whole(1_000_000).nullable(),
      startNs: momentNs,
      endNs: forever(1e18),
      load,
      consumersPaused: z.boolean().optional(),
    }),
  )
  .max(20_000)

/** An order to a load process. */
export const orderSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('setup'), setup: z.union([producerSetup, consumerSetup]) }),
  z.strictObject({ kind: z.literal('start'), gridNs: momentNs, segments }),
  z.strictObject({ kind: z.literal('extend'), segments, final: z.boolean() }),
  z.strictObject({ kind: z.literal('clocks'), clocks: producerClocks }),
  z.strictObject({ kind: z.literal('halt') }),
  z.strictObject({ kind: z.literal('poll') }),
  z.strictObject({ kind: z.literal('finish') }),
])

/** A setup as it would be taken, or why it would not, with the place in it. */
export function readSetup(
  written: unknown,
): { readonly setup: ProducerSetup | ConsumerSetup } | { readonly fault: string } {
  const schema = isForConsumer(written) ? consumerSetup : producerSetup
  const { data, error } = schema.safeParse(written)
  if (data !== undefined) return { setup: data }
  const [issue] = error.issues
  const at = issue?.path.map(String).join('.') ?? ''
  return { fault: `${at}${at === '' ? '' : ': '}${issue?.message ?? ''}` }
}

function isForConsumer(written: unknown): boolean {
  return (
    typeof written === 'object' &&
    written !== null &&
    'kind' in written &&
    written.kind === 'consumer'
  )
}

function largest(sizes: readonly { readonly sizeBytes: number }[]): number {
  return Math.max(...sizes.map(({ sizeBytes }) => sizeBytes))
}

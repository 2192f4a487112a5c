/**
 * What a controller and an agent say to each other, as schemas: neither believes what it reads.
 *
 *   controller                     agent
 *   hello {nonce}             →
 *                             ←    challenge {nonce}
 *   proof {proof}             →
 *                             ←    welcome {proof, facts …}, or refused {why, hint}
 *   then, in any order:
 *   ping {id}                 →    pong {id, atNs}
 *   check {id, setups …}      →    checked {id, refusal, brokers}
 *   open {role, name, what}   →    opened {role, pid}
 *   order {role, order}       →    report {role, report} …, ended {role, why}
 *   close {role}              →
 *   sample {id, …}            →    sampling {id, brokers}, then usage {atNs, usage} every period
 *   mark {id, of}             →    marked {id, usage since the last mark of that, …}
 *
 * The agent ends a session whose controller breaks these rules, is silent for a while or goes away,
 * with everything that it started for it.
 */
import { z } from 'zod'
import type { HostUsage } from '../../host/usage.ts'
import { hostSchema } from '../result-hosts.ts'
import type { FromRole } from '../role-messages.ts'
import { producerLatencies } from '../tally.ts'
import { endpointSchema, momentNs, orderSchema } from './order-schema.ts'

/** Agents and controllers of different versions do not work together. */
export const PROTOCOL_VERSION = 2

/** Longest message before the other side has proved itself, bytes. */
export const STRANGER_BYTES_MAX = 4_096
/** Longest word of an agent that may still have to prove itself: what its host is. */
export const WELCOME_BYTES_MAX = 64 * 1024
/** Longest order: a setup with ten thousand topics, or a million lanes. */
export const ORDER_BYTES_MAX = 64 * 1024 * 1024
/** Longest report: a ledger of four million exceptions, or what a consumer saw of a thousand million messages. */
export const REPORT_BYTES_MAX = 256 * 1024 * 1024

const id = z.number().int().min(0).max(0xffff_ffff)
const role = z.number().int().min(0).max(0xffff)
const nonce = z.string().length(44)
const proof = z.string().max(100)
const count = z.number().min(0)
const text = z.string().max(10_000)

export const helloSchema = z.strictObject({
  kind: z.literal('hello'),
  version: z.number().int(),
  nonce,
})

export const proofSchema = z.strictObject({ kind: z.literal('proof'), proof })

/** Brokers of the run: those of the agent's host are looked at. */
const brokers = z.array(endpointSchema).max(1_000)

/** What marks are the edges of: the whole window, or one phase of it. */
const spans = ['window', 'phase'] as const
export type Span = (typeof spans)[number]

/** From a controller that has proved itself. */
export const requestSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('ping'), id }),
  z.strictObject({
    kind: z.literal('open'),
    role,
    name: z.string().regex(/^[a-z0-9-]{1,64}$/),
    what: z.enum(['producer', 'consumer', 'null-target']),
  }),
  z.strictObject({ kind: z.literal('order'), role, order: orderSchema }),
  z.strictObject({ kind: z.literal('close'), role }),
  z.strictObject({
    kind: z.literal('sample'),
    id,
    periodMs: z.number().min(100).max(86_400_000),
    gridNs: momentNs,
    linkBitsPerSecond: z.number().min(1).max(1e15).nullable(),
    brokers,
  }),
  z.strictObject({ kind: z.literal('mark'), id, of: z.enum(spans) }),
  z.strictObject({
    kind: z.literal('check'),
    id,
    roles: z.number().int().min(0).max(1e6),
    /** Looked at by the schema of orders, and told what is wrong with them. */
    setups: z.array(z.unknown()).max(2),
    brokers,
  }),
])

const histogram = z.object({
  histogram: z.string(),
  negative: count,
  earlyNs: count,
  clamped: count,
  minNs: count.nullable(),
  maxNs: count,
})
const pairs = z.array(z.tuple([z.number(), count]))
const words = z.instanceof(Uint32Array)
const runtime = z.object({
  cpuUserMs: count,
  cpuSystemMs: count,
  rssBytes: count,
  heapUsedBytes: count,
  externalBytes: count,
  gc: z.object({ count, majorCount: count, pauseMs: count, pauseMsMax: count }),
  loop: z.object({ p50Ms: z.number(), p99Ms: z.number(), maxMs: z.number() }),
})
const figures = z.object({ start: runtime, end: runtime })
const broken = text.nullable()
const tally = z.object({
  phase: count,
  scheduled: count,
  sent: count,
  sentBytes: count,
  acked: count,
  failed: count,
  unanswered: count,
  unsent: count,
  blocked: count,
  errors: pairs,
  latency: z.partialRecord(z.enum(producerLatencies), histogram),
})

/** What a load process says. */
export const reportSchema: z.ZodType<FromRole> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('listening'), port: z.number().int().min(1).max(65_535) }),
  z.object({
    kind: z.literal('producer-tick'),
    atNs: count,
    tallies: z.array(tally),
    totalAcked: count,
    pending: count,
    broken,
  }),
  z.object({
    kind: z.literal('consumer-tick'),
    groupIndex: count,
    atNs: count,
    receipts: z.array(
      z.object({
        phase: count,
        received: count,
        receivedBytes: count,
        endToEnd: histogram.nullable(),
      }),
    ),
    totalReceived: count,
    lanes: z.array(z.tuple([count, z.number(), z.number(), z.number()])),
    polled: z.boolean(),
    broken,
  }),
  z.object({
    kind: z.literal('producer-report'),
    ledger: z.object({ sent: count, unacknowledged: words, truncated: z.boolean() }),
    sent: count,
    acked: count,
    failed: count,
    unanswered: count,
    pending: count,
    pendingByPhase: pairs,
    wireBytesSent: z.number(),
    haltedAtNs: count,
    figures,
    strayAnswers: count,
    compressRatio: z.number(),
    broken,
  }),
  z.object({
    kind: z.literal('consumer-report'),
    groupIndex: count,
    receipts: z.object({
      received: count,
      duplicated: count,
      reordered: count,
      corrupted: count,
      foreign: count,
      misplaced: count,
      damaged: pairs.default([]),
      seen: z.array(z.array(z.object({ page: count, words }))),
    }),
    figures,
    troubles: pairs,
    batches: count,
    broken,
  }),
  z.object({
    kind: z.literal('failed'),
    code: text,
    details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
    message: text,
  }),
])

const processUsage = z.object({
  pid: z.number().int(),
  userCores: z.number().nullable(),
  systemCores: z.number().nullable(),
  cores: z.number().nullable(),
  cpuMs: z.number().nullable(),
  threadCount: z.number().nullable(),
  rssBytes: z.number(),
  rssPeakBytes: z.number().nullable(),
  majorFaults: z.number().nullable(),
  diskReadBytes: z.number().nullable(),
  diskWrittenBytes: z.number().nullable(),
  quota: z.object({ cores: z.number(), throttledShare: z.number() }).nullable(),
  busiestThread: z.object({ name: text, cores: z.number() }).nullable(),
})

const usageSchema: z.ZodType<HostUsage> = hostSchema
  .pick({
    cpuCount: true,
    cpu: true,
    load1: true,
    pressure: true,
    memory: true,
    disk: true,
    nics: true,
    unavailable: true,
  })
  .extend({ spanMs: z.number(), processes: z.array(processUsage) })

export const challengeSchema = z.object({ kind: z.literal('challenge'), nonce })

export const welcomeSchema = z.object({
  kind: z.literal('welcome'),
  proof,
  tool: text,
  /** What the machine is; `name` is the host's own. */
  facts: z.looseObject({ name: text }),
})

export const refusedSchema = z.object({ kind: z.literal('refused'), why: text, hint: text })

const jvmGc = z
  .object({
    collectors: z.array(z.object({ name: text, count, pauseMs: z.number() })),
    count,
    pauseMs: z.number(),
  })
  .nullable()

/** Of the brokers that were asked about, those of its host. */
const ownBrokers = z.array(z.object({ address: endpointSchema, pid: z.number().int().nullable() }))

/** From an agent that has proved itself. */
export const answerSchema = z.discriminatedUnion('kind', [
  refusedSchema,
  z.object({ kind: z.literal('pong'), id, atNs: count }),
  z.object({ kind: z.literal('opened'), role, pid: z.number().int().nullable() }),
  z.object({ kind: z.literal('report'), role, report: reportSchema }),
  z.object({ kind: z.literal('ended'), role, why: text }),
  z.object({ kind: z.literal('sampling'), id, brokers: ownBrokers }),
  z.object({
    kind: z.literal('checked'),
    id,
    /** Why it would not take the load; null when it would. */
    refusal: z.object({ why: text, target: endpointSchema.nullable() }).nullable(),
    brokers: ownBrokers,
  }),
  z.object({ kind: z.literal('usage'), atNs: count, usage: usageSchema }),
  z.object({
    kind: z.literal('marked'),
    id,
    /** Since the last mark; null at the first. */
    usage: usageSchema.nullable(),
    samplerCores: z.number(),
    jvms: z.array(z.object({ address: endpointSchema, gc: jvmGc })),
  }),
])

export type AgentRequest = z.infer<typeof requestSchema>
export type AgentAnswer = z.infer<typeof answerSchema>

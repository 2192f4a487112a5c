/** What a phase of a run, or all that count together, measured: rates, totals, latencies. */
import { z } from 'zod'
import { nullable, number, text } from './result-fields.ts'

/** Latency of one kind. A percentile is null when fewer than ten samples lie above it. */
const latencySchema = z.object({
  /** How to read it: what is counted, from when. */
  label: text,
  count: number,
  minMs: number,
  meanMs: number,
  p50Ms: nullable(number),
  p90Ms: nullable(number),
  p95Ms: nullable(number),
  p99Ms: nullable(number),
  p999Ms: nullable(number),
  p9999Ms: nullable(number),
  maxMs: number,
  /** Arrivals before their sending, counted as 0. */
  negative: number,
  clamped: number,
  precisionDigits: number,
  /** HdrHistogram, compressed, base64, unit nanoseconds. */
  histogram: text,
})

const rateSchema = z.object({
  /** Over the whole window. */
  meanPerSecond: number,
  /** Of the whole seconds of the window; null when there is none. */
  medianPerSecond: nullable(number),
  minPerSecond: nullable(number),
  maxPerSecond: nullable(number),
})

export const totalsSchema = z.object({
  sent: number,
  acked: number,
  failed: number,
  /** One-way messages that were handed to the network: of these nobody says more. */
  unanswered: number.default(0),
  pending: number,
  received: number,
  sentBytes: number,
  receivedBytes: number,
  /** 0 where it is not known of a single phase. */
  wireBytesSent: number,
  rates: z.object({
    acked: rateSchema,
    received: rateSchema,
    /** Handed to the network, acknowledged or not. */
    sent: nullable(rateSchema).default(null),
    /** What the schedule asked for; null in a closed load. */
    offeredPerSecond: nullable(number).default(null),
  }),
  /** By the name of the outcome. */
  errors: z.record(text, number),
  /** Requests of consumers that failed and were repeated, whole run. */
  consumerTroubles: z.record(text, number),
  /** Due by the schedule; 0 in a closed load. */
  scheduled: number.default(0),
  /** Due and never sent: the phase was over before a sender was free. */
  unsent: number.default(0),
  /** Sent late because no sender was free. */
  blocked: number.default(0),
})

export const latenciesSchema = z.object({
  /** From the intended send time; null in a closed model, which has none. */
  response: nullable(latencySchema),
  service: nullable(latencySchema),
  /** From the intended to the actual send. */
  sendDelay: nullable(latencySchema).default(null),
  endToEnd: nullable(latencySchema),
  unavailable: z.record(text, text),
})

export const pacingSchema = z.object({
  model: z.enum(['closed', 'open', 'mixed']),
  text: text,
  /** Lateness of sends for which a sender was free: the generator's own error. */
  error: nullable(latencySchema).default(null),
})

/** What one phase measured. */
export const figuresSchema = z.object({
  /** Index that rows of `series` carry. */
  index: number,
  load: text,
  totals: totalsSchema,
  latency: latenciesSchema,
  pacing: pacingSchema,
  /** Null without consumers. */
  lag: nullable(
    z.object({
      max: number,
      maxSeconds: number,
      /** Messages a second by which the lag grew, by least squares over the seconds of the phase. */
      slopePerSecond: nullable(number),
    }),
  ),
  /** Of a phase that lasts until everything is read; null for others. */
  drain: nullable(
    z.object({
      /** Messages that lay there when it began: received, less what was sent meanwhile. */
      backlog: number,
      /** Everything was read before the time was over. */
      done: z.boolean(),
      /** Messages that were not: of the group that is furthest behind. */
      remaining: number,
    }),
  ).default(null),
})

export type Latency = z.infer<typeof latencySchema>
export type Totals = z.infer<typeof totalsSchema>
export type Latencies = z.infer<typeof latenciesSchema>
export type Pacing = z.infer<typeof pacingSchema>
export type PhaseFigures = z.infer<typeof figuresSchema>
export type PhaseLag = NonNullable<PhaseFigures['lag']>
export type Rate = z.infer<typeof rateSchema>

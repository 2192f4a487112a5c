/** Hosts and processes in the result of a run: what they are, and what they did. */
import { z } from 'zod'
import { nullable, number, text } from './result-fields.ts'

const gcSchema = z.object({
  count: number,
  pauseMs: number,
  /** Of the window, 0 … 1. */
  share: number,
  /** Null where only sums are known. */
  pauseMsMax: nullable(number),
})

export const processSchema = z.object({
  name: text,
  role: z.enum(['broker', 'nameserver', 'producer', 'consumer', 'orchestrator']),
  pid: nullable(number),
  /** Address of the agent on whose host it ran; absent for the host that ran the bench, or one that nobody sampled. */
  host: text.optional(),
  /** CPU in cores: 1 is one core busy all the time. */
  cores: nullable(number),
  userCores: nullable(number),
  systemCores: nullable(number),
  busiestThread: nullable(z.object({ name: text, cores: number })),
  /** The CPU quota of its control group: cores, and the share of the periods in which it was stopped. */
  quota: nullable(z.object({ cores: number, throttledShare: number })).default(null),
  threads: nullable(number),
  rssBytes: nullable(number),
  rssPeakBytes: nullable(number),
  gc: nullable(gcSchema),
  loop: nullable(z.object({ p99Ms: nullable(number), maxMs: nullable(number), scope: text })),
  diskReadBytes: nullable(number),
  diskWrittenBytes: nullable(number),
  fsync: nullable(z.object({ count: number, meanMs: nullable(number), maxMs: nullable(number) })),
  /** Why something is null, by field. */
  unavailable: z.record(text, text),
})

const nicSchema = z.object({
  name: text,
  isLoopback: z.boolean(),
  rxBytesPerSecond: number,
  txBytesPerSecond: number,
  rxPacketsPerSecond: number,
  txPacketsPerSecond: number,
  rxDrops: number,
  txDrops: number,
  linkBitsPerSecond: nullable(number),
  rxShare: nullable(number),
  txShare: nullable(number),
})

export const hostSchema = z.object({
  name: text,
  roles: z.array(text),
  /** Address of the agent that told of it; absent for the host that ran the bench. */
  agent: text.optional(),
  /** What the scenario calls it; absent when it says nothing. */
  label: text.optional(),
  cpuCount: number,
  cpu: nullable(
    z.object({
      user: number,
      system: number,
      irq: number,
      iowait: number,
      steal: number,
      idle: number,
      busy: number,
    }),
  ),
  load1: nullable(number),
  /** Shares of the time in which some task, or all of them, waited for a resource (Linux PSI). */
  pressure: nullable(
    z.object({
      cpuSome: number,
      ioSome: number,
      ioFull: number,
      memorySome: number,
      memoryFull: number,
    }),
  ).default(null),
  memory: nullable(
    z.object({
      totalBytes: number,
      availableBytes: number,
      cachedBytes: number,
      dirtyBytes: nullable(number),
      swapUsedBytes: number,
      swapInPages: nullable(number),
      swapOutPages: nullable(number),
    }),
  ),
  disk: nullable(
    z.object({
      device: text,
      readBytes: number,
      writtenBytes: number,
      readBytesPerSecond: number,
      writtenBytesPerSecond: number,
      readsPerSecond: number,
      writesPerSecond: number,
      utilisation: number,
      writeAwaitMs: nullable(number),
      flushes: nullable(number),
      flushAwaitMs: nullable(number),
      /** Transactions of the file system's journal; null where none is told. */
      journalCommits: nullable(number).default(null),
    }),
  ),
  nics: z.array(nicSchema),
  /** What looking at the host cost, in cores. */
  samplerCores: number,
  unavailable: z.record(text, text),
})

/** What a host did in a second. */
export const hostRowSchema = z.object({
  cpuBusy: nullable(number),
  iowait: nullable(number),
  steal: nullable(number),
  availableBytes: nullable(number),
  diskWrittenBytesPerSecond: nullable(number),
  diskUtilisation: nullable(number),
  nicTxBytesPerSecond: number,
  nicRxBytesPerSecond: number,
  loopbackBytesPerSecond: number,
})

export type ProcessResult = z.infer<typeof processSchema>
export type HostResult = z.infer<typeof hostSchema>
export type Gc = z.infer<typeof gcSchema>

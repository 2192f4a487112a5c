/**
 * What a Node process can only see from inside: its garbage collector, the delay of its event loop,
 * its own CPU time. Every role of a run carries one monitor and hands its figures over.
 */
import {
  type PerformanceEntry,
  PerformanceObserver,
  constants,
  monitorEventLoopDelay,
  type IntervalHistogram,
} from 'node:perf_hooks'

/** Counters since the monitor was started, and the loop delay since the last `resetLoop`. */
export interface RuntimeFigures {
  readonly cpuUserMs: number
  readonly cpuSystemMs: number
  readonly rssBytes: number
  readonly heapUsedBytes: number
  readonly externalBytes: number
  readonly gc: GcCounters
  readonly loop: LoopDelay
}

export interface GcCounters {
  readonly count: number
  readonly majorCount: number
  readonly pauseMs: number
  readonly pauseMsMax: number
}

/**
 * How late a timer of the loop fires beyond its time, from a timer every 10 ms: a figure of 0 means
 * less than that resolution. Includes the time other processes had the CPU.
 */
export interface LoopDelay {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

const LOOP_RESOLUTION_MS = 10

export class RuntimeMonitor {
  readonly #observer: PerformanceObserver
  readonly #loop: IntervalHistogram
  #count = 0
  #majorCount = 0
  #pauseMs = 0
  #pauseMsMax = 0

  constructor() {
    this.#observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const { detail } = entry as PerformanceEntry & { detail?: { kind?: number } }
        this.#count += 1
        this.#pauseMs += entry.duration
        if (detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR) this.#majorCount += 1
        if (entry.duration > this.#pauseMsMax) this.#pauseMsMax = entry.duration
      }
    })
    this.#observer.observe({ entryTypes: ['gc'] })
    this.#loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS })
    this.#loop.enable()
  }

  figures(): RuntimeFigures {
    const cpu = process.cpuUsage()
    const memory = process.memoryUsage()
    return {
      cpuUserMs: cpu.user / 1000,
      cpuSystemMs: cpu.system / 1000,
      rssBytes: memory.rss,
      heapUsedBytes: memory.heapUsed,
      externalBytes: memory.external,
      gc: {
        count: this.#count,
        majorCount: this.#majorCount,
        pauseMs: this.#pauseMs,
        pauseMsMax: this.#pauseMsMax,
      },
      loop: {
        p50Ms: this.#delayMs(this.#loop.percentile(50)),
        p99Ms: this.#delayMs(this.#loop.percentile(99)),
        maxMs: this.#delayMs(this.#loop.max),
      },
    }
  }

  /** Forgets the loop delays so far: the measured window starts. */
  resetLoop(): void {
    this.#loop.reset()
    this.#pauseMsMax = 0
  }

  close(): void {
    this.#observer.disconnect()
    this.#loop.disable()
  }

  /** The histogram holds the whole interval of the timer; the delay is what exceeds it. */
  #delayMs(intervalNs: number): number {
    return Math.max(0, intervalNs / 1e6 - LOOP_RESOLUTION_MS)
  }
}

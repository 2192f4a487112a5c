/** What only the process itself knows about how it does: garbage collection, event loop, CPU. */
import { PerformanceObserver, monitorEventLoopDelay } from 'node:perf_hooks'
import type { RuntimeProbe } from '../../broker/runtime-probe.ts'

const NS_PER_MS = 1e6
const SAMPLE_MS = 10

/** Starts to count; one a process. */
export function startNodeProbe(): RuntimeProbe {
  const delay = monitorEventLoopDelay({ resolution: SAMPLE_MS })
  delay.enable()
  let gcCount = 0
  let gcPauseMs = 0
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      gcCount += 1
      gcPauseMs += entry.duration
    }
  })
  observer.observe({ entryTypes: ['gc'] })
  // The histogram counts the sampling period itself; what is beyond it is delay.
  const beyond = (ns: number) => Math.max(0, ns / NS_PER_MS - SAMPLE_MS)
  return {
    read() {
      const { user, system } = process.cpuUsage()
      const { rss, heapUsed } = process.memoryUsage()
      return {
        pid: process.pid,
        rssBytes: rss,
        heapUsedBytes: heapUsed,
        cpuUserMs: user / 1_000,
        cpuSystemMs: system / 1_000,
        gcCount,
        gcPauseMs,
        eventLoopP50Ms: beyond(delay.percentile(50)),
        eventLoopP99Ms: beyond(delay.percentile(99)),
        eventLoopMaxMs: beyond(delay.max),
      }
    },
  }
}

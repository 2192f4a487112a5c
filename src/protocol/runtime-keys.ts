/**
 * What our broker adds to Apache's keys in the answer to GET_BROKER_RUNTIME_INFO: figures that only
 * its process knows, for benchmarks and `broker get`. All values are text, as every value there;
 * counters run since the broker started. A reader takes a missing key as "does not say".
 */
export const RuntimeKey = {
  pid: 'mqctl.pid',
  rssBytes: 'mqctl.rssBytes',
  heapUsedBytes: 'mqctl.heapUsedBytes',
  cpuUserMs: 'mqctl.cpu.userMs',
  cpuSystemMs: 'mqctl.cpu.systemMs',
  gcCount: 'mqctl.gc.count',
  gcPauseMs: 'mqctl.gc.pauseMs',
  /** Delay of the event loop beyond its time, since the broker started. */
  eventLoopP50Ms: 'mqctl.eventLoop.p50Ms',
  eventLoopP99Ms: 'mqctl.eventLoop.p99Ms',
  eventLoopMaxMs: 'mqctl.eventLoop.maxMs',
  /** Flushes of the commit log to the disk: how many, the time they took together, the longest. */
  fsyncCount: 'mqctl.fsync.count',
  fsyncTotalMs: 'mqctl.fsync.totalMs',
  fsyncMaxMs: 'mqctl.fsync.maxMs',
} as const

/**
 * How the broker's process does, as only the process itself can know. Passed in by whoever starts
 * the broker, since the room reads no globals.
 */
export interface RuntimeFigures {
  readonly pid: number
  readonly rssBytes: number
  readonly heapUsedBytes: number
  readonly cpuUserMs: number
  readonly cpuSystemMs: number
  readonly gcCount: number
  readonly gcPauseMs: number
  /** Delay of the event loop beyond its time since the probe was made. */
  readonly eventLoopP50Ms: number
  readonly eventLoopP99Ms: number
  readonly eventLoopMaxMs: number
}

export interface RuntimeProbe {
  read(): RuntimeFigures
}

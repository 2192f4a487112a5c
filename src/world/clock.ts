/** Ends a timer. Calling it twice is harmless. */
export type Stop = () => void

export interface Clock {
  /** Milliseconds since 1970-01-01 UTC. May jump; never use it for durations. */
  wallMs(): number
  /** Milliseconds on a clock that never goes back. Fractions are meaningful. */
  monotonicMs(): number
  /** Nanoseconds on the same monotonic clock, shared by all processes of a host on Linux. */
  monotonicNs(): bigint
  /** Calls `tick` every `periodMs` until stopped. Does not keep the process alive. */
  every(periodMs: number, tick: () => void): Stop
  /** Calls `run` once after `delayMs` unless stopped. Keeps the process alive. */
  after(delayMs: number, run: () => void): Stop
  /** Calls `run` once all sockets that are ready now have been read: the end of the turn. */
  atEndOfTurn(run: () => void): void
}

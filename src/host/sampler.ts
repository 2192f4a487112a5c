/**
 * One loop a host: a snapshot every period, so that each second of a run can be looked at, and deep
 * snapshots at its marks (start and end of the measured window). The loop measures what it costs.
 */
import type { Clock, Stop } from '../world/clock.ts'
import { everyOnGrid } from '../world/grid-ticks.ts'
import type { HostProbe, HostSnapshot } from './snapshot.ts'
import { type HostUsage, usageBetween } from './usage.ts'

export interface SamplerCost {
  readonly samples: number
  /** CPU time of this process spent in snapshots, milliseconds. */
  readonly cpuMs: number
  /** The same as a share of one core over the time the sampler ran. */
  readonly cores: number
}

export class HostSampler {
  readonly #clock: Clock
  readonly #probe: HostProbe
  readonly #pids = new Set<number>()
  readonly #onUsage: (usage: HostUsage) => void
  #stop: Stop | null = null
  #previous: HostSnapshot | null = null
  #running: Promise<void> | null = null
  #startedMs = 0
  #samples = 0
  #cpuUs = 0

  /** @param onUsage gets what happened since the previous sample, each period */
  constructor(clock: Clock, probe: HostProbe, onUsage: (usage: HostUsage) => void) {
    this.#clock = clock
    this.#probe = probe
    this.#onUsage = onUsage
  }

  /** Watches one more process from now on. */
  watch(pid: number): void {
    this.#pids.add(pid)
  }

  /** @param originMs a moment of the monotonic clock from which whole periods are counted */
  start(periodMs: number, originMs = this.#clock.monotonicMs()): void {
    this.#startedMs = this.#clock.monotonicMs()
    this.#stop = everyOnGrid(this.#clock, originMs, periodMs, () => {
      this.#running ??= this.#sample().finally(() => {
        this.#running = null
      })
    })
  }

  /** A deep snapshot now, for the edges of a window. */
  async mark(): Promise<HostSnapshot> {
    return this.#look(true)
  }

  async stop(): Promise<void> {
    this.#stop?.()
    this.#stop = null
    await this.#running
  }

  cost(): SamplerCost {
    const spanMs = this.#clock.monotonicMs() - this.#startedMs
    const cpuMs = this.#cpuUs / 1000
    return { samples: this.#samples, cpuMs, cores: spanMs > 0 ? cpuMs / spanMs : 0 }
  }

  async #sample(): Promise<void> {
    const snapshot = await this.#look(false)
    if (this.#previous !== null) this.#onUsage(usageBetween(this.#previous, snapshot))
    this.#previous = snapshot
  }

  async #look(deep: boolean): Promise<HostSnapshot> {
    const before = process.cpuUsage()
    const snapshot = await this.#probe.snapshot(this.#pids, deep)
    const spent = process.cpuUsage(before)
    this.#cpuUs += spent.user + spent.system
    this.#samples += 1
    return snapshot
  }
}

/**
 * The moments of a run inside a load process: a tick at every whole second before and after the
 * start of the window, the figures of the process at the window's edges, all on the host's
 * monotonic clock, so that the processes of a run tick together.
 */
import type { RuntimeFigures, RuntimeMonitor } from '../host/node-runtime.ts'
import type { Clock, Stop } from '../world/clock.ts'
import type { Window } from './producer-load.ts'
import type { WindowFigures } from './role-messages.ts'

const TICK_MS = 1000

export class WindowClock {
  readonly #clock: Clock
  readonly #monitor: RuntimeMonitor
  readonly #onTick: (atNs: number) => void
  readonly #onEnd: () => void
  readonly #stops: Stop[] = []
  #start: RuntimeFigures | null = null
  #end: RuntimeFigures | null = null
  #stopTicks: Stop | null = null

  constructor(
    clock: Clock,
    monitor: RuntimeMonitor,
    onTick: (atNs: number) => void,
    onEnd: () => void,
  ) {
    this.#clock = clock
    this.#monitor = monitor
    this.#onTick = onTick
    this.#onEnd = onEnd
  }

  start(window: Window): void {
    const nowNs = this.nowNs()
    const untilStartMs = (window.startNs - nowNs) / 1e6
    const untilEndMs = (window.endNs - nowNs) / 1e6
    this.#stops.push(
      this.#clock.after(Math.max(0, untilStartMs), () => {
        this.#monitor.resetLoop()
        this.#start = this.#monitor.figures()
      }),
      this.#clock.after(Math.max(0, untilEndMs), () => {
        this.end()
      }),
      this.#clock.after(((untilStartMs % TICK_MS) + TICK_MS) % TICK_MS, () => {
        this.#stopTicks = this.#clock.every(TICK_MS, () => {
          this.#onTick(this.nowNs())
        })
      }),
    )
  }

  /** The window is over, at its planned end or before. */
  end(): void {
    if (this.#end !== null) return
    this.#end = this.#monitor.figures()
    this.#start ??= this.#end
    this.#onEnd()
  }

  nowNs(): number {
    return Number(this.#clock.monotonicNs())
  }

  figures(): WindowFigures {
    const end = this.#end ?? this.#monitor.figures()
    return { start: this.#start ?? end, end }
  }

  stop(): void {
    for (const stop of this.#stops) stop()
    this.#stopTicks?.()
  }
}

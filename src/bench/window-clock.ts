/**
 * The moments of a run inside a load process: a tick at every whole second of a grid that all
 * processes of the run share, and the figures of the process at the edges of the window, which is
 * everything between the start of the first phase that counts and the end of the last.
 */
import type { RuntimeFigures, RuntimeMonitor } from '../host/node-runtime.ts'
import type { Clock, Stop } from '../world/clock.ts'
import { everyOnGrid } from '../world/grid-ticks.ts'
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
  #isPlanned = false

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

  /** @param gridNs ticks come at whole seconds from here, before it and behind it */
  start(gridNs: number): void {
    this.#stops.push(
      everyOnGrid(this.#clock, gridNs / 1e6, TICK_MS, () => {
        this.#onTick(this.nowNs())
      }),
    )
  }

  /** The window begins at this moment; only the first call counts. */
  beginAt(atNs: number): void {
    if (this.#isPlanned) return
    this.#isPlanned = true
    this.#stops.push(
      this.#clock.after(Math.max(0, (atNs - this.nowNs()) / 1e6), () => {
        this.#monitor.resetLoop()
        this.#start = this.#monitor.figures()
      }),
    )
  }

  /** The window ends at this moment. */
  endAt(atNs: number): void {
    this.#stops.push(
      this.#clock.after(Math.max(0, (atNs - this.nowNs()) / 1e6), () => {
        this.end()
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
  }
}

import type { Clock, Stop } from '../../src/world/clock.ts'
import { nodeWorld } from '../../src/world/node-world.ts'

interface Pending {
  readonly dueMs: number
  readonly run: () => void
  readonly stop: Stop
}

/**
 * The real clock, moved. `jump` lets hours pass at once: what is due by then runs, and everything
 * else that takes time (disk, sockets) goes on as it is.
 */
export class JumpClock implements Clock {
  readonly #pending = new Set<Pending>()
  #jumpedMs = 0
  #wallOffsetMs = 0

  wallMs(): number {
    return nodeWorld.clock.wallMs() + this.#jumpedMs + this.#wallOffsetMs
  }

  monotonicMs(): number {
    return nodeWorld.clock.monotonicMs() + this.#jumpedMs
  }

  monotonicNs(): bigint {
    return nodeWorld.clock.monotonicNs() + BigInt(Math.round(this.#jumpedMs * 1e6))
  }

  every(periodMs: number, tick: () => void): Stop {
    return nodeWorld.clock.every(periodMs, tick)
  }

  after(delayMs: number, run: () => void): Stop {
    const pending: Pending = {
      dueMs: this.monotonicMs() + delayMs,
      run,
      stop: nodeWorld.clock.after(delayMs, () => {
        this.#pending.delete(pending)
        run()
      }),
    }
    this.#pending.add(pending)
    return () => {
      this.#pending.delete(pending)
      pending.stop()
    }
  }

  atEndOfTurn(run: () => void): void {
    nodeWorld.clock.atEndOfTurn(run)
  }

  /** Lets so much time pass. */
  jump(ms: number): void {
    this.#jumpedMs += ms
    const nowMs = this.monotonicMs()
    for (const pending of [...this.#pending].sort((a, b) => a.dueMs - b.dueMs)) {
      if (pending.dueMs > nowMs || !this.#pending.delete(pending)) continue
      pending.stop()
      pending.run()
    }
  }

  /** Somebody sets the wall clock; no time passes. */
  setWall(byMs: number): void {
    this.#wallOffsetMs += byMs
  }
}

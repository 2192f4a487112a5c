/** Main of a producer's process: one producer instance, many synchronous senders. */
import { assert } from '../../base/assert.ts'
import type { ProducerLine } from '../../drivers/driver.ts'
import { openDriver } from '../../drivers/open-driver.ts'
import { RuntimeMonitor } from '../../host/node-runtime.ts'
import { nodeWorld } from '../../world/node-world.ts'
import { type PreciseTimer, openPreciseTimer } from '../../world/precise-timer.ts'
import { loadHistograms } from '../histogram.ts'
import { PayloadPool } from '../payload.ts'
import type { Segment } from '../load-program.ts'
import { ProducerLoad } from '../producer-load.ts'
import type { ProducerSetup } from '../role-messages.ts'
import { WindowClock } from '../window-clock.ts'
import { takeOrders, tell, worldWithin } from './role.ts'

const SETTLE_POLL_MS = 20
/** After the last time-out everything has an outcome; a little more for the tick that gives it. */
const SETTLE_GRACE_MS = 500

class ProducerRole {
  readonly #monitor = new RuntimeMonitor()
  readonly #setup: ProducerSetup
  readonly #load: ProducerLoad
  readonly #windowClock: WindowClock
  #line: ProducerLine | null = null
  #wireBytesAtStart = 0
  #wireBytesAtEnd = 0
  #haltedAtNs = 0
  #isPlanned = false
  #timer: PreciseTimer | null = null
  #reported = false

  static async open(
    setup: ProducerSetup,
    allowed: readonly string[] | undefined,
  ): Promise<ProducerRole> {
    await loadHistograms()
    const role = new ProducerRole(setup)
    const driver = openDriver(worldWithin(allowed), setup.driver, setup.endpoints)
    const { topics, group, slots, timeoutMs, kinds, oneWay, mix } = setup
    role.#line = await driver.openProducer(
      { topics, group, slots, timeoutMs, kinds, oneWay, keyed: mix.keys !== null },
      {
        onSettled: (slot, outcome) => {
          role.#load.onSettled(slot, outcome)
        },
        onBroken: (why) => {
          role.#load.onBroken(why)
          role.#windowClock.end()
        },
      },
    )
    return role
  }

  private constructor(setup: ProducerSetup) {
    this.#setup = setup
    const { sizes, pool, entropy, seed, producer, producers } = setup
    const { runId, slots, sequence, checksum, batchSize, lingerMs, mix } = setup
    this.#load = new ProducerLoad(
      new PayloadPool({ sizes, count: pool, entropy, seed: seed + producer }),
      { producer, producers, runId, slots, sequence, checksum, batchSize, lingerMs, mix },
      (atNs, precise) => {
        this.#wakeAt(atNs, precise)
      },
    )
    this.#windowClock = new WindowClock(
      nodeWorld.clock,
      this.#monitor,
      (atNs) => {
        this.tick(atNs)
      },
      () => {
        this.#onWindowEnd()
      },
    )
  }

  start(gridNs: number, segments: readonly Segment[]): void {
    assert(this.#line !== null, 'a producer starts with an open line')
    this.#windowClock.start(gridNs)
    this.#load.start(this.#line, segments)
    this.#planWindow()
  }

  extend(segments: readonly Segment[], final: boolean): void {
    this.#load.program.isFinal = final
    this.#load.extend(segments)
    this.#planWindow()
    if (final) this.#windowClock.endAt(this.#load.program.endNs)
  }

  #planWindow(): void {
    const { startNs } = this.#load.program
    if (startNs === null || this.#isPlanned) return
    this.#isPlanned = true
    this.#windowClock.beginAt(startNs)
    nodeWorld.clock.after((startNs - this.#windowClock.nowNs()) / 1e6, () => {
      this.#wireBytesAtStart = this.#line?.sentBytes ?? 0
    })
  }

  #wakeAt(atNs: number, precise: boolean): void {
    if (precise) {
      this.#timer ??= openPreciseTimer(() => {
        this.#load.pump()
      })
      this.#timer.wakeAt(atNs)
      return
    }
    nodeWorld.clock.after(Math.max(0, (atNs - this.#windowClock.nowNs()) / 1e6), () => {
      this.#load.pump()
    })
  }

  /** The window ends now. */
  halt(): void {
    this.#load.halt()
    this.#windowClock.end()
  }

  tick(atNs: number): void {
    const load = this.#load
    tell({
      kind: 'producer-tick',
      atNs,
      tallies: load.takeTallies(),
      totalAcked: load.totalAcked + load.totalUnanswered,
      pending: load.pending,
      broken: load.broken,
    })
  }

  #onWindowEnd(): void {
    this.#load.halt()
    this.#haltedAtNs = this.#windowClock.nowNs()
    this.#wireBytesAtEnd = this.#line?.sentBytes ?? 0
    const deadlineMs = nodeWorld.clock.monotonicMs() + this.#setup.timeoutMs + SETTLE_GRACE_MS
    const poll = () => {
      const { pending } = this.#load
      if (pending === 0 || nodeWorld.clock.monotonicMs() > deadlineMs) this.#report()
      else nodeWorld.clock.after(SETTLE_POLL_MS, poll)
    }
    nodeWorld.clock.after(0, poll)
  }

  #report(): void {
    if (this.#reported) return
    this.#reported = true
    this.#windowClock.stop()
    const load = this.#load
    const ledger = load.packedLedger()
    this.tick(this.#windowClock.nowNs())
    tell({
      kind: 'producer-report',
      ledger,
      sent: load.totalSent,
      acked: load.totalAcked,
      failed: load.totalFailed,
      unanswered: load.totalUnanswered,
      pending: load.pending,
      pendingByPhase: load.pendingByPhase(),
      wireBytesSent: this.#wireBytesAtEnd - this.#wireBytesAtStart,
      haltedAtNs: this.#haltedAtNs,
      figures: this.#windowClock.figures(),
      strayAnswers: this.#line?.strayAnswers ?? 0,
      compressRatio: load.pool.compressRatio(),
      broken: load.broken,
    })
    this.#timer?.close()
    this.#line?.close()
  }
}

let role: ProducerRole | null = null

takeOrders(async (order) => {
  switch (order.kind) {
    case 'setup':
      assert(order.setup.kind === 'producer', 'a producer gets a producer’s setup')
      role = await ProducerRole.open(order.setup, order.allowed)
      tell({ kind: 'ready' })
      return
    case 'start':
      role?.start(order.gridNs, order.segments)
      return
    case 'extend':
      role?.extend(order.segments, order.final)
      return
    case 'halt':
      role?.halt()
      return
    case 'clocks':
    case 'poll':
    case 'finish':
  }
})

/** Main of a producer's process: one producer instance, many synchronous senders. */
import { assert } from '../../base/assert.ts'
import type { ProducerLine } from '../../drivers/driver.ts'
import { openDriver } from '../../drivers/open-driver.ts'
import { RuntimeMonitor } from '../../host/node-runtime.ts'
import { nodeWorld } from '../../world/node-world.ts'
import { loadHistograms } from '../histogram.ts'
import { PayloadPool } from '../payload.ts'
import { ProducerLoad, type Window } from '../producer-load.ts'
import type { ProducerSetup } from '../role-messages.ts'
import { WindowClock } from '../window-clock.ts'
import { takeOrders, tell } from './role.ts'

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
  #reported = false

  static async open(setup: ProducerSetup): Promise<ProducerRole> {
    await loadHistograms()
    const role = new ProducerRole(setup)
    const driver = openDriver(nodeWorld, setup.driver, setup.endpoints)
    const { topic, group, slots, timeoutMs, tag } = setup
    role.#line = await driver.openProducer(
      { topic, group, slots, timeoutMs, tag },
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
    const { sizeBytes, pool, entropy, seed, producer, runId, slots, sequence, checksum } = setup
    this.#load = new ProducerLoad(
      new PayloadPool({ sizeBytes, count: pool, entropy, seed: seed + producer }),
      { producer, runId, slots, sequence, checksum },
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

  start(window: Window): void {
    assert(this.#line !== null, 'a producer starts with an open line')
    const line = this.#line
    this.#windowClock.start(window)
    nodeWorld.clock.after((window.startNs - this.#windowClock.nowNs()) / 1e6, () => {
      this.#wireBytesAtStart = line.sentBytes
    })
    this.#load.start(line, window)
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
      counts: load.counts,
      errors: [...load.errors],
      latency: load.interval.count > 0 ? load.interval.pack() : null,
      totalAcked: load.totalAcked,
      pending: load.pending,
      broken: load.broken,
    })
    load.counts = { sent: 0, acked: 0, failed: 0 }
    load.errors.clear()
    load.interval.reset()
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
      pending: load.pending,
      windowPending: load.windowPending,
      wireBytesSent: this.#wireBytesAtEnd - this.#wireBytesAtStart,
      haltedAtNs: this.#haltedAtNs,
      figures: this.#windowClock.figures(),
      strayAnswers: this.#line?.strayAnswers ?? 0,
      compressRatio: load.pool.compressRatio(),
      broken: load.broken,
    })
    this.#line?.close()
  }
}

let role: ProducerRole | null = null

takeOrders(async (order) => {
  switch (order.kind) {
    case 'setup':
      assert(order.setup.kind === 'producer', 'a producer gets a producer’s setup')
      role = await ProducerRole.open(order.setup)
      tell({ kind: 'ready' })
      return
    case 'start':
      role?.start(order.window)
      return
    case 'halt':
      role?.halt()
      return
    case 'poll':
    case 'finish':
  }
})

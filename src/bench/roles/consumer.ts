/** Main of a consumer's process: reads its lanes and looks at every message. */
import { assert } from '../../base/assert.ts'
import type { ConsumerLine } from '../../drivers/driver.ts'
import { openDriver } from '../../drivers/open-driver.ts'
import { RuntimeMonitor } from '../../host/node-runtime.ts'
import { nodeWorld } from '../../world/node-world.ts'
import { ConsumerLoad } from '../consumer-load.ts'
import { loadHistograms } from '../histogram.ts'
import type { Segment } from '../load-program.ts'
import type { ConsumerSetup, ProducerClocks } from '../role-messages.ts'
import { WindowClock } from '../window-clock.ts'
import { takeOrders, tell, worldWithin } from './role.ts'

/** How long the broker may hold a pull; the run's end does not wait for it. */
const HOLD_MS = 10_000

class ConsumerRole {
  readonly #load: ConsumerLoad
  readonly #groupIndex: number
  readonly #windowClock: WindowClock
  #line: ConsumerLine | null = null
  #windowIsOver = false

  static async open(
    setup: ConsumerSetup,
    allowed: readonly string[] | undefined,
  ): Promise<ConsumerRole> {
    await loadHistograms()
    const role = new ConsumerRole(setup)
    const driver = openDriver(worldWithin(allowed), setup.driver, setup.endpoints)
    const { topics, group, lanes, batch, processingMs, retryMs, failRate } = setup
    role.#line = await driver.openConsumer(
      { topics, group, lanes, batch, processingMs, retryMs, holdMs: HOLD_MS },
      {
        ...(failRate > 0 ? { accepts: () => role.#load.accepts() } : {}),
        onMessage: (lane, queueOffset, bytes, start, end) => {
          role.#load.onMessage(lane, queueOffset, bytes, start, end)
        },
        onProgress: (lane, nextOffset, endOffset) => {
          role.#load.onProgress(lane, nextOffset, endOffset)
        },
        onTrouble: (_lane, outcome) => {
          role.#load.onTrouble(outcome)
        },
        onBroken: (why) => {
          role.#load.onBroken(why)
        },
      },
    )
    return role
  }

  private constructor(setup: ConsumerSetup) {
    const { runId, producers, sendersOfEach, laneCount, sequence, checksum } = setup
    const lanes = laneCount
    const { failRate, seed, producerClocks: clocks } = setup
    this.#groupIndex = setup.groupIndex
    this.#load = new ConsumerLoad(
      { runId, producers, sendersOfEach, lanes, sequence, checksum, failRate, seed, clocks },
      setup.lanes,
    )
    this.#windowClock = new WindowClock(
      nodeWorld.clock,
      new RuntimeMonitor(),
      (atNs) => {
        this.tick(atNs, false)
      },
      () => {
        // Behind the window everything is read to its end, also when the last phase built a backlog.
        this.#windowIsOver = true
        this.#line?.resume()
      },
    )
  }

  start(gridNs: number, segments: readonly Segment[]): void {
    assert(this.#line !== null, 'a consumer starts with an open line')
    this.#windowClock.start(gridNs)
    this.extend(segments, false)
    this.#load.start(this.#line)
  }

  extend(segments: readonly Segment[], final: boolean): void {
    const { program } = this.#load
    program.append(segments)
    for (const { startNs, consumersPaused } of segments) {
      nodeWorld.clock.after(Math.max(0, (startNs - this.#windowClock.nowNs()) / 1e6), () => {
        if (consumersPaused === true && !this.#windowIsOver) this.#line?.pause()
        else this.#line?.resume()
      })
    }
    if (program.startNs !== null) this.#windowClock.beginAt(program.startNs)
    if (final) this.#windowClock.endAt(program.endNs)
  }

  reckonWith(clocks: ProducerClocks): void {
    this.#load.clocks = clocks
  }

  halt(): void {
    this.#windowClock.end()
  }

  poll(): void {
    this.tick(this.#windowClock.nowNs(), true)
  }

  tick(atNs: number, polled: boolean): void {
    const load = this.#load
    tell({
      kind: 'consumer-tick',
      groupIndex: this.#groupIndex,
      atNs,
      polled,
      receipts: load.takeReceipts(),
      totalReceived: load.totalReceived,
      lanes: load.positions(),
      broken: load.broken,
    })
  }

  finish(): void {
    this.#windowClock.stop()
    this.poll()
    tell({
      kind: 'consumer-report',
      groupIndex: this.#groupIndex,
      receipts: this.#load.receipts(),
      figures: this.#windowClock.figures(),
      troubles: [...this.#load.troubles],
      batches: this.#line?.batches ?? 0,
      broken: this.#load.broken,
    })
    this.#line?.close()
  }
}

let role: ConsumerRole | null = null

takeOrders(async (order) => {
  switch (order.kind) {
    case 'setup':
      assert(order.setup.kind === 'consumer', 'a consumer gets a consumer’s setup')
      role = await ConsumerRole.open(order.setup, order.allowed)
      tell({ kind: 'ready' })
      return
    case 'start':
      role?.start(order.gridNs, order.segments)
      return
    case 'extend':
      role?.extend(order.segments, order.final)
      return
    case 'clocks':
      role?.reckonWith(order.clocks)
      return
    case 'halt':
      role?.halt()
      return
    case 'poll':
      role?.poll()
      return
    case 'finish':
      role?.finish()
  }
})

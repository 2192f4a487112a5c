/**
 * Many synchronous senders of one producer instance over one connection to each broker, as the
 * official client does it: each slot is a sender that waits for its answer.
 *
 * State of what is under way lies in typed arrays by slot. The opaque tells the slot: its value
 * above the base is `generation × slots + slot`, and must be the one the slot waits for, so that a
 * late or repeated answer settles nothing.
 */
import { assert } from '../base/assert.ts'
import type { Clock } from '../world/clock.ts'
import type { World } from '../world/world.ts'
import {
  type Lane,
  LocalOutcome,
  type ProducerEvents,
  type ProducerLine,
  type ProducerOptions,
} from './driver.ts'
import { FrameStream } from './frame-stream.ts'
import { SendAnswer } from './send-answer.ts'
import { FIRST_OPAQUE, OPAQUE_COUNT, SendFrame } from './send-frame.ts'

const TIMEOUT_TICK_MS = 100

interface OpenLane {
  readonly stream: FrameStream
  readonly frame: SendFrame
}

export class RocketmqProducer implements ProducerLine {
  readonly lanes: readonly Lane[]
  nowNs = 0
  strayAnswers = 0
  readonly #clock: Clock
  readonly #events: ProducerEvents
  readonly #slots: number
  readonly #timeoutNs: number
  readonly #streams: FrameStream[] = []
  readonly #openLanes: OpenLane[] = []
  /** By slot: the opaque that it waits for, 0 when it is free. */
  readonly #waitsFor: Int32Array
  readonly #sentNs: Float64Array
  /** By slot: messages sent so far, so that no two of its messages have the same opaque. */
  readonly #generationOf: Int32Array
  readonly #answer = new SendAnswer()
  /** Opaques of one slot come round again after this many messages. */
  readonly #generations: number
  #bornMs = 0
  #monthStartMs = 0
  #counter = 0
  #stopTicks: () => void = () => undefined
  #broken = false

  static async open(
    world: World,
    lanes: readonly Lane[],
    idPrefix: string,
    options: ProducerOptions,
    events: ProducerEvents,
  ): Promise<RocketmqProducer> {
    const producer = new RocketmqProducer(world.clock, lanes, options, events)
    await producer.#connect(world, idPrefix, options)
    return producer
  }

  private constructor(
    clock: Clock,
    lanes: readonly Lane[],
    options: ProducerOptions,
    events: ProducerEvents,
  ) {
    assert(options.slots >= 1 && options.slots <= 65_536, 'a producer has 1 to 65,536 slots')
    this.#clock = clock
    this.lanes = lanes
    this.#events = events
    this.#slots = options.slots
    this.#generations = Math.floor(OPAQUE_COUNT / options.slots)
    this.#timeoutNs = options.timeoutMs * 1e6
    this.#waitsFor = new Int32Array(options.slots)
    this.#sentNs = new Float64Array(options.slots)
    this.#generationOf = new Int32Array(options.slots)
  }

  get sentBytes(): number {
    let sum = 0
    for (const stream of this.#streams) sum += stream.sentBytes
    return sum
  }

  send(slot: number, lane: number, body: Buffer, start: number, end: number): void {
    const open = this.#openLanes[lane]
    assert(open !== undefined, 'a message goes to a lane of the line')
    assert(this.#waitsFor[slot] === 0, 'a slot has one message under way')
    const opaque = this.#takeOpaque(slot)
    this.#waitsFor[slot] = opaque
    this.#sentNs[slot] = this.nowNs
    const counter = this.#counter
    this.#counter = (counter + 1) & 0xffff
    const { out } = open.stream
    const sinceMonthMs = this.#bornMs - this.#monthStartMs
    open.frame.write(out, opaque, this.#bornMs, sinceMonthMs, counter, body, start, end)
  }

  turn(work: () => void): void {
    this.#startTurn()
    work()
    this.#endTurn()
  }

  close(): void {
    this.#stopTicks()
    this.#broken = true
    for (const stream of this.#streams) stream.close()
  }

  async #connect(world: World, idPrefix: string, options: ProducerOptions): Promise<void> {
    const onFrame = (bytes: Buffer, start: number, end: number) => {
      this.#onFrame(bytes, start, end)
    }
    try {
      for (const address of new Set(this.lanes.map((lane) => lane.address))) {
        this.#streams.push(
          await FrameStream.open(world, address, {
            onTurn: () => {
              this.#startTurn()
            },
            onFrame,
            onTurnEnd: () => {
              this.#endTurn()
            },
            onClose: (why) => {
              this.#onClose(address, why)
            },
          }),
        )
      }
    } catch (error) {
      this.close()
      throw error
    }
    for (const lane of this.lanes) {
      const stream = this.#streams.find(({ address }) => address === lane.address)
      assert(stream !== undefined, 'every lane has a connection')
      const { topic, group, tag } = options
      const { broker, queueId } = lane
      const frame = new SendFrame({ topic, group, tag, broker, queueId, idPrefix })
      this.#openLanes.push({ stream, frame })
    }
    this.#stopTicks = this.#clock.every(TIMEOUT_TICK_MS, () => {
      this.turn(() => {
        this.#settleOverdue()
      })
    })
  }

  #startTurn(): void {
    this.nowNs = Number(this.#clock.monotonicNs())
    const bornMs = this.#clock.wallMs()
    if (bornMs === this.#bornMs) return
    if (this.#monthStartMs === 0) {
      const now = new Date(bornMs)
      this.#monthStartMs = new Date(now.getFullYear(), now.getMonth(), 1).getTime()
    }
    this.#bornMs = bornMs
  }

  #endTurn(): void {
    for (const stream of this.#streams) stream.flush()
  }

  #takeOpaque(slot: number): number {
    const generation = ((this.#generationOf[slot] ?? 0) + 1) % this.#generations
    this.#generationOf[slot] = generation
    return FIRST_OPAQUE + generation * this.#slots + slot
  }

  #onFrame(bytes: Buffer, start: number, end: number): void {
    const answer = this.#answer
    // A request of the broker's (it may ask its producers about transactions) is not for us.
    if (!answer.read(bytes, start, end)) return
    const { opaque } = answer
    const slot = (opaque - FIRST_OPAQUE) % this.#slots
    if (opaque < FIRST_OPAQUE || this.#waitsFor[slot] !== opaque) {
      this.strayAnswers += 1
      return
    }
    this.#waitsFor[slot] = 0
    this.#events.onSettled(slot, answer.code)
  }

  #settleOverdue(): void {
    const oldestNs = this.nowNs - this.#timeoutNs
    for (let slot = 0; slot < this.#slots; slot += 1) {
      if (this.#waitsFor[slot] !== 0 && (this.#sentNs[slot] ?? 0) < oldestNs) {
        this.#waitsFor[slot] = 0
        this.#events.onSettled(slot, LocalOutcome.timeout)
      }
    }
  }

  #onClose(address: string, why: string): void {
    if (this.#broken) return
    this.#broken = true
    this.#stopTicks()
    this.#startTurn()
    this.#events.onBroken(`the connection to ${address} is gone: ${why}`)
    for (let slot = 0; slot < this.#slots; slot += 1) {
      if (this.#waitsFor[slot] === 0) continue
      this.#waitsFor[slot] = 0
      this.#events.onSettled(slot, LocalOutcome.connectionLost)
    }
    for (const stream of this.#streams) stream.close()
  }
}

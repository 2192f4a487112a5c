/**
 * Many synchronous senders of one producer instance over one connection to each broker, as the
 * official client does it: each slot is a sender that waits for its answer.
 *
 * State of what is under way lies in typed arrays by slot. The opaque tells the slot: its value
 * above the base is `generation × slots + slot`, and must be the one the slot waits for, so that a
 * late or repeated answer settles nothing.
 *
 * One-way messages have no answer: their slots settle as `unanswered` in the turn after the kernel
 * has taken their bytes, so that a socket that is full holds the senders back.
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
import { BatchFrame, BatchItems } from './send-batch-frame.ts'
import { FIRST_OPAQUE, OPAQUE_COUNT, SendFrame, type SendFrameFields } from './send-frame.ts'

const TIMEOUT_TICK_MS = 100
/** How soon a full socket is looked at again. */
const FULL_SOCKET_MS = 1

interface OpenLane {
  readonly stream: FrameStream
  readonly lane: Lane
  /** By kind of message, made when first used: with many topics most are not. */
  readonly frames: (SendFrame | undefined)[]
  batch: BatchFrame | null
}

export class RocketmqProducer implements ProducerLine {
  readonly lanes: readonly Lane[]
  nowNs = 0
  strayAnswers = 0
  readonly #clock: Clock
  readonly #events: ProducerEvents
  readonly #slots: number
  readonly #options: ProducerOptions
  readonly #idPrefix: string
  readonly #items: BatchItems
  /** Slots of one-way messages whose bytes are on their way to the kernel. */
  #handed: number[] = []
  #settlesSoon = false
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
    const producer = new RocketmqProducer(world.clock, lanes, idPrefix, options, events)
    await producer.#connect(world)
    return producer
  }

  private constructor(
    clock: Clock,
    lanes: readonly Lane[],
    idPrefix: string,
    options: ProducerOptions,
    events: ProducerEvents,
  ) {
    assert(options.slots >= 1 && options.slots <= 65_536, 'a producer has 1 to 65,536 slots')
    this.#clock = clock
    this.lanes = lanes
    this.#events = events
    this.#slots = options.slots
    this.#options = options
    this.#idPrefix = idPrefix
    this.#items = new BatchItems(
      options.kinds.map((_, kind) => this.#fields({ topic: '', broker: '', queueId: 0 }, kind)),
    )
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

  send(
    slot: number,
    lane: number,
    body: Buffer,
    start: number,
    end: number,
    kind = 0,
    key = 0,
  ): void {
    const open = this.#openLanes[lane]
    assert(open !== undefined, 'a message goes to a lane of the line')
    const opaque = this.#beginSend(slot)
    let frame = open.frames[kind]
    if (frame === undefined) {
      frame = new SendFrame(this.#fields(open.lane, kind))
      open.frames[kind] = frame
    }
    const { out } = open.stream
    const sinceMonthMs = this.#bornMs - this.#monthStartMs
    const counter = this.#takeCounter()
    frame.write(out, opaque, this.#bornMs, sinceMonthMs, counter, body, start, end, key)
  }

  addToBatch(body: Buffer, start: number, end: number, kind: number, key: number): void {
    const sinceMonthMs = this.#bornMs - this.#monthStartMs
    this.#items.add(body, start, end, kind, key, sinceMonthMs, this.#takeCounter())
  }

  sendBatch(slot: number, lane: number): void {
    const open = this.#openLanes[lane]
    assert(open !== undefined, 'a batch goes to a lane of the line')
    const opaque = this.#beginSend(slot)
    open.batch ??= new BatchFrame(this.#fields(open.lane, 0))
    open.batch.write(open.stream.out, opaque, this.#bornMs, this.#items)
    this.#items.clear()
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

  /** The opaque under which the slot waits from now on. */
  #beginSend(slot: number): number {
    assert(this.#waitsFor[slot] === 0, 'a slot has one message under way')
    const opaque = this.#takeOpaque(slot)
    if (this.#options.oneWay) {
      this.#handed.push(slot)
      return opaque
    }
    this.#waitsFor[slot] = opaque
    this.#sentNs[slot] = this.nowNs
    return opaque
  }

  #takeCounter(): number {
    const counter = this.#counter
    this.#counter = (counter + 1) & 0xffff
    return counter
  }

  #fields(lane: Pick<Lane, 'topic' | 'broker' | 'queueId'>, index: number): SendFrameFields {
    const { group, kinds, keyed, oneWay } = this.#options
    const kind = kinds[index]
    assert(kind !== undefined, 'a message is of a kind of the line')
    const { topic, broker, queueId } = lane
    return { group, topic, broker, queueId, kind, keyed, oneWay, idPrefix: this.#idPrefix }
  }

  async #connect(world: World): Promise<void> {
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
      this.#openLanes.push({ stream, lane, frames: [], batch: null })
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
    if (this.#handed.length > 0 && !this.#settlesSoon) {
      this.#settlesSoon = true
      this.#clock.atEndOfTurn(() => {
        this.#settleHanded()
      })
    }
  }

  /** What the kernel has taken is all that will ever be known of one-way messages. */
  #settleHanded(): void {
    if (this.#broken) return
    if (this.#streams.some(({ pendingBytes }) => pendingBytes > 0)) {
      this.#clock.after(FULL_SOCKET_MS, () => {
        this.#settleHanded()
      })
      return
    }
    this.#settlesSoon = false
    const handed = this.#handed
    this.#handed = []
    this.turn(() => {
      for (const slot of handed) this.#events.onSettled(slot, LocalOutcome.unanswered)
    })
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
    for (const slot of this.#handed.splice(0)) {
      this.#events.onSettled(slot, LocalOutcome.connectionLost)
    }
    for (let slot = 0; slot < this.#slots; slot += 1) {
      if (this.#waitsFor[slot] === 0) continue
      this.#waitsFor[slot] = 0
      this.#events.onSettled(slot, LocalOutcome.connectionLost)
    }
    for (const stream of this.#streams) stream.close()
  }
}

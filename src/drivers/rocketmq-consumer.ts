/**
 * A reader of whole lanes: one long-polling pull a lane is under way at any time, all lanes of a
 * broker over one connection. Progress goes to the broker with each pull, so that its own tools
 * show the group's lag. Records are read where they lie in the answer; nothing is copied.
 *
 * Record layout: `rocketmq` MessageDecoder (see protocol/record.ts); here only what a reader of
 * bodies needs: 0 size, 20 queueOffset, 36 sysFlag, 84 body length (12 more for each IPv6 host).
 */
import { assert } from '../base/assert.ts'
import { readI64 } from '../base/i64.ts'
import { ResponseCode } from '../protocol/codes.ts'
import { PullSysFlag } from '../protocol/pull-header.ts'
import type { Clock } from '../world/clock.ts'
import type { World } from '../world/world.ts'
import {
  type ConsumerEvents,
  type ConsumerLine,
  type ConsumerOptions,
  type Lane,
  LocalOutcome,
} from './driver.ts'
import { FrameStream } from './frame-stream.ts'
import { PullAnswer, PullFrame } from './pull-frame.ts'
import { FIRST_OPAQUE, OPAQUE_COUNT } from './send-frame.ts'

/** A broker that holds pulls answers in time plus this, or the pull is repeated. */
const ANSWER_GRACE_MS = 15_000
const RETRY_DELAY_MS = 100
const TICK_MS = 500
/** "Nothing new" sooner than this means that the broker does not hold pulls: wait before the next. */
const HELD_AT_LEAST_NS = 5e6
const SYS_FLAG_AT = 36
const BORN_HOST_IS_V6 = 0x10
const STORE_HOST_IS_V6 = 0x20

interface OpenLane {
  /** Position among the lanes of this line. */
  readonly index: number
  readonly lane: number
  readonly frame: PullFrame
  readonly stream: FrameStream
  offset: number
  /** The opaque of the pull under way; 0 for none. */
  waitsFor: number
  sentNs: number
  /** When what was read from it is worked off. */
  readyAtNs: number
}

export class RocketmqConsumer implements ConsumerLine {
  nowNs = 0
  batches = 0
  readonly #clock: Clock
  readonly #options: ConsumerOptions
  readonly #events: ConsumerEvents
  readonly #streams: FrameStream[] = []
  readonly #lanes: OpenLane[] = []
  readonly #answer = new PullAnswer()
  readonly #subVersion: number
  #generation = 0
  #stopTicks: () => void = () => undefined
  #broken = false
  #paused = false

  static async open(
    world: World,
    lanes: readonly Lane[],
    options: ConsumerOptions,
    events: ConsumerEvents,
  ): Promise<RocketmqConsumer> {
    const consumer = new RocketmqConsumer(world.clock, options, events)
    await consumer.#connect(world, lanes)
    return consumer
  }

  private constructor(clock: Clock, options: ConsumerOptions, events: ConsumerEvents) {
    this.#clock = clock
    this.#options = options
    this.#events = events
    this.#subVersion = clock.wallMs()
  }

  get receivedBytes(): number {
    let sum = 0
    for (const stream of this.#streams) sum += stream.receivedBytes
    return sum
  }

  start(): void {
    this.#startTurn()
    for (const open of this.#lanes) this.#pull(open)
    this.#endTurn()
    this.#stopTicks = this.#clock.every(TICK_MS, () => {
      this.#startTurn()
      this.#repeatOverdue()
      this.#endTurn()
    })
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#startTurn()
    // A lane that is still being worked on goes on by itself.
    for (const open of this.#lanes) {
      if (open.waitsFor === 0 && open.readyAtNs <= this.nowNs) this.#pull(open)
    }
    this.#endTurn()
  }

  close(): void {
    this.#broken = true
    this.#stopTicks()
    for (const stream of this.#streams) stream.close()
  }

  async #connect(world: World, lanes: readonly Lane[]): Promise<void> {
    const onFrame = (bytes: Buffer, start: number, end: number) => {
      this.#onFrame(bytes, start, end)
    }
    try {
      for (const { lane, offset } of this.#options.lanes) {
        const wanted = lanes[lane]
        assert(wanted !== undefined, 'a consumer reads lanes of its topic')
        let stream = this.#streams.find(({ address }) => address === wanted.address)
        if (stream === undefined) {
          stream = await FrameStream.open(world, wanted.address, {
            onTurn: () => {
              this.#startTurn()
            },
            onFrame,
            onTurnEnd: () => {
              this.#endTurn()
            },
            onClose: (why) => {
              this.#onClose(wanted.address, why)
            },
          })
          this.#streams.push(stream)
        }
        const frame = this.#frameOf(wanted)
        const index = this.#lanes.length
        this.#lanes.push({
          index,
          lane,
          frame,
          stream,
          offset,
          waitsFor: 0,
          sentNs: 0,
          readyAtNs: 0,
        })
      }
    } catch (error) {
      this.close()
      throw error
    }
  }

  #frameOf({ topic, queueId }: Lane): PullFrame {
    const { group, batch, holdMs } = this.#options
    return new PullFrame({
      consumerGroup: group,
      topic,
      queueId,
      maxMsgNums: batch,
      sysFlag: PullSysFlag.commitOffset | PullSysFlag.suspend | PullSysFlag.subscription,
      suspendTimeoutMs: holdMs,
      subscription: '*',
      subVersion: this.#subVersion,
      expressionType: 'TAG',
      maxMsgBytes: null,
    })
  }

  #startTurn(): void {
    this.nowNs = Number(this.#clock.monotonicNs())
  }

  #endTurn(): void {
    for (const stream of this.#streams) stream.flush()
  }

  #pull(open: OpenLane): void {
    if (this.#broken || this.#paused) return
    // The index of the lane is in the opaque; the generation tells an answer from a late one.
    this.#generation = (this.#generation + 1) % Math.floor(OPAQUE_COUNT / this.#lanes.length)
    const opaque = FIRST_OPAQUE + this.#generation * this.#lanes.length + open.index
    open.waitsFor = opaque
    open.sentNs = this.nowNs
    open.frame.write(open.stream.out, opaque, open.offset)
  }

  #onFrame(bytes: Buffer, start: number, end: number): void {
    const answer = this.#answer
    // A request of the broker's, such as a notice that the group has changed, is not for us.
    if (!answer.read(bytes, start, end)) return
    const { code, opaque, header } = answer
    const open = this.#lanes[(opaque - FIRST_OPAQUE) % this.#lanes.length]
    if (open === undefined || open.waitsFor !== opaque) return
    open.waitsFor = 0
    const refusedAt =
      code === ResponseCode.SUCCESS && header !== null
        ? this.#readRecords(open, bytes, answer.bodyStart, end)
        : null
    if (header !== null && isPullAnswer(code)) {
      const held = this.nowNs - open.sentNs > HELD_AT_LEAST_NS
      const moved = header.nextBeginOffset !== open.offset
      open.offset = refusedAt ?? header.nextBeginOffset
      this.#events.onProgress(open.lane, open.offset, header.maxOffset)
      if (open.readyAtNs > this.nowNs) this.#pullLater(open, (open.readyAtNs - this.nowNs) / 1e6)
      else if (moved || held) this.#pull(open)
      else this.#pullLater(open, RETRY_DELAY_MS)
      return
    }
    this.#events.onTrouble(open.lane, code)
    this.#pullLater(open, RETRY_DELAY_MS)
  }

  /** Null when all were taken; else the queue offset of the one that could not be worked on. */
  #readRecords(open: OpenLane, bytes: Buffer, start: number, end: number): number | null {
    let at = start
    let count = 0
    let refusedAt: number | null = null
    this.batches += 1
    while (at + 88 <= end) {
      const recordEnd = at + bytes.readInt32BE(at)
      const sysFlag = bytes.readInt32BE(at + SYS_FLAG_AT)
      let bodyAt = at + 84
      if ((sysFlag & BORN_HOST_IS_V6) !== 0) bodyAt += 12
      if ((sysFlag & STORE_HOST_IS_V6) !== 0) bodyAt += 12
      const bodyEnd = bodyAt + 4 + bytes.readInt32BE(bodyAt)
      if (recordEnd > end || bodyEnd > recordEnd || bodyEnd < bodyAt + 4) {
        this.#events.onTrouble(open.lane, ResponseCode.SYSTEM_ERROR)
        return null
      }
      const queueOffset = readI64(bytes, at + 20)
      if (this.#events.accepts?.(open.lane) === false) {
        this.#events.onTrouble(open.lane, LocalOutcome.processingFailed)
        refusedAt = queueOffset
        break
      }
      count += 1
      this.#events.onMessage(open.lane, queueOffset, bytes, bodyAt + 4, bodyEnd)
      at = recordEnd
    }
    const { processingMs, retryMs } = this.#options
    const workNs = (count * processingMs + (refusedAt === null ? 0 : retryMs)) * 1e6
    if (workNs > 0) open.readyAtNs = Math.max(open.readyAtNs, this.nowNs) + workNs
    return refusedAt
  }

  #pullLater(open: OpenLane, delayMs: number): void {
    this.#clock.after(delayMs, () => {
      if (this.#broken || open.waitsFor !== 0) return
      this.#startTurn()
      this.#pull(open)
      this.#endTurn()
    })
  }

  #repeatOverdue(): void {
    const oldestNs = this.nowNs - (this.#options.holdMs + ANSWER_GRACE_MS) * 1e6
    for (const open of this.#lanes) {
      if (open.waitsFor === 0 || open.sentNs > oldestNs) continue
      open.waitsFor = 0
      this.#events.onTrouble(open.lane, LocalOutcome.timeout)
      this.#pull(open)
    }
  }

  #onClose(address: string, why: string): void {
    if (this.#broken) return
    this.close()
    this.#events.onBroken(`the connection to ${address} is gone: ${why}`)
  }
}

function isPullAnswer(code: number): boolean {
  return (
    code === ResponseCode.SUCCESS ||
    code === ResponseCode.PULL_NOT_FOUND ||
    code === ResponseCode.PULL_RETRY_IMMEDIATELY ||
    code === ResponseCode.PULL_OFFSET_MOVED
  )
}

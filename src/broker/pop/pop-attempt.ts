/**
 * One POP_MESSAGE from its checks to its answer: takes, waits while there is nothing, and takes again.
 * Source of the answers: apache/rocketmq broker/…/processor/PopMessageProcessor.java.
 */
import { ResponseCode } from '../../protocol/codes.ts'
import { type Command, respond } from '../../protocol/command.ts'
import { popAnswerFields } from '../../protocol/pop-header.ts'
import type { Connection } from '../../remoting/connection.ts'
import type { BrokerContext } from '../context.ts'
import { Refusal } from '../refusal.ts'
import { HeldPop, type WakeReason } from './held-pops.ts'
import type { PopWish, Taken } from './taken.ts'

export class PopAttempt {
  readonly #context: BrokerContext
  readonly #connection: Connection
  readonly #command: Command
  readonly #wish: PopWish
  /** Monotonic. */
  readonly #deadlineMs: number
  #resolve: (answer: Command | null) => void = () => undefined
  #reject: (error: Error) => void = () => undefined

  constructor(
    context: BrokerContext,
    connection: Connection,
    command: Command,
    wish: PopWish,
    deadlineMs: number,
  ) {
    this.#context = context
    this.#connection = connection
    this.#command = command
    this.#wish = wish
    this.#deadlineMs = deadlineMs
  }

  /** Resolves with the answer, with null when nobody waits for it any more. Rejects with a Refusal. */
  run(): Promise<Command | null> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#try()
    })
  }

  #try(): void {
    const { pops } = this.#context
    if (this.#connection.isClosed) {
      this.#resolve(null)
      return
    }
    const { arrivals } = pops.waiting
    const taken = pops.take(this.#wish)
    if (taken instanceof Promise) {
      taken.then(
        (later) => {
          this.#use(later, arrivals)
        },
        (error: unknown) => {
          this.#reject(error instanceof Error ? error : new Error(String(error)))
        },
      )
    } else this.#use(taken, arrivals)
  }

  #use(taken: Taken, arrivalsBefore: number): void {
    const { world } = this.#context
    if (taken.count > 0) {
      this.#answer(taken).then(this.#resolve, this.#reject)
      return
    }
    if (taken.fault !== null) {
      this.#reject(taken.fault)
      return
    }
    const isOver = this.#deadlineMs <= world.clock.monotonicMs() || this.#wish.topic.deleted
    if (isOver) this.#answerEmpty(taken)
    else if (taken.advanced || this.#hasMore(taken, arrivalsBefore)) {
      // More to look at: in the next turn, so that one filter cannot hold the loop.
      world.clock.atEndOfTurn(() => {
        this.#try()
      })
    } else this.#hold(taken)
  }

  /** Whether something came while the disk was read. */
  #hasMore(taken: Taken, arrivalsBefore: number): boolean {
    const { pops } = this.#context
    return pops.waiting.arrivals !== arrivalsBefore + taken.releases && pops.hasAnyNews(this.#wish)
  }

  #hold(taken: Taken): void {
    const { pops, world } = this.#context
    const { group, topic, queueId, order, attemptId } = this.#wish
    if (!pops.waiting.takes.hasRoom(topic.name, group, queueId)) {
      this.#resolve(this.#empty(taken, ResponseCode.POLLING_FULL))
      return
    }
    const aheadMs = taken.freeMs - world.clock.wallMs()
    pops.waiting.takes.hold(
      new HeldPop({
        connection: this.#connection,
        group,
        topics: [topic.name, ...pops.retryTopicsOf(group, topic.name)],
        queueId,
        order,
        attemptId,
        deadlineMs: this.#deadlineMs,
        recheckMs: world.clock.monotonicMs() + Math.max(1, aheadMs),
        wake: (reason) => {
          this.#wake(taken, reason)
        },
      }),
    )
  }

  #wake(taken: Taken, reason: WakeReason): void {
    switch (reason) {
      case 'arrival':
        this.#try()
        return
      case 'timeout':
        this.#answerEmpty(taken)
        return
      case 'stop':
        this.#reject(new Refusal(ResponseCode.SYSTEM_ERROR, 'the broker is shutting down'))
    }
  }

  #answerEmpty(taken: Taken): void {
    this.#context.stats.onGetMiss()
    this.#resolve(this.#empty(taken, ResponseCode.POLLING_TIMEOUT))
  }

  #empty(taken: Taken, code: number): Command {
    return respond(this.#command, code, 'NO_MESSAGE_IN_QUEUE', this.#fields(taken))
  }

  async #answer(taken: Taken): Promise<Command | null> {
    const { pops, stats } = this.#context
    const { group, topic } = this.#wish
    const fault = await pops.confirm(group, taken)
    if (fault !== null) {
      throw new Refusal(ResponseCode.SYSTEM_ERROR, `nothing was taken: ${fault}`)
    }
    stats.countGet(topic.name, group, taken.count, taken.body.length)
    if (taken.rest > 0) pops.waiting.wakeGroup(group, topic.name)
    const body = taken.body.filled()
    return respond(this.#command, ResponseCode.SUCCESS, 'FOUND', this.#fields(taken), body)
  }

  #fields(taken: Taken) {
    const { order, invisibleMs } = this.#wish
    const { popMs, reviveQueueId, rest, startOffsets, messageOffsets, times } = taken
    return popAnswerFields({
      popMs,
      invisibleMs,
      reviveQueueId,
      rest,
      startOffsets,
      messageOffsets,
      times: order ? times : null,
    })
  }
}

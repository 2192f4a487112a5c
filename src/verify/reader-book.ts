/** What one reader got: of each message how often, when first, and what became of it. */
import { Floats, IntList, Ints } from './columns.ts'

const ACKED = 1
const DEAD = 2
const ONE_DELIVERY = 4

/** A queue that is handed out one message after the other. */
export interface QueueTurn {
  /** Being processed; −1: none. */
  open: number
  openOffset: number
  /** Failed, and to come again before anything behind it; −1: none. */
  failedOffset: number
  /** Highest offset that was delivered for the first time; −1: none. */
  firstOffset: number
}

export class ReaderBook {
  readonly name: string
  readonly firstAt = new Floats(Number.NaN)
  readonly firstLine = new Ints(-1)
  readonly #state = new Ints(0)
  /** First deliveries in their order, by order key. */
  readonly #byKey = new Map<number, IntList>()
  readonly #turns = new Map<string, QueueTurn>()
  /** `message#try` → when it may come again at the earliest, and which try that is. */
  readonly #notBefore = new Map<string, number>()

  constructor(name: string) {
    this.name = name
  }

  deliveries(message: number): number {
    return Math.floor(this.#state.get(message) / ONE_DELIVERY)
  }

  isAcked(message: number): boolean {
    return (this.#state.get(message) & ACKED) !== 0
  }

  isDead(message: number): boolean {
    return (this.#state.get(message) & DEAD) !== 0
  }

  /** In a place where it stays. */
  isFinal(message: number): boolean {
    return (this.#state.get(message) & (ACKED | DEAD)) !== 0
  }

  /** True for the first one. */
  deliver(message: number, t: number, line: number, key: number): boolean {
    const isFirst = this.deliveries(message) === 0
    this.#state.set(message, this.#state.get(message) + ONE_DELIVERY)
    if (!isFirst) return false
    this.firstAt.set(message, t)
    this.firstLine.set(message, line)
    if (key >= 0) {
      let list = this.#byKey.get(key)
      if (list === undefined) this.#byKey.set(key, (list = new IntList()))
      list.push(message)
    }
    return true
  }

  /** True when it was not in a final place before. */
  ack(message: number): boolean {
    return this.#settle(message, ACKED)
  }

  dead(message: number): boolean {
    return this.#settle(message, DEAD)
  }

  turnOf(queue: string): QueueTurn {
    let turn = this.#turns.get(queue)
    if (turn === undefined) {
      turn = { open: -1, openOffset: -1, failedOffset: -1, firstOffset: -1 }
      this.#turns.set(queue, turn)
    }
    return turn
  }

  /** Try `n` failed: the next one may not come before `t`. An earlier word stays. */
  failed(message: number, n: number, t: number): void {
    const name = `${message}#${n + 1}`
    if (!this.#notBefore.has(name)) this.#notBefore.set(name, t)
  }

  /** When try `n` may come at the earliest; −Infinity: at any time. */
  notBefore(message: number, n: number): number {
    return this.#notBefore.get(`${message}#${n}`) ?? -Infinity
  }

  keys(): Iterable<readonly [key: number, messages: IntList]> {
    return this.#byKey
  }

  #settle(message: number, bit: number): boolean {
    const before = this.#state.get(message)
    this.#state.set(message, before | bit)
    return (before & (ACKED | DEAD)) === 0
  }
}

/** Writes down what happens: numbers it, takes its time, and shows it to the checker and the file. */
import type { World } from '../world/world.ts'
import { Checker } from './checker.ts'
import type { EventBody, HistoryEvent, HistoryHead } from './history.ts'
import type { HistoryWriter } from './history-file.ts'
import type { Verdict } from './verdict.ts'

export class Recorder {
  readonly head: HistoryHead
  readonly checker: Checker
  readonly #world: World
  readonly #writer: HistoryWriter | null
  readonly #startNs: bigint
  readonly #startWallMs: number
  #next = 0

  /** @param writer null: the history is judged and not kept */
  constructor(world: World, head: HistoryHead, writer: HistoryWriter | null) {
    this.head = head
    this.checker = new Checker(head)
    this.#world = world
    this.#writer = writer
    this.#startNs = world.clock.monotonicNs()
    this.#startWallMs = world.clock.wallMs()
  }

  /** Events so far. */
  get count(): number {
    return this.#next
  }

  note(body: EventBody): void {
    const t = Number(this.#world.clock.monotonicNs() - this.#startNs)
    const event: HistoryEvent = { i: this.#next++, t, ...body }
    this.checker.add(event)
    this.#writer?.add(event)
  }

  /** Once: nothing more happens. Throws OUTPUT_UNWRITABLE when the file is not whole. */
  async finish(): Promise<Verdict> {
    this.note({ f: 'close', wallMs: this.#world.clock.wallMs() - this.#startWallMs })
    await this.#writer?.end()
    return { ...this.checker.finish(), history: this.#writer?.path ?? null }
  }
}

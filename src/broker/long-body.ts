/**
 * A long JSON answer that is put together a few milliseconds a turn. Text that is only added to
 * becomes bytes all at once in the end, which takes tens of milliseconds for some megabytes; here it
 * becomes bytes a piece at a time, while rows are still being added.
 */
import type { TurnBudget } from './turn-budget.ts'

/** Characters that become bytes together: some 50 µs. */
const PIECE_CHARS = 64 * 1024

export class LongBody {
  readonly #pieces: Buffer[] = []
  #bytes = 0
  #text = ''

  add(text: string): void {
    this.#text += text
    if (this.#text.length >= PIECE_CHARS) this.#cut()
  }

  /** The whole of it; nothing can be added any more. */
  async end(budget: TurnBudget): Promise<Buffer> {
    this.#cut()
    const [first] = this.#pieces
    if (first !== undefined && this.#pieces.length === 1) return first
    const whole = Buffer.allocUnsafeSlow(this.#bytes)
    let at = 0
    for (const piece of this.#pieces.splice(0)) {
      at += piece.copy(whole, at)
      if (budget.spent) await budget.nextTurn()
    }
    return whole
  }

  #cut(): void {
    const piece = Buffer.from(this.#text)
    this.#pieces.push(piece)
    this.#bytes += piece.length
    this.#text = ''
  }
}

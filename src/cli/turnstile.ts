/** Lets so many pieces of work go on at a time; the others wait, in the order in which they came. */
export class Turnstile {
  readonly #width: number
  readonly #waiting: (() => void)[] = []
  #inside = 0

  constructor(width: number) {
    this.#width = width
  }

  /** Pieces of work that have not begun. */
  get waitingCount(): number {
    return this.#waiting.length
  }

  async through<Value>(work: () => Promise<Value>): Promise<Value> {
    if (this.#inside === this.#width) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
      })
    } else this.#inside += 1
    try {
      return await work()
    } finally {
      // Whoever comes next takes over the place.
      const next = this.#waiting.shift()
      if (next === undefined) this.#inside -= 1
      else next()
    }
  }
}

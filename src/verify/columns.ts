/** Numbers by index in typed arrays that grow: a history of millions of messages fits into memory. */

/** 64-bit floats, `unset` where nothing was written. */
export class Floats {
  #values = new Float64Array(1_024)
  readonly #unset: number

  constructor(unset: number) {
    this.#unset = unset
    this.#values.fill(unset)
  }

  get(index: number): number {
    return this.#values[index] ?? this.#unset
  }

  set(index: number, value: number): void {
    if (index >= this.#values.length) {
      const grown = new Float64Array(grownTo(index))
      grown.fill(this.#unset, this.#values.length)
      grown.set(this.#values)
      this.#values = grown
    }
    this.#values[index] = value
  }
}

/** 32-bit whole numbers, `unset` where nothing was written. */
export class Ints {
  #values = new Int32Array(1_024)
  readonly #unset: number

  constructor(unset: number) {
    this.#unset = unset
    this.#values.fill(unset)
  }

  get(index: number): number {
    return this.#values[index] ?? this.#unset
  }

  set(index: number, value: number): void {
    if (index >= this.#values.length) {
      const grown = new Int32Array(grownTo(index))
      grown.fill(this.#unset, this.#values.length)
      grown.set(this.#values)
      this.#values = grown
    }
    this.#values[index] = value
  }
}

/** A list of 32-bit whole numbers. */
export class IntList {
  readonly #ints = new Ints(0)
  #length = 0

  get length(): number {
    return this.#length
  }

  push(value: number): void {
    this.#ints.set(this.#length, value)
    this.#length += 1
  }

  at(index: number): number {
    return this.#ints.get(index)
  }
}

function grownTo(index: number): number {
  return 2 ** Math.ceil(Math.log2(index + 2))
}

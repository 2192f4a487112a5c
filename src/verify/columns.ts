/** Numbers by index in typed arrays that grow: a history of millions of messages fits into memory. */

type Values = Float64Array | Int32Array

/** `unset` where nothing was written. */
class Column {
  #values: Values
  readonly #make: (length: number) => Values
  readonly #unset: number

  constructor(make: (length: number) => Values, unset: number) {
    this.#make = make
    this.#unset = unset
    this.#values = make(1_024).fill(unset)
  }

  get(index: number): number {
    return this.#values[index] ?? this.#unset
  }

  set(index: number, value: number): void {
    if (index >= this.#values.length) {
      const grown = this.#make(grownTo(index))
      grown.fill(this.#unset, this.#values.length)
      grown.set(this.#values)
      this.#values = grown
    }
    this.#values[index] = value
  }
}

/** 64-bit floats. */
export class Floats extends Column {
  constructor(unset: number) {
    super((length) => new Float64Array(length), unset)
  }
}

/** 32-bit whole numbers. */
export class Ints extends Column {
  constructor(unset: number) {
    super((length) => new Int32Array(length), unset)
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

/** Texts longer than this are not remembered. */
const REMEMBERED_BYTES_MAX = 255

/** The last text that was read from bytes: the same bytes again give the same string. */
export class LastText {
  #text = ''
  readonly #bytes = Buffer.allocUnsafeSlow(REMEMBERED_BYTES_MAX)
  #length = 0

  read(bytes: Buffer, start: number, end: number): string {
    const length = end - start
    if (length === this.#length) {
      let i = 0
      while (i < length && bytes[start + i] === this.#bytes[i]) i++
      if (i === length) return this.#text
    }
    const text = bytes.toString('utf8', start, end)
    if (length <= REMEMBERED_BYTES_MAX) {
      bytes.copy(this.#bytes, 0, start, end)
      this.#length = length
      this.#text = text
    }
    return text
  }
}

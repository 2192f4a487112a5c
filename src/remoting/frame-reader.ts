/**
 * Finds whole frames in what a socket gives. In the common case (whole frames in one chunk) nothing
 * is copied; only the start of a frame whose end has not come is kept. A length or header length that cannot be right is refused as soon as its bytes are
 * there, before anything is allocated or waited for.
 */
import { readI32 } from '../base/bytes.ts'
import { FRAME_PREFIX_BYTES, FrameError, lengthProblem, prefixProblem } from '../protocol/frame.ts'

/** Gets each whole frame as bytes [start, end), its length field included. They are valid during the call. */
export type FrameSink = (bytes: Buffer, start: number, end: number) => void

/** Parts of an unfinished frame are joined when there are more than this: a peer that sends single bytes must not grow a list. */
const PARTS_MAX = 64

export class FrameReader {
  readonly #sink: FrameSink
  #parts: Buffer[] = []
  #partBytes = 0
  /** Bytes of the unfinished frame, its length field included; 0 while its prefix is incomplete. */
  #frameBytes = 0

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  /** Bytes of a frame whose end has not arrived. */
  get unfinishedBytes(): number {
    return this.#partBytes
  }

  /** Throws FrameError; nothing more can be read from this peer then. */
  push(chunk: Buffer): void {
    let start = 0
    if (this.#partBytes > 0) {
      start = this.#continue(chunk)
      if (start < 0) return
      if (this.#partBytes > 0) {
        // Still inside the prefix: look at old and new bytes together (rare, and short).
        this.#parts.push(chunk)
        chunk = Buffer.concat(this.#parts)
        this.#forget()
      }
    }
    const rest = this.#emitWhole(chunk, start)
    if (rest < chunk.length) this.#keep(chunk, rest)
  }

  /** Adds to the unfinished frame. Returns where the next frame starts in the chunk, or −1 when all was taken. */
  #continue(chunk: Buffer): number {
    if (this.#frameBytes === 0) return 0
    const missing = this.#frameBytes - this.#partBytes
    if (chunk.length < missing) {
      this.#keep(chunk, 0)
      return -1
    }
    const frame = Buffer.allocUnsafe(this.#frameBytes)
    let at = 0
    for (const part of this.#parts) at += part.copy(frame, at)
    chunk.copy(frame, at, 0, missing)
    this.#forget()
    this.#sink(frame, 0, frame.length)
    return missing
  }

  /** Hands out the whole frames from `start` on; returns the position behind the last of them. */
  #emitWhole(chunk: Buffer, start: number): number {
    let at = start
    while (at + FRAME_PREFIX_BYTES <= chunk.length) {
      const length = readI32(chunk, at)
      const problem = prefixProblem(length, readI32(chunk, at + 4))
      if (problem !== null) throw new FrameError(problem)
      const end = at + 4 + length
      if (end > chunk.length) {
        this.#frameBytes = 4 + length
        return at
      }
      this.#sink(chunk, at, end)
      at = end
    }
    if (at + 4 <= chunk.length) {
      const problem = lengthProblem(readI32(chunk, at))
      if (problem !== null) throw new FrameError(problem)
    }
    return at
  }

  /** Copies, because the chunk's memory serves the next read. */
  #keep(chunk: Buffer, start: number): void {
    const part = Buffer.from(chunk.subarray(start))
    this.#parts.push(part)
    this.#partBytes += part.length
    if (this.#parts.length > PARTS_MAX) this.#parts = [Buffer.concat(this.#parts)]
  }

  #forget(): void {
    this.#parts = []
    this.#partBytes = 0
    this.#frameBytes = 0
  }
}

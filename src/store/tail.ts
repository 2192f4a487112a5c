/**
 * The newest part of the log in memory: the chunks that it was written from. Appends fill the last
 * chunk, the disk writes from it, and consumers that keep up are served from it by copying.
 *
 * A record never crosses a chunk, a chunk never crosses a segment. Chunks are allocated as they are
 * needed and reused from the oldest on, once the kernel has their bytes. A record longer than a
 * chunk gets one of its own.
 */
import type { Segment } from './segments.ts'

export class Chunk {
  readonly bytes: Buffer
  segment: Segment
  /** Log position of the first byte. */
  start: number
  /** Log position behind the last filled byte. */
  end: number
  /** Where the log goes on behind this chunk: `end`, or the next segment when a blank ends it. */
  next: number
  /** Nothing more will be put here. */
  sealed = false

  constructor(bytes: Buffer, segment: Segment, start: number) {
    this.bytes = bytes
    this.segment = segment
    this.start = this.end = this.next = start
  }

  restart(segment: Segment, start: number): void {
    this.segment = segment
    this.start = this.end = this.next = start
    this.sealed = false
  }
}

export class Tail {
  readonly #chunkBytes: number
  readonly #bytesMax: number
  /** Oldest first; contiguous in the log. */
  readonly #chunks: Chunk[] = []
  /** Chunks of the usual size that nobody uses. */
  readonly #free: Chunk[] = []
  #bytes = 0
  #hit: Chunk | null = null

  constructor(chunkBytes: number, bytesMax: number) {
    this.#chunkBytes = chunkBytes
    this.#bytesMax = bytesMax
  }

  /** Position of the oldest byte that is here; Infinity when there is none. */
  get start(): number {
    return this.#chunks[0]?.start ?? Infinity
  }

  get last(): Chunk | null {
    return this.#chunks[this.#chunks.length - 1] ?? null
  }

  get memoryBytes(): number {
    return this.#bytes
  }

  /**
   * Starts a chunk at `start` with room for `bytesMin`. Older chunks whose bytes lie below
   * `written` give way when the memory limit is reached.
   */
  open(segment: Segment, start: number, bytesMin: number, written: number): Chunk {
    const wanted = Math.max(this.#chunkBytes, bytesMin)
    while (this.#bytes + wanted > this.#bytesMax && this.#evict(written));
    const reused = wanted === this.#chunkBytes ? this.#free.pop() : undefined
    let chunk: Chunk
    if (reused) {
      chunk = reused
      chunk.restart(segment, start)
    } else chunk = new Chunk(Buffer.allocUnsafeSlow(wanted), segment, start)
    this.#bytes += chunk.bytes.length
    this.#chunks.push(chunk)
    return chunk
  }

  /** The chunk that holds the position, or would take the next byte at it; null when it is older. */
  find(physicalOffset: number): Chunk | null {
    const hit = this.#hit
    if (hit && physicalOffset >= hit.start && physicalOffset < hit.end) return hit
    const chunks = this.#chunks
    let low = 0
    let high = chunks.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const chunk = chunks[middle]
      if (chunk === undefined) return null
      if (physicalOffset < chunk.start) high = middle - 1
      else if (physicalOffset >= chunk.end && chunk.sealed) low = middle + 1
      else {
        this.#hit = chunk
        return physicalOffset <= chunk.end ? chunk : null
      }
    }
    return null
  }

  /** Forgets everything at and behind `position`; the next byte goes into a new chunk. */
  rewind(position: number): void {
    this.#hit = null
    for (let last = this.last; last !== null && last.start >= position; last = this.last) {
      this.#drop(this.#chunks.pop())
    }
    const last = this.last
    if (last === null) return
    if (last.end > position) last.end = position
    last.next = last.end
    last.sealed = true
  }

  #evict(written: number): boolean {
    const oldest = this.#chunks[0]
    if (!oldest?.sealed || oldest.next > written) return false
    this.#chunks.shift()
    this.#drop(oldest)
    return true
  }

  #drop(chunk: Chunk | undefined): void {
    if (!chunk) return
    if (this.#hit === chunk) this.#hit = null
    this.#bytes -= chunk.bytes.length
    if (chunk.bytes.length === this.#chunkBytes) this.#free.push(chunk)
  }
}

/**
 * How an agent and its controller put what they say into bytes:
 *
 *   0 u32 length  bytes of what follows, at most the reader's limit; big-endian
 *   4 …           JSON in UTF-8
 *
 * JSON has no infinity and no array of 32-bit words, and both are needed: they travel as
 * `{"$infinite": 1}` and `{"$words": base64, little-endian}`. What was read is plain data of any
 * shape; whoever reads it checks it against a schema.
 */

const LENGTH_BYTES = 4

/** What is no frame: the connection is of no use any more. */
export class FrameFault extends Error {
  override readonly name = 'FrameFault'
}

/** One frame. Throws FrameFault when it would be longer than `limitBytes`. */
export function encodeFrame(value: unknown, limitBytes: number): Buffer {
  const json = JSON.stringify(value, packed)
  const length = Buffer.byteLength(json)
  if (length > limitBytes) {
    throw new FrameFault(`a message of ${length} bytes is longer than the limit of ${limitBytes}`)
  }
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + length)
  frame.writeUInt32BE(length, 0)
  frame.write(json, LENGTH_BYTES)
  return frame
}

/** Finds whole frames in chunks that are split anywhere. */
export class FrameReader {
  /** Longest frame that is taken, bytes; may be raised once the other side is known. */
  limitBytes: number
  readonly #onFrame: (value: unknown) => void
  #chunks: Buffer[] = []
  #heldBytes = 0

  constructor(limitBytes: number, onFrame: (value: unknown) => void) {
    this.limitBytes = limitBytes
    this.#onFrame = onFrame
  }

  /** Takes a copy of the chunk. Throws FrameFault; nothing may be pushed after that. */
  push(chunk: Buffer): void {
    this.#chunks.push(Buffer.from(chunk))
    this.#heldBytes += chunk.length
    while (this.#heldBytes >= LENGTH_BYTES) {
      const length = this.#head().readUInt32BE(0)
      // Before anything of it is waited for.
      if (length > this.limitBytes) {
        throw new FrameFault(`a frame of ${length} bytes; at most ${this.limitBytes} are taken`)
      }
      if (this.#heldBytes < LENGTH_BYTES + length) return
      const held = this.#joined()
      const rest = held.subarray(LENGTH_BYTES + length)
      this.#chunks = rest.length === 0 ? [] : [rest]
      this.#heldBytes = rest.length
      this.#onFrame(decode(held.toString('utf8', LENGTH_BYTES, LENGTH_BYTES + length)))
    }
  }

  /** The first chunk, made long enough for a length. */
  #head(): Buffer {
    const [first] = this.#chunks
    if (first !== undefined && first.length >= LENGTH_BYTES) return first
    const joined = this.#joined()
    this.#chunks = [joined]
    return joined
  }

  /** Everything that is held; many frames of one chunk are found in it without a copy for each. */
  #joined(): Buffer {
    const [only] = this.#chunks
    return only !== undefined && this.#chunks.length === 1 ? only : Buffer.concat(this.#chunks)
  }
}

function packed(_key: string, value: unknown): unknown {
  if (value === Number.POSITIVE_INFINITY) return { $infinite: 1 }
  if (value instanceof Uint32Array) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    return { $words: bytes.toString('base64') }
  }
  return value
}

function decode(json: string): unknown {
  try {
    return JSON.parse(json, unpacked)
  } catch (error) {
    // Not what the parser says: it quotes what a stranger sent.
    throw new FrameFault('no JSON', { cause: error })
  }
}

function unpacked(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if ('$infinite' in value) return Number.POSITIVE_INFINITY
  if (!('$words' in value) || typeof value.$words !== 'string') return value
  const bytes = Buffer.from(value.$words, 'base64')
  const words = new Uint32Array(bytes.length >>> 2)
  Buffer.from(words.buffer).set(bytes.subarray(0, words.byteLength))
  return words
}

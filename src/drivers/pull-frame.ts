/**
 * A lane's pulls, from a text with three holes (offset, progress, opaque), and their answers, of
 * which only the header is parsed: the records stay where they arrived. A consumer that keeps up
 * gets few messages a pull, so a pull's own cost counts.
 */
import { RequestCode } from '../protocol/codes.ts'
import { request } from '../protocol/command.ts'
import { FRAME_PREFIX_BYTES, FrameError, decodeFrame, encodeFrame } from '../protocol/frame.ts'
import {
  type PullHeader,
  type PullResponseHeader,
  pullFields,
  readPullResponse,
} from '../protocol/pull-header.ts'
import type { OutBuffer } from '../remoting/out-buffer.ts'

const OFFSET_HOLE = 987_654_321_012_345
const PROGRESS_HOLE = 987_654_321_054_321
const OPAQUE_HOLE = 1_987_654_321

export class PullFrame {
  /** Text before, between and behind the holes; `#order` says which value goes into which hole. */
  readonly #pieces: string[]
  readonly #order: string[]

  constructor(header: Omit<PullHeader, 'queueOffset' | 'commitOffset'>) {
    const ext = pullFields({ ...header, queueOffset: OFFSET_HOLE, commitOffset: PROGRESS_HOLE })
    const command = request(RequestCode.PULL_MESSAGE, ext)
    command.opaque = OPAQUE_HOLE
    const text = encodeFrame(command).toString('latin1', FRAME_PREFIX_BYTES)
    const holes = new RegExp(`(${OFFSET_HOLE}|${PROGRESS_HOLE}|${OPAQUE_HOLE})`)
    const parts = text.split(holes)
    this.#pieces = parts.filter((_, index) => index % 2 === 0)
    this.#order = parts.filter((_, index) => index % 2 === 1)
  }

  /** Stages one pull that starts at `offset` and reports it as the progress. */
  write(out: OutBuffer, opaque: number, offset: number): void {
    let text = this.#pieces[0] ?? ''
    for (let hole = 0; hole < this.#order.length; hole += 1) {
      const value = this.#order[hole] === String(OPAQUE_HOLE) ? opaque : offset
      text += String(value) + (this.#pieces[hole + 1] ?? '')
    }
    const frameBytes = FRAME_PREFIX_BYTES + text.length
    const at = out.reserve(frameBytes)
    out.bytes.writeInt32BE(frameBytes - 4, at)
    out.bytes.writeInt32BE(text.length, at + 4)
    out.bytes.write(text, at + FRAME_PREFIX_BYTES, 'latin1')
    out.length = at + frameBytes
  }
}

/** Reads one answer at a time into its fields. */
export class PullAnswer {
  code = 0
  opaque = 0
  header: PullResponseHeader | null = null
  /** Where the records begin; they end with the frame. */
  bodyStart = 0

  /** Reads the frame in bytes [start, end). False when it is a request of the peer's. Throws FrameError. */
  read(bytes: Buffer, start: number, end: number): boolean {
    const headerWord = bytes.readInt32BE(start + 4)
    const headerStart = start + FRAME_PREFIX_BYTES
    this.bodyStart = headerStart + (headerWord & 0xff_ffff)
    if (headerWord >>> 24 !== 0) {
      const command = decodeFrame(bytes, start, end)
      this.code = command.code
      this.opaque = command.opaque
      this.header = readPullResponse(command.ext)
      return command.isResponse
    }
    const header = parseHeader(bytes.toString('utf8', headerStart, this.bodyStart))
    this.code = Number(header.code)
    this.opaque = Number(header.opaque)
    this.header = readPullResponse(header.extFields ?? {})
    return (Number(header.flag) & 1) !== 0
  }
}

interface JsonHeader {
  readonly code?: number
  readonly opaque?: number
  readonly flag?: number
  readonly extFields?: Record<string, string>
}

function parseHeader(text: string): JsonHeader {
  try {
    const header: unknown = JSON.parse(text)
    if (typeof header === 'object' && header !== null) return header
  } catch {
    // Said below.
  }
  throw new FrameError('a header that is no JSON object')
}

/** Histories as files of NDJSON: written as it happens, read back in pieces, sealed by a digest. */
import { createHash } from 'node:crypto'
import { MqError, messageOf } from '../base/errors.ts'
import { type Disk, type DiskFile, readSpan, writeAll } from '../world/disk.ts'
import { type HistoryEvent, type HistoryHead, isFeature } from './history.ts'

/** What is kept in memory before it is written. */
const PIECE_BYTES = 256 * 1024
const READ_BYTES = 1024 * 1024
/** A longer line is none of ours. */
const LINE_BYTES_MAX = 64 * 1024

/** Writes one after the other; the caller waits for `end` only. */
export class HistoryWriter {
  readonly path: string
  readonly #file: DiskFile
  readonly #digest = createHash('sha256')
  #piece: string[] = []
  #pieceBytes = 0
  #position = 0
  #writing: Promise<void> = Promise.resolve()
  #failure: Error | null = null

  private constructor(path: string, file: DiskFile) {
    this.path = path
    this.#file = file
  }

  /** A file that is there is overwritten. Throws OUTPUT_UNWRITABLE. */
  static async open(disk: Disk, path: string, head: HistoryHead): Promise<HistoryWriter> {
    try {
      await disk.remove(path)
      const writer = new HistoryWriter(path, await disk.open(path, 'create'))
      writer.#line(head)
      return writer
    } catch (error) {
      throw unwritable(path, error)
    }
  }

  add(event: HistoryEvent): void {
    this.#line(event.f === 'close' ? { ...event, sha256: this.#digest.digest('hex') } : event)
  }

  /** Everything is in the file. Throws OUTPUT_UNWRITABLE when some of it is not. */
  async end(): Promise<void> {
    this.#flush()
    await this.#writing
    await this.#file.close()
    if (this.#failure !== null) throw unwritable(this.path, this.#failure)
  }

  #line(value: HistoryHead | HistoryEvent): void {
    const text = `${JSON.stringify(value)}\n`
    if (!('f' in value) || value.f !== 'close') this.#digest.update(text)
    this.#piece.push(text)
    this.#pieceBytes += text.length
    if (this.#pieceBytes >= PIECE_BYTES) this.#flush()
  }

  #flush(): void {
    const bytes = Buffer.from(this.#piece.join(''), 'utf8')
    this.#piece = []
    this.#pieceBytes = 0
    if (bytes.length === 0) return
    const position = this.#position
    this.#position += bytes.length
    this.#writing = this.#writing
      .then(() => writeAll(this.#file, bytes, position))
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(messageOf(error))
      })
  }
}

/** A history that was kept: its head, then its events. */
export interface KeptHistory {
  readonly head: HistoryHead
  readonly events: AsyncIterable<HistoryEvent>
}

/** Throws INPUT_BROKEN for what is no history; its events do when a line is damaged or left out. */
export async function readHistory(disk: Disk, path: string): Promise<KeptHistory> {
  const lines = linesOf(disk, path)[Symbol.asyncIterator]()
  const first = await lines.next()
  const head: unknown = first.done === true ? null : parsed(path, 0, first.value)
  if (!isHead(head)) throw broken(path, 'its first line is not the head of a history')
  const digest = createHash('sha256').update(`${String(first.value)}\n`)
  async function* events(): AsyncGenerator<HistoryEvent> {
    let index = 0
    for (let next = await lines.next(); next.done !== true; next = await lines.next()) {
      const event = eventOf(path, index, next.value)
      if (event.f === 'close' && event.sha256 !== undefined) {
        if (event.sha256 !== digest.digest('hex')) throw broken(path, 'its digest does not fit')
      } else digest.update(`${next.value}\n`)
      index += 1
      yield event
      if (event.f === 'close') return
    }
  }
  return { head, events: events() }
}

async function* linesOf(disk: Disk, path: string): AsyncGenerator<string> {
  let file: DiskFile
  try {
    file = await disk.open(path, 'read')
  } catch (error) {
    throw new MqError('INPUT_BROKEN', {
      what: `cannot read ${path}: ${messageOf(error)}`,
      hint: 'name a file that mqctl verify has kept',
    })
  }
  try {
    const sizeBytes = await file.sizeBytes()
    let tail: Buffer = Buffer.alloc(0)
    for (let position = 0; position < sizeBytes; position += READ_BYTES) {
      const piece = await readSpan(file, position, Math.min(READ_BYTES, sizeBytes - position))
      const bytes = tail.length === 0 ? piece : Buffer.concat([tail, piece])
      let from = 0
      for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, from)) {
        yield bytes.toString('utf8', from, at)
        from = at + 1
      }
      tail = bytes.subarray(from)
      if (tail.length > LINE_BYTES_MAX) throw broken(path, 'a line has no end')
    }
    // What a run that was cut off left half written is not an event.
  } finally {
    await file.close()
  }
}

const kinds: ReadonlySet<string> = new Set<HistoryEvent['f']>([
  ...(['send', 'end', 'check', 'deliver', 'ack', 'nack'] as const),
  ...(['dead', 'read', 'fault', 'drain', 'close'] as const),
])

function eventOf(path: string, index: number, line: string): HistoryEvent {
  const value = parsed(path, index + 1, line)
  const event = value as Partial<HistoryEvent> | null
  if (
    typeof event !== 'object' ||
    event === null ||
    typeof event.t !== 'number' ||
    !kinds.has(event.f ?? '') ||
    !placeIsWhole(event)
  ) {
    throw broken(path, `line ${index + 2} is not an event`)
  }
  if (event.i !== index) throw broken(path, `line ${index + 2} should be event ${index}`)
  return event as HistoryEvent
}

/** Deliveries and the like name a place; nothing else may stand there than what counts places. */
function placeIsWhole(event: Partial<HistoryEvent>): boolean {
  if (!('o' in event) && !('q' in event)) return event.f === 'send' || !('g' in event)
  const { o, q } = event
  return Number.isSafeInteger(o) && (o ?? -1) >= 0 && typeof q === 'string'
}

function parsed(path: string, index: number, line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw broken(path, `line ${index + 1} is not JSON`)
  }
}

function isHead(value: unknown): value is HistoryHead {
  if (typeof value !== 'object' || value === null) return false
  const { h, run, feature, seed, plan } = value as Partial<HistoryHead>
  return (
    h === 1 &&
    typeof run === 'string' &&
    typeof seed === 'number' &&
    isFeature(feature ?? '') &&
    typeof plan === 'object' &&
    Array.isArray(plan.readers) &&
    typeof plan.topic === 'string'
  )
}

function broken(path: string, what: string): MqError {
  return new MqError('INPUT_BROKEN', {
    what: `${path} is no whole history: ${what}`,
    hint: 'judge the file as mqctl verify wrote it',
  })
}

function unwritable(path: string, error: unknown): MqError {
  return new MqError('OUTPUT_UNWRITABLE', { path, why: messageOf(error) }, { cause: error })
}

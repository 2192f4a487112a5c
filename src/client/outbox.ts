/**
 * A local outbox: messages are on this machine's disk before they are sent, and stay until a broker has
 * acknowledged them. What a crash leaves is sent again with the same ids, so that consumers can tell.
 *
 * `outbox.ndjson`, a JSON object a line: `{"add":{…message, body in base64…}}` before a message is sent,
 * `{"done":"messageId"}` behind its acknowledgement. Additions are forced to the disk, those that come
 * together by one call; a `done` that a crash loses costs a message that is sent twice.
 */
import path from 'node:path'
import { z } from 'zod'
import { MqError } from '../base/errors.ts'
import type { Clock } from '../world/clock.ts'
import {
  type Disk,
  type DiskFile,
  type DiskLock,
  readSpan,
  syncFile,
  writeAll,
} from '../world/disk.ts'
import type { World } from '../world/world.ts'
import { makeUniqueIds } from './client-id.ts'
import type { OutgoingMessage } from './outgoing-message.ts'

/** A message with its id: what makes it the same one when it is sent again. */
export type KeptMessage = OutgoingMessage & { readonly messageId: string }

const FILE = 'outbox.ndjson'
const SCRATCH = `${FILE}.tmp`
/** A file of this size in which nothing is pending is emptied; one in which little is, when it is opened. */
const EMPTY_ABOVE_BYTES = 1024 * 1024
/** The file is read in pieces of this size: it may be larger than what one buffer holds. */
const PIECE_BYTES = 4 * 1024 * 1024

const whole = z.number().int()
/** Every field of a message: one that is missing here would make a file that cannot be read. */
const messageFields = {
  topic: z.string(),
  messageId: z.string().min(1),
  body: z.base64(),
  tags: z.string().optional(),
  keys: z.union([z.string(), z.array(z.string())]).optional(),
  properties: z.record(z.string(), z.string()).optional(),
  flag: whole.optional(),
  orderKey: z.string().optional(),
  priority: whole.optional(),
  queue: z.strictObject({ brokerName: z.string(), queueId: whole }).optional(),
  delayLevel: whole.optional(),
  // Fractions: earlier versions wrote them.
  delayMs: z.number().optional(),
  deliverAtMs: z.number().optional(),
  waitStored: z.boolean().optional(),
  reconsumeTimes: whole.optional(),
  maxReconsumeTimes: whole.optional(),
} satisfies Record<keyof KeptMessage, z.ZodType>
const lineSchema = z.union([
  z.strictObject({ done: z.string() }),
  z.strictObject({ add: z.strictObject(messageFields) }),
])

interface Kept {
  readonly message: KeptMessage
  /** Of its line. */
  readonly bytes: number
}

export class Outbox {
  readonly #clock: Clock
  readonly #file: DiskFile
  readonly #lock: DiskLock
  readonly #ids: ReturnType<typeof makeUniqueIds>
  /** By id, oldest first. */
  readonly #pending: Map<string, Kept>
  #pendingBytes: number
  /** End of the lines that are whole. */
  #position: number
  #lines: { readonly text: string; readonly settle: (error: Error | null) => void }[] = []
  #writing: Promise<void> | null = null

  private constructor(world: World, file: DiskFile, lock: DiskLock, old: OldLines) {
    this.#clock = world.clock
    this.#file = file
    this.#lock = lock
    this.#ids = makeUniqueIds(world.random)
    this.#pending = old.pending
    this.#pendingBytes = old.pendingBytes
    this.#position = old.bytes
  }

  /**
   * Opens the outbox in `directory`, which is made when it is missing. Throws OUTBOX_IN_USE while
   * another process has it, INPUT_BROKEN when a line in it is no line of an outbox.
   */
  static async open(world: World, directory: string): Promise<Outbox> {
    const { disk } = world
    await disk.makeDirectory(directory)
    const lock = await disk.lock(path.join(directory, 'lock'))
    if (lock === null) throw new MqError('OUTBOX_IN_USE', { path: directory })
    try {
      const at = path.join(directory, FILE)
      const found = await oldLinesOf(disk, at)
      const isMostlyDone = found.pendingBytes < found.bytes / 2 && found.bytes > EMPTY_ABOVE_BYTES
      const old = isMostlyDone ? await writtenAnew(disk, directory, found) : found
      const file = await disk.open(at, 'create')
      // What a crash cut off in the middle of a line was never sent.
      await file.truncate(old.bytes)
      await disk.syncDirectory(directory)
      return new Outbox(world, file, lock, old)
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  /** Messages that no broker has acknowledged yet, oldest first. */
  get pending(): readonly KeptMessage[] {
    return [...this.#pending.values()].map(({ message }) => message)
  }

  /** What `pending` takes in the file, and about as much in memory. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  get pendingCount(): number {
    return this.#pending.size
  }

  has(messageId: string): boolean {
    return this.#pending.has(messageId)
  }

  /** Resolves when the message is on the disk; rejects with the disk's error, and it is not kept then. */
  async add(message: OutgoingMessage): Promise<KeptMessage> {
    const messageId = message.messageId ?? this.#ids.next(this.#clock.wallMs())
    const { delayMs, deliverAtMs } = message
    const kept = {
      ...message,
      messageId,
      ...(delayMs === undefined ? {} : { delayMs: Math.ceil(delayMs) }),
      ...(deliverAtMs === undefined ? {} : { deliverAtMs: Math.ceil(deliverAtMs) }),
    }
    const text = lineOf(kept)
    const bytes = Buffer.byteLength(text)
    this.#pending.set(messageId, { message: kept, bytes })
    this.#pendingBytes += bytes
    try {
      await this.#append(text)
    } catch (error) {
      this.#forget(messageId)
      throw error
    }
    return kept
  }

  /** A broker has it. */
  done(messageId: string): void {
    if (!this.#forget(messageId)) return
    this.#append(`${JSON.stringify({ done: messageId })}\n`).catch(() => undefined)
  }

  /** Writes what is under way; what is pending stays for the next time. */
  async close(): Promise<void> {
    while (this.#writing !== null) await this.#writing
    await this.#file.close()
    await this.#lock.release()
  }

  /** False when it was not pending. */
  #forget(messageId: string): boolean {
    this.#pendingBytes -= this.#pending.get(messageId)?.bytes ?? 0
    return this.#pending.delete(messageId)
  }

  #append(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error: Error | null) => {
        if (error === null) resolve()
        else reject(error)
      }
      this.#lines.push({ text, settle })
      this.#writing ??= this.#writeLines().finally(() => {
        this.#writing = null
      })
    })
  }

  /** One write and one sync for all lines that came meanwhile. Never rejects. */
  async #writeLines(): Promise<void> {
    while (this.#lines.length > 0) {
      const lines = this.#lines
      this.#lines = []
      let failure: Error | null = null
      try {
        if (this.#pending.size === 0 && this.#position > EMPTY_ABOVE_BYTES) {
          await this.#file.truncate(0)
          this.#position = 0
        }
        const bytes = Buffer.from(lines.map(({ text }) => text).join(''))
        await writeAll(this.#file, bytes, this.#position)
        await syncFile(this.#file)
        this.#position += bytes.length
      } catch (error) {
        failure = error instanceof Error ? error : new Error(String(error))
        // Part of them may stand behind the last whole line.
        await this.#file.truncate(this.#position).catch(() => undefined)
      }
      for (const { settle } of lines) settle(failure)
    }
  }
}

interface OldLines {
  readonly pending: Map<string, Kept>
  readonly pendingBytes: number
  /** Of whole lines. */
  readonly bytes: number
}

async function oldLinesOf(disk: Disk, at: string): Promise<OldLines> {
  const pending = new Map<string, Kept>()
  if ((await disk.facts(at)) === null) return { pending, pendingBytes: 0, bytes: 0 }
  let number = 0
  let pendingBytes = 0
  let bytes = 0
  for await (const text of wholeLinesOf(disk, at)) {
    number += 1
    const line = parsedLine(text.toString('utf8'))
    if (line === null) {
      throw new MqError('INPUT_BROKEN', {
        what: `line ${number} of ${at} is no line of an outbox`,
        hint: 'move the file away, and look what can be saved from it; nothing of it was sent now',
      })
    }
    const lineBytes = text.length + 1
    bytes += lineBytes
    const id = 'done' in line ? line.done : line.add.messageId
    pendingBytes -= pending.get(id)?.bytes ?? 0
    if ('done' in line) pending.delete(id)
    else {
      pending.set(id, { message: keptMessage(line.add), bytes: lineBytes })
      pendingBytes += lineBytes
    }
  }
  // When all was acknowledged, the file begins anew.
  return { pending, pendingBytes, bytes: pending.size === 0 ? 0 : bytes }
}

/** Lines that end, without their ends; each is valid until the next one. */
async function* wholeLinesOf(disk: Disk, at: string): AsyncGenerator<Buffer> {
  const file = await disk.open(at, 'read')
  try {
    let rest: Buffer = Buffer.alloc(0)
    for (let position = 0; ;) {
      const piece = await readSpan(file, position, PIECE_BYTES)
      if (piece.length === 0) return
      position += piece.length
      const content = rest.length === 0 ? piece : Buffer.concat([rest, piece])
      let from = 0
      for (let end; (end = content.indexOf(0x0a, from)) >= 0; from = end + 1) {
        yield content.subarray(from, end)
      }
      rest = content.subarray(from)
    }
  } finally {
    await file.close()
  }
}

/** Leaves out what is done with. On a disk that has no room for it the file stays as it is. */
async function writtenAnew(disk: Disk, directory: string, old: OldLines): Promise<OldLines> {
  const scratch = path.join(directory, SCRATCH)
  try {
    return await moved(disk, scratch, path.join(directory, FILE), old)
  } catch {
    await disk.remove(scratch).catch(() => undefined)
    return old
  }
}

/** A crash leaves the old file or the new one. */
async function moved(disk: Disk, scratch: string, at: string, old: OldLines): Promise<OldLines> {
  await disk.remove(scratch)
  const file = await disk.open(scratch, 'create')
  const pending = new Map<string, Kept>()
  let bytes = 0
  try {
    for (const [id, { message }] of old.pending) {
      const line = Buffer.from(lineOf(message))
      await writeAll(file, line, bytes)
      pending.set(id, { message, bytes: line.length })
      bytes += line.length
    }
    await syncFile(file)
  } finally {
    await file.close()
  }
  await disk.rename(scratch, at)
  return { pending, pendingBytes: bytes, bytes }
}

function lineOf(message: KeptMessage): string {
  const body = Buffer.from(message.body).toString('base64')
  return `${JSON.stringify({ add: { ...message, body } })}\n`
}

function parsedLine(text: string): z.infer<typeof lineSchema> | null {
  try {
    const json: unknown = JSON.parse(text)
    return lineSchema.safeParse(json).data ?? null
  } catch {
    return null
  }
}

function keptMessage(line: { readonly body: string; readonly messageId: string }): KeptMessage {
  const message = { ...line, body: Buffer.from(line.body, 'base64') }
  return message as unknown as KeptMessage
}

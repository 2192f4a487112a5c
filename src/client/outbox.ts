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
import { type Disk, type DiskFile, type DiskLock, syncFile, writeAll } from '../world/disk.ts'
import type { World } from '../world/world.ts'
import { makeUniqueIds } from './client-id.ts'
import type { OutgoingMessage } from './outgoing-message.ts'

/** A message with its id: what makes it the same one when it is sent again. */
export type KeptMessage = OutgoingMessage & { readonly messageId: string }

const FILE = 'outbox.ndjson'
/** A file of this size in which nothing is pending is emptied. */
const EMPTY_ABOVE_BYTES = 1024 * 1024

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

export class Outbox {
  readonly #clock: Clock
  readonly #file: DiskFile
  readonly #lock: DiskLock
  readonly #ids: ReturnType<typeof makeUniqueIds>
  /** By id, oldest first. */
  readonly #pending: Map<string, KeptMessage>
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
      const old = await oldLinesOf(disk, at)
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
    return [...this.#pending.values()]
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
    this.#pending.set(messageId, kept)
    const body = Buffer.from(message.body).toString('base64')
    try {
      await this.#append({ add: { ...kept, body } })
    } catch (error) {
      this.#pending.delete(messageId)
      throw error
    }
    return kept
  }

  /** A broker has it. */
  done(messageId: string): void {
    if (!this.#pending.delete(messageId)) return
    this.#append({ done: messageId }).catch(() => undefined)
  }

  /** Writes what is under way; what is pending stays for the next time. */
  async close(): Promise<void> {
    while (this.#writing !== null) await this.#writing
    await this.#file.close()
    await this.#lock.release()
  }

  #append(line: object): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error: Error | null) => {
        if (error === null) resolve()
        else reject(error)
      }
      this.#lines.push({ text: `${JSON.stringify(line)}\n`, settle })
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
  readonly pending: Map<string, KeptMessage>
  /** Of whole lines. */
  readonly bytes: number
}

async function oldLinesOf(disk: Disk, at: string): Promise<OldLines> {
  const pending = new Map<string, KeptMessage>()
  if ((await disk.facts(at)) === null) return { pending, bytes: 0 }
  const content = await disk.readFile(at)
  let from = 0
  for (let number = 1; ; number += 1) {
    const end = content.indexOf(0x0a, from)
    if (end < 0) break
    const line = parsedLine(content.toString('utf8', from, end))
    if (line === null) {
      throw new MqError('INPUT_BROKEN', {
        what: `line ${number} of ${at} is no line of an outbox`,
        hint: 'move the file away, and look what can be saved from it; nothing of it was sent now',
      })
    }
    if ('done' in line) pending.delete(line.done)
    else pending.set(line.add.messageId, keptMessage(line.add))
    from = end + 1
  }
  // When all was acknowledged, the file begins anew.
  return { pending, bytes: pending.size === 0 ? 0 : from }
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

/**
 * What was processed already, so that a message that comes twice is processed once: bounded, the oldest are
 * forgotten first; in memory, and in a file when one is given, so that it is known after a restart as well.
 *
 * The file: a line with the format's name, then a line of 22 characters a message (128 bits of SHA-256 in
 * URL-safe base64), appended when the message was processed and before its progress is reported. A crash
 * between the two is the one gap: that message is processed again. Lines are with the kernel, not forced to
 * the disk: a crash of the machine may lose the last ones. What is forgotten is dropped from the file from
 * time to time.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open, rename, writeFile } from 'node:fs/promises'
import { MqError, messageOf, systemCodeOf } from '../base/errors.ts'

const FORMAT = 'mqctl-seen-1'
const MARK_LENGTH = 22

/** Lines of messages that are forgotten are dropped when there are so many, or as many as are known. */
const SPARE_LINES = 100_000

export class SeenMessages {
  readonly #max: number
  /** Oldest first. */
  readonly #marks: Set<string>
  readonly #path: string | null
  readonly #spareLines: number
  #file: FileHandle | null
  /** Lines that were appended since the file was written anew. */
  #appended = 0
  /** Lines are written one after the other. Never rejects. */
  #written: Promise<unknown> = Promise.resolve()
  /** Being processed: others with the same mark wait for how that ends. */
  readonly #underWay = new Map<string, Promise<boolean>>()

  private constructor(max: number, marks: Set<string>, path: string | null, spareLines: number) {
    this.#max = max
    this.#spareLines = Math.max(max, spareLines)
    this.#marks = marks
    this.#path = path
    this.#file = null
  }

  /**
   * @param path null: in memory alone. Throws VALUE_INVALID for a file that is something else.
   * @param spareLines how many lines that are not needed the file may have; at least `max`
   */
  static async open(
    max: number,
    path: string | null,
    spareLines = SPARE_LINES,
  ): Promise<SeenMessages> {
    if (path === null) return new SeenMessages(max, new Set(), null, spareLines)
    try {
      const seen = new SeenMessages(max, await marksIn(path, max), path, spareLines)
      // Whole lines only, and no more than are needed: what a crash cut off is not continued.
      await seen.#writeAnew(path)
      return seen
    } catch (error) {
      if (error instanceof MqError) throw error
      throw new MqError('VALUE_INVALID', {
        what: `${path} cannot be kept: ${messageOf(error)}`,
        hint: 'name a file that can be written in a directory that is there',
      })
    }
  }

  get size(): number {
    return this.#marks.size
  }

  /**
   * Runs `process` unless `identity` was processed before; false when it was. `process` says whether it
   * succeeded: only then the identity is remembered.
   */
  async once(identity: string, process: () => Promise<boolean>): Promise<boolean> {
    const mark = markOf(identity)
    for (;;) {
      if (this.#marks.has(mark)) return false
      const other = this.#underWay.get(mark)
      if (other === undefined) break
      await other
    }
    const running = this.#processed(mark, process)
    const settled = running.catch(() => false)
    this.#underWay.set(mark, settled)
    try {
      await running
      return true
    } finally {
      this.#underWay.delete(mark)
    }
  }

  async close(): Promise<void> {
    await this.#written
    await this.#file?.close()
  }

  async #processed(mark: string, process: () => Promise<boolean>): Promise<boolean> {
    if (!(await process())) return false
    const writing = this.#written.then(() => this.#remember(mark))
    this.#written = writing.catch(() => undefined)
    await writing
    return true
  }

  async #remember(mark: string): Promise<void> {
    await this.#file?.appendFile(`${mark}\n`)
    this.#marks.add(mark)
    for (const oldest of this.#marks) {
      if (this.#marks.size <= this.#max) break
      this.#marks.delete(oldest)
    }
    this.#appended += 1
    if (this.#path === null || this.#appended < this.#spareLines) return
    // When that fails, the old file serves on.
    await this.#writeAnew(this.#path).catch(() => {
      this.#appended = 0
    })
  }

  /** Leaves nothing in the file but what is known, at once. Rejects with the disk's error. */
  async #writeAnew(path: string): Promise<void> {
    await writeFile(`${path}.new`, `${[FORMAT, ...this.#marks].join('\n')}\n`)
    const file = await open(`${path}.new`, 'a')
    try {
      await rename(`${path}.new`, path)
    } catch (error) {
      await file.close()
      throw error
    }
    const old = this.#file
    this.#file = file
    this.#appended = 0
    await old?.close()
  }
}

function markOf(identity: string): string {
  return createHash('sha256').update(identity).digest().subarray(0, 16).toString('base64url')
}

/** The newest `max` marks of the file; it may have grown far beyond them. */
async function marksIn(path: string, max: number): Promise<Set<string>> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return new Set()
    throw error
  }
  try {
    const { size } = await file.stat()
    if (size === 0) return new Set()
    const head = `${FORMAT}\n`
    if ((await textAt(file, 0, head.length)) !== head) {
      throw new MqError('VALUE_INVALID', {
        what: `${path} is not a file of --dedupe`,
        hint: 'name a file that does not exist yet, or the one that was used before',
      })
    }
    // One line more: the last one may have been cut off.
    const from = Math.max(head.length, size - (max + 1) * (MARK_LENGTH + 1))
    const lines = (await textAt(file, from, size - from)).split('\n')
    return new Set(lines.filter((line) => line.length === MARK_LENGTH).slice(-max))
  } finally {
    await file.close()
  }
}

async function textAt(file: FileHandle, position: number, length: number): Promise<string> {
  const bytes = Buffer.alloc(length)
  const { bytesRead } = await file.read(bytes, 0, length, position)
  return bytes.toString('latin1', 0, bytesRead)
}

/**
 * What was processed already, so that a message that comes twice is processed once: bounded, the oldest are
 * forgotten first; in memory, and in a file when one is given, so that it is known after a restart as well.
 *
 * The file: a line with the format's name, then a line of 22 characters a message (128 bits of SHA-256 in
 * URL-safe base64), appended when the message was processed and before its progress is reported. A crash
 * between the two is the one gap: that message is processed again. Lines are with the kernel, not forced to
 * the disk: a crash of the machine may lose the last ones.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open, readFile, rename, writeFile } from 'node:fs/promises'
import { MqError, messageOf } from '../base/errors.ts'

const FORMAT = 'mqctl-seen-1'
const MARK_LENGTH = 22

export class SeenMessages {
  readonly #max: number
  /** Oldest first. */
  readonly #marks: Set<string>
  readonly #file: FileHandle | null
  /** Being processed: others with the same mark wait for how that ends. */
  readonly #underWay = new Map<string, Promise<boolean>>()

  private constructor(max: number, marks: Set<string>, file: FileHandle | null) {
    this.#max = max
    this.#marks = marks
    this.#file = file
  }

  /** @param path null: in memory alone. Throws VALUE_INVALID for a file that is something else. */
  static async open(max: number, path: string | null): Promise<SeenMessages> {
    if (path === null) return new SeenMessages(max, new Set(), null)
    try {
      const marks = await marksIn(path)
      const kept = new Set([...marks].slice(-max))
      // Whole lines only, and no more than are needed: what a crash cut off is not continued.
      const text = `${[FORMAT, ...kept].join('\n')}\n`
      await writeFile(`${path}.new`, text)
      await rename(`${path}.new`, path)
      return new SeenMessages(max, kept, await open(path, 'a'))
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
    await this.#file?.close()
  }

  async #processed(mark: string, process: () => Promise<boolean>): Promise<boolean> {
    if (!(await process())) return false
    await this.#file?.appendFile(`${mark}\n`)
    this.#marks.add(mark)
    for (const oldest of this.#marks) {
      if (this.#marks.size <= this.#max) break
      this.#marks.delete(oldest)
    }
    return true
  }
}

function markOf(identity: string): string {
  return createHash('sha256').update(identity).digest().subarray(0, 16).toString('base64url')
}

async function marksIn(path: string): Promise<Set<string>> {
  let text = ''
  try {
    text = await readFile(path, 'latin1')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  if (text === '') return new Set()
  const [format, ...lines] = text.split('\n')
  if (format !== FORMAT) {
    throw new MqError('VALUE_INVALID', {
      what: `${path} is not a file of --dedupe`,
      hint: 'name a file that does not exist yet, or the one that was used before',
    })
  }
  return new Set(lines.filter((line) => line.length === MARK_LENGTH))
}

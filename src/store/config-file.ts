/**
 * One file of `config/`: the main copy and, beside it, the one before (`.bak`), as Apache's broker
 * keeps them and looks for them. A new content is written aside first, so that a full disk or a
 * crash leaves one whole copy at every moment.
 * Source: apache/rocketmq common/…/ConfigManager.java (load, persist).
 */
import path from 'node:path'
import { MqError, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { parseLenientJson } from '../protocol/lenient-json.ts'
import type { Disk } from '../world/disk.ts'
import { syncFile, writeAll } from '../world/disk.ts'

const MISSING = 'missing'

export class ConfigFile {
  readonly path: string
  readonly #disk: Disk
  readonly #dir: string
  readonly #logger: Logger
  /** The main copy is known to be whole, so that it may take the place of the one before. */
  #mainIsWhole = false

  /** @param storeDir root of the store @param name such as `topics.json` */
  constructor(disk: Disk, storeDir: string, name: string, logger: Logger) {
    this.#disk = disk
    this.#logger = logger
    this.#dir = path.join(storeDir, 'config')
    this.path = path.join(this.#dir, name)
  }

  /**
   * The main copy when it is whole, else the one before; null when there is neither. Throws
   * STORE_DAMAGED when what is there cannot be read: to begin with nothing would lose what it says,
   * and Apache's broker does not start either.
   */
  async load(): Promise<Buffer | null> {
    const main = await this.#read(this.path)
    this.#mainIsWhole = main.whole !== null
    if (main.whole !== null) return main.whole
    const before = await this.#read(`${this.path}.bak`)
    if (before.whole !== null) {
      this.#logger.warn('a file is missing or damaged; the copy before it is used', {
        file: this.path,
        why: main.why,
      })
      return before.whole
    }
    if (main.why === MISSING && before.why === MISSING) return null
    throw new MqError('STORE_DAMAGED', {
      path: path.dirname(this.#dir),
      what: `${this.path} is ${main.why}, and its copy .bak is ${before.why}`,
      hint: 'put a good copy in its place; moved away, both of them, what they say is forgotten',
    })
  }

  /** Durable when it resolves. When it rejects, the content before is still there. */
  async save(content: Buffer): Promise<void> {
    const disk = this.#disk
    await disk.makeDirectory(this.#dir)
    const fresh = `${this.path}.new`
    const file = await disk.open(fresh, 'create')
    try {
      await writeAll(file, content, 0)
      await file.truncate(content.length)
      await syncFile(file)
    } finally {
      await file.close()
    }
    // A damaged main copy must not push out the good one beside it.
    if (this.#mainIsWhole) await disk.rename(this.path, `${this.path}.bak`)
    this.#mainIsWhole = false
    await disk.rename(fresh, this.path)
    this.#mainIsWhole = true
    await disk.syncDirectory(this.#dir)
  }

  async #read(at: string): Promise<{ readonly whole: Buffer | null; readonly why: string }> {
    if ((await this.#disk.facts(at)) === null) return { whole: null, why: MISSING }
    const content = await this.#disk.readFile(at)
    try {
      parseLenientJson(content.toString('utf8'))
      return { whole: content, why: 'whole' }
    } catch (error) {
      return { whole: null, why: `no JSON (${messageOf(error)})` }
    }
  }
}

/**
 * One file of `config/`: the main copy and, beside it, the one before (`.bak`), as Apache's broker
 * keeps them and looks for them. A new content is written aside first, so that a full disk or a
 * crash leaves one whole copy at every moment.
 * Source: apache/rocketmq common/…/ConfigManager.java (load, persist).
 */
import path from 'node:path'
import { parseLenientJson } from '../protocol/lenient-json.ts'
import type { Disk } from '../world/disk.ts'
import { syncFile, writeAll } from '../world/disk.ts'

export class ConfigFile {
  readonly path: string
  readonly #disk: Disk
  readonly #dir: string
  /** The main copy is known to be whole, so that it may take the place of the one before. */
  #mainIsWhole = false

  /** @param storeDir root of the store @param name such as `topics.json` */
  constructor(disk: Disk, storeDir: string, name: string) {
    this.#disk = disk
    this.#dir = path.join(storeDir, 'config')
    this.path = path.join(this.#dir, name)
  }

  /** The main copy when it is whole, else the one before; null when neither is. */
  async load(): Promise<Buffer | null> {
    const main = await this.#whole(this.path)
    this.#mainIsWhole = main !== null
    return main ?? (await this.#whole(`${this.path}.bak`))
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

  async #whole(at: string): Promise<Buffer | null> {
    if ((await this.#disk.facts(at)) === null) return null
    const content = await this.#disk.readFile(at)
    try {
      parseLenientJson(content.toString('utf8'))
      return content
    } catch {
      return null
    }
  }
}

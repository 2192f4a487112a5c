/**
 * A table that changes all the time: written to its file every few seconds when it changed, and at
 * the stop. What changed since the last write is lost with the process.
 */
import type { Logger } from '../base/logger.ts'
import type { Clock, Stop } from '../world/clock.ts'
import type { TableFile } from './table-file.ts'
import { TableSaver } from './table-saver.ts'

/** What a table that is kept this way is given. */
export interface FlushedTableParts {
  readonly clock: Clock
  readonly file: TableFile
  readonly logger: Logger
  readonly flushMs: number
}

export class FlushedTable {
  readonly #parts: FlushedTableParts
  readonly #body: () => Promise<Buffer>
  readonly #saver: TableSaver
  #dirty = false
  #stop: Stop = () => undefined

  /** @param body encodes the table as it is when called */
  constructor(name: string, parts: FlushedTableParts, body: () => Promise<Buffer>) {
    this.#parts = parts
    this.#body = body
    this.#saver = new TableSaver(name, () => this.#write(), parts.logger)
  }

  /** The table is not what was written last any more. */
  changed(): void {
    this.#dirty = true
  }

  /** Begins to write every few seconds. */
  start(): void {
    const { clock, flushMs } = this.#parts
    this.#stop = clock.every(flushMs, () => {
      if (this.#mustWrite()) this.#saver.saveSoon()
    })
  }

  /** Resolves once the table as it is now is on the disk. Rejects with the disk's error. */
  save(): Promise<void> {
    return this.#saver.save()
  }

  /** Writes a last time. Rejects with the disk's error. */
  async close(): Promise<void> {
    this.#stop()
    if (this.#mustWrite()) await this.#saver.save()
  }

  #mustWrite(): boolean {
    return this.#dirty || this.#saver.failed
  }

  async #write(): Promise<void> {
    this.#dirty = false
    try {
      await this.#parts.file.save(await this.#body())
    } catch (error) {
      this.#dirty = true
      throw error
    }
  }
}

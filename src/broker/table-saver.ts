/**
 * Writes one table of the broker to its file whenever it changed: at most one write is under way,
 * and whatever changes meanwhile goes into the next one.
 */
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'

export class TableSaver {
  readonly #name: string
  readonly #write: () => Promise<void>
  readonly #logger: Logger
  #running: Promise<void> | null = null
  #next: Promise<void> | null = null
  #failed = false

  /** @param write encodes the table as it is when called, and puts it on the disk */
  constructor(name: string, write: () => Promise<void>, logger: Logger) {
    this.#name = name
    this.#write = write
    this.#logger = logger
  }

  /** Whether the last write failed: the table in memory is ahead of the disk. */
  get failed(): boolean {
    return this.#failed
  }

  /** Resolves once the table as it is now is on the disk; rejects with the disk's error. */
  save(): Promise<void> {
    if (this.#running === null) return this.#start()
    this.#next ??= this.#running.then(
      () => this.#startNext(),
      () => this.#startNext(),
    )
    return this.#next
  }

  /** The same for a caller that goes on without waiting; a failure is logged and tried again by `retry`. */
  saveSoon(): void {
    this.save().catch(() => undefined)
  }

  /** Called now and then: writes again what could not be written. */
  retry(): void {
    if (this.#failed && this.#running === null) this.saveSoon()
  }

  #startNext(): Promise<void> {
    this.#next = null
    return this.#start()
  }

  #start(): Promise<void> {
    const running = this.#write().then(
      () => {
        this.#running = null
        if (this.#failed) this.#logger.info('table is written again', { table: this.#name })
        this.#failed = false
      },
      (error: unknown) => {
        this.#running = null
        if (!this.#failed) {
          this.#logger.error('table cannot be written', {
            table: this.#name,
            why: messageOf(error),
          })
        }
        this.#failed = true
        throw error
      },
    )
    this.#running = running
    return running
  }
}

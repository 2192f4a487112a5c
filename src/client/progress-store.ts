/** Where the progress of a consumer is kept: at the brokers for a group, here for broadcast. */
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { type MessageQueue, messageQueueKey } from '../protocol/bodies/message-queue.ts'
import {
  type QueueOffset,
  decodeResetOffsetBody,
  encodeResetOffsetBody,
} from '../protocol/bodies/queue-offsets.ts'
import { type Disk, syncFile, writeAll } from '../world/disk.ts'
import type { QueueAccess } from './queue-access.ts'

export interface ProgressStore {
  /** Whether pulls may carry progress to the broker. */
  readonly isAtBroker: boolean
  /**
   * Null when nothing is known. Throws when it cannot be told. Without `exact`, a broker may say 0
   * for a young queue.
   */
  read(queue: MessageQueue, exact: boolean): Promise<number | null>
  /** Stores all of them. Throws when one was not stored. */
  write(offsets: readonly QueueOffset[]): Promise<void>
}

/** The group's progress at the brokers, shared by its members. */
export class BrokerProgress implements ProgressStore {
  readonly isAtBroker = true
  readonly #group: string
  readonly #access: QueueAccess

  constructor(group: string, access: QueueAccess) {
    this.#group = group
    this.#access = access
  }

  read(queue: MessageQueue, exact: boolean): Promise<number | null> {
    return this.#access.progress(this.#group, queue, exact)
  }

  async write(offsets: readonly QueueOffset[]): Promise<void> {
    await Promise.all(
      offsets.map(({ queue, offset }) => this.#access.reportProgress(this.#group, queue, offset)),
    )
  }
}

/** Progress of this process alone: in memory, and in a file when one is given (Java's form). */
export class LocalProgress implements ProgressStore {
  readonly isAtBroker = false
  readonly #disk: Disk
  readonly #path: string | null
  readonly #offsets = new Map<string, QueueOffset>()

  private constructor(disk: Disk, path: string | null) {
    this.#disk = disk
    this.#path = path
  }

  /** A file that cannot be read counts as empty, and says so. */
  static async open(disk: Disk, path: string | null, logger: Logger): Promise<LocalProgress> {
    const progress = new LocalProgress(disk, path)
    if (path === null || (await disk.facts(path)) === null) return progress
    try {
      for (const row of decodeResetOffsetBody(await disk.readFile(path))) progress.#keep(row)
    } catch (error) {
      logger.warn('progress file cannot be read', { path, why: messageOf(error) })
    }
    return progress
  }

  async read(queue: MessageQueue): Promise<number | null> {
    return this.#offsets.get(messageQueueKey(queue))?.offset ?? null
  }

  /** A crash leaves the old file or the new one. */
  async write(offsets: readonly QueueOffset[]): Promise<void> {
    for (const row of offsets) this.#keep(row)
    if (this.#path === null || offsets.length === 0) return
    const scratch = `${this.#path}.tmp`
    await this.#disk.remove(scratch)
    const file = await this.#disk.open(scratch, 'create')
    try {
      await writeAll(file, encodeResetOffsetBody([...this.#offsets.values()]), 0)
      await syncFile(file)
    } finally {
      await file.close()
    }
    await this.#disk.rename(scratch, this.#path)
  }

  #keep(row: QueueOffset): void {
    this.#offsets.set(messageQueueKey(row.queue), row)
  }
}

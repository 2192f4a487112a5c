/** Where the progress of a consumer is kept: at the brokers for a group, here for broadcast. */
import { MqError, messageOf } from '../base/errors.ts'
import { type MessageQueue, messageQueueKey } from '../protocol/bodies/message-queue.ts'
import {
  type QueueOffset,
  decodeResetOffsetBody,
  encodeResetOffsetBody,
} from '../protocol/bodies/queue-offsets.ts'
import { type Disk, type DiskLock, syncFile, writeAll } from '../world/disk.ts'
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
  /** Nothing is read or stored any more. */
  close(): Promise<void>
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

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** Progress of this process alone: in memory, and in a file when one is given (Java's form). */
export class LocalProgress implements ProgressStore {
  readonly isAtBroker = false
  readonly #disk: Disk
  readonly #path: string | null
  readonly #lock: DiskLock | null
  readonly #offsets = new Map<string, QueueOffset>()

  private constructor(disk: Disk, path: string | null, lock: DiskLock | null) {
    this.#disk = disk
    this.#path = path
    this.#lock = lock
  }

  /**
   * The file is this process' alone until `close`. Throws PROGRESS_IN_USE while another one has it,
   * INPUT_BROKEN when it holds no progress, OUTPUT_UNWRITABLE when there can be no file.
   */
  static async open(disk: Disk, path: string | null): Promise<LocalProgress> {
    if (path === null) return new LocalProgress(disk, null, null)
    let lock: DiskLock | null
    try {
      lock = await disk.lock(`${path}.lock`)
    } catch (error) {
      throw new MqError('OUTPUT_UNWRITABLE', { path, why: messageOf(error) }, { cause: error })
    }
    if (lock === null) throw new MqError('PROGRESS_IN_USE', { path })
    const progress = new LocalProgress(disk, path, lock)
    try {
      if ((await disk.facts(path)) !== null) await progress.#load(path)
    } catch (error) {
      await lock.release()
      throw error
    }
    return progress
  }

  async #load(path: string): Promise<void> {
    try {
      const content = await this.#disk.readFile(path)
      if (!content.includes('offsetTable')) throw new Error('it has no offsetTable')
      for (const row of decodeResetOffsetBody(content)) this.#keep(row)
    } catch (error) {
      throw new MqError(
        'INPUT_BROKEN',
        {
          what: `${path} is no progress of a broadcast member: ${messageOf(error)}`,
          hint: 'name the right file, or remove this one to begin as a new member does',
        },
        { cause: error },
      )
    }
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

  async close(): Promise<void> {
    await this.#lock?.release()
  }

  #keep(row: QueueOffset): void {
    this.#offsets.set(messageQueueKey(row.queue), row)
  }
}

/**
 * Which groups get the messages of which topics by POP: set by administrators, kept in
 * `config/messageRequestMode.json` as Apache keeps it.
 * Source: apache/rocketmq broker/…/loadbalance/MessageRequestModeManager.java.
 */
import type { Logger } from '../../base/logger.ts'
import {
  type GroupRequestMode,
  decodeRequestModes,
  encodeRequestModes,
} from '../../protocol/bodies/request-mode.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { Refusal } from '../refusal.ts'
import type { TableFile } from '../table-file.ts'
import { TableSaver } from '../table-saver.ts'

/** Pairs of topic and group that are kept. */
const ROWS_MAX = 1_000_000

export class RequestModes {
  readonly #rows = new Map<string, GroupRequestMode>()
  readonly #file: TableFile
  readonly #saver: TableSaver

  private constructor(file: TableFile, logger: Logger) {
    this.#file = file
    this.#saver = new TableSaver('request modes', () => this.#file.save(this.body()), logger)
  }

  /** Rejects with the disk's error. */
  static async load(file: TableFile, logger: Logger): Promise<RequestModes> {
    const modes = new RequestModes(file, logger)
    const content = await file.load()
    if (content === null) return modes
    for (const row of decodeRequestModes(content).slice(0, ROWS_MAX)) {
      modes.#rows.set(keyOf(row.topic, row.group), row)
    }
    return modes
  }

  /** Null when nobody has set it. */
  get(topic: string, group: string): GroupRequestMode | null {
    return this.#rows.get(keyOf(topic, group)) ?? null
  }

  /** Resolves once it is on the disk. Rejects with a Refusal, or the disk's error. */
  async set(row: GroupRequestMode): Promise<void> {
    const key = keyOf(row.topic, row.group)
    if (!this.#rows.has(key) && this.#rows.size >= ROWS_MAX) {
      throw new Refusal(
        ResponseCode.SYSTEM_ERROR,
        `no more than ${ROWS_MAX} pairs of topic and group can have a mode of their own`,
      )
    }
    this.#rows.set(key, row)
    await this.#saver.save()
  }

  /** The whole table; also the content of the file. */
  body(): Buffer {
    return encodeRequestModes(this.#rows.values())
  }
}

function keyOf(topic: string, group: string): string {
  return `${topic}@${group}`
}

/**
 * Small texts by namespace and key that clusters share through their name servers, such as the
 * order configuration of topics. In memory, and in a file when one is given.
 * Source: apache/rocketmq namesrv/…/kvconfig/KVConfigManager.java; the file has Apache's form.
 */
import { type Logger, silentLogger } from '../base/logger.ts'
import { messageOf } from '../base/errors.ts'
import { objectOf, textTableOf } from '../protocol/bodies/fields.ts'
import { jsonBody, parseLenientJson } from '../protocol/lenient-json.ts'
import { type Disk, syncFile, writeAll } from '../world/disk.ts'

/** Namespace of the order configuration: topic → `broker-a:4;broker-b:4`. */
export const ORDER_TOPIC_CONFIG = 'ORDER_TOPIC_CONFIG'

const NAME_LENGTH_MAX = 255
const VALUE_LENGTH_MAX = 64 * 1024
/** All names and values together, characters. */
const TOTAL_LENGTH_MAX = 16 * 1024 * 1024

export class KvConfig {
  readonly #entriesMax: number
  readonly #namespaces = new Map<string, Map<string, string>>()
  readonly #disk: Disk | null
  readonly #path: string
  readonly #logger: Logger
  #entryCount = 0
  #totalLength = 0
  #saving: Promise<void> | null = null
  #changedWhileSaving = false

  private constructor(entriesMax: number, disk: Disk | null, path: string, logger: Logger) {
    this.#entriesMax = entriesMax
    this.#disk = disk
    this.#path = path
    this.#logger = logger
  }

  /** In memory only. */
  static inMemory(entriesMax: number): KvConfig {
    return new KvConfig(entriesMax, null, '', silentLogger)
  }

  /** Reads the file when it is there. Throws when it cannot be read or is no JSON. */
  static async fromFile(
    disk: Disk,
    path: string,
    entriesMax: number,
    logger: Logger,
  ): Promise<KvConfig> {
    const config = new KvConfig(entriesMax, disk, path, logger)
    if ((await disk.facts(path)) === null) return config
    const table = objectOf(objectOf(parseLenientJson(await disk.readFile(path)))['configTable'])
    for (const [namespace, entries] of Object.entries(table)) {
      for (const [key, value] of Object.entries(textTableOf(entries))) {
        config.#set(namespace, key, value)
      }
    }
    return config
  }

  get(namespace: string, key: string): string | null {
    return this.#namespaces.get(namespace)?.get(key) ?? null
  }

  /** All of a namespace; null when there is no such namespace. */
  list(namespace: string): Record<string, string> | null {
    const entries = this.#namespaces.get(namespace)
    return entries === undefined ? null : Object.fromEntries(entries)
  }

  /** Says why an entry cannot be kept; null when it was. */
  put(namespace: string, key: string, value: string): string | null {
    if (namespace === '' || key === '') return 'namespace and key must not be empty'
    if (namespace.length > NAME_LENGTH_MAX || key.length > NAME_LENGTH_MAX) {
      return `namespace and key have ${NAME_LENGTH_MAX} characters at most`
    }
    if (value.length > VALUE_LENGTH_MAX) return `a value has ${VALUE_LENGTH_MAX} characters at most`
    const isNew = this.#namespaces.get(namespace)?.has(key) !== true
    if (isNew && this.#entryCount >= this.#entriesMax) {
      return `this name server keeps ${this.#entriesMax} entries at most`
    }
    if (this.#totalLength + this.#growth(namespace, key, value) > TOTAL_LENGTH_MAX) {
      return `this name server keeps ${TOTAL_LENGTH_MAX} characters at most`
    }
    this.#set(namespace, key, value)
    this.#save()
    return null
  }

  delete(namespace: string, key: string): void {
    const entries = this.#namespaces.get(namespace)
    const before = entries?.get(key)
    if (entries === undefined || before === undefined) return
    entries.delete(key)
    this.#entryCount -= 1
    this.#totalLength -= namespace.length + key.length + before.length
    if (entries.size === 0) this.#namespaces.delete(namespace)
    this.#save()
  }

  /** Resolves when everything is in the file. */
  async close(): Promise<void> {
    while (this.#saving !== null) await this.#saving
  }

  /** By how much the whole grows when the entry is set. */
  #growth(namespace: string, key: string, value: string): number {
    const before = this.#namespaces.get(namespace)?.get(key)
    return before === undefined
      ? namespace.length + key.length + value.length
      : value.length - before.length
  }

  #set(namespace: string, key: string, value: string): void {
    const entries = this.#namespaces.get(namespace) ?? new Map<string, string>()
    if (!entries.has(key)) this.#entryCount += 1
    this.#totalLength += this.#growth(namespace, key, value)
    entries.set(key, value)
    this.#namespaces.set(namespace, entries)
  }

  /** One write at a time; changes meanwhile are written by the next. */
  #save(): void {
    const disk = this.#disk
    if (disk === null) return
    if (this.#saving !== null) {
      this.#changedWhileSaving = true
      return
    }
    this.#changedWhileSaving = false
    this.#saving = this.#write(disk)
      .catch((error: unknown) => {
        this.#logger.error('the key-value configuration was not saved', {
          path: this.#path,
          why: messageOf(error),
        })
      })
      .then(() => {
        this.#saving = null
        if (this.#changedWhileSaving) this.#save()
      })
  }

  /** A crash leaves the old file or the new one, never half of one. */
  async #write(disk: Disk): Promise<void> {
    const table = [...this.#namespaces].map(([name, entries]) => [
      name,
      Object.fromEntries(entries),
    ])
    const bytes = jsonBody({ configTable: Object.fromEntries(table) as Record<string, never> })
    const scratch = `${this.#path}.tmp`
    await disk.remove(scratch)
    const file = await disk.open(scratch, 'create')
    try {
      await writeAll(file, bytes, 0)
      await syncFile(file)
    } finally {
      await file.close()
    }
    await disk.rename(scratch, this.#path)
  }
}

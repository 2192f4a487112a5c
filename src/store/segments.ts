/**
 * The files of the commit log: each `segmentBytes` long from the moment it is made (sparse), named
 * by the position of its first byte in 20 digits. No other file may lie in their directory, since
 * Apache's broker loads whatever is there.
 */
import path from 'node:path'
import { assert } from '../base/assert.ts'
import { MqError } from '../base/errors.ts'
import type { Disk, DiskFile } from '../world/disk.ts'
import { syncFile } from '../world/disk.ts'
import type { Block } from './block-cache.ts'

/** 20 decimal digits, zero padded. */
export function fileNameOf(offset: number): string {
  return String(offset).padStart(20, '0')
}

export class Segment {
  readonly path: string
  /** Position in the log of its first byte. */
  readonly from: number
  readonly sizeBytes: number
  /** Open for writing; null when only readers use it, through OpenFiles. */
  file: DiskFile | null = null
  /** Parts of it that were read and are kept in memory. */
  readonly blocks = new Map<number, Block>()

  constructor(dir: string, from: number, sizeBytes: number) {
    this.path = path.join(dir, fileNameOf(from))
    this.from = from
    this.sizeBytes = sizeBytes
  }

  get end(): number {
    return this.from + this.sizeBytes
  }
}

/** Makes a file at its full length, durable together with its name. */
export async function makeFullFile(disk: Disk, at: string, sizeBytes: number): Promise<DiskFile> {
  const file = await disk.open(at, 'create')
  try {
    await file.truncate(sizeBytes)
    await syncFile(file)
    await disk.syncDirectory(path.dirname(at))
    return file
  } catch (error) {
    await file.close().catch(() => undefined)
    throw error
  }
}

export class Segments {
  readonly dir: string
  readonly sizeBytes: number
  /** In order of position, without gaps; never empty once the log is open. */
  readonly list: Segment[] = []
  readonly #disk: Disk
  /** Made ahead, so that a roll-over never waits for the disk; nearest first. */
  readonly #ahead: Segment[] = []
  #preparing: Promise<void> | null = null

  constructor(disk: Disk, dir: string, sizeBytes: number) {
    this.#disk = disk
    this.dir = dir
    this.sizeBytes = sizeBytes
  }

  get first(): Segment {
    const segment = this.list[0]
    assert(segment !== undefined, 'an open log has a segment')
    return segment
  }

  get last(): Segment {
    const segment = this.list[this.list.length - 1]
    assert(segment !== undefined, 'an open log has a segment')
    return segment
  }

  get next(): Segment | null {
    return this.#ahead[0] ?? null
  }

  /** The segment that holds the position, or null. */
  find(physicalOffset: number): Segment | null {
    const { list } = this
    const first = list[0]
    if (first === undefined || physicalOffset < first.from) return null
    return list[Math.floor((physicalOffset - first.from) / this.sizeBytes)] ?? null
  }

  /**
   * Finds the files that are there. A last file of length 0 is removed, as Apache does; a shorter
   * one was being cut when the machine died and gets its length back. Anything else that does not
   * fit is STORE_DAMAGED.
   */
  async load(): Promise<void> {
    const entries = await this.#disk.list(this.dir)
    const names = entries.filter((entry) => !entry.isDirectory).map((entry) => entry.name)
    for (const [i, name] of names.entries()) {
      const from = Number(name)
      if (!/^\d{20}$/.test(name) || !Number.isSafeInteger(from)) {
        throw this.#damaged(`${name} in commitlog is no segment`, 'move it elsewhere')
      }
      const segment = new Segment(this.dir, from, this.sizeBytes)
      const facts = await this.#disk.facts(segment.path)
      const isLast = i === names.length - 1
      if (facts?.sizeBytes === 0 && isLast) {
        await this.#disk.remove(segment.path)
        continue
      }
      if (facts?.sizeBytes !== this.sizeBytes) {
        if (facts === null || facts.sizeBytes > this.sizeBytes || !isLast) {
          throw this.#damaged(
            `segment ${name} has ${facts?.sizeBytes ?? 0} bytes, expected ${this.sizeBytes}`,
            'was it made with another segment size? set segmentBytes to it',
          )
        }
        await (await makeFullFile(this.#disk, segment.path, this.sizeBytes)).close()
      }
      const before = this.list[this.list.length - 1]
      if (before === undefined ? from % this.sizeBytes !== 0 : from !== before.end) {
        throw this.#damaged(
          `segment ${name} does not follow ${before ? fileNameOf(before.from) : 'the size'}`,
          'a segment is missing or was made with another segment size',
        )
      }
      this.list.push(segment)
    }
  }

  /** Makes the first segment of an empty log. */
  async makeFirst(from: number): Promise<void> {
    assert(this.list.length === 0, 'the log is empty')
    const segment = new Segment(this.dir, from, this.sizeBytes)
    segment.file = await makeFullFile(this.#disk, segment.path, this.sizeBytes)
    this.list.push(segment)
  }

  /** Makes and opens the segment behind the last one. */
  async makeAfterLast(): Promise<void> {
    const segment = new Segment(this.dir, this.last.end, this.sizeBytes)
    segment.file = await makeFullFile(this.#disk, segment.path, this.sizeBytes)
    this.list.push(segment)
  }

  async openForWriting(segment: Segment): Promise<void> {
    segment.file ??= await this.#disk.open(segment.path, 'write')
  }

  /** Makes the segment behind the last one in the background, unless it is there. `failed` gets the error. */
  prepareNext(failed: (error: unknown) => void): void {
    if (this.#ahead.length > 0 || this.#preparing) return
    const segment = new Segment(this.dir, this.last.end, this.sizeBytes)
    this.#preparing = makeFullFile(this.#disk, segment.path, this.sizeBytes)
      .then((file) => {
        segment.file = file
        this.#ahead.push(segment)
      }, failed)
      .finally(() => {
        this.#preparing = null
      })
  }

  /** Goes on with the segment that was made ahead; null when it is not there yet. */
  roll(): Segment | null {
    const next = this.#ahead.shift() ?? null
    if (next) this.list.push(next)
    return next
  }

  /** Undoes a roll-over into a segment that nothing was written to. */
  unroll(): void {
    assert(this.list.length > 1, 'there is a roll-over to undo')
    const segment = this.list.pop()
    if (segment) this.#ahead.unshift(segment)
  }

  /** Removes segments behind the one that holds `end`; recovery does this before anything is written. */
  async removeBehind(end: number): Promise<void> {
    while (this.list.length > 1 && this.last.from >= end) {
      const segment = this.list.pop()
      if (segment) await this.#disk.remove(segment.path)
    }
    await this.#disk.syncDirectory(this.dir)
  }

  /** Takes the oldest segment off the list and removes its file. Never the last one. */
  async removeFirst(): Promise<void> {
    assert(this.list.length > 1, 'the last segment stays')
    const segment = this.list.shift()
    if (!segment) return
    await segment.file?.close()
    await this.#disk.remove(segment.path)
    await this.#disk.syncDirectory(this.dir)
  }

  /** Closes all files; segments made ahead go away. */
  async close(): Promise<void> {
    await this.#preparing
    for (const segment of this.#ahead.splice(0)) {
      await segment.file?.close()
      await this.#disk.remove(segment.path)
    }
    for (const segment of this.list) {
      await segment.file?.close()
      segment.file = null
    }
  }

  #damaged(what: string, hint: string): MqError {
    return new MqError('STORE_DAMAGED', { path: path.dirname(this.dir), what, hint })
  }
}

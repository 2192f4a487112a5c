/**
 * Records that are read one by one, for a pull that wants few of many: all of them into one piece of
 * memory, as many reads at one time as the gate lets through.
 */
import type { DiskFile } from '../world/disk.ts'
import type { ReadGate } from './block-cache.ts'
import type { OpenFiles } from './open-files.ts'
import type { Segment, Segments } from './segments.ts'

/** Where a record lies in the log: [physicalOffset, size]. */
export type RecordPlace = readonly [number, number]

interface Loose {
  readonly physicalOffset: number
  readonly size: number
  /** Where it goes in `bytes`. */
  readonly at: number
  /** It was read whole. */
  here: boolean
}

export class LooseRecords {
  readonly bytes: Buffer
  readonly #records: Loose[] = []
  /** Where the next one is looked for: they are asked for in the order of the log. */
  #next = 0

  /** `places` stand in the order of the log; `memoryOf` gives at least so many bytes. */
  constructor(places: readonly RecordPlace[], memoryOf: (bytes: number) => Buffer) {
    let at = 0
    for (const [physicalOffset, size] of places) {
      this.#records.push({ physicalOffset, size, at, here: false })
      at += size
    }
    this.bytes = memoryOf(at)
  }

  /** Where in `bytes` the record stands; −1 when it is not here. */
  find(physicalOffset: number, size: number): number {
    const records = this.#records
    if (physicalOffset < (records[this.#next]?.physicalOffset ?? Infinity)) this.#next = 0
    for (let i = this.#next; i < records.length; i++) {
      const record = records[i]
      if (record === undefined || record.physicalOffset > physicalOffset) return -1
      this.#next = i
      if (record.physicalOffset !== physicalOffset) continue
      return record.here && record.size === size ? record.at : -1
    }
    return -1
  }

  /** Reads all of them. Rejects with the disk's error when no read is under way any more. */
  async read(segments: Segments, files: OpenFiles, gate: ReadGate): Promise<void> {
    const records = this.#records
    for (let from = 0; from < records.length;) {
      const segment = segments.find(records[from]?.physicalOffset ?? -1)
      if (segment === null) return
      let to = from + 1
      while (segments.find(records[to]?.physicalOffset ?? -1) === segment) to++
      const file = await files.acquire(segment.path)
      try {
        await this.#readRun(records.slice(from, to), segment, file, gate)
      } finally {
        files.release(segment.path, file)
      }
      from = to
    }
  }

  #readRun(run: readonly Loose[], segment: Segment, file: DiskFile, gate: ReadGate): Promise<void> {
    return new Promise((resolve, reject) => {
      let left = run.length
      let failed: Error | null = null
      for (const record of run) {
        const { physicalOffset, size, at } = record
        const done = (error: Error | null, bytesRead: number) => {
          gate.leave()
          record.here = error === null && bytesRead === size
          failed ??= error
          if (--left > 0) return
          if (failed === null) resolve()
          else reject(failed)
        }
        gate.run(() => {
          file.read(this.bytes, at, at + size, physicalOffset - segment.from, done)
        })
      }
    })
  }
}

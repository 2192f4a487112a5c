import type { TableFile } from '../../src/broker/table-file.ts'

/** A table's file in memory; `failing` makes the next saves fail. */
export class MemoryFile implements TableFile {
  content: Buffer | null
  failing: Error | null = null
  saves = 0

  constructor(content: string | null = null) {
    this.content = content === null ? null : Buffer.from(content)
  }

  load(): Promise<Buffer | null> {
    return Promise.resolve(this.content)
  }

  save(content: Buffer): Promise<void> {
    if (this.failing !== null) return Promise.reject(this.failing)
    this.content = Buffer.from(content)
    this.saves++
    return Promise.resolve()
  }

  get text(): string {
    return this.content?.toString() ?? ''
  }
}

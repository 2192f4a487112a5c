/**
 * Older data that was read from the disk for consumers, in blocks, the most recently used of them.
 * Blocks are filled by few large reads with read-ahead and served by copying; a block's memory is
 * reused, so nobody may hold on to its bytes across an await.
 */
import type { OpenFiles } from './open-files.ts'

export class Block {
  readonly owner: BlockOwner
  readonly key: number
  readonly bytes: Buffer
  /** Bytes from the start that were already written when they were read. */
  readonly validBytes: number
  /** When it was last asked for, by the cache's own count; the smallest goes first. */
  used = 0

  constructor(owner: BlockOwner, key: number, bytes: Buffer, validBytes: number) {
    this.owner = owner
    this.key = key
    this.bytes = bytes
    this.validBytes = validBytes
  }
}

/** A file, or a queue, whose blocks are numbered. */
export interface BlockOwner {
  readonly blocks: Map<number, Block>
}

/** Lets a limited number of reads of older data run at one time, so that writes find threads. */
export class ReadGate {
  readonly #max: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(max: number) {
    this.#max = max
  }

  async enter(): Promise<void> {
    if (this.#running < this.#max) this.#running++
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** Calls `read` now or when there is room, once; it ends with `leave`. */
  run(read: () => void): void {
    if (this.#running < this.#max) {
      this.#running++
      read()
    } else this.#waiting.push(read)
  }

  leave(): void {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#running--
  }
}

/** Memory of blocks that waits to be used again, such as when a file is gone. */
const FREE_MAX = 4
/** Blocks that stay however many are being read: a record may lie in two. */
const BLOCKS_MIN = 4

export class BlockCache {
  readonly blockBytes: number
  readonly #blocksMax: number
  readonly #files: OpenFiles
  readonly #gate: ReadGate
  readonly #blocks = new Set<Block>()
  /** How many are being read: their memory counts already. */
  #reading = 0
  #uses = 0
  readonly #free: Buffer[] = []
  readonly #loading = new Map<BlockOwner, Map<number, Promise<void>>>()

  constructor(blockBytes: number, bytesMax: number, files: OpenFiles, gate: ReadGate) {
    this.blockBytes = blockBytes
    this.#blocksMax = Math.max(Math.floor(bytesMax / blockBytes), BLOCKS_MIN)
    this.#files = files
    this.#gate = gate
  }

  get(owner: BlockOwner, key: number): Block | null {
    const block = owner.blocks.get(key)
    if (block === undefined) return null
    // A number and not a place in a list: this is asked for every record, a block is evicted rarely.
    block.used = ++this.#uses
    return block
  }

  /** Whether the block is here or being read. */
  has(owner: BlockOwner, key: number): boolean {
    return owner.blocks.has(key) || this.#loading.get(owner)?.has(key) === true
  }

  /**
   * Reads the block's bytes from `position` of the file on, `validBytes` of them, in place of what
   * is here under its key. Rejects with the disk's error.
   */
  load(
    owner: BlockOwner,
    key: number,
    path: string,
    position: number,
    validBytes: number,
  ): Promise<void> {
    let loads = this.#loading.get(owner)
    if (!loads) {
      loads = new Map<number, Promise<void>>()
      this.#loading.set(owner, loads)
    }
    const running = loads.get(key)
    if (running) return running
    const all = loads
    const load = this.#read(owner, key, path, position, validBytes).finally(() => {
      all.delete(key)
      if (all.size === 0 && this.#loading.get(owner) === all) this.#loading.delete(owner)
    })
    all.set(key, load)
    return load
  }

  /** Forgets the blocks of a file or queue that changed or went away. */
  drop(owner: BlockOwner): void {
    this.#loading.delete(owner)
    for (const block of owner.blocks.values()) this.#forget(block)
  }

  async #read(
    owner: BlockOwner,
    key: number,
    path: string,
    position: number,
    validBytes: number,
  ): Promise<void> {
    await this.#gate.enter()
    try {
      const file = await this.#files.acquire(path)
      this.#reading++
      try {
        this.#evict(this.#blocksMax - this.#reading)
        const bytes = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.blockBytes)
        const count = await new Promise<number>((resolve, reject) => {
          file.read(bytes, 0, validBytes, position, (error, bytesRead) => {
            if (error) reject(error)
            else resolve(bytesRead)
          })
        })
        const old = owner.blocks.get(key)
        if (old) this.#forget(old)
        const block = new Block(owner, key, bytes, count)
        block.used = ++this.#uses
        owner.blocks.set(key, block)
        this.#blocks.add(block)
        this.#evict(this.#blocksMax)
      } finally {
        this.#reading--
        this.#files.release(path, file)
      }
    } finally {
      this.#gate.leave()
    }
  }

  /** Leaves `count` blocks, those that were used last. */
  #evict(count: number): void {
    while (this.#blocks.size > Math.max(count, BLOCKS_MIN)) {
      let oldest: Block | null = null
      for (const block of this.#blocks) {
        if (oldest === null || block.used < oldest.used) oldest = block
      }
      if (oldest === null) return
      this.#forget(oldest)
    }
  }

  #forget(block: Block): void {
    this.#blocks.delete(block)
    block.owner.blocks.delete(block.key)
    if (this.#free.length < FREE_MAX) this.#free.push(block.bytes)
  }
}

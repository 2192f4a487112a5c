/** Content and names of a simulated disk: what the kernel has, and what is on the platter. */
export const SECTOR_BYTES = 512
export const ZEROS = Buffer.alloc(SECTOR_BYTES)

/** A directory is an inode without content. */
export class Inode {
  readonly isDirectory: boolean
  current = new Map<number, Buffer>()
  sizeBytes = 0
  durable = new Map<number, Buffer>()
  durableSizeBytes = 0
  /** Unsynced sectors, and when they were written. */
  dirty = new Map<number, number>()
  /** When the size was changed without sync; −1 when it was not. */
  sizeChanged = -1
  modifiedMs = 0

  constructor(isDirectory: boolean) {
    this.isDirectory = isDirectory
  }

  clone(): Inode {
    const copy = new Inode(this.isDirectory)
    copy.current = new Map(this.current)
    copy.sizeBytes = this.sizeBytes
    copy.durable = new Map(this.durable)
    copy.durableSizeBytes = this.durableSizeBytes
    copy.dirty = new Map(this.dirty)
    copy.sizeChanged = this.sizeChanged
    copy.modifiedMs = this.modifiedMs
    return copy
  }
}

export interface NameChange {
  readonly at: number
  readonly dir: string
  /** New meaning of each path; null removes it. */
  readonly changes: readonly (readonly [string, Inode | null])[]
}

export interface InFlight {
  readonly inode: Inode
  readonly bytes: Buffer
  readonly position: number
}

/** The state of a disk at one moment; inodes are clones. */
export interface Snapshot {
  readonly call: number
  /** Equal versions mean equal disks. */
  readonly version: number
  readonly what: string
  readonly names: ReadonlyMap<string, Inode>
  readonly durableNames: ReadonlyMap<string, Inode>
  readonly nameChanges: readonly NameChange[]
  /** The write that was under way, if the last call was one. */
  readonly inFlight: InFlight | null
}

export function applyNames(names: Map<string, Inode>, changes: readonly NameChange[]): void {
  for (const change of changes) {
    for (const [name, inode] of change.changes) {
      if (inode) names.set(name, inode)
      else {
        names.delete(name)
        for (const below of [...names.keys()]) if (below.startsWith(`${name}/`)) names.delete(below)
      }
    }
  }
}

export function putBytes(sectors: Map<number, Buffer>, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length;) {
    const at = position + done
    const i = Math.floor(at / SECTOR_BYTES)
    const offset = at % SECTOR_BYTES
    const length = Math.min(SECTOR_BYTES - offset, bytes.length - done)
    const sector = Buffer.from(sectors.get(i) ?? ZEROS)
    bytes.copy(sector, offset, done, done + length)
    sectors.set(i, sector)
    done += length
  }
}

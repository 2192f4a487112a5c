/** The real disk, of which some bytes cannot be read: every read that touches them fails with EIO. */
import type { Disk, DiskFile } from '../../src/world/disk.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { diskError } from './failing-disk.ts'

interface Damage {
  readonly part: string
  readonly from: number
  readonly to: number
}

export class DamagedDisk {
  readonly #damages: Damage[] = []

  /** From now on bytes [from, to) of the files whose path holds `part` cannot be read. */
  damage(part: string, from: number, to: number): void {
    this.#damages.push({ part, from, to })
  }

  get disk(): Disk {
    return {
      ...nodeWorld.disk,
      open: async (path, mode) => this.#file(await nodeWorld.disk.open(path, mode)),
    }
  }

  #file(file: DiskFile): DiskFile {
    const { path } = file
    return {
      path,
      write: (...args) => {
        file.write(...args)
      },
      sync: (done) => {
        file.sync(done)
      },
      read: (target, start, end, position, done) => {
        const isDamaged = this.#damages.some(
          ({ part, from, to }) =>
            path.includes(part) && position < to && position + end - start > from,
        )
        if (!isDamaged) file.read(target, start, end, position, done)
        else {
          setImmediate(() => {
            done(diskError('EIO', path), 0)
          })
        }
      },
      truncate: (sizeBytes) => file.truncate(sizeBytes),
      sizeBytes: () => file.sizeBytes(),
      close: () => file.close(),
    }
  }
}

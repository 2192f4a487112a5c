/** The real disk with faults on demand: calls that fail, calls that wait, and a space that is set. */
import type { Disk, DiskFile, DiskSpace, Done, OpenMode } from '../../src/world/disk.ts'
import { nodeDisk } from '../../src/world/node-disk.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import type { Clock } from '../../src/world/clock.ts'
import type { World } from '../../src/world/world.ts'

export type Operation =
  | 'open'
  | 'write'
  | 'sync'
  | 'read'
  | 'truncate'
  | 'makeDirectory'
  | 'rename'
  | 'remove'
  | 'syncDirectory'
  | 'lock'

export interface DiskCall {
  readonly operation: Operation
  readonly path: string
  /** Of reads and writes. */
  readonly bytes: number
}

interface Rule {
  readonly operation: Operation
  readonly part: string
  /** Null: the call waits until the rule is lifted. */
  readonly code: string | null
  /** A failing write has put its bytes on the disk all the same, as a torn one may have. */
  readonly tears: boolean
  readonly waiting: (() => void)[]
}

export function diskError(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code })
}

/** Lifts what was set; held calls go on. */
export type Lift = () => void

class WatchedFile implements DiskFile {
  readonly path: string
  readonly #inner: DiskFile
  readonly #disk: FailingDisk

  constructor(inner: DiskFile, disk: FailingDisk) {
    this.path = inner.path
    this.#inner = inner
    this.#disk = disk
  }

  write(source: Buffer, start: number, end: number, position: number, done: Done): void {
    this.#disk.pass('write', this.path, end - start, (error, tears) => {
      if (error === null) this.#inner.write(source, start, end, position, done)
      else if (tears) {
        this.#inner.write(source, start, end, position, () => {
          done(error)
        })
      } else done(error)
    })
  }

  sync(done: Done): void {
    this.#disk.pass('sync', this.path, 0, (error) => {
      if (error === null) this.#inner.sync(done)
      else done(error)
    })
  }

  read(
    target: Buffer,
    start: number,
    end: number,
    position: number,
    done: (error: Error | null, bytesRead: number) => void,
  ): void {
    this.#disk.pass('read', this.path, end - start, (error) => {
      if (error === null) this.#inner.read(target, start, end, position, done)
      else done(error, 0)
    })
  }

  async truncate(sizeBytes: number): Promise<void> {
    await this.#disk.passed('truncate', this.path)
    await this.#inner.truncate(sizeBytes)
  }

  sizeBytes(): Promise<number> {
    return this.#inner.sizeBytes()
  }

  async close(): Promise<void> {
    this.#disk.openPaths.delete(this)
    await this.#inner.close()
  }
}

export class FailingDisk implements Disk {
  /** Every call that may fail, in order. */
  readonly calls: DiskCall[] = []
  /** Files that are open now. */
  readonly openPaths = new Map<DiskFile, string>()
  /** What `space` answers; null asks the machine. */
  usedPercent: number | null = null
  /** How often the space was asked for. */
  looks = 0
  readonly #rules = new Set<Rule>()

  /** From now on the operation fails on every path that holds `part`. */
  fail(operation: Operation, part: string, code: string, tears = false): Lift {
    return this.#set({ operation, part, code, tears, waiting: [] })
  }

  /** From now on the operation waits on every path that holds `part`. */
  hold(operation: Operation, part: string): Lift {
    return this.#set({ operation, part, code: null, tears: false, waiting: [] })
  }

  /** Calls of the kind on paths that hold `part`, behind the first `skip` calls of any kind. */
  callsOf(operation: Operation, part: string, skip = 0): DiskCall[] {
    return this.calls
      .slice(skip)
      .filter((call) => call.operation === operation && call.path.includes(part))
  }

  #set(rule: Rule): Lift {
    this.#rules.add(rule)
    return () => {
      this.#rules.delete(rule)
      for (const go of rule.waiting.splice(0)) go()
    }
  }

  /** Notes the call and lets it go on, fail or wait, always in a later turn than its caller's. */
  pass(
    operation: Operation,
    path: string,
    bytes: number,
    then: (error: Error | null, tears: boolean) => void,
  ): void {
    this.calls.push({ operation, path, bytes })
    this.#go(operation, path, then)
  }

  #go(operation: Operation, path: string, then: (error: Error | null, tears: boolean) => void) {
    for (const rule of this.#rules) {
      if (rule.operation !== operation || !path.includes(rule.part)) continue
      const { code, tears } = rule
      if (code === null) {
        rule.waiting.push(() => {
          this.#go(operation, path, then)
        })
      } else {
        setImmediate(() => {
          then(diskError(code, path), tears)
        })
      }
      return
    }
    then(null, false)
  }

  passed(operation: Operation, path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.pass(operation, path, 0, (error) => {
        if (error === null) resolve()
        else reject(error)
      })
    })
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    await this.passed('open', path)
    const file = new WatchedFile(await nodeDisk.open(path, mode), this)
    this.openPaths.set(file, path)
    return file
  }

  readonly readFile = (path: string) => nodeDisk.readFile(path)
  readonly facts = (path: string) => nodeDisk.facts(path)
  readonly list = (path: string) => nodeDisk.list(path)
  readonly removeTree = (path: string) => nodeDisk.removeTree(path)

  async makeDirectory(path: string): Promise<void> {
    await this.passed('makeDirectory', path)
    await nodeDisk.makeDirectory(path)
  }

  async rename(from: string, to: string): Promise<void> {
    await this.passed('rename', to)
    await nodeDisk.rename(from, to)
  }

  async remove(path: string): Promise<void> {
    await this.passed('remove', path)
    await nodeDisk.remove(path)
  }

  async syncDirectory(path: string): Promise<void> {
    await this.passed('syncDirectory', path)
    await nodeDisk.syncDirectory(path)
  }

  async space(path: string): Promise<DiskSpace> {
    this.looks++
    if (this.usedPercent === null) return nodeDisk.space(path)
    return { totalBytes: 1_000_000, freeBytes: 1_000_000 - this.usedPercent * 10_000 }
  }

  async lock(path: string) {
    await this.passed('lock', path)
    return nodeDisk.lock(path)
  }
}

/** The real world with this disk, and this clock when one is given. */
export function worldWith(disk: Disk, clock: Clock = nodeWorld.clock): World {
  return { ...nodeWorld, disk, clock }
}

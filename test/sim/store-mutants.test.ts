/**
 * Bugs planted from outside, through the disk, the policy, or a replaced method. Each must be found by
 * the same judgement that passes the real store: else the judgement proves nothing.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { RecordVerdict, RecordView } from '../../src/protocol/record.ts'
import { CommitLog } from '../../src/store/commit-log.ts'
import { DispatchRing } from '../../src/store/dispatch-ring.ts'
import { DurableEnd } from '../../src/store/durable-end.ts'
import { KeyIndex } from '../../src/store/key-index.ts'
import { LogScan } from '../../src/store/log-scan.ts'
import type { Disk, DiskFile } from '../../src/world/disk.ts'
import { fileNameOf } from '../../src/store/segments.ts'
import { cutImage, type Fate, type Image, killImage, pendingOf } from './crash-image.ts'
import { SECTOR_BYTES, type Snapshot } from './sim-inode.ts'
import {
  type Flush,
  type History,
  type Mark,
  type RunOptions,
  runWorkload,
  SEGMENT_BYTES,
} from './store-harness.ts'
import { type CrashKind, inspect, judge } from './store-judgement.ts'

const undo: (() => void)[] = []
afterEach(() => {
  for (const restore of undo.splice(0)) restore()
})

/** Replaces a method until the end of the test; the new one gets the old one. */
function plant<T extends object, K extends keyof T & string>(
  prototype: T,
  name: K,
  change: (original: T[K]) => T[K],
): void {
  const original = prototype[name]
  prototype[name] = change(original)
  undo.push(() => {
    prototype[name] = original
  })
}

/** A disk whose files are changed by `change`. */
function wrapFiles(change: (file: DiskFile) => DiskFile): (disk: Disk) => Disk {
  return (disk) => ({
    open: async (at, mode) => change(await disk.open(at, mode)),
    readFile: (at) => disk.readFile(at),
    facts: (at) => disk.facts(at),
    list: (at) => disk.list(at),
    makeDirectory: (at) => disk.makeDirectory(at),
    rename: (from, to) => disk.rename(from, to),
    remove: (at) => disk.remove(at),
    removeTree: (at) => disk.removeTree(at),
    syncDirectory: (at) => disk.syncDirectory(at),
    space: (at) => disk.space(at),
    lock: (at) => disk.lock(at),
  })
}

function withFile(file: DiskFile, change: Partial<DiskFile>): DiskFile {
  return {
    path: file.path,
    write: (source, start, end, position, done) => {
      file.write(source, start, end, position, done)
    },
    sync: (done) => {
      file.sync(done)
    },
    read: (target, start, end, position, done) => {
      file.read(target, start, end, position, done)
    },
    truncate: (sizeBytes) => file.truncate(sizeBytes),
    sizeBytes: () => file.sizeBytes(),
    close: () => file.close(),
    ...change,
  }
}

function codeOf(error: NodeJS.ErrnoException): string | undefined {
  return error.code
}

interface Hunt extends Partial<RunOptions> {
  readonly flush: Flush
  readonly crash: CrashKind
  /** Look at every how many-th moment. */
  readonly stride?: number
}

const SEED = 5

/** Crashes all along a run until something is wrong; the first thing that is. */
async function foundByCrash(hunt: Hunt): Promise<string | null> {
  const { crash, stride = 3, ...options } = hunt
  const moments: { snapshot: Snapshot; mark: Mark }[] = []
  const { history, stopped } = await runWorkload({
    seed: SEED,
    ...options,
    onStep: (disk, soFar, what, inFlight) => {
      moments.push({ snapshot: disk.snapshot(what, inFlight), mark: soFar.mark() })
    },
  })
  if (stopped !== null) return `the run stopped: ${stopped}`
  const { flush, wrapDisk } = hunt
  for (let i = 0; i < moments.length; i += stride) {
    const moment = moments[i]
    if (!moment) break
    for (const image of imagesOf(moment.snapshot, crash)) {
      const recovered = await inspect(image, {
        flush,
        keys: history.keys,
        ...(wrapDisk ? { wrapDisk } : {}),
      })
      const wrong = judge(recovered, history, moment.mark, flush, crash)[0]
      if (wrong !== undefined) return wrong
    }
  }
  return null
}

function* imagesOf(snapshot: Snapshot, crash: CrashKind): Generator<Image> {
  if (crash === 'kill') {
    yield killImage(snapshot, 'none')
    return
  }
  const pending = pendingOf(snapshot)
  const all = (fate: Fate) => pending.map(() => fate)
  yield cutImage(snapshot, pending, all('lose'))
  if (pending.length > 0) yield cutImage(snapshot, pending, all('torn'))
  if (pending.length > 1) {
    yield cutImage(
      snapshot,
      pending,
      pending.map((_item, i): Fate => (i % 2 ? 'keep' : 'lose')),
    )
  }
}

/** Fails disk calls one after the other until something is wrong afterwards. */
async function foundByFault(
  flush: Flush,
  code: 'EIO' | 'ENOSPC',
  options: Partial<RunOptions> = {},
): Promise<string | null> {
  const { calls } = await runWorkload({ flush, seed: SEED, ...options })
  for (let call = 40; call <= calls; call += 2) {
    const fault = { call, sticky: false, code } as const
    const run = await runWorkload({ flush, seed: SEED, ...options, fault })
    const snapshot = run.disk.snapshot('', null)
    const pending = pendingOf(snapshot)
    const crash: CrashKind = flush === 'sync' ? 'power' : 'kill'
    const image = crash === 'power' ? cutImage(snapshot, pending, []) : killImage(snapshot, 'none')
    const recovered = await inspect(image, { flush, keys: run.history.keys })
    const wrong = judge(recovered, run.history, run.history.mark(), flush, crash)[0]
    if (wrong !== undefined) return wrong
  }
  return null
}

/** The same files with one bit of this sector turned over. */
function rotten(image: Image, name: string, index: number): Image {
  const segment = image.get(name)
  const sectors = new Map(segment?.sectors)
  const sector = Buffer.from(sectors.get(index) ?? Buffer.alloc(SECTOR_BYTES))
  sector.writeUInt8(sector.readUInt8(100) ^ 1, 100)
  sectors.set(index, sector)
  const { sizeBytes = 0 } = segment ?? {}
  return new Map(image).set(name, { isDirectory: false, sectors, sizeBytes })
}

/** What is wrong when more than one of the acknowledged messages is gone. */
async function moreThanOneGone(
  image: Image,
  history: History,
  acked: number,
): Promise<string | null> {
  const recovered = await inspect(image, { flush: 'sync', keys: [] })
  let found = 0
  for (const { bodies } of recovered.queues.values()) {
    found += bodies.filter((body) => body !== null).length
  }
  const there = history.acked.slice(0, acked).filter((sent) => sent.end > history.cleanedTo).length
  return found >= there - 1 ? null : `${found} of ${there} messages came back after one bit flipped`
}

/** Flips one bit of the log that was on the disk; queues and index have to be built again. */
async function foundByBitRot(): Promise<string | null> {
  const { disk, history } = await runWorkload({ flush: 'sync', seed: SEED })
  const image = disk.image()
  const name = [...image.keys()].filter((at) => at.includes('/commitlog/')).sort()[0] ?? ''
  const left = new Map(rotten(image, name, 1))
  // An unclean end: the mark of a running broker is still there.
  left.set('/store/abort', { isDirectory: false, sectors: new Map(), sizeBytes: 0 })
  for (const at of [...left.keys()]) if (at.startsWith('/store/consumequeue/')) left.delete(at)
  return moreThanOneGone(left, history, history.acked.length)
}

/** Flips one bit of the newest part of the log, a little before its end, at moments all along a run. */
async function foundByBitRotBeforeTheEnd(): Promise<string | null> {
  const moments: { image: Image; acked: number; end: number }[] = []
  let step = 0
  const { history } = await runWorkload({
    flush: 'sync',
    seed: SEED,
    onStep: (disk, soFar, what) => {
      const end = soFar.acked[soFar.acked.length - 1]?.end ?? 0
      if (++step % 40 !== 0 || end < 2 * SEGMENT_BYTES) return
      moments.push({
        image: killImage(disk.snapshot(what, null), 'none'),
        acked: soFar.acked.length,
        end,
      })
    },
  })
  for (const { image, acked, end } of moments) {
    const sector = Math.floor(end / SECTOR_BYTES) - 1
    const perSegment = SEGMENT_BYTES / SECTOR_BYTES
    const segment = Math.floor(sector / perSegment)
    const name = `/store/commitlog/${fileNameOf(segment * SEGMENT_BYTES)}`
    const wrong = await moreThanOneGone(rotten(image, name, sector % perSegment), history, acked)
    if (wrong !== null) return wrong
  }
  return null
}

describe('the judgement passes the real store', () => {
  it('on every way that the planted bugs are looked for', async () => {
    expect(await foundByCrash({ flush: 'sync', crash: 'power', stride: 9 })).toBeNull()
    expect(await foundByCrash({ flush: 'async', crash: 'kill', stride: 9 })).toBeNull()
    expect(await foundByCrash({ flush: 'async', crash: 'power', stride: 9 })).toBeNull()
    expect(await foundByBitRot()).toBeNull()
    expect(await foundByBitRotBeforeTheEnd()).toBeNull()
  })
})

describe('a planted bug is found', () => {
  it('1. acknowledging before the flush', async () => {
    const found = await foundByCrash({
      flush: 'sync',
      crash: 'power',
      confirm: (watermarks) => watermarks.written,
    })
    expect(found).not.toBeNull()
  })

  it('2. acknowledging before the write', async () => {
    const found = await foundByCrash({
      flush: 'async',
      crash: 'kill',
      confirm: (watermarks) => watermarks.appended,
      stride: 1,
    })
    expect(found).not.toBeNull()
  })

  it('3. swallowing the error of a flush', async () => {
    const wrapDisk = wrapFiles((file) =>
      withFile(file, {
        sync: (done) => {
          file.sync(() => {
            done(null)
          })
        },
      }),
    )
    expect(await foundByFault('sync', 'EIO', { wrapDisk })).not.toBeNull()
  })

  it('4. taking a full disk for the end of a write', async () => {
    const wrapDisk = wrapFiles((file) =>
      withFile(file, {
        write: (source, start, end, position, done) => {
          file.write(source, start, end, position, (error) => {
            done(error !== null && codeOf(error) === 'ENOSPC' ? null : error)
          })
        },
      }),
    )
    expect(await foundByFault('async', 'ENOSPC', { wrapDisk })).not.toBeNull()
  })

  it('5. making files without syncing their directory', async () => {
    const wrapDisk = (disk: Disk): Disk => ({
      ...wrapFiles((file) => file)(disk),
      syncDirectory: () => Promise.resolve(),
    })
    expect(await foundByCrash({ flush: 'sync', crash: 'power', wrapDisk })).not.toBeNull()
  })

  it('6. skipping the checksum at recovery', async () => {
    plant(
      RecordView.prototype,
      'check',
      (original) =>
        function (this: RecordView, bytes, start, end) {
          return original.call(this, bytes, start, end, false)
        },
    )
    const found = await foundByCrash({ flush: 'async', crash: 'power', stride: 1 })
    expect(found).not.toBeNull()
  })

  it('7. cutting at the first bad record, wherever it is', async () => {
    plant(
      LogScan.prototype,
      'run',
      (original) =>
        function (this: LogScan, from, rules) {
          return original.call(this, from, { ...rules, durableEnd: 0, closed: true })
        },
    )
    expect(await foundByBitRot()).not.toBeNull()
  })

  it('8. rolling over one byte too late', async () => {
    plant(
      CommitLog.prototype,
      'reserve',
      (original) =>
        function (this: CommitLog, runBytes) {
          return original.call(this, runBytes - 1)
        },
    )
    expect(await foundByCrash({ flush: 'async', crash: 'kill' })).not.toBeNull()
  })

  it('9. not taking queue offsets back after a failed write', async () => {
    plant(
      DispatchRing.prototype,
      'rewind',
      (original) =>
        function (this: DispatchRing, physicalOffset) {
          const rows = this.count
          const queue = this.look() ? this.queue : null
          const before = queue?.nextOffset
          const dropped = original.call(this, physicalOffset)
          if (queue && before !== undefined && rows > 0) queue.nextOffset = before
          return dropped
        },
    )
    expect(await foundByFault('async', 'EIO')).not.toBeNull()
  })

  it('10. a checkpoint that runs ahead of the log', async () => {
    plant(CommitLog.prototype, 'flushAll', () => () => Promise.resolve(true))
    plant(
      DurableEnd.prototype,
      'write',
      (original) =>
        function (this: DurableEnd, state) {
          return original.call(this, {
            ...state,
            durableEnd: Math.max(state.durableEnd, state.dispatchedEnd),
          })
        },
    )
    expect(await foundByCrash({ flush: 'async', crash: 'power', stride: 1 })).not.toBeNull()
  })

  it('11. an index that runs ahead of the log', async () => {
    const indexes: KeyIndex[] = []
    plant(
      KeyIndex.prototype,
      'load',
      (original) =>
        function (this: KeyIndex, ...given) {
          indexes.push(this)
          return original.apply(this, given)
        },
    )
    let physical = 0
    let time = 0
    plant(
      DispatchRing.prototype,
      'push',
      (original) =>
        function (this: DispatchRing, queue, queued, physicalOffset, size, queueOffset, tags, ms) {
          physical = physicalOffset
          time = ms
          original.call(this, queue, queued, physicalOffset, size, queueOffset, tags, ms)
        },
    )
    plant(
      DispatchRing.prototype,
      'pushKey',
      (_original) =>
        function (this: DispatchRing, hash) {
          indexes[indexes.length - 1]?.put(hash, physical, time)
        },
    )
    const found =
      (await foundByFault('async', 'EIO')) ??
      (await foundByCrash({ flush: 'async', crash: 'power', stride: 1 }))
    expect(found).not.toBeNull()
  })

  it('12. cutting acknowledged records behind a bad one beyond the durable end', async () => {
    plant(
      LogScan.prototype,
      'run',
      (original) =>
        function (this: LogScan, from, rules) {
          return original.call(this, from, { ...rules, closed: true })
        },
    )
    expect(await foundByBitRotBeforeTheEnd()).not.toBeNull()
  })

  it('13. taking whole records behind a bad one for damaged', async () => {
    let scanning = false
    plant(
      LogScan.prototype,
      'run',
      (original) =>
        async function (this: LogScan, from, rules) {
          scanning = true
          const end = await original.call(this, from, rules)
          scanning = false
          return end
        },
    )
    plant(
      RecordView.prototype,
      'check',
      (original) =>
        function (this: RecordView, bytes, start, end, checkCrc) {
          const verdict = original.call(this, bytes, start, end, checkCrc)
          // Long records that the hunt comes upon: they are looked at by themselves.
          const hunted = start === 0 && this.size === end && this.size > 250
          return scanning && hunted ? RecordVerdict.bad : verdict
        },
    )
    const found = await foundByCrash({ flush: 'async', crash: 'power', stride: 1 })
    expect(found).toContain('taken for damaged')
  })
})

import { cp, readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { decodeRecord } from '../../src/protocol/record.ts'
import { keyHashOf } from '../../src/store/index-file.ts'
import { ManualClock } from '../world/manual-clock.ts'
import { type Given, type Sent, Subject, tempDir } from './a-store.ts'
import { FailingDisk, worldWith } from './failing-disk.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const START_MS = 1_700_000_000_000
const roomy: Given = { segmentBytes: 1 << 20, chunkBytes: 1 << 18, tailBytes: 1 << 20 }
const shape = { indexSlots: 5, indexUnits: 12 }

async function opened(given: Given = {}, dir?: string, clock = new ManualClock(START_MS)) {
  const at = dir ?? (await tempDir(cleanups))
  const world = worldWith(new FailingDisk(), clock)
  const subject = await Subject.open(at, { ...roomy, ...shape, ...given }, world)
  cleanups.push(() => subject.store.close())
  return { subject, clock, dir: at }
}

interface Entry {
  readonly key: string
  readonly physicalOffset: number
  readonly ms: number
}

/** Sends one message a step of time, and says what the index must hold. */
async function sendKeys(
  subject: Subject,
  clock: ManualClock,
  keys: readonly string[],
  stepMs: number,
): Promise<Entry[]> {
  const entries: Entry[] = []
  for (const key of keys) {
    const sent = subject.try('T', 0, { keys: key })
    if (typeof sent !== 'object') throw new Error(`append answered ${sent}`)
    entries.push({ key, physicalOffset: sent.physicalOffset, ms: clock.wallMs() })
    // Dispatch pauses while full files wait for the disk; the clock that would resume it stands still.
    await subject.until(() => {
      subject.store.advance()
      return subject.store.watermarks.dispatched >= sent.end
    })
    clock.advance(stepMs)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return entries
}

/** Java's String.hashCode, then as IndexFile.indexKeyHashMethod. */
function hashOf(key: string): number {
  let hash = 0n
  for (const char of `T#${key}`) hash = BigInt.asIntN(32, hash * 31n + BigInt(char.charCodeAt(0)))
  const positive = hash < 0n ? BigInt.asIntN(32, -hash) : hash
  return positive < 0n ? 0 : Number(positive)
}

/** The files that Apache's IndexFile.putKey makes of the entries. */
function apacheFiles(entries: readonly Entry[], slots: number, units: number): Buffer[] {
  const files: Buffer[] = []
  let file: Buffer | null = null
  for (const { key, physicalOffset, ms } of entries) {
    if (file === null || file.readInt32BE(36) >= units) {
      file = Buffer.alloc(40 + slots * 4 + units * 20)
      file.writeInt32BE(1, 36)
      files.push(file)
    }
    const hash = hashOf(key)
    const slotAt = 40 + (hash % slots) * 4
    const previous = file.readInt32BE(slotAt)
    const count = file.readInt32BE(36)
    if (count === 1) {
      file.writeBigInt64BE(BigInt(ms), 0)
      file.writeBigInt64BE(BigInt(physicalOffset), 16)
    }
    const unitAt = 40 + slots * 4 + count * 20
    file.writeInt32BE(hash, unitAt)
    file.writeBigInt64BE(BigInt(physicalOffset), unitAt + 4)
    file.writeInt32BE(Math.trunc((ms - Number(file.readBigInt64BE(0))) / 1000), unitAt + 12)
    file.writeInt32BE(previous, unitAt + 16)
    file.writeInt32BE(count, slotAt)
    if (previous === 0) file.writeInt32BE(file.readInt32BE(32) + 1, 32)
    file.writeInt32BE(count + 1, 36)
    file.writeBigInt64BE(BigInt(ms), 8)
    file.writeBigInt64BE(BigInt(physicalOffset), 24)
  }
  return files
}

async function filesOf(dir: string): Promise<Buffer[]> {
  const names = await readdir(path.join(dir, 'index'))
  return Promise.all(names.sort().map((name) => readFile(path.join(dir, 'index', name))))
}

async function offsetsOf(
  subject: Subject,
  key: string,
  max = 64,
  begin = 0,
  end = Infinity,
): Promise<number[]> {
  const { records } = await subject.store.queryKey('T', key, max, begin, end)
  return records.map((record) => decodeRecord(record, 0, record.length)?.queueOffset ?? -1)
}

const keysUpTo = (count: number) => Array.from({ length: count }, (_unused, n) => `order-${n % 9}`)

describe('the files of the key index', () => {
  it('are Apache’s, byte for byte: header, slots, and chains of units', async () => {
    const { subject, clock, dir } = await opened()
    const entries = await sendKeys(subject, clock, keysUpTo(9), 1_700)
    await subject.store.close()
    const [file] = await filesOf(dir)
    expect(file).toEqual(apacheFiles(entries, 5, 12)[0])
    // Nine units, of which the first is number 1; unit 0 is never used.
    expect(file?.readInt32BE(36)).toBe(10)
    expect(file?.subarray(60, 80).every((byte) => byte === 0)).toBe(true)
  })

  it('are Apache’s too when recovery puts all keys at once, through several files', async () => {
    const first = await opened()
    const entries = await sendKeys(first.subject, first.clock, keysUpTo(40), 900)
    await first.subject.store.close()
    for (const name of ['index', 'mqctl.durable', 'checkpoint']) {
      await rm(path.join(first.dir, name), { recursive: true })
    }
    const { subject, dir } = await opened({}, first.dir, first.clock)
    await subject.store.close()
    expect(await filesOf(dir)).toEqual(apacheFiles(entries, 5, 12))
  })

  it('go on in the next file when one is full', async () => {
    const { subject, clock, dir } = await opened()
    const entries = await sendKeys(subject, clock, keysUpTo(30), 900)
    await subject.store.close()
    const files = await filesOf(dir)
    expect(files).toHaveLength(3)
    expect(files).toEqual(apacheFiles(entries, 5, 12))
  })

  it('carry the absolute value of the hash, 0 for the one that has none', () => {
    expect([7, -7, 0, 0x7fffffff, -0x7fffffff, -0x80000000].map(keyHashOf)).toEqual([
      7, 7, 0, 0x7fffffff, 0x7fffffff, 0,
    ])
  })

  it.each([0, 5, 11, 12, 20])(
    'are the same after a crash as without one (checkpoint after %i keys)',
    async (checkpointAfter) => {
      const { subject, clock, dir } = await opened()
      const keys = keysUpTo(28)
      const entries = await sendKeys(subject, clock, keys.slice(0, checkpointAfter), 900)
      if (checkpointAfter > 0) expect(await subject.store.checkpointNow()).toBe(true)
      entries.push(...(await sendKeys(subject, clock, keys.slice(checkpointAfter), 900)))
      const copy = await tempDir(cleanups)
      await cp(dir, copy, { recursive: true })
      const again = await opened({}, copy, new ManualClock(clock.wallMs()))
      expect(again.subject.store.facts().recovery.clean).toBe(false)
      await again.subject.store.close()
      await subject.store.close()
      expect(await filesOf(copy)).toEqual(apacheFiles(entries, 5, 12))
      expect(await filesOf(dir)).toEqual(apacheFiles(entries, 5, 12))
    },
  )
})

describe('a checkpoint', () => {
  it('vouches for no units that are not on the disk, also of a file that becomes full meanwhile', async () => {
    const disk = new FailingDisk()
    const clock = new ManualClock(START_MS)
    const dir = await tempDir(cleanups)
    const subject = await Subject.open(dir, { ...roomy, ...shape }, worldWith(disk, clock))
    cleanups.push(() => subject.store.close())
    const keys = keysUpTo(16)
    await sendKeys(subject, clock, keys.slice(0, 5), 1)
    const goOn = disk.hold('write', '/index/')
    const checkpoint = subject.store.checkpointNow()
    await expect.poll(() => disk.callsOf('write', '/index/').length).toBe(1)
    await sendKeys(subject, clock, keys.slice(5), 1)
    const sync = disk.hold('sync', '/index/')
    const before = disk.calls.length
    goOn()
    await expect.poll(() => disk.callsOf('sync', '/index/').length).toBeGreaterThan(0)
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(disk.callsOf('write', 'mqctl.durable', before)).toEqual([])
    sync()
    expect(await checkpoint).toBe(true)
    expect(disk.callsOf('write', 'mqctl.durable', before).length).toBeGreaterThan(0)
  })
})

describe('a query by key', () => {
  it('finds what was stored between two times, in every file', async () => {
    const { subject, clock } = await opened()
    await sendKeys(
      subject,
      clock,
      Array.from({ length: 30 }, () => 'same'),
      10_000,
    )
    const at = (n: number) => START_MS + n * 10_000
    expect(await offsetsOf(subject, 'same', 64, at(4), at(6))).toEqual([4, 5, 6])
    expect(await offsetsOf(subject, 'same', 64, at(9), at(14))).toEqual([9, 10, 11, 12, 13, 14])
    expect(await offsetsOf(subject, 'same', 64, at(28), Infinity)).toEqual([28, 29])
    expect(await offsetsOf(subject, 'same', 64, 0, at(0))).toEqual([0])
    expect(await offsetsOf(subject, 'same', 64, 0, at(-1))).toEqual([])
    expect(await offsetsOf(subject, 'same', 64, at(31), Infinity)).toEqual([])
  })

  it('gives the newest ones, no more than asked for and than the limit', async () => {
    const { subject, clock } = await opened({ indexQueryMax: 4 })
    await sendKeys(
      subject,
      clock,
      Array.from({ length: 15 }, () => 'same'),
      1_000,
    )
    expect(await offsetsOf(subject, 'same', 2)).toEqual([13, 14])
    expect(await offsetsOf(subject, 'same', 100)).toEqual([11, 12, 13, 14])
  })

  it('passes keys with the same hash, and no others of the same slot', async () => {
    const { subject, clock } = await opened({ indexSlots: 1 })
    expect(hashOf('Aa')).toBe(hashOf('BB'))
    await sendKeys(subject, clock, ['Aa', 'x', 'BB', 'y'], 1_000)
    expect(await offsetsOf(subject, 'Aa')).toEqual([0, 2])
    expect(await offsetsOf(subject, 'BB')).toEqual([0, 2])
    expect(await offsetsOf(subject, 'x')).toEqual([1])
  })

  it('finds nothing, and keeps no file, when the index is off', async () => {
    const { subject, dir } = await opened({ index: false })
    const sent: Sent = await subject.send('T', 0, { keys: 'k' })
    expect(sent.queueOffset).toBe(0)
    expect(await offsetsOf(subject, 'k')).toEqual([])
    await subject.store.close()
    expect(await readdir(dir)).not.toContain('index')
  })
})

import { mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { TimerCheckpoint } from '../../src/store/timer-checkpoint.ts'
import { TimerKind, TimerLog, type TimerUnit } from '../../src/store/timer-log.ts'
import { TimerWheel, WHEEL_BYTES } from '../../src/store/timer-wheel.ts'
import { nodeWorld } from '../../src/world/node-world.ts'

const { disk } = nodeWorld
const folders: string[] = []
afterEach(async () => {
  for (const dir of folders.splice(0)) await rm(dir, { recursive: true, force: true })
})

async function aFolder(): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'mqctl-timer-'))
  folders.push(dir)
  return dir
}

const NOW_MS = 1_700_000_000_000
/** Room for five units and what a blank needs, and a few bytes that nobody uses. */
const FILE_BYTES = 5 * 52 + 16 + 7

function aUnit(n: number): TimerUnit {
  return {
    previous: n - 52,
    kind: TimerKind.waits,
    dueMs: NOW_MS + n * 1_000,
    physicalOffset: 1_000 * n,
    sizeBytes: 300 + n,
  }
}

/** A log of `count` units on the disk, and their positions. */
async function filled(dir: string, count: number) {
  const log = new TimerLog(disk, dir, FILE_BYTES)
  await log.open()
  await log.scan(0, () => Promise.resolve(true))
  const positions = Array.from({ length: count }, (_, n) => log.append(aUnit(n), NOW_MS, 7))
  return { log, positions }
}

async function unitsIn(dir: string, take: (n: number) => boolean = () => true) {
  const log = new TimerLog(disk, dir, FILE_BYTES)
  await log.open()
  const found: TimerUnit[] = []
  await log.scan(0, (unit) => {
    if (!take(found.length)) return Promise.resolve(false)
    found.push(unit)
    return Promise.resolve(true)
  })
  return { log, found }
}

describe('the timer log', () => {
  it('has units of 52 bytes as Apache writes them', async () => {
    const dir = await aFolder()
    const { log } = await filled(dir, 2)
    await log.flush(log.end)
    const bytes = await readFile(path.join(dir, 'timerlog', '0'.repeat(20)))
    expect(bytes).toHaveLength(FILE_BYTES)
    expect([bytes.readInt32BE(52), bytes.readBigInt64BE(56), bytes.readInt32BE(64)]).toEqual([
      52,
      -51n,
      1,
    ])
    expect([bytes.readBigInt64BE(68), bytes.readInt32BE(76)]).toEqual([BigInt(NOW_MS), 1_000])
    expect([bytes.readBigInt64BE(80), bytes.readInt32BE(88)]).toEqual([1_000n, 301])
    expect([bytes.readInt32BE(92), bytes.readBigInt64BE(96)]).toEqual([7, 0n])
    await log.close()
  })

  it('goes on in the next file, behind a blank', async () => {
    const dir = await aFolder()
    const { log, positions } = await filled(dir, 12)
    expect(positions.slice(4, 6)).toEqual([4 * 52, FILE_BYTES])
    expect(await log.unitAt(positions[7] ?? 0)).toEqual(aUnit(7))
    await log.flush(log.end)
    expect(await readdir(path.join(dir, 'timerlog'))).toHaveLength(3)
    const bytes = await readFile(path.join(dir, 'timerlog', '0'.repeat(20)))
    expect([bytes.readInt32BE(260), bytes.readInt32BE(272)]).toEqual([23, 0xcbd43194 | 0])
    for (const [n, position] of positions.entries()) {
      expect(await log.unitAt(position)).toEqual(aUnit(n))
    }
    await log.close()
  })

  it('puts on the disk what was asked for, and the rest later', async () => {
    const dir = await aFolder()
    const { log, positions } = await filled(dir, 8)
    await log.flush(positions[3] ?? 0)
    expect((await unitsIn(dir)).found).toHaveLength(3)
    await log.flush(log.end)
    await log.close()
    expect((await unitsIn(dir)).found).toEqual(Array.from({ length: 8 }, (_, n) => aUnit(n)))
  })

  it.each([0, 3, 5, 7, 12])('goes on behind the last right unit: %d of 12', async (right) => {
    const dir = await aFolder()
    const { log } = await filled(dir, 12)
    await log.flush(log.end)
    await log.close()
    const again = await unitsIn(dir, (n) => n < right)
    again.log.append({ ...aUnit(99), previous: -1 }, NOW_MS, 7)
    await again.log.flush(again.log.end)
    await again.log.close()
    const { found } = await unitsIn(dir)
    expect(found).toHaveLength(right + 1)
    expect(found.at(-1)?.sizeBytes).toBe(399)
  })

  it('forgets the oldest files when their records are gone, never the last', async () => {
    const dir = await aFolder()
    const { log, positions } = await filled(dir, 12)
    await log.flush(log.end)
    await log.removeBefore(9_000)
    expect(await readdir(path.join(dir, 'timerlog'))).toHaveLength(2)
    expect(await log.unitAt(positions[2] ?? 0)).toBeNull()
    expect(await log.unitAt(positions[6] ?? 0)).toEqual(aUnit(6))
    await log.removeBefore(1_000_000)
    expect(await readdir(path.join(dir, 'timerlog'))).toHaveLength(1)
    await log.close()
  })
})

describe('the timer wheel', () => {
  it('is a file of Apache’s length, and the same after it was read', async () => {
    const dir = await aFolder()
    const wheel = new TimerWheel(disk, dir)
    wheel.put(NOW_MS, 520, 1)
    wheel.put(NOW_MS + 999, 572, 1)
    wheel.put(NOW_MS + 1_000, 624, 1)
    await wheel.write(wheel.takeChanges())
    const bytes = await readFile(path.join(dir, 'timerwheel'))
    expect(bytes).toHaveLength(WHEEL_BYTES)
    const at = (1_700_000_000 % (2 * 604_800)) * 32
    expect(bytes.readBigInt64BE(at)).toBe(1_700_000_000n)
    expect([bytes.readBigInt64BE(at + 8), bytes.readBigInt64BE(at + 16)]).toEqual([520n, 572n])
    expect(bytes.readInt32BE(at + 24)).toBe(2)
    const again = new TimerWheel(disk, dir)
    expect(await again.load()).toBe(true)
    expect([again.newest(NOW_MS), again.newest(NOW_MS + 1_000)]).toEqual([572, 624])
    expect(again.newest(NOW_MS + 2 * 604_800_000)).toBe(-1)
    expect([again.pointsBehind(624), again.pointsBehind(625)]).toEqual([true, false])
  })

  it('gives a slot to the second that comes two weeks later', () => {
    const wheel = new TimerWheel(disk, '/nowhere')
    wheel.put(NOW_MS, 520, 1)
    wheel.put(NOW_MS + 2 * 604_800_000, 5_200, 1)
    expect(wheel.newest(NOW_MS)).toBe(-1)
    expect(wheel.count(NOW_MS + 2 * 604_800_000)).toBe(1)
  })

  it('is empty when its file is none', async () => {
    const dir = await aFolder()
    await writeFile(path.join(dir, 'timerwheel'), 'x')
    expect(await new TimerWheel(disk, dir).load()).toBe(false)
  })
})

describe('the timer checkpoint', () => {
  it('is what was written, and nothing when it is damaged', async () => {
    const dir = await aFolder()
    const checkpoint = new TimerCheckpoint(disk, dir)
    expect(await checkpoint.read()).toBeNull()
    const progress = { deliveredBeforeMs: NOW_MS, logFlushed: 5_200, queueOffset: 100 }
    await checkpoint.write(progress, NOW_MS)
    expect(await new TimerCheckpoint(disk, dir).read()).toEqual(progress)
    await truncate(path.join(dir, 'config', 'timercheck'), 10)
    expect(await new TimerCheckpoint(disk, dir).read()).toBeNull()
  })
})

import { readdir, utimes } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { AppendStatus } from '../../src/store/append.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import type { World } from '../../src/world/world.ts'
import { type Given, Subject, tempDir } from './a-store.ts'
import { FailingDisk } from './failing-disk.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/**
 * A world whose disk is as full as `disk.usedPercent` says, less the segments (of 4096 bytes) that
 * were removed, at the given hour of the day.
 */
function worldWith(disk: { usedPercent: number }, hour = 12, totalBytes = 1e9): World {
  const noon = new Date()
  noon.setHours(hour, 0, 0, 0)
  let removedBytes = 0
  return {
    ...nodeWorld,
    clock: { ...nodeWorld.clock, wallMs: () => noon.getTime() },
    disk: {
      ...nodeWorld.disk,
      space: () =>
        Promise.resolve({
          totalBytes,
          freeBytes: (totalBytes * (100 - disk.usedPercent)) / 100 + removedBytes,
        }),
      remove: async (at) => {
        if (at.includes('commitlog')) removedBytes += 4096
        await nodeWorld.disk.remove(at)
      },
    },
  }
}

async function opened(world: World, given: Given = {}): Promise<{ subject: Subject; dir: string }> {
  const dir = await tempDir(cleanups)
  const subject = await Subject.open(
    dir,
    { deleteWhen: '04', cleanIntervalMs: 3_600_000, ...given },
    world,
  )
  cleanups.push(() => subject.store.close())
  return { subject, dir }
}

/** Makes every segment look a year old. */
async function age(dir: string): Promise<void> {
  const log = path.join(dir, 'commitlog')
  for (const name of await readdir(log)) await utimes(path.join(log, name), 1e9, 1e9)
}

async function synced(subject: Subject): Promise<void> {
  await subject.store.checkpointNow()
}

describe('retention', () => {
  it('deletes expired segments but never the last, and what only points to them', async () => {
    const { subject, dir } = await opened(worldWith({ usedPercent: 10 }))
    const sent = await subject.sendMany('T', 100, 1)
    await synced(subject)
    await age(dir)
    await subject.store.cleanNow()
    const { minPhysicalOffset, maxPhysicalOffset } = subject.store.facts()
    expect(maxPhysicalOffset - minPhysicalOffset).toBeLessThanOrEqual(4096)
    const queue = subject.store.queue('T', 0)
    const first = sent.find((one) => one.physicalOffset >= minPhysicalOffset)
    expect([queue.minOffset, queue.maxOffset]).toEqual([first?.queueOffset, 100])
    const units = await readdir(path.join(dir, 'consumequeue', 'T', '0'))
    expect(Number(units[0]) / 20).toBe(queue.minOffset - (queue.minOffset % 10))
    expect((await subject.pull('T', 0, 0)).outcome).toMatchObject({
      status: 'OFFSET_TOO_SMALL',
      nextBeginOffset: queue.minOffset,
    })
    expect(await subject.readAll('T', 0)).toHaveLength(100 - queue.minOffset)
  })

  it('keeps offsets going when every message of a queue has expired, also over a restart', async () => {
    const { subject, dir } = await opened(worldWith({ usedPercent: 10 }))
    await subject.sendMany('Quiet', 5)
    await subject.sendMany('T', 100)
    await synced(subject)
    await age(dir)
    await subject.store.cleanNow()
    expect(subject.store.queue('Quiet', 0)).toMatchObject({ minOffset: 5, maxOffset: 5 })
    await subject.store.close()
    const again = await Subject.open(dir)
    cleanups.push(() => again.store.close())
    expect((await again.send('Quiet', 0)).queueOffset).toBe(5)
  })

  it('gives back the room of a segment that a waiting read opens once more while it is removed', async () => {
    const disk = new FailingDisk()
    const { subject, dir } = await opened(
      { ...nodeWorld, disk },
      { coldReadsMax: 1, fileReservedHours: 0 },
    )
    const sent = await subject.sendMany('T', 100, 1)
    await synced(subject)
    const [first = '', second = ''] = await readdir(path.join(dir, 'commitlog'))
    const old = path.join(dir, 'commitlog', first)
    const inSecond = sent.find((one) => one.physicalOffset >= 4096)
    // The one read that may run waits for the disk, and the other one for it.
    const goOn = disk.hold('read', second)
    const reads = [inSecond, sent[0]].map((one) =>
      subject.store.recordAt(one?.physicalOffset ?? -1),
    )
    await expect.poll(() => disk.callsOf('read', second).length).toBe(1)
    const remove = disk.hold('remove', first)
    const cleaned = subject.store.cleanNow()
    await expect.poll(() => disk.callsOf('remove', first).length).toBe(1)
    goOn()
    expect((await Promise.all(reads)).map((record) => record !== null)).toEqual([true, true])
    expect([...disk.openPaths.values()]).toContain(old)
    remove()
    await cleaned
    await expect.poll(() => [...disk.openPaths.values()]).not.toContain(old)
  })

  it('deletes nothing that is young', async () => {
    const young = await opened(worldWith({ usedPercent: 10 }, 4))
    await young.subject.sendMany('T', 100)
    await synced(young.subject)
    await young.subject.store.cleanNow()
    expect(young.subject.store.facts().minPhysicalOffset).toBe(0)
    expect(await young.subject.readAll('T', 0)).toHaveLength(100)
  })

  it('deletes the oldest before their time when the disk is nearly full', async () => {
    const disk = { usedPercent: 50 }
    const { subject } = await opened(worldWith(disk, 12, 80 * 4096), { deleteFilesMax: 1 })
    await subject.sendMany('T', 100)
    await synced(subject)
    disk.usedPercent = 85.5
    await subject.store.cleanNow()
    expect(subject.store.facts().minPhysicalOffset).toBe(4096)
  })

  it('deletes before their time only as many as bring the disk below the mark, and says so', async () => {
    const disk = { usedPercent: 50 }
    const { subject } = await opened(worldWith(disk, 12, 80 * 4096))
    const sent = await subject.sendMany('T', 200, 1)
    await synced(subject)
    // Three percent too much are 2.4 segments.
    disk.usedPercent = 88
    await subject.store.cleanNow()
    const facts = subject.store.facts()
    expect(facts.minPhysicalOffset).toBe(3 * 4096)
    expect(facts.forced).toMatchObject({ segments: 3, bytes: 3 * 4096, upTo: 3 * 4096 })
    expect(subject.log.said('deleted before its time')).toBe(true)
    const kept = sent.filter((one) => one.physicalOffset >= 3 * 4096)
    const found = await subject.readAll('T', 0)
    expect(found.map((one) => one.queueOffset)).toEqual(kept.map((one) => one.queueOffset))
    expect(facts.badRecords).toBe(0)
  })

  it('never deletes the segment being written, nor one that is not full, however full the disk is', async () => {
    const { subject } = await opened(worldWith({ usedPercent: 99 }, 12, 1000 * 4096), {
      deleteFilesMax: 1000,
      diskRefusePercent: 100,
    })
    const sent = await subject.sendMany('T', 100, 1)
    await synced(subject)
    for (let i = 0; i < 3; i++) await subject.store.cleanNow()
    const { minPhysicalOffset, maxPhysicalOffset } = subject.store.facts()
    expect(minPhysicalOffset).toBe(maxPhysicalOffset - (maxPhysicalOffset % 4096))
    const kept = sent.filter((one) => one.physicalOffset >= minPhysicalOffset)
    expect(await subject.readAll('T', 0)).toHaveLength(kept.length)
    expect((await subject.send('T', 0)).queueOffset).toBe(100)
  })

  it('moves first offsets before it takes records away: nobody meets a record that is gone', async () => {
    const disk = { usedPercent: 50 }
    const world = worldWith(disk, 12, 80 * 4096)
    const gone: number[] = []
    const watching: World = {
      ...world,
      disk: {
        ...world.disk,
        remove: async (at) => {
          if (at.includes('commitlog')) gone.push(subject.store.queue('T', 0).minOffset)
          await world.disk.remove(at)
        },
      },
    }
    const { subject } = await opened(watching)
    const sent = await subject.sendMany('T', 200, 1)
    await synced(subject)
    disk.usedPercent = 88
    await subject.store.cleanNow()
    const first = sent.find((one) => one.physicalOffset >= 3 * 4096)
    expect(gone).toEqual(new Array(3).fill(first?.queueOffset))
  })

  it('refuses messages at the refuse mark, serves reads, and takes them again below the mark before', async () => {
    const disk = { usedPercent: 50 }
    const { subject } = await opened(worldWith(disk), { cleanForcibly: false })
    await subject.send('T', 0)
    disk.usedPercent = 91
    await subject.store.cleanNow()
    expect(subject.try('T', 0)).toBe(AppendStatus.full)
    expect(subject.store.facts().writable).toBe(false)
    expect(await subject.readAll('T', 0)).toHaveLength(1)
    disk.usedPercent = 87
    await subject.store.cleanNow()
    expect(subject.try('T', 0)).toBe(AppendStatus.full)
    disk.usedPercent = 84
    await subject.store.cleanNow()
    expect(typeof subject.try('T', 0)).toBe('object')
    expect(subject.log.said('the disk has space again')).toBe(true)
  })

  it('refuses by what was appended itself when the next look at the disk takes too long', async () => {
    // Four percent are sixteen segments.
    const world = worldWith({ usedPercent: 86 }, 12, 400 * 4096)
    let answer = (): void => undefined
    let looks = 0
    const { subject } = await opened(
      {
        ...world,
        disk: {
          ...world.disk,
          space: async (at) => {
            if (looks++ === 1) await new Promise<void>((resolve) => (answer = resolve))
            return world.disk.space(at)
          },
        },
      },
      { cleanForcibly: false },
    )
    const end = (): number => subject.store.watermarks.appended
    await expect(subject.sendMany('T', 2000)).rejects.toThrow(`answered ${AppendStatus.full}`)
    expect(looks).toBe(2)
    expect(end()).toBeGreaterThanOrEqual(16 * 4096)
    expect(end()).toBeLessThan(17 * 4096)
    answer()
  })

  it('looks at the disk when a mark may be reached, and makes room before it is full', async () => {
    const totalBytes = 100 * 4096
    const { subject } = await opened({
      ...nodeWorld,
      disk: {
        ...nodeWorld.disk,
        space: async (at) => {
          const segments = await readdir(path.join(at, 'commitlog'))
          return { totalBytes, freeBytes: totalBytes - segments.length * 4096 }
        },
      },
    })
    const wanted = 1.2 * totalBytes
    await subject.until(() => {
      while (typeof subject.try('T', 0, { body: 'x'.repeat(200) }) === 'object');
      return subject.store.watermarks.appended > wanted
    })
    const facts = subject.store.facts()
    expect(facts.maxPhysicalOffset).toBeGreaterThan(totalBytes)
    expect(facts.forced.segments).toBeGreaterThan(20)
  })
})

describe('offset by time', () => {
  it('finds the first at or after a time, and the last at or before it', async () => {
    let now = 1_800_000_000_000
    const world: World = { ...nodeWorld, clock: { ...nodeWorld.clock, wallMs: () => now } }
    const { subject } = await opened(world)
    // Offsets 0 … 29 at 10 ms steps, two messages each; three queue files.
    for (let i = 0; i < 30; i++) {
      await subject.send('T', 0, { body: `m${i}` })
      if (i % 2 === 1) now += 10
    }
    const queue = subject.store.queue('T', 0)
    const start = 1_800_000_000_000
    const at = (ms: number, boundary: 'LOWER' | 'UPPER') =>
      subject.store.offsetByTime(queue, start + ms, boundary)
    expect(await subject.store.storeTimeOf(queue, 8)).toBe(start + 40)
    expect([await at(40, 'LOWER'), await at(40, 'UPPER')]).toEqual([8, 9])
    expect([await at(45, 'LOWER'), await at(45, 'UPPER')]).toEqual([10, 9])
    expect([await at(-5, 'LOWER'), await at(-5, 'UPPER')]).toEqual([0, 0])
    expect([await at(1e6, 'LOWER'), await at(1e6, 'UPPER')]).toEqual([30, 29])
    expect(await subject.store.storeTimeOf(queue, 99)).toBe(-1)
  })
})

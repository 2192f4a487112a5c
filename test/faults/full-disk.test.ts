/**
 * A disk that fills up under load: sends are refused with the protocol's code, reads go on, nothing
 * that was acknowledged is lost, and when there is space again, sends are accepted again by
 * themselves. Where the oldest segments may be deleted before their time (the default, as in Apache),
 * what is deleted is said, and everything behind it is there. The disk is a small file system of its
 * own, which takes root to mount.
 */
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mqctl, type MqctlCluster, startMqctl } from '../interop/embedded.ts'
import { removeFolder, skipBecause, temporaryFolder, until } from '../interop/peers.ts'
import { Journal } from './journal.ts'
import { lostOf, type Places, placesIn, readByMqctl } from './read-back.ts'

const topic = 'Full'
const queues = 4
const diskMiB = 64

/** Mounts a file system of its own at a folder; the answer is the reason why that cannot be. */
function mount(kind: 'ext4' | 'tmpfs', folder: string): string | null {
  try {
    if (kind === 'tmpfs') {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskMiB}m`, 'none', folder], {
        stdio: 'pipe',
      })
    } else {
      const image = `${folder}.img`
      fs.writeFileSync(image, '')
      fs.truncateSync(image, diskMiB << 20)
      execFileSync('mkfs.ext4', ['-q', '-F', image], { stdio: 'pipe' })
      execFileSync('mount', ['-o', 'loop', image, folder], { stdio: 'pipe' })
    }
    return null
  } catch (error) {
    return error instanceof Error ? error.message.split('\n').slice(0, 2).join(' ') : String(error)
  }
}

/** Why this machine cannot mount such a file system; null when it can. */
function whyNot(kind: 'ext4' | 'tmpfs'): string | null {
  if (process.platform !== 'linux') return `mounting is done on Linux, not on ${process.platform}`
  if (process.getuid?.() !== 0) return 'mounting takes root'
  const folder = temporaryFolder('mount')
  try {
    const reason = mount(kind, folder)
    if (reason === null) execFileSync('umount', [folder])
    return reason
  } finally {
    removeFolder(folder)
    fs.rmSync(`${folder}.img`, { force: true })
  }
}

interface Produced {
  readonly sent?: number
  readonly failed?: number
  readonly error?: { readonly code: string; readonly message: string }
}

/** Full by the watermark (90 %), or to the last byte, where the write itself fails. */
const watermarks = {
  'at the mark': { cleanFileForciblyEnable: 'false' },
  'to the last byte': { diskSpaceWarningLevelRatio: '100', cleanFileForciblyEnable: 'false' },
}

describe.each<['ext4' | 'tmpfs', keyof typeof watermarks]>([
  ['ext4', 'at the mark'],
  ['ext4', 'to the last byte'],
  ['tmpfs', 'to the last byte'],
])('a full disk (%s, %s)', (kind, mark) => {
  const skipped = skipBecause(`full disk on ${kind}`, whyNot(kind))
  let folder = ''
  let disk = ''

  beforeEach(() => {
    if (skipped) return
    folder = temporaryFolder('full-disk')
    disk = join(folder, 'disk')
    fs.mkdirSync(disk)
    const reason = mount(kind, disk)
    if (reason !== null) throw new Error(reason)
  })

  afterEach(() => {
    if (skipped) return
    execFileSync('umount', ['-l', disk])
    removeFolder(folder)
  })

  async function produce(cluster: MqctlCluster): Promise<Produced> {
    try {
      return JSON.parse(
        await mqctl(
          ['produce', topic, 'probe', '-n', cluster.namesrv, '--json'],
          cluster.environment,
        ),
      ) as Produced
    } catch (error) {
      return JSON.parse((error as { stdout: string }).stdout) as Produced
    }
  }

  it.skipIf(skipped)(
    'refuses sends, serves reads, and recovers when there is space',
    async () => {
      const store = join(disk, 'broker-a')
      fs.mkdirSync(store)
      // A stone in the disk: what an operator deletes to make room.
      const stone = join(disk, 'stone')
      fs.writeFileSync(stone, Buffer.alloc(20 << 20, 1))
      const journal = await Journal.start(folder, { topic, queues, outstanding: 32 })
      const cluster = await startMqctl({
        storeDirectory: store,
        settings: {
          mappedFileSizeCommitLog: String(4 << 20),
          mappedFileSizeConsumeQueue: '6000',
          maxHashSlotNum: '1000',
          maxIndexNum: '4000',
          ...watermarks[mark],
        },
      })
      try {
        journal.sendTo(cluster.brokerAddress)
        // SERVICE_NOT_AVAILABLE: "the store cannot take it now", as Apache says it. Before that a slow
        // disk may have made the broker ask for patience (SYSTEM_BUSY), and nothing else.
        await until('a refused send', () => journal.refusals()?.get('14') ?? null, 60_000)
        const codes = [...(journal.refusals()?.keys() ?? [])]
        expect(codes.filter((code) => code !== '2')).toEqual(['14'])
        await journal.pause()
        const acknowledged = placesIn(journal.path)
        expect(acknowledged.size).toBeGreaterThan(1000)
        expect((await produce(cluster)).sent ?? 0).toBe(0)

        const found = await readByMqctl(cluster, topic, folder)
        expect(lostOf(acknowledged, found.places).slice(0, 8)).toEqual([])

        fs.rmSync(stone)
        await until(
          'sends are accepted again',
          async () => ((await produce(cluster)).sent === 1 ? true : null),
          60_000,
        )
        const after = await readByMqctl(cluster, topic, folder)
        expect(lostOf(acknowledged, after.places).slice(0, 8)).toEqual([])
        expect(after.places.size).toBeGreaterThan(found.places.size)
      } finally {
        journal.end()
        await cluster.stop()
      }
    },
    180_000,
  )
})

/** First queue offset of each queue that is still there. */
function firstOffsets(places: Places): Map<number, number> {
  const first = new Map<number, number>()
  for (const place of places.keys()) {
    const [queueId = 0, offset = 0] = place.split(' ').map(Number)
    first.set(queueId, Math.min(first.get(queueId) ?? Infinity, offset))
  }
  return first
}

describe.each<'ext4' | 'tmpfs'>(['ext4', 'tmpfs'])('a disk that stays nearly full (%s)', (kind) => {
  const skipped = skipBecause(`forced deletion on ${kind}`, whyNot(kind))

  it.skipIf(skipped)(
    'deletes the oldest segments, says so, and loses nothing else that was acknowledged',
    async () => {
      const folder = temporaryFolder('forced')
      const disk = join(folder, 'disk')
      fs.mkdirSync(disk)
      const reason = mount(kind, disk)
      if (reason !== null) throw new Error(reason)
      const store = join(disk, 'broker-a')
      fs.mkdirSync(store)
      const segmentBytes = 4 << 20
      const journal = await Journal.start(folder, { topic, queues, outstanding: 32 })
      const home = join(folder, 'home')
      const settings = {
        mappedFileSizeCommitLog: String(segmentBytes),
        mappedFileSizeConsumeQueue: '6000',
        maxHashSlotNum: '1000',
        maxIndexNum: '4000',
      }
      let cluster = await startMqctl({ storeDirectory: store, home, settings })
      try {
        journal.sendTo(cluster.brokerAddress)
        const segments = (): number[] =>
          fs
            .readdirSync(join(store, 'commitlog'))
            .map(Number)
            .sort((a, b) => a - b)
        // Twice the disk has gone through it: it fills up many times between two looks of the clock.
        await until(
          'deleted segments',
          () => ((segments()[0] ?? 0) >= 2 * (diskMiB << 20) ? true : null),
          90_000,
        )
        await journal.pause()
        const acknowledged = placesIn(journal.path)
        const found = await readByMqctl(cluster, topic, folder)
        const first = firstOffsets(found.places)
        const lost = lostOf(acknowledged, found.places).filter((place) => {
          const [queueId = 0, offset = 0] = place.split(' ').map(Number)
          return offset >= (first.get(queueId) ?? 0)
        })
        expect(lost.slice(0, 8)).toEqual([])
        expect(found.corrupt).toEqual([])
        // No more than needed: most of the disk still holds messages.
        const left = segments()
        expect(left.length * segmentBytes).toBeGreaterThan((diskMiB << 20) / 2)
        const facts = await mqctl(
          ['broker', 'get', cluster.brokerName, '-n', cluster.namesrv, '--json'],
          cluster.environment,
        )
        const figure = (name: string): number =>
          Number(new RegExp(`"${name}": *"?(\\d+)`).exec(facts)?.[1])
        expect(figure('mqctl.log.forcedSegments') * segmentBytes).toBe(left[0])
        expect(figure('mqctl.log.badRecords')).toBe(0)
        const logs = await mqctl(['logs', 'peer'], cluster.environment)
        expect(logs).toContain('deleted before its time')

        // And the same after a crash.
        await cluster.kill()
        cluster = await startMqctl({ storeDirectory: store, home, settings })
        const again = await readByMqctl(cluster, topic, folder)
        const firstAgain = firstOffsets(again.places)
        const lostAgain = lostOf(acknowledged, again.places).filter((place) => {
          const [queueId = 0, offset = 0] = place.split(' ').map(Number)
          return offset >= (firstAgain.get(queueId) ?? 0)
        })
        expect(lostAgain.slice(0, 8)).toEqual([])
        expect(again.places.size).toBeGreaterThan(0)
      } finally {
        journal.end()
        await cluster.stop()
        execFileSync('umount', ['-l', disk])
        removeFolder(folder)
      }
    },
    180_000,
  )
})

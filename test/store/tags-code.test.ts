import { afterEach, describe, expect, test } from 'vitest'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { silentLogger } from '../../src/base/logger.ts'
import {
  delayLevelOf,
  delayLevelsMs,
  delayMsOfQueue,
  nearestDelaysMs,
} from '../../src/protocol/delay-levels.ts'
import { javaHash } from '../../src/protocol/java-hash.ts'
import { AppendRequest, AppendStatus } from '../../src/store/append.ts'
import { Store } from '../../src/store/store.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { settingsFor } from './a-store.ts'

const cleanups: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const SCHEDULE = 'SCHEDULE_TOPIC_XXXX'
const hooks = {
  onAdvanced: () => undefined,
  onLost: () => undefined,
  onDispatched: () => undefined,
}

async function opened(dir: string, world = nodeWorld): Promise<Store> {
  return Store.open(world, settingsFor(dir), hooks, silentLogger)
}

/** Without waiting for it: its store time, in milliseconds since 1970. */
function appendNow(store: Store, topic: string, queueId: number): number {
  const request = new AppendRequest()
  request.queue = store.queue(topic, queueId)
  request.body = Buffer.from('x')
  request.bodyEnd = 1
  const properties = Buffer.from('TAGS\u0001red\u0002')
  request.setProperties(properties, 0, properties.length)
  expect(store.append(request)).toBe(AppendStatus.ok)
  return store.lastAppend.storeTimestamp
}

async function append(store: Store, topic: string, queueId: number): Promise<number> {
  const storeTimestamp = appendNow(store, topic, queueId)
  const { end } = store.lastAppend
  while (store.watermarks.dispatched < end) {
    await new Promise<void>((resolve) => nodeWorld.clock.after(1, resolve))
  }
  return storeTimestamp
}

describe('the tag code of a unit', () => {
  test('is the time of delivery in the queue of a delay level, on the disk and after its loss', async () => {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'mqctl-store-'))
    cleanups.push(() => rm(dir, { recursive: true, force: true }))
    const store = await opened(dir)
    const storedMs = await append(store, SCHEDULE, 3)
    const unit = await store.unitAt(store.queue(SCHEDULE, 3), 0)
    await store.close()
    expect(unit?.tagsCode).toBe(storedMs + 30_000)
    const file = path.join(dir, 'consumequeue', SCHEDULE, '3', '00000000000000000000')
    expect(Number((await readFile(file)).readBigInt64BE(12))).toBe(storedMs + 30_000)

    await rm(path.join(dir, 'consumequeue'), { recursive: true })
    const again = await opened(dir)
    cleanups.push(() => again.close())
    expect((await again.unitAt(again.queue(SCHEDULE, 3), 0))?.tagsCode).toBe(storedMs + 30_000)
  })

  test('counts a delay from when the message came, however long the turn has lasted', async () => {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'mqctl-store-'))
    cleanups.push(() => rm(dir, { recursive: true, force: true }))
    let nowMs = Date.UTC(2030, 0)
    const clock = { ...nodeWorld.clock, wallMs: () => nowMs }
    const store = await opened(dir, { ...nodeWorld, clock })
    cleanups.push(() => store.close())
    const firstMs = appendNow(store, 'T1', 0)
    nowMs += 20
    expect(appendNow(store, 'T1', 0)).toBe(firstMs)
    expect(appendNow(store, SCHEDULE, 3)).toBe(firstMs + 20)
    expect(appendNow(store, 'T1', 0)).toBe(firstMs + 20)
  })

  test('is the hash of the tag everywhere else', async () => {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'mqctl-store-'))
    cleanups.push(() => rm(dir, { recursive: true, force: true }))
    const store = await opened(dir)
    cleanups.push(() => store.close())
    await append(store, 'T1', 3)
    expect((await store.unitAt(store.queue('T1', 3), 0))?.tagsCode).toBe(javaHash('red'))
  })
})

describe('delay levels', () => {
  test('that nobody knows any more wait as long as the longest that is known', () => {
    expect(delayMsOfQueue(SCHEDULE, 18)).toBe(7_200_000)
    expect(delayMsOfQueue(SCHEDULE, 18, [1_000, 86_400_000])).toBe(86_400_000)
    expect(delayMsOfQueue('T1', 18)).toBe(0)
  })

  test('are those of RocketMQ', () => {
    expect(delayLevelsMs.map((ms) => ms / 1_000)).toEqual([
      1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1_200, 1_800, 3_600, 7_200,
    ])
  })

  test('are found by their exact time, and named by their neighbours otherwise', () => {
    expect(delayLevelOf(30_000)).toBe(4)
    expect(delayLevelOf(31_000)).toBeNull()
    expect(nearestDelaysMs(31_000)).toEqual([30_000, 60_000])
    expect(nearestDelaysMs(1)).toEqual([1_000])
    expect(nearestDelaysMs(8_000_000)).toEqual([7_200_000])
    expect(nearestDelaysMs(5_000)).toEqual([5_000])
  })
})

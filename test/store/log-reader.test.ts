/** Places of the log that anybody may name, and units that rotted: what stands there is not believed. */
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { ReadGate } from '../../src/store/block-cache.ts'
import { CopyResult, LogReader } from '../../src/store/log-reader.ts'
import { OpenFiles } from '../../src/store/open-files.ts'
import { RECORD_BYTES_MAX } from '../../src/store/options.ts'
import { Segments } from '../../src/store/segments.ts'
import { Tail } from '../../src/store/tail.ts'
import { Watermarks } from '../../src/store/watermarks.ts'
import { syncFile, writeAll } from '../../src/world/disk.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { LogLines, settingsFor, tempDir } from './a-store.ts'
import { FailingDisk } from './failing-disk.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const SEGMENT_BYTES = 1 << 30
const AT = 1_000

/** A full segment of zeros, with the start of something at `AT` that looks like a record. */
async function aLog(size: number, position: number) {
  const dir = await tempDir(cleanups)
  await mkdir(path.join(dir, 'commitlog'))
  const disk = new FailingDisk()
  const settings = settingsFor(dir, { segmentBytes: SEGMENT_BYTES })
  const segments = new Segments(disk, path.join(dir, 'commitlog'), SEGMENT_BYTES)
  await segments.makeFirst(0)
  const head = Buffer.alloc(36)
  head.writeInt32BE(size, 0)
  head.writeInt32BE(0xdaa320a7 | 0, 4)
  head.writeBigInt64BE(BigInt(position), 28)
  const { file } = segments.first
  if (file === null) throw new Error('it is open')
  await writeAll(file, head, AT)
  await syncFile(file)
  const watermarks = new Watermarks()
  watermarks.startAt(SEGMENT_BYTES)
  const files = new OpenFiles(disk, 8)
  cleanups.push(async () => {
    await files.closeAll()
    await segments.close()
  })
  const reader = new LogReader(
    settings,
    segments,
    new Tail(settings.chunkBytes, settings.tailBytes),
    watermarks,
    files,
    new ReadGate(8),
    nodeWorld.clock,
    new LogLines(),
  )
  const bytesRead = () => disk.callsOf('read', 'commitlog').map(({ bytes }) => bytes)
  return { reader, bytesRead }
}

describe('a place of the log', () => {
  it.each([
    ['claims to be longer than any record', 0x30000000, AT],
    ['claims to be a little longer than any record', RECORD_BYTES_MAX + 1, AT],
    ['says that it stands elsewhere', 0x01000000, AT + 1],
  ])('is not read when what stands there %s', async (_what, size, position) => {
    const { reader, bytesRead } = await aLog(size, position)
    expect(await reader.recordAt(AT)).toBeNull()
    expect(bytesRead()).toEqual([4096])
  })

  it('is bad, and not just absent, when its unit says that the record is longer than any', async () => {
    const { reader } = await aLog(200, AT)
    const look = (size: number) => reader.look(AT, size, 0, 0)
    expect([200, 200 + 0x08000000, 200 + 0x20000000].map(look)).toEqual([
      CopyResult.absent,
      CopyResult.bad,
      CopyResult.bad,
    ])
  })
})

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { readJvmGc } from '../../src/host/jvm-perfdata.ts'

const made: string[] = []

afterEach(async () => {
  for (const directory of made.splice(0)) await rm(directory, { recursive: true })
})

/** The counters of a JVM, as HotSpot lays them out on a little-endian machine. */
function perfData(values: Readonly<Record<string, number | string>>): Buffer {
  const entries = Object.entries(values).map(([name, value]) => {
    const nameBytes = Buffer.from(`${name}\0`)
    const dataStart = Math.ceil((20 + nameBytes.length) / 8) * 8
    const data = typeof value === 'number' ? Buffer.alloc(8) : Buffer.alloc(16)
    if (typeof value === 'number') data.writeBigInt64LE(BigInt(value))
    else data.write(value)
    const entry = Buffer.alloc(dataStart + data.length)
    entry.writeInt32LE(entry.length, 0)
    entry.writeInt32LE(20, 4)
    entry.writeInt32LE(typeof value === 'number' ? 0 : data.length, 8)
    entry.write(typeof value === 'number' ? 'J' : 'B', 12)
    entry.writeInt32LE(dataStart, 16)
    nameBytes.copy(entry, 20)
    data.copy(entry, dataStart)
    return entry
  })
  const head = Buffer.alloc(32)
  head.writeUInt32BE(0xcafec0c0, 0)
  head.writeUInt8(1, 4)
  head.writeInt32LE(32, 24)
  head.writeInt32LE(entries.length, 28)
  return Buffer.concat([head, ...entries])
}

it('reads the collectors of a JVM in a container, where it has another number and another /tmp', async () => {
  const proc = await mkdtemp(path.join(tmpdir(), 'mqctl-proc-'))
  made.push(proc)
  const folder = path.join(proc, '4711', 'root', 'tmp', 'hsperfdata_rocketmq')
  await mkdir(folder, { recursive: true })
  await writeFile(path.join(proc, '4711', 'status'), 'Name:\tjava\nNSpid:\t4711\t7\nThreads:\t9\n')
  await writeFile(
    path.join(folder, '7'),
    perfData({
      'sun.os.hrt.frequency': 1_000_000_000,
      'sun.gc.collector.0.name': 'G1 young',
      'sun.gc.collector.0.invocations': 12,
      'sun.gc.collector.0.time': 345_000_000,
    }),
  )
  expect(readJvmGc(4711, proc)).toEqual({
    collectors: [{ name: 'G1 young', count: 12, pauseMs: 345 }],
    count: 12,
    pauseMs: 345,
  })
})

it('knows nothing of a process that is no JVM', () => {
  expect(readJvmGc(process.pid)).toBeNull()
})

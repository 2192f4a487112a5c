/**
 * What a JVM on this host says about its garbage collectors, without asking it anything: HotSpot
 * keeps its counters in a mapped file, /tmp/hsperfdata_USER/PID, which `jstat` reads as well.
 *
 * Layout, in the byte order that byte 4 names (0 big, 1 little):
 *    0 u32 magic 0xcafec0c0 (big-endian)   4 u8 byteOrder   5 u8 major   6 u8 minor   7 u8 accessible
 *    8 i32 used   12 i32 overflow   16 i64 modified   24 i32 firstEntry   28 i32 entryCount
 * Entry: 0 i32 length   4 i32 nameStart   8 i32 vectorLength   12 u8 type ('J' long, 'B' byte)
 *   13 u8 flags   14 u8 units   15 u8 variability   16 i32 dataStart; starts are relative to the entry.
 *
 * Source: openjdk/jdk src/hotspot/share/runtime/perfMemory.hpp.
 */
import { lstatSync, readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'

export interface JvmGc {
  readonly collectors: readonly {
    readonly name: string
    readonly count: number
    readonly pauseMs: number
  }[]
  /** Of all collectors that stop the application. */
  readonly count: number
  readonly pauseMs: number
}

const MAGIC = 0xcafec0c0
/** HotSpot's is 32 KiB, unless -XX:PerfDataMemorySize says more. */
const BYTES_MAX = 16 * 1024 * 1024
const TYPE_LONG = 0x4a
const TYPE_BYTE = 0x42

/** The counters of one file; null when it is not such a file. */
export function parsePerfData(bytes: Buffer): Map<string, number | string> | null {
  if (bytes.length < 32 || bytes.readUInt32BE(0) !== MAGIC) return null
  const little = bytes.readUInt8(4) === 1
  const i32 = (at: number) => (little ? bytes.readInt32LE(at) : bytes.readInt32BE(at))
  const i64 = (at: number) => Number(little ? bytes.readBigInt64LE(at) : bytes.readBigInt64BE(at))
  const values = new Map<string, number | string>()
  let entry = i32(24)
  const count = i32(28)
  for (let index = 0; index < count; index += 1) {
    if (entry < 32 || entry + 20 > bytes.length) break
    const length = i32(entry)
    const nameStart = entry + i32(entry + 4)
    const vectorLength = i32(entry + 8)
    const dataStart = entry + i32(entry + 16)
    if (length < 20 || nameStart >= bytes.length || dataStart + 8 > bytes.length) break
    const nameEnd = bytes.indexOf(0, nameStart)
    const name = bytes.toString('latin1', nameStart, nameEnd < 0 ? bytes.length : nameEnd)
    const type = bytes.readUInt8(entry + 12)
    if (type === TYPE_LONG && vectorLength === 0) values.set(name, i64(dataStart))
    else if (type === TYPE_BYTE && vectorLength > 0) {
      const text = bytes.toString('latin1', dataStart, dataStart + vectorLength)
      values.set(name, text.replace(/\0.*$/s, ''))
    }
    entry += length
  }
  return values
}

/** Garbage collection since the JVM started, from its counters. */
export function gcOf(values: ReadonlyMap<string, number | string>): JvmGc {
  const ticksPerMs = Number(values.get('sun.os.hrt.frequency') ?? 1e9) / 1000
  const collectors: { name: string; count: number; pauseMs: number }[] = []
  for (let index = 0; values.has(`sun.gc.collector.${index}.invocations`); index += 1) {
    collectors.push({
      name: String(values.get(`sun.gc.collector.${index}.name`) ?? index),
      count: Number(values.get(`sun.gc.collector.${index}.invocations`)),
      pauseMs: Number(values.get(`sun.gc.collector.${index}.time`) ?? 0) / ticksPerMs,
    })
  }
  return {
    collectors,
    count: collectors.reduce((sum, collector) => sum + collector.count, 0),
    pauseMs: collectors.reduce((sum, collector) => sum + collector.pauseMs, 0),
  }
}

/**
 * The garbage collection of a JVM on this host by its pid; null when it shows none. One in a container has a
 * /tmp and a number of its own: both are looked at as the process itself sees them, where that is allowed.
 */
export function readJvmGc(pid: number, procDirectory = '/proc'): JvmGc | null {
  const process = path.join(procDirectory, String(pid))
  return gcIn(path.join(process, 'root/tmp'), innermostPid(process) ?? pid) ?? gcIn('/tmp', pid)
}

function gcIn(temporaryDirectory: string, pid: number): JvmGc | null {
  let folders: string[]
  try {
    folders = readdirSync(temporaryDirectory).filter((name) => name.startsWith('hsperfdata_'))
  } catch {
    return null
  }
  for (const folder of folders) {
    try {
      const file = path.join(temporaryDirectory, folder, String(pid))
      // A container may have put anything there.
      const found = lstatSync(file)
      if (!found.isFile() || found.size > BYTES_MAX) continue
      const bytes = readFileSync(file)
      const values = parsePerfData(bytes)
      if (values !== null) return gcOf(values)
    } catch {
      // Another user's folder, or no such JVM in it.
    }
  }
  return null
}

/** Its number in its own namespace of processes. Source: Linux, Documentation/filesystems/proc.rst (NSpid). */
function innermostPid(processDirectory: string): number | null {
  try {
    const status = readFileSync(path.join(processDirectory, 'status'), 'latin1')
    const [, pid] = /^NSpid:.*?(\d+)$/m.exec(status) ?? []
    return pid === undefined ? null : Number(pid)
  } catch {
    return null
  }
}

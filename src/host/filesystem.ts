/** What lies under a path: the kind of file system, and the block device that its bytes go to. */
import { readFileSync, realpathSync, statSync } from 'node:fs'
import path from 'node:path'
import { mountOf, parseMounts } from './proc-text.ts'

export interface FileSystem {
  /** As the kernel names it: `ext4`, `xfs`, `tmpfs` …; null where the platform does not say. */
  readonly type: string | null
  readonly mountPoint: string | null
  readonly source: string | null
  /** Kept in memory only: an fsync costs nothing there and protects nothing. */
  readonly isMemory: boolean
  readonly device: BlockDevice | null
  /** Why a part is null. */
  readonly why: string | null
}

export interface BlockDevice {
  readonly name: string
  readonly major: number
  readonly minor: number
}

const memoryTypes = new Set(['tmpfs', 'ramfs', 'devtmpfs'])

/** The path itself, or the nearest directory above it that exists, without symbolic links. */
export function existingPath(wanted: string): string {
  let at = path.resolve(wanted)
  for (;;) {
    try {
      return realpathSync(at)
    } catch {
      const parent = path.dirname(at)
      if (parent === at) return at
      at = parent
    }
  }
}

/** Looks up the file system under a path; the path need not exist yet. */
export function fileSystemOf(wanted: string): FileSystem {
  const at = existingPath(wanted)
  if (process.platform !== 'linux') {
    const why = `n/a on ${process.platform}: there is no /proc/self/mountinfo`
    return { type: null, mountPoint: null, source: null, isMemory: false, device: null, why }
  }
  try {
    const mount = mountOf(parseMounts(readFileSync('/proc/self/mountinfo', 'utf8')), at)
    const device = mount === null ? null : deviceOf(at, mount.source)
    return {
      type: mount?.type ?? null,
      mountPoint: mount?.mountPoint ?? null,
      source: mount?.source ?? null,
      isMemory: mount !== null && memoryTypes.has(mount.type),
      device,
      why: device === null ? `n/a: ${mount?.type ?? 'this file system'} has no block device` : null,
    }
  } catch (error) {
    const why = `n/a: ${error instanceof Error ? error.message : String(error)}`
    return { type: null, mountPoint: null, source: null, isMemory: false, device: null, why }
  }
}

function deviceOf(at: string, source: string): BlockDevice | null {
  const dev = statSync(at).dev
  // dev_t as glibc lays it out: 12 + 20 bits in the low word, the rest above.
  const major = Math.floor(dev / 256) % 4096
  const minor = (dev % 256) + Math.floor(dev / 2 ** 20) * 256
  if (major !== 0) return wholeDevice(major, minor)
  // Some file systems (btrfs, overlay) use numbers of their own; the mount's source may be a device.
  if (!source.startsWith('/dev/')) return null
  const rdev = statSync(source).rdev
  return wholeDevice(Math.floor(rdev / 256) % 4096, (rdev % 256) + Math.floor(rdev / 2 ** 20) * 256)
}

/** A partition's disk: utilisation belongs to the disk. */
function wholeDevice(major: number, minor: number): BlockDevice | null {
  let directory: string
  try {
    directory = realpathSync(`/sys/dev/block/${major}:${minor}`)
    if (fileText(path.join(directory, 'partition')) !== null) directory = path.dirname(directory)
  } catch {
    return null
  }
  const [wholeMajor, wholeMinor] = (fileText(path.join(directory, 'dev')) ?? '').trim().split(':')
  if (wholeMajor === undefined || wholeMinor === undefined) return null
  return { name: path.basename(directory), major: Number(wholeMajor), minor: Number(wholeMinor) }
}

/** Content of a small file, or null when it cannot be read. */
export function fileText(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

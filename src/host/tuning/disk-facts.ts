/** The data directory and everything below it: space, file system, mount options, disks. */
import { mountOf, parseMounts, type Mount } from '../proc-text.ts'
import type { DiskFacts, DiskLeg } from './facts.ts'
import type { FileStat, HostFiles } from './host-files.ts'
import { joined, numberIn, textOf } from './reading.ts'

export interface DiskQuestion {
  readonly path: string | null
  readonly from: string | null
  readonly mustExist: boolean
  /** User that the broker runs as; null means this user. */
  readonly uid: number | null
}

export function readDisk(files: HostFiles, question: DiskQuestion): DiskFacts {
  const { path } = question
  if (path === null) return { ...nothing, pathFrom: question.from }
  const exists = files.exists(path)
  const nearest = nearestExisting(files, path)
  const real = resolved(files, nearest)
  const mounts = parseMounts(textOf(files, '/proc/self/mountinfo') ?? '')
  const mount = mountOf(mounts, real)
  const rootMount = mountOf(mounts, '/')
  const stat = files.stat(real)
  return {
    path,
    pathFrom: question.from,
    mustExist: question.mustExist,
    exists,
    nearest,
    writable: writableBy(files, real, stat, question.uid),
    owner: stat === null ? null : `${stat.uid}:${stat.gid} ${stat.mode.toString(8)}`,
    space: files.space(real),
    fileSystem: mount?.type ?? null,
    mountPoint: mount?.mountPoint ?? null,
    mountOptions:
      mount === null
        ? []
        : [...new Set([...mount.options.split(','), ...mount.superOptions.split(',')])],
    onRootDevice: mount === null || rootMount === null ? null : mount.device === rootMount.device,
    legs: mount === null ? [] : legsOf(files, mount),
  }
}

const nothing: DiskFacts = {
  path: null,
  pathFrom: null,
  mustExist: false,
  exists: false,
  nearest: null,
  writable: null,
  owner: null,
  space: null,
  fileSystem: null,
  mountPoint: null,
  mountOptions: [],
  onRootDevice: null,
  legs: [],
}

function nearestExisting(files: HostFiles, path: string): string {
  let at = path
  while (at !== '/' && !files.exists(at)) at = at.slice(0, at.lastIndexOf('/')) || '/'
  return at
}

/** Without symbolic links, as far as they can be read. */
function resolved(files: HostFiles, path: string): string {
  let at = '/'
  const rest = path.split('/').filter((part) => part !== '' && part !== '.')
  for (let hops = 0; rest.length > 0 && hops < 100; hops += 1) {
    const part = rest.shift() ?? ''
    if (part === '..') {
      at = at.slice(0, at.lastIndexOf('/')) || '/'
      continue
    }
    const next = joined(at, part)
    const target = files.link(next)
    if (target === null) at = next
    else {
      rest.unshift(...target.split('/').filter((piece) => piece !== '' && piece !== '.'))
      if (target.startsWith('/')) at = '/'
    }
  }
  return at
}

/** By this user as the kernel says; by another as permission bits say. Null when it cannot be told. */
function writableBy(
  files: HostFiles,
  path: string,
  stat: FileStat | null,
  uid: number | null,
): boolean | null {
  const { identity } = files
  if (uid === null || uid === identity.uid) return files.writable(path)
  if (stat === null) return null
  if (uid === 0) return true
  if (stat.uid === uid) return (stat.mode & 0o200) !== 0
  if ((stat.mode & 0o002) !== 0) return true
  // Group membership of another user is not in /proc alone.
  return (stat.mode & 0o020) !== 0 ? null : false
}

/** Down to the disks: a partition to its disk, LVM, dm-crypt and RAID to their members. */
function legsOf(files: HostFiles, mount: Mount): DiskLeg[] {
  let directory = `/sys/dev/block/${mount.device}`
  if (!files.exists(directory)) {
    // btrfs has a device number of its own; its source names a member.
    if (!mount.source.startsWith('/dev/')) return []
    directory = `/sys/class/block/${mount.source.slice(mount.source.lastIndexOf('/') + 1)}`
    if (!files.exists(directory)) return []
  }
  const legs = new Map<string, DiskLeg>()
  collect(files, directory, legs, 0)
  return [...legs.values()]
}

function collect(files: HostFiles, directory: string, legs: Map<string, DiskLeg>, depth: number) {
  if (depth > 8) return
  const members = files.list(`${directory}/slaves`) ?? []
  if (members.length > 0) {
    for (const member of members) collect(files, `/sys/class/block/${member}`, legs, depth + 1)
    return
  }
  const path = files.link(directory)?.split('/') ?? directory.split('/')
  const isPartition = files.exists(`${directory}/partition`)
  const name = path[path.length - (isPartition ? 2 : 1)] ?? '?'
  const queue = `${directory}${isPartition ? '/..' : ''}/queue`
  const schedulers = textOf(files, `${queue}/scheduler`)?.trim() ?? null
  const rotational = numberIn(files, `${queue}/rotational`)
  legs.set(name, {
    name,
    scheduler: schedulers === null ? null : (/\[([^\]]+)\]/.exec(schedulers)?.[1] ?? schedulers),
    schedulers: schedulers?.replace(/[[\]]/g, '').split(/\s+/) ?? [],
    readAheadKib: numberIn(files, `${queue}/read_ahead_kb`),
    rotational: rotational === null ? null : rotational === 1,
  })
}

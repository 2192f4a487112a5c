/** What a crash leaves of a simulated disk: every image that a kill or a power cut may make of a snapshot. */
import path from 'node:path'
import {
  applyNames,
  type Inode,
  type NameChange,
  putBytes,
  SECTOR_BYTES,
  type Snapshot,
  ZEROS,
} from './sim-inode.ts'

/** Content of a disk after a crash: files and directories by path. */
export type Image = ReadonlyMap<
  string,
  {
    readonly isDirectory: boolean
    readonly sectors: ReadonlyMap<number, Buffer>
    readonly sizeBytes: number
  }
>

function reachable(names: ReadonlyMap<string, Inode>, name: string): boolean {
  for (let dir = path.dirname(name); dir !== '/'; dir = path.dirname(dir)) {
    if (names.get(dir)?.isDirectory !== true) return false
  }
  return true
}

/** After kill −9: everything performed is there; the write under way not at all, in part, or whole. */
export function killImage(snapshot: Snapshot, inFlight: 'none' | 'half' | 'whole'): Image {
  const image = new Map<
    string,
    { isDirectory: boolean; sectors: Map<number, Buffer>; sizeBytes: number }
  >()
  for (const [name, inode] of snapshot.names) {
    const sectors = new Map(inode.current)
    let { sizeBytes } = inode
    if (snapshot.inFlight?.inode === inode && inFlight !== 'none') {
      const { bytes, position } = snapshot.inFlight
      const part = inFlight === 'whole' ? bytes : bytes.subarray(0, Math.floor(bytes.length / 2))
      putBytes(sectors, part, position)
      sizeBytes = Math.max(sizeBytes, position + part.length)
    }
    image.set(name, { isDirectory: inode.isDirectory, sectors, sizeBytes })
  }
  return image
}

/** Something that a power cut may keep or lose. */
type Pending =
  | { readonly at: number; readonly kind: 'sector'; readonly inode: Inode; readonly index: number }
  | { readonly at: number; readonly kind: 'size'; readonly inode: Inode }
  | { readonly at: number; readonly kind: 'name'; readonly change: NameChange }

/** What a power cut does to one pending thing. `torn` is for sectors: the first half is new. */
export type Fate = 'keep' | 'lose' | 'torn'

const torn = new Map<Buffer, Map<Buffer, Buffer>>()

function tornSector(old: Buffer, fresh: Buffer): Buffer {
  let byFresh = torn.get(old)
  if (!byFresh) torn.set(old, (byFresh = new Map<Buffer, Buffer>()))
  let sector = byFresh.get(fresh)
  if (!sector) {
    sector = Buffer.from(old)
    fresh.copy(sector, 0, 0, SECTOR_BYTES / 2)
    byFresh.set(fresh, sector)
  }
  return sector
}

/** Everything unsynced at the snapshot, newest first. */
export function pendingOf(snapshot: Snapshot): Pending[] {
  const pending: Pending[] = []
  const seen = new Set<Inode>()
  const add = (inode: Inode) => {
    if (seen.has(inode)) return
    seen.add(inode)
    for (const [index, at] of inode.dirty) pending.push({ at, kind: 'sector', inode, index })
    if (inode.sizeChanged >= 0) pending.push({ at: inode.sizeChanged, kind: 'size', inode })
  }
  for (const inode of snapshot.names.values()) add(inode)
  for (const change of snapshot.nameChanges) pending.push({ at: change.at, kind: 'name', change })
  if (snapshot.inFlight) {
    // The write under way counts as unsynced sectors too.
    const { inode, bytes, position } = snapshot.inFlight
    putBytes(inode.current, bytes, position)
    const last = Math.floor((position + bytes.length - 1) / SECTOR_BYTES)
    for (let index = Math.floor(position / SECTOR_BYTES); index <= last; index++) {
      if (!inode.dirty.has(index)) pending.push({ at: Infinity, kind: 'sector', inode, index })
    }
  }
  return pending.sort((a, b) => b.at - a.at)
}

/** After a power cut: the durable state plus what fate keeps. */
export function cutImage(
  snapshot: Snapshot,
  pending: readonly Pending[],
  fates: readonly Fate[],
): Image {
  const names = new Map(snapshot.durableNames)
  const changes: NameChange[] = []
  const sectors = new Map<Inode, Map<number, Buffer>>()
  const sizes = new Map<Inode, number>()
  for (const [i, item] of pending.entries()) {
    const fate = fates[i] ?? 'lose'
    if (fate === 'lose') continue
    if (item.kind === 'name') changes.push(item.change)
    else if (item.kind === 'size') sizes.set(item.inode, item.inode.sizeBytes)
    else {
      let own = sectors.get(item.inode)
      if (!own) sectors.set(item.inode, (own = new Map(item.inode.durable)))
      const fresh = item.inode.current.get(item.index) ?? ZEROS
      const old = item.inode.durable.get(item.index) ?? ZEROS
      own.set(item.index, fate === 'torn' ? tornSector(old, fresh) : fresh)
    }
  }
  changes.sort((a, b) => a.at - b.at)
  applyNames(names, changes)
  const image = new Map<
    string,
    { isDirectory: boolean; sectors: Map<number, Buffer>; sizeBytes: number }
  >()
  for (const [name, inode] of names) {
    if (!reachable(names, name)) continue
    const sizeBytes = sizes.get(inode) ?? inode.durableSizeBytes
    const content = sectors.get(inode) ?? new Map(inode.durable)
    for (const i of content.keys()) if (i * SECTOR_BYTES >= sizeBytes) content.delete(i)
    image.set(name, { isDirectory: inode.isDirectory, sectors: content, sizeBytes })
  }
  return image
}

const sectorIds = new WeakMap<Buffer, number>()
/** A torn sector often has the bytes of the old one, or of the new one: equal bytes have one id. */
const idsByContent = new Map([[ZEROS.toString('latin1'), 0]])

function sectorIdOf(sector: Buffer): number {
  let id = sectorIds.get(sector)
  if (id === undefined) {
    const content = sector.toString('latin1')
    id = idsByContent.get(content) ?? idsByContent.size
    idsByContent.set(content, id)
    sectorIds.set(sector, id)
  }
  return id
}

/** Equal keys mean equal images. */
export function imageKey(image: Image): string {
  const parts: string[] = []
  for (const [name, entry] of [...image].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const ids: string[] = []
    for (const [i, sector] of entry.sectors) {
      const id = sectorIdOf(sector)
      if (id > 0) ids.push(`${i}:${id}`)
    }
    parts.push(`${name} ${entry.sizeBytes} ${ids.sort().join(' ')}`)
  }
  return parts.join('\n')
}

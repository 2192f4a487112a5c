/** Removing what an instance kept. */
import path from 'node:path'
import type { Disk } from '../world/disk.ts'
import { forgetInstance, type RunFile } from './instance.ts'

/** Sum of the lengths of all files below a directory; 0 when there is none. */
export async function directoryBytes(disk: Disk, directory: string): Promise<number> {
  let bytes = 0
  for (const entry of await disk.list(directory)) {
    const full = path.join(directory, entry.name)
    bytes += entry.isDirectory
      ? await directoryBytes(disk, full)
      : ((await disk.facts(full))?.sizeBytes ?? 0)
  }
  return bytes
}

/**
 * Removes the folders of the roles, then the data directory when nothing else is in it (it may be
 * a directory of the user's own), then run.json and logs.
 */
export async function removeData(disk: Disk, run: RunFile, stateDir: string): Promise<void> {
  for (const role of run.roles) await disk.removeTree(path.join(run.dataDir, role.name))
  const left = await disk.list(run.dataDir)
  if (left.length === 0) await disk.removeTree(run.dataDir)
  forgetInstance(stateDir)
}

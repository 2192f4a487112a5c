/** Removing what an instance kept. */
import { lstatSync, readdirSync } from 'node:fs'
import path from 'node:path'
import type { Disk } from '../world/disk.ts'
import { forgetInstance, type RunFile } from './instance.ts'

const BLOCK_BYTES = 512

/**
 * Bytes that the files below a directory take on the disk; 0 when there is none. Segments of the
 * log are as long as they may grow and take only what was written: their length would mislead.
 */
export function directoryBytes(directory: string): number {
  let entries
  try {
    entries = readdirSync(directory, { withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw error
  }
  return entries.reduce((bytes, entry) => {
    const full = path.join(directory, entry.name)
    return (
      bytes + (entry.isDirectory() ? directoryBytes(full) : lstatSync(full).blocks * BLOCK_BYTES)
    )
  }, 0)
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

/** Where `consume --broadcast` keeps how far it is: one file for a group at a cluster, on this machine. */
import path from 'node:path'
import { stateHome } from '../engine/directories.ts'
import type { Disk } from '../world/disk.ts'

/** `chosen`, or a file in the state directory, whose folder is made when it is missing. */
export async function broadcastFileOf(
  disk: Disk,
  group: string,
  nameServers: readonly string[],
  chosen: string | undefined,
): Promise<string> {
  if (chosen !== undefined) return path.resolve(chosen)
  const cluster = nameServers.join('_').replaceAll(/[^A-Za-z0-9._-]/g, '-')
  const folder = path.join(stateHome(process.env), 'broadcast', cluster)
  await disk.makeDirectory(folder)
  return path.join(folder, `${group}.json`)
}

/** Removing what instances kept: messages, offsets, run.json and logs. */
import { existsSync, lstatSync, readdirSync, rmdirSync } from 'node:fs'
import path from 'node:path'
import { MqError, systemCodeOf } from '../base/errors.ts'
import type { Disk } from '../world/disk.ts'
import { dataHome, directoriesOf, stateHome } from './directories.ts'
import { directoriesIn, forgetInstance, readLastRun, statusOf } from './instance.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** What an instance keeps on this machine. */
export interface Belongings {
  readonly name: string
  readonly dataDir: string
  readonly stateDir: string
  /** Folders in `dataDir` that are its own: one a role. */
  readonly folders: readonly string[]
  /** Its supervisor, or 0 when only a role lives; null when nothing of it runs. */
  readonly pid: number | null
}

const BLOCK_BYTES = 512

/**
 * What the instance of that name keeps; null when there is nothing. Not only of one that ran: a start
 * that failed leaves logs, and whoever removed the state directory left messages.
 */
export function belongingsOf(env: Environment, name: string): Belongings | null {
  const own = directoriesOf(env, name)
  const run = readLastRun(own.stateDir)
  if (run === null && !existsSync(own.stateDir) && !existsSync(own.dataDir)) return null
  const dataDir = run?.dataDir ?? own.dataDir
  // A directory of the user's own may hold other things; ours holds what any start made.
  const folders =
    dataDir === own.dataDir ? directoriesIn(dataDir) : (run?.roles ?? []).map((role) => role.name)
  const status = run === null ? null : statusOf(run, own.stateDir)
  const pid = status === null || status.state === 'stopped' ? null : (status.supervisorPid ?? 0)
  return { name, dataDir, stateDir: own.stateDir, folders, pid }
}

/** What every instance of this user keeps, by name. */
export function allBelongings(env: Environment): Belongings[] {
  const names = [stateHome(env), dataHome(env)].flatMap((home) =>
    directoriesIn(path.join(home, 'clusters')),
  )
  return [...new Set(names)]
    .sort()
    .map((name) => belongingsOf(env, name))
    .filter((found) => found !== null)
}

/** Bytes of the disk that its folders take. */
export function belongingsBytes({ dataDir, folders }: Belongings): number {
  return folders.reduce((bytes, folder) => bytes + directoryBytes(path.join(dataDir, folder)), 0)
}

/**
 * Bytes that the files below a directory take on the disk; 0 when there is none. Segments of the
 * log are as long as they may grow and take only what was written: their length would mislead.
 */
function directoryBytes(directory: string): number {
  let entries
  try {
    entries = readdirSync(directory, { withFileTypes: true })
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return 0
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
 * Throws ALREADY_RUNNING when it runs, and STORE_IN_USE when somebody else has one of its stores
 * open: another instance on the same directory, or an Apache broker.
 */
export async function refuseInUse(disk: Disk, what: Belongings): Promise<void> {
  if (what.pid !== null) {
    throw new MqError('ALREADY_RUNNING', { name: what.name, pid: what.pid === 0 ? '?' : what.pid })
  }
  for (const folder of what.folders) {
    const store = path.join(what.dataDir, folder)
    const file = path.join(store, 'lock')
    if ((await disk.facts(file)) === null) continue
    const lock = await disk.lock(file)
    if (lock === null) throw new MqError('STORE_IN_USE', { path: store })
    await lock.release()
  }
}

/**
 * Removes its folders, then the data directory when nothing else is in it (it may be a directory of
 * the user's own), then run.json and logs, then our directories above when they are empty.
 */
export async function removeBelongings(
  disk: Disk,
  env: Environment,
  { dataDir, stateDir, folders }: Belongings,
): Promise<void> {
  for (const folder of folders) await disk.removeTree(path.join(dataDir, folder))
  removeEmpty(dataDir)
  forgetInstance(stateDir)
  for (const home of [dataHome(env), stateHome(env)]) {
    removeEmpty(path.join(home, 'clusters'))
    removeEmpty(home)
  }
}

function removeEmpty(directory: string): void {
  try {
    rmdirSync(directory)
  } catch (error) {
    const code = systemCodeOf(error) ?? ''
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(code)) throw error
  }
}

/**
 * Brokers of another build of mqctl, for a comparison of two: its own `start` and `stop` run them,
 * in directories made for one run. What a killed comparison left running is stopped by the next.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { MqError, messageOf } from '../base/errors.ts'
import type { World } from '../world/world.ts'
import { dataHome } from './directories.ts'
import { type ProcessIdentity, identityOf, isAlive } from './process-identity.ts'

export interface OtherBuild {
  /** Name servers, HOST:PORT. */
  readonly namesrv: readonly string[]
  readonly brokers: readonly {
    readonly name: string
    readonly address: string
    readonly pid: number
  }[]
  readonly dataDir: string
  /** Stops it and removes its data. */
  end(): Promise<void>
}

export interface OtherBuildOptions {
  /** The build's `bin/run.js`. */
  readonly bin: string
  readonly brokers: number
  readonly flush: 'sync' | 'async'
}

const PREFIX = 'build-'
const NAME = 'gate'
const OWNER = 'owner.json'
const START_TIMEOUT_MS = 60_000

/** A directory of a build, or its `bin/run.js`, as that file. Throws MqError VALUE_INVALID. */
export function binOfBuild(place: string): string {
  const given = path.resolve(place)
  const isDirectory = existsSync(given) && statSync(given).isDirectory()
  const bin = isDirectory ? path.join(given, 'bin', 'run.js') : given
  if (existsSync(bin) && statSync(bin).isFile()) return bin
  throw new MqError('VALUE_INVALID', {
    what: `${place} is no build of mqctl: there is no ${isDirectory ? 'bin/run.js in it' : 'such file'}`,
    hint: 'name the directory of a build, HOST:PORT of a name server, or KEY=VALUE',
  })
}

/** Starts it and waits until it serves. Throws MqError BUILD_FAILED with what it said. */
export async function startOtherBuild(
  world: World,
  { bin, brokers, flush }: OtherBuildOptions,
): Promise<OtherBuild> {
  const parent = path.join(dataHome(process.env), 'bench')
  await stopForgotten(world, parent)
  const root = path.join(parent, `${PREFIX}${randomBytes(4).toString('hex')}`)
  await world.disk.makeDirectory(root)
  const owner: Owner = { identity: identityOf(process.pid), bin }
  writeFileSync(path.join(root, OWNER), JSON.stringify(owner))
  const dataDir = path.join(root, 'data')
  const args = ['start', NAME, '--detach', '--any-port', '--data-dir', dataDir, '--json']
  const sized = ['--brokers', String(brokers), '--flush', flush]
  try {
    const status = statusOf(bin, await runOf(bin, root, [...args, ...sized]))
    return {
      namesrv: status.namesrv,
      brokers: status.brokers,
      dataDir,
      async end() {
        await runOf(bin, root, ['stop', NAME])
        await world.disk.removeTree(root)
      },
    }
  } catch (error) {
    await runOf(bin, root, ['stop', NAME]).catch(() => undefined)
    await world.disk.removeTree(root)
    throw error
  }
}

interface Status {
  readonly namesrv: readonly string[]
  readonly brokers: OtherBuild['brokers']
}

function statusOf(bin: string, text: string): Status {
  try {
    const { namesrv, brokers } = JSON.parse(text) as Partial<Status>
    if (Array.isArray(namesrv) && Array.isArray(brokers)) return { namesrv, brokers }
  } catch (error) {
    throw buildFailed(bin, ['start'], messageOf(error))
  }
  throw buildFailed(bin, ['start'], 'its JSON says neither name servers nor brokers')
}

function buildFailed(bin: string, [command = '']: readonly string[], why: string): MqError {
  return new MqError('BUILD_FAILED', { bin, command, why: why.slice(0, 500) })
}

function runOf(bin: string, root: string, args: readonly string[]): Promise<string> {
  const env = { ...process.env, XDG_STATE_HOME: path.join(root, 'state') }
  const options = { env, timeout: START_TIMEOUT_MS }
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [bin, ...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(buildFailed(bin, args, stderr.trim() || stdout.trim() || error.message))
    })
  })
}

interface Owner {
  readonly identity: ProcessIdentity
  readonly bin: string
}

/** Builds whose owner is gone. */
async function stopForgotten(world: World, parent: string): Promise<void> {
  for (const { name, isDirectory } of await world.disk.list(parent)) {
    if (!isDirectory || !name.startsWith(PREFIX)) continue
    const root = path.join(parent, name)
    const owner = ownerOf(root)
    if (owner === null || isAlive(owner.identity)) continue
    await runOf(owner.bin, root, ['stop', NAME]).catch(() => undefined)
    await world.disk.removeTree(root)
  }
}

function ownerOf(root: string): Owner | null {
  try {
    return JSON.parse(readFileSync(path.join(root, OWNER), 'utf8')) as Owner
  } catch {
    // It is being made, or was never whole: nothing was started from it.
    return null
  }
}

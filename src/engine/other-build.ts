/**
 * Brokers of another build of mqctl, for a comparison of two: its own `start` and `stop` run them,
 * in directories made for one run. A process beside this one keeps them (`roles/build-keeper.ts`) and
 * ends them also when this one was killed. Was that one killed as well, the next comparison does.
 */
import { type ChildProcess, execFile, fork } from 'node:child_process'
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
  /** Main of the process that keeps it; tests put their own here. */
  readonly keeper?: URL
}

/** Comparison → keeper, once; the rest is for `end` or for the end of the comparison. */
export interface KeepBuild {
  readonly kind: 'start'
  /** The build's `bin/run.js`. */
  readonly bin: string
  /** Holds all that it writes, and is removed with it. */
  readonly root: string
  readonly startArgs: readonly string[]
  readonly stopArgs: readonly string[]
}

export type KeeperOrder = KeepBuild | { readonly kind: 'end' }

/** Keeper → comparison, to each order: what the build's command printed, or said of why not. */
export interface KeeperAnswer {
  readonly ok: boolean
  readonly text: string
}

const PREFIX = 'build-'
const NAME = 'gate'
const OWNER = 'owner.json'
const STOP_TIMEOUT_MS = 60_000
const keeperScript = new URL('./roles/build-keeper.js', import.meta.url)

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
  { bin, brokers, flush, keeper = keeperScript }: OtherBuildOptions,
): Promise<OtherBuild> {
  const parent = path.join(dataHome(process.env), 'bench')
  await stopForgotten(world, parent)
  const root = path.join(parent, `${PREFIX}${randomBytes(4).toString('hex')}`)
  await world.disk.makeDirectory(root)
  const dataDir = path.join(root, 'data')
  const args = ['start', NAME, '--detach', '--any-port', '--data-dir', dataDir, '--json']
  const sized = ['--brokers', String(brokers), '--flush', flush]
  const kept = new KeptBuild(bin, root, keeper)
  try {
    kept.own()
    const status = statusOf(bin, await kept.start([...args, ...sized]))
    return {
      namesrv: status.namesrv,
      brokers: status.brokers,
      dataDir,
      async end() {
        await kept.end()
        await world.disk.removeTree(root)
      },
    }
  } catch (error) {
    await kept.end().catch(() => undefined)
    await world.disk.removeTree(root)
    throw error
  }
}

/** A build in the hands of its keeper. */
class KeptBuild {
  readonly #bin: string
  readonly #root: string
  readonly #keeper: ChildProcess
  #answers: (answer: KeeperAnswer | null) => void = () => undefined

  constructor(bin: string, root: string, keeper: URL) {
    this.#bin = bin
    this.#root = root
    this.#keeper = fork(keeper, [], {
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    this.#keeper.on('message', (answer) => {
      this.#answers(answer as KeeperAnswer)
    })
    for (const event of ['exit', 'error'] as const) {
      this.#keeper.on(event, () => {
        this.#answers(null)
      })
    }
  }

  /** Writes down who has it, for the next comparison. */
  own(): void {
    const identity = identityOf(this.#keeper.pid ?? process.pid)
    const owner: Owner = { identity, bin: this.#bin }
    writeFileSync(path.join(this.#root, OWNER), JSON.stringify(owner))
  }

  /** What its `start` printed. Rejects with MqError BUILD_FAILED. */
  async start(startArgs: readonly string[]): Promise<string> {
    const [bin, root] = [this.#bin, this.#root]
    const order: KeepBuild = { kind: 'start', bin, root, startArgs, stopArgs: ['stop', NAME] }
    const answer = await this.#ask(order)
    if (answer?.ok === true) return answer.text
    throw buildFailed(bin, startArgs, answer?.text ?? 'the process that keeps it has ended')
  }

  /** Rejects with MqError BUILD_FAILED when it could not be stopped. */
  async end(): Promise<void> {
    const answer = await this.#ask({ kind: 'end' })
    if (answer === null) await runOf(this.#bin, this.#root, ['stop', NAME])
    else if (!answer.ok) throw buildFailed(this.#bin, ['stop'], answer.text)
  }

  /** Null when the keeper is gone. */
  #ask(order: KeeperOrder): Promise<KeeperAnswer | null> {
    return new Promise((resolve) => {
      this.#answers = resolve
      if (this.#keeper.connected) this.#keeper.send(order, () => undefined)
      else resolve(null)
    })
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

function buildFailed(bin: string, [command = '']: readonly string[], said: string): MqError {
  const { why, hint } = told(said)
  return new MqError('BUILD_FAILED', { bin, command, why: why.slice(0, 500), hint })
}

const BUILD_HINT = 'does it work by itself? was it built anew meanwhile?'

/** The error that it gave with --json, or whatever it said. */
function told(said: string): { readonly why: string; readonly hint: string } {
  try {
    const { error } = JSON.parse(said) as { error?: { message?: unknown; hint?: unknown } }
    if (typeof error?.message === 'string') {
      // A log of its own goes away with it.
      const isOfUse = typeof error.hint === 'string' && !error.hint.startsWith('its log:')
      return { why: error.message, hint: isOfUse ? String(error.hint) : BUILD_HINT }
    }
  } catch {
    // It is plain text.
  }
  return { why: said, hint: BUILD_HINT }
}

function runOf(bin: string, root: string, args: readonly string[]): Promise<string> {
  const env = { ...process.env, XDG_STATE_HOME: path.join(root, 'state') }
  const options = { env, timeout: STOP_TIMEOUT_MS }
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

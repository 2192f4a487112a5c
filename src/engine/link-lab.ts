/**
 * A laboratory on one machine: two network namespaces joined by a link of a known speed. Brokers
 * live on one side, the load on the other, so that what is true of a gigabit network can be shown
 * without one.
 *
 *   brokers' side  198.18.0.1/30  link0 ── veth, shaped on both ends ── link0  198.18.0.2/30  load's side
 *
 * A token bucket on each end lets the frames out at the speed of the link, each with the 24 bytes
 * that Ethernet adds to what counters show. Segments leave one by one (no offload), as counters of
 * a real card see them. 198.18.0.0/15 is the range for benchmarks (RFC 2544); nothing outside the
 * two namespaces sees it, and several laboratories can stand side by side.
 *
 * The kernel keeps a namespace until it is deleted. So each laboratory has a directory with a
 * record and a lock: the next one looks for records whose owner is gone, ends what still runs in
 * those namespaces, and deletes them.
 */
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { accessSync, constants } from 'node:fs'
import path from 'node:path'
import { ExitCode } from '../base/exit-codes.ts'
import { MqError, messageOf } from '../base/errors.ts'
import type { World } from '../world/world.ts'

export interface LinkLabOptions {
  /** Each way. */
  readonly linkBitsPerSecond: number
  /** Where records are kept; by default beside the kernel's own names of namespaces. */
  readonly parent?: string
}

/** One place for the whole machine, as namespaces are; both are gone after a restart of it. */
const PARENT = '/run/mqctl/lab'

/** What a process on the load's side is told of the laboratory that it is in. */
export interface LabSite {
  readonly id: string
  /** Address of the brokers' side. */
  readonly brokerHost: string
  readonly linkBitsPerSecond: number
  /** Command with which a process is started on the brokers' side. */
  readonly brokerLauncher: readonly string[]
}

/** In the environment of a process on the load's side. */
const LAB_VARIABLE = 'MQCTL_BENCH_LAB'

const BROKER_HOST = '198.18.0.1'
const LOAD_HOST = '198.18.0.2'
const INTERFACE = 'link0'
const PREFIX = 'mqctl-lab-'
/** Ethernet's preamble, checksum and gap. */
const GAP_BYTES = 24
/** What may leave at once: a millisecond of the link, a few frames at least. */
const BURST_SECONDS = 0.001
const BURST_BYTES_MIN = 8 * 1_600
/** What may wait: beyond it frames are dropped, so there is room for the first segments of many connections. */
const QUEUE_SECONDS = 0.05
const QUEUE_BYTES_MIN = 1_000_000
const COMMAND_TIMEOUT_MS = 20_000

export class LinkLab {
  readonly site: LabSite
  /** Command with which a process is started on the load's side. */
  readonly loadLauncher: readonly string[]
  readonly #world: World
  readonly #root: string
  readonly #release: () => Promise<void>

  /** Throws LAB_IMPOSSIBLE: not Linux, not root, tools or kernel support missing. Nothing is left then. */
  static async build(world: World, options: LinkLabOptions): Promise<LinkLab> {
    refuseWhereImpossible()
    const parent = options.parent ?? PARENT
    await clearLabs(world, parent)
    const id = randomBytes(3).toString('hex')
    const root = path.join(parent, id)
    await world.disk.makeDirectory(root)
    const lock = await world.disk.lock(path.join(root, 'lock'))
    if (lock === null) throw impossible('its lock is taken', 'try again')
    const lab = new LinkLab(world, options, id, root, () => lock.release())
    try {
      await lab.#make()
      return lab
    } catch (error) {
      await lab.remove()
      throw error
    }
  }

  private constructor(
    world: World,
    { linkBitsPerSecond }: LinkLabOptions,
    id: string,
    root: string,
    release: () => Promise<void>,
  ) {
    this.#world = world
    this.#root = root
    this.#release = release
    const [brokers, load] = namespacesOf(id)
    this.site = {
      id,
      brokerHost: BROKER_HOST,
      linkBitsPerSecond,
      brokerLauncher: launcherOf(brokers),
    }
    this.loadLauncher = launcherOf(load)
  }

  /**
   * Runs this very command line again on the load's side; resolves with its exit code. It is in a
   * session of its own and is told once of an interruption; when this process dies, it ends.
   */
  runAgain(argv: readonly string[], interrupted: AbortSignal): Promise<number> {
    const [command = '', ...words] = [...this.loadLauncher, process.execPath, ...process.execArgv]
    const child = spawn(command, [...words, ...argv], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, [LAB_VARIABLE]: JSON.stringify(this.site) },
      detached: true,
    })
    const tell = () => child.kill(interrupted.reason === 'SIGTERM' ? 'SIGTERM' : 'SIGINT')
    interrupted.addEventListener('abort', tell, { once: true })
    if (interrupted.aborted) tell()
    return new Promise((resolve, reject) => {
      child.once('error', (error) => {
        reject(impossible(messageOf(error), 'is iproute2 installed?'))
      })
      child.once('exit', (code, signal) => {
        interrupted.removeEventListener('abort', tell)
        resolve(code ?? (signal === 'SIGTERM' ? ExitCode.terminated : ExitCode.bug))
      })
    })
  }

  /** Ends whatever runs inside and takes it down; never throws. */
  async remove(): Promise<void> {
    await removeNamespaces(this.site.id)
    await this.#release()
    await this.#world.disk.removeTree(this.#root)
  }

  async #make(): Promise<void> {
    const { id, linkBitsPerSecond } = this.site
    const [brokers, load] = namespacesOf(id)
    for (const name of [brokers, load]) await run('ip', ['netns', 'add', name])
    const peer = ['peer', 'name', INTERFACE, 'netns', brokers]
    await run('ip', ['-n', load, 'link', 'add', INTERFACE, 'type', 'veth', ...peer])
    for (const [name, address] of [
      [brokers, BROKER_HOST],
      [load, LOAD_HOST],
    ] as const) {
      await run('ip', ['-n', name, 'address', 'add', `${address}/30`, 'dev', INTERFACE])
      await run('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
      // One segment a frame: what counters show is then what would be on a wire.
      await run('ip', ['-n', name, 'link', 'set', INTERFACE, 'gso_max_segs', '1', 'up'])
      await run('tc', ['-n', name, 'qdisc', 'add', 'dev', INTERFACE, ...bucket(linkBitsPerSecond)])
    }
  }
}

/** Laboratories whose owner is gone are taken down; returns how many. */
async function clearLabs(world: World, parent: string): Promise<number> {
  let cleared = 0
  for (const entry of await world.disk.list(parent)) {
    if (!entry.isDirectory) continue
    const root = path.join(parent, entry.name)
    if ((await world.disk.facts(path.join(root, 'lock'))) === null) continue
    const lock = await world.disk.lock(path.join(root, 'lock'))
    if (lock === null) continue
    await removeNamespaces(entry.name)
    await lock.release()
    await world.disk.removeTree(root)
    cleared += 1
  }
  return cleared
}

/** The laboratory that this process was started in; null outside of one. It ends with its starter. */
export function labSiteOf(env: Readonly<Record<string, string | undefined>>): LabSite | null {
  const written = env[LAB_VARIABLE]
  if (written === undefined) return null
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
  process.channel?.unref()
  return JSON.parse(written) as LabSite
}

function namespacesOf(id: string): [brokers: string, load: string] {
  return [`${PREFIX}${id}-brokers`, `${PREFIX}${id}-load`]
}

function launcherOf(namespace: string): string[] {
  return ['ip', 'netns', 'exec', namespace]
}

function bucket(bitsPerSecond: number): string[] {
  const bytesIn = (seconds: number) => Math.ceil((bitsPerSecond / 8) * seconds)
  const burst = Math.max(BURST_BYTES_MIN, bytesIn(BURST_SECONDS))
  const limit = burst + Math.max(QUEUE_BYTES_MIN, bytesIn(QUEUE_SECONDS))
  const words = ['rate', `${Math.round(bitsPerSecond)}bit`, 'burst', String(burst)]
  return ['root', 'tbf', ...words, 'limit', String(limit), 'overhead', String(GAP_BYTES)]
}

async function removeNamespaces(id: string): Promise<void> {
  for (const name of namespacesOf(id)) {
    const inside = await run('ip', ['netns', 'pids', name]).catch(() => '')
    for (const pid of inside.split('\n').map(Number)) {
      // Never this process itself, whatever it was started in.
      if (pid > 0 && pid !== process.pid) endProcess(pid)
    }
    await run('ip', ['netns', 'delete', name]).catch(() => undefined)
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}

function refuseWhereImpossible(): void {
  if (process.platform !== 'linux') {
    throw impossible('network namespaces exist on Linux only', 'run it in a Linux machine')
  }
  if (process.getuid?.() !== 0) {
    throw impossible('making network namespaces needs root', 'run it with sudo')
  }
  const missing = ['ip', 'tc'].filter((tool) => !isOnPath(tool))
  if (missing.length > 0) {
    const hint = 'install iproute2 (apt install iproute2, dnf install iproute iproute-tc)'
    throw impossible(`${missing.join(' and ')} not found`, hint)
  }
}

function isOnPath(tool: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((directory) => {
    try {
      accessSync(path.join(directory, tool), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Standard output; rejects with LAB_IMPOSSIBLE and what the tool said. */
function run(command: string, words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, words, { timeout: COMMAND_TIMEOUT_MS }, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout)
        return
      }
      const said = stderr.trim().split('\n')[0] ?? ''
      const why = `${command} ${words.join(' ')}: ${said === '' ? messageOf(error) : said}`
      const hint =
        'the kernel or the container does not allow it: network namespaces, veth and sch_tbf are needed, with CAP_NET_ADMIN and CAP_SYS_ADMIN'
      reject(impossible(why, hint))
    })
  })
}

function impossible(why: string, hint: string): MqError {
  return new MqError('LAB_IMPOSSIBLE', { why, hint })
}

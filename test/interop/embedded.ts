/** Our own name server and broker, as the shipped `mqctl start` runs them, for the tests. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Cluster, endProcess, removeFolder, temporaryFolder } from './peers.ts'

const run = promisify(execFile)

/** The shipped entry (`npm run build` makes what it needs), or another build, such as an installed package. */
export const mqctlBinary =
  process.env['MQCTL_TEST_BIN'] ?? fileURLToPath(new URL('../../bin/run.js', import.meta.url))

interface RoleStatus {
  readonly name: string
  readonly address: string
  readonly pid: number | null
}

interface StartedStatus {
  readonly state: string
  readonly dataDir: string
  readonly namesrv: readonly string[]
  readonly nameServers: readonly RoleStatus[]
  readonly brokers: readonly RoleStatus[]
}

export interface MqctlOptions {
  /** Existing store directory, named `broker-a`; otherwise one of its own, removed at stop. */
  readonly storeDirectory?: string
  /** Existing home (state of the instance, data) to come back to; it is the caller's to remove. */
  readonly home?: string
  readonly flush?: 'sync' | 'async'
  /** Broker options, by RocketMQ's name or ours. */
  readonly settings?: Record<string, string>
  readonly flags?: readonly string[]
  /** False: the flags name the ports. */
  readonly anyPort?: boolean
}

export interface MqctlCluster extends Cluster {
  readonly kind: 'mqctl'
  /** Pids of name servers, brokers and the process that watches them. */
  readonly pids: readonly number[]
  /** Ends all of it as a crash of the machine's power would, save that the page cache lives on. */
  kill(): Promise<void>
  /** What a command needs to see this instance (`mqctl status`), and nothing of the user's own. */
  readonly environment: NodeJS.ProcessEnv
}

/** Runs one mqctl command; answers stdout. Rejects when its exit code is not 0. */
export async function mqctl(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const { stdout } = await run(process.execPath, [mqctlBinary, ...args], {
    env: environment,
    maxBuffer: 256 << 20,
  })
  return stdout
}

/** `mqctl` did not start; the message is what it printed. */
export class MqctlRefused extends Error {
  readonly exitCode: number | null

  constructor(exitCode: number | null, text: string) {
    super(text)
    this.exitCode = exitCode
  }
}

/** The first broker of `mqctl start`; its store is the folder of that name in the data directory. */
const brokerName = 'broker-a'

/** Starts one name server and one broker on free ports; ready when `mqctl start` says so. */
export async function startMqctl(options: MqctlOptions = {}): Promise<MqctlCluster> {
  const home = options.home ?? temporaryFolder('embedded')
  const leave = (): void => {
    if (options.home === undefined) removeFolder(home)
  }
  const dataDir =
    options.storeDirectory === undefined ? join(home, 'data') : dirname(options.storeDirectory)
  if (options.storeDirectory !== undefined && basename(options.storeDirectory) !== brokerName) {
    throw new Error(`a store for mqctl start is a folder named ${brokerName}`)
  }
  fs.mkdirSync(dataDir, { recursive: true })
  const environment = {
    ...process.env,
    HOME: home,
    XDG_DATA_HOME: join(home, 'share'),
    XDG_STATE_HOME: join(home, 'state'),
    NO_COLOR: '1',
  }
  const args = ['start', 'peer', '--data-dir', dataDir, '--json']
  if (options.anyPort !== false) args.push('--any-port')
  if (options.flush !== undefined) args.push('--flush', options.flush)
  for (const [key, value] of Object.entries(options.settings ?? {})) {
    args.push('--set', `${key}=${value}`)
  }
  args.push(...(options.flags ?? []))
  const child = spawn(process.execPath, [mqctlBinary, ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const status = await started(child).catch((error: unknown) => {
    leave()
    throw error
  })
  const broker = status.brokers[0]
  const roles = [...status.nameServers, ...status.brokers]
  return {
    kind: 'mqctl',
    namesrv: status.namesrv.join(';'),
    brokerAddress: broker?.address ?? '',
    brokerName: broker?.name ?? '',
    clusterName: 'DefaultCluster',
    storeDirectory: options.storeDirectory ?? join(dataDir, brokerName),
    brokerPid: broker?.pid ?? 0,
    pids: [child.pid ?? 0, ...roles.map((role) => role.pid ?? 0)],
    environment,
    async stop() {
      await endProcess(child, 'SIGTERM')
      leave()
    },
    async kill() {
      for (const role of roles) if (role.pid !== null) process.kill(role.pid, 'SIGKILL')
      await endProcess(child, 'SIGKILL')
      leave()
    },
  }
}

/** The document that `start --json` prints once it serves. */
function started(child: ChildProcess): Promise<StartedStatus> {
  return new Promise((resolve, reject) => {
    let out = ''
    let all = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      all += text
      out += text
      try {
        const document = JSON.parse(out) as Partial<StartedStatus>
        // A failure prints its document as well; the exit then rejects with all that was printed.
        if (document.state !== undefined) resolve(document as StartedStatus)
      } catch {
        // not whole yet
      }
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      all = (all + text).slice(-20_000)
    })
    child.on('exit', (code) => {
      reject(new MqctlRefused(code, all))
    })
  })
}

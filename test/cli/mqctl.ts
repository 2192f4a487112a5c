/**
 * Runs the shipped binary as a user would, with XDG directories of its own. MQCTL_TEST_BIN points
 * to another build, such as an installed package.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'

export const bin =
  process.env['MQCTL_TEST_BIN'] ?? path.join(import.meta.dirname, '..', '..', 'bin', 'run.js')

export interface Outcome {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number | null
}

export interface RunOptions {
  readonly input?: string | Buffer
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

export class Home {
  readonly directory: string

  private constructor(directory: string) {
    this.directory = directory
  }

  static async make(): Promise<Home> {
    return new Home(await mkdtemp(path.join(os.tmpdir(), 'mqctl-cli-')))
  }

  /** Runs to its end. */
  run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const child = this.spawn(args, options)
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input ?? '')
    return outcomeOf(child)
  }

  /** Runs with `--json` and gives the one document of stdout. */
  async json(args: readonly string[], options: RunOptions = {}) {
    const outcome = await this.run([...args, '--json'], options)
    return { ...outcome, document: JSON.parse(outcome.stdout) }
  }

  /** Runs a line of `sh` in which `mqctl` is this build, for what only pipes between processes show. */
  shell(line: string, options: RunOptions = {}): Promise<Outcome> {
    const script = `mqctl() { '${process.execPath}' '${bin}' "$@"; }\n${line}`
    return outcomeOf(spawn('sh', ['-c', script], this.#spawnOptions(options)))
  }

  spawn(args: readonly string[], options: RunOptions = {}): ChildProcess {
    return spawn(process.execPath, [bin, ...args], this.#spawnOptions(options))
  }

  #spawnOptions(options: RunOptions) {
    const { NAMESRV_ADDR: _1, MQCTL_NAMESRV: _2, FORCE_COLOR: _3, ...env } = process.env
    return {
      cwd: options.cwd ?? this.directory,
      env: {
        ...env,
        XDG_DATA_HOME: path.join(this.directory, 'data'),
        XDG_STATE_HOME: path.join(this.directory, 'state'),
        XDG_CONFIG_HOME: path.join(this.directory, 'config'),
        XDG_CACHE_HOME: path.join(this.directory, 'cache'),
        ...options.env,
      },
      stdio: 'pipe' as const,
    }
  }

  /** Directories that runs of `mqctl bench` have and left behind. */
  benchDirectories(): string[] {
    const parent = path.join(this.directory, 'data', 'mqctl', 'bench')
    return existsSync(parent) ? readdirSync(parent) : []
  }

  /** Stops everything that was started here and removes all traces. */
  async remove(): Promise<void> {
    await this.run(['stop', '--all', '--timeout', '10s'])
    await rm(this.directory, { recursive: true, force: true })
  }
}

export function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (exitCode) => {
      resolve({
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
        exitCode,
      })
    })
  })
}

/** Resolves when stdout or stderr has shown `text`; rejects with what came when it ended without. */
export function shows(child: ChildProcess, text: string): Promise<void> {
  let seen = ''
  return new Promise((resolve, reject) => {
    const look = (chunk: Buffer) => {
      seen += chunk.toString()
      if (seen.includes(text)) resolve()
    }
    child.stdout?.on('data', look)
    child.stderr?.on('data', look)
    child.on('close', () => {
      reject(new Error(`ended without ${JSON.stringify(text)}: ${seen}`))
    })
  })
}

/** Whether there is a process of that number. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

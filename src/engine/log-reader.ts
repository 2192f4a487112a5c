/**
 * The logs of an instance: one NDJSON file a role, read together in the order of time. What is not
 * JSON (a crash of the runtime) is kept as a line of its own.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs'
import path from 'node:path'
import type { World } from '../world/world.ts'

export interface LogLine {
  /** Milliseconds since 1970; 0 when the line has none. */
  readonly timeMs: number
  readonly level: string
  readonly role: string
  readonly text: string
  readonly fields: Readonly<Record<string, unknown>>
  /** The line as it stands in the file. */
  readonly raw: string
}

const FOLLOW_PERIOD_MS = 200
const READ_BYTES = 65_536

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

/** Whether a line's level is `least` or above. */
export function atLeast(level: string, least: LogLevel): boolean {
  const rank = logLevels.indexOf(level === 'fatal' ? 'error' : (level as LogLevel))
  return rank === -1 || rank >= logLevels.indexOf(least)
}

/** All lines of all roles, oldest first. */
export function readLogs(stateDir: string): LogLine[] {
  return logFiles(stateDir)
    .flatMap((file) => {
      const text = readFileSync(path.join(stateDir, file), 'utf8')
      return parseLines(text, roleOf(file))
    })
    .sort((one, other) => one.timeMs - other.timeMs)
}

/** Calls `onLine` for what is written from now on, until `signal` aborts. */
export function followLogs(
  world: World,
  stateDir: string,
  signal: AbortSignal,
  onLine: (line: LogLine) => void,
): Promise<void> {
  const tails = new Map<string, Tail>()
  const look = (fromEnd: boolean) => {
    for (const file of logFiles(stateDir)) {
      let tail = tails.get(file)
      if (tail === undefined) {
        tail = new Tail(path.join(stateDir, file), roleOf(file), fromEnd)
        tails.set(file, tail)
      }
      const lines = tail.read()
      lines.forEach(onLine)
    }
  }
  look(true)
  return new Promise((resolve) => {
    const again = () => {
      if (signal.aborted) return
      look(false)
      cancel = world.clock.after(FOLLOW_PERIOD_MS, again)
    }
    let cancel = world.clock.after(FOLLOW_PERIOD_MS, again)
    const end = () => {
      cancel()
      look(false)
      resolve()
    }
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })
}

/** Reads what was appended to a file since the last look; starts anew when the file was replaced. */
class Tail {
  readonly #path: string
  readonly #role: string
  #inode = 0
  #position = 0
  #rest = ''

  constructor(file: string, role: string, fromEnd: boolean) {
    this.#path = file
    this.#role = role
    if (fromEnd) this.#skipToEnd()
  }

  read(): LogLine[] {
    const text = this.#rest + this.#withFile((fd) => this.#readNew(fd))
    const end = text.lastIndexOf('\n') + 1
    this.#rest = text.slice(end)
    return parseLines(text.slice(0, end), this.#role)
  }

  #skipToEnd(): void {
    this.#withFile((fd) => {
      const { ino, size } = fstatSync(fd)
      this.#inode = ino
      this.#position = size
      return ''
    })
  }

  #readNew(fd: number): string {
    const { ino, size } = fstatSync(fd)
    if (ino !== this.#inode || size < this.#position) this.#position = 0
    this.#inode = ino
    const chunks: Buffer[] = []
    while (this.#position < size) {
      const chunk = Buffer.alloc(Math.min(READ_BYTES, size - this.#position))
      const bytes = readSync(fd, chunk, 0, chunk.length, this.#position)
      if (bytes === 0) break
      this.#position += bytes
      chunks.push(chunk.subarray(0, bytes))
    }
    return Buffer.concat(chunks).toString('utf8')
  }

  #withFile(use: (fd: number) => string): string {
    let fd: number
    try {
      fd = openSync(this.#path, 'r')
    } catch {
      return ''
    }
    try {
      return use(fd)
    } finally {
      closeSync(fd)
    }
  }
}

function logFiles(stateDir: string): string[] {
  try {
    return readdirSync(stateDir)
      .filter((name) => name.endsWith('.log'))
      .sort()
  } catch {
    return []
  }
}

const roleOf = (file: string) => path.basename(file, '.log')

function parseLines(text: string, role: string): LogLine[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => parseLine(line, role))
}

function parseLine(raw: string, role: string): LogLine {
  const plain = { timeMs: 0, level: 'error', role, text: raw, fields: {}, raw }
  if (!raw.startsWith('{')) return plain
  try {
    const { time, level, msg, role: _role, ...fields } = JSON.parse(raw) as Record<string, unknown>
    return {
      timeMs: typeof time === 'string' ? Date.parse(time) : 0,
      level: typeof level === 'string' ? level : 'info',
      role,
      text: typeof msg === 'string' ? msg : '',
      fields,
      raw,
    }
  } catch {
    return plain
  }
}

/**
 * `--exec CMD`: runs a command for a message. No shell is involved, so nothing in a message can become
 * one (design decision: nothing runs what it was sent). The body goes to the command's stdin, the rest
 * into its environment:
 *
 *   MQCTL_TOPIC MQCTL_MESSAGE_ID MQCTL_OFFSET_MESSAGE_ID MQCTL_BROKER MQCTL_QUEUE_ID
 *   MQCTL_QUEUE_OFFSET MQCTL_KEYS MQCTL_TAGS MQCTL_RECONSUME_TIMES MQCTL_BORN_AT MQCTL_STORED_AT
 *   MQCTL_PROPERTIES (a JSON object)
 *
 * A command has a process group of its own: Ctrl-C ends mqctl, which lets commands that run come to
 * their end first.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { MqError } from '../base/errors.ts'
import { formatDurationMs } from '../base/units.ts'
import { BODY_BYTES_MAX } from '../client/outgoing-message.ts'
import type { ReceivedMessage } from '../client/received-message.ts'
import type { Clock, Stop } from '../world/clock.ts'
import { isoTime } from './time.ts'

/** How long a command may go on after SIGTERM. */
const KILL_AFTER_MS = 2_000

export interface ExecResult {
  /** Null when a signal ended it. */
  readonly exitCode: number | null
  readonly signal: string | null
  /** Ended by mqctl, because the time was up or mqctl itself had to end. */
  readonly stopped: boolean
  /** What it printed, when that is kept; at most one byte above `OUTPUT_BYTES_MAX`. */
  readonly output: Buffer
}

/** A command that prints more is not waited for: nobody could send it. */
export const OUTPUT_BYTES_MAX = BODY_BYTES_MAX

export interface ExecOptions {
  readonly clock: Clock
  /** A command that runs longer is ended; null: none is. */
  readonly timeoutMs: number | null
  /** Where the command's output goes; our stdout may be for a program. `result`: it is kept. */
  readonly outputTo: 'stdout' | 'stderr' | 'result'
}

/**
 * Splits a command line into words: blanks separate, '…' and "…" keep together, a backslash outside of
 * '…' takes the next character as it is. Nothing is expanded. Throws VALUE_INVALID.
 */
function splitCommand(text: string): readonly string[] {
  const words: string[] = []
  let word = ''
  let inWord = false
  let quote = ''
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i)
    if (character === '\\' && quote !== "'" && i + 1 < text.length) {
      word += text.charAt(++i)
      inWord = true
    } else if (quote !== '') {
      if (character === quote) quote = ''
      else word += character
    } else if (character === "'" || character === '"') {
      quote = character
      inWord = true
    } else if (/\s/.test(character)) {
      if (inWord) words.push(word)
      word = ''
      inWord = false
    } else {
      word += character
      inWord = true
    }
  }
  if (inWord) words.push(word)
  if (quote === '' && words[0] !== undefined && words[0] !== '') return words
  throw new MqError('VALUE_INVALID', {
    what: quote === '' ? 'the command is empty' : `a ${quote} of the command is not closed`,
    hint: `it is split at blanks, as in --exec 'node handle.js "two words"'; there is no shell`,
  })
}

export class ExecCommand {
  readonly #file: string
  readonly #args: readonly string[]
  readonly #options: ExecOptions
  readonly #running = new Set<ChildProcess>()
  /** Children that were told to end. */
  readonly #stopped = new WeakSet<ChildProcess>()
  readonly #atExit = () => {
    for (const child of this.#running) signalGroup(child, 'SIGKILL')
  }

  /** Throws VALUE_INVALID when the text is no command line. */
  constructor(command: string, options: ExecOptions) {
    const [file = '', ...args] = splitCommand(command)
    this.#file = file
    this.#args = args
    this.#options = options
    process.on('exit', this.#atExit)
  }

  /** Resolves when the command has ended. Rejects with VALUE_INVALID when it cannot be started. */
  run(message: ReceivedMessage): Promise<ExecResult> {
    const { clock, timeoutMs, outputTo } = this.#options
    return new Promise((resolve, reject) => {
      const out = { stdout: 'inherit', stderr: 2, result: 'pipe' } as const
      const child = spawn(this.#file, this.#args, {
        shell: false,
        detached: true,
        stdio: ['pipe', out[outputTo], 'inherit'],
        env: { ...process.env, ...environmentOf(message) },
      })
      this.#running.add(child)
      const stopTimer: Stop =
        timeoutMs === null
          ? () => undefined
          : clock.after(timeoutMs, () => {
              this.#stop(child)
            })
      child.on('error', (error: NodeJS.ErrnoException) => {
        if (child.pid !== undefined) return
        stopTimer()
        this.#running.delete(child)
        reject(
          new MqError('VALUE_INVALID', {
            what: `${JSON.stringify(this.#file)} cannot be run: ${error.code ?? error.message}`,
            hint: 'name a program, with its path or found by PATH; --exec does not use a shell',
          }),
        )
      })
      const kept: Buffer[] = []
      let keptBytes = 0
      child.stdout?.on('data', (chunk: Buffer) => {
        if (keptBytes > OUTPUT_BYTES_MAX) return
        kept.push(chunk)
        keptBytes += chunk.length
        if (keptBytes > OUTPUT_BYTES_MAX) this.#stop(child)
      })
      // Where the output counts, it is whole only once its pipe is closed.
      const ended = (exitCode: number | null, signal: string | null) => {
        stopTimer()
        this.#running.delete(child)
        const output = Buffer.concat(kept).subarray(0, OUTPUT_BYTES_MAX + 1)
        resolve({ exitCode, signal, stopped: this.#stopped.has(child), output })
      }
      if (outputTo === 'result') child.on('close', ended)
      else child.on('exit', ended)
      // A command need not read its input.
      child.stdin?.on('error', () => undefined)
      child.stdin?.end(message.body)
    })
  }

  /** Ends what still runs. */
  stop(): void {
    for (const child of this.#running) this.#stop(child)
  }

  close(): void {
    process.off('exit', this.#atExit)
  }

  #stop(child: ChildProcess): void {
    this.#stopped.add(child)
    signalGroup(child, 'SIGTERM')
    const cancel = this.#options.clock.after(KILL_AFTER_MS, () => {
      signalGroup(child, 'SIGKILL')
    })
    child.on('exit', cancel)
  }
}

/** Why a command counts as failed; null when it does not. */
export function failureOfExec(result: ExecResult, timeoutMs: number | null): string | null {
  const { exitCode, signal, stopped } = result
  if (exitCode === 0 && !stopped) return null
  if (stopped && timeoutMs !== null) {
    return `the command did not end within ${formatDurationMs(timeoutMs)}`
  }
  return exitCode === null
    ? `the command was ended by ${signal ?? 'a signal'}`
    : `exit code ${exitCode}`
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // It has ended by itself.
  }
}

/** An environment cannot hold NUL, a message can. */
function plain(text: string): string {
  return text.replaceAll('\0', '\uFFFD')
}

function environmentOf(message: ReceivedMessage): Record<string, string> {
  return {
    MQCTL_TOPIC: plain(message.topic),
    MQCTL_MESSAGE_ID: plain(message.messageId),
    MQCTL_OFFSET_MESSAGE_ID: message.offsetMessageId,
    MQCTL_BROKER: plain(message.broker),
    MQCTL_QUEUE_ID: String(message.queueId),
    MQCTL_QUEUE_OFFSET: String(message.queueOffset),
    MQCTL_KEYS: plain(message.keys),
    MQCTL_TAGS: plain(message.tags),
    MQCTL_RECONSUME_TIMES: String(message.reconsumeTimes),
    MQCTL_BORN_AT: isoTime(message.bornTimestamp) ?? '',
    MQCTL_STORED_AT: isoTime(message.storeTimestamp) ?? '',
    MQCTL_PROPERTIES: plain(JSON.stringify({ ...message.properties })),
  }
}

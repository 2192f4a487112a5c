/**
 * What `consume --group` does with a message: print it, or run a command for it (`--exec`); and, to see
 * retries at work, fail some of them on purpose (`--fail-rate`).
 */
import { MqError } from '../base/errors.ts'
import type { ReceivedMessage } from '../client/received-message.ts'
import type { World } from '../world/world.ts'
import { type ExecCommand, failureOfExec } from './exec-command.ts'
import type { Handled } from './group-consumer.ts'
import type { SeenMessages } from './seen-messages.ts'

/** What makes two messages the same: their keys, or the id that their sender gave them. */
export const identities = ['key', 'id'] as const
export type Identity = (typeof identities)[number]

export interface HandlingOptions {
  readonly world: World
  /** Null: messages are printed. */
  readonly exec: ExecCommand | null
  readonly execTimeoutMs: number | null
  /** Share of messages that fail on purpose, 0 … 1. */
  readonly failRate: number
  readonly print: (message: ReceivedMessage) => Promise<void>
  /** With `exec`: whether handled messages are printed as well, for programs. */
  readonly printsHandled: boolean
  /** Messages that were processed already are not processed again; null: every message is. */
  readonly dedupe: { readonly by: Identity; readonly seen: SeenMessages } | null
  readonly remark: (text: string) => void
  /** The first signal: no more messages, those under way come to their end. */
  readonly signal: AbortSignal
}

/** How long commands that run may go on after the first signal. */
export const EXEC_GRACE_MS = 10_000

/** `0.2` or `20%`; throws VALUE_INVALID. */
export function parseShare(text: string): number {
  const match = /^(\d+(?:\.\d+)?|\.\d+)(%?)$/.exec(text.trim())
  const share = Number(match?.[1] ?? Number.NaN) / (match?.[2] === '%' ? 100 : 1)
  if (share >= 0 && share <= 1) return share
  throw new MqError('VALUE_INVALID', {
    what: `${JSON.stringify(text)} is not a share`,
    hint: 'write 0.2 or 20%, at most 1 or 100%',
  })
}

export class MessageHandling {
  readonly #options: HandlingOptions
  #ending = false
  #skipped = 0
  #stopGrace: () => void = () => undefined

  constructor(options: HandlingOptions) {
    this.#options = options
    options.signal.addEventListener('abort', () => {
      this.#stopGrace = options.world.clock.after(EXEC_GRACE_MS, () => {
        this.#ending = true
        options.exec?.stop()
      })
    })
  }

  /** Messages that were left out because the same was processed before. */
  get skipped(): number {
    return this.#skipped
  }

  /** Rejects when the command cannot be started at all. */
  async handle(message: ReceivedMessage): Promise<Handled> {
    const { dedupe } = this.#options
    const identity = dedupe === null ? '' : identityOf(message, dedupe.by)
    // Without a key nothing tells that it is the same.
    if (dedupe === null || identity === '') return this.#process(message)
    let handled: Handled = 'done'
    const isNew = await dedupe.seen.once(identity, async () => {
      handled = await this.#process(message)
      return handled === 'done'
    })
    if (!isNew) this.#skipped += 1
    return handled
  }

  async #process(message: ReceivedMessage): Promise<Handled> {
    const { world, exec, execTimeoutMs, failRate, print, printsHandled, remark } = this.#options
    if (failRate > 0 && world.random.float() < failRate) {
      remark(`${message.messageId} fails on purpose (try ${message.reconsumeTimes + 1})`)
      return 'failed'
    }
    if (exec === null) {
      await print(message)
      return 'done'
    }
    const result = await exec.run(message)
    // It did not fail: it was not given the time to end.
    if (this.#ending && result.stopped) return 'left'
    const why = failureOfExec(result, execTimeoutMs)
    if (why !== null) {
      remark(`${message.messageId} failed (try ${message.reconsumeTimes + 1}): ${why}`)
      return 'failed'
    }
    if (printsHandled) await print(message)
    return 'done'
  }

  close(): void {
    this.#stopGrace()
    this.#options.exec?.close()
  }
}

function identityOf(message: ReceivedMessage, by: Identity): string {
  const identity = by === 'key' ? message.keys : message.messageId
  return identity === '' ? '' : `${by} ${message.topic} ${identity}`
}

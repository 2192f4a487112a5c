/** The journalling producer (journal.mjs) as a test holds it. */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export class Journal {
  readonly #child: ChildProcess
  /** Acknowledgements, a line each. */
  readonly path: string

  /** Response codes other than 0 so far, and their first remarks. */
  readonly #refused = new Map<string, string>()

  private constructor(child: ChildProcess, path: string) {
    this.#child = child
    this.path = path
    child.on('message', (message: { refused?: string; remark?: string }) => {
      if (message.refused !== undefined) this.#refused.set(message.refused, message.remark ?? '')
    })
  }

  static async start(
    folder: string,
    options: { topic: string; queues: number; outstanding: number },
  ): Promise<Journal> {
    const path = join(folder, `${options.topic}.journal`)
    const child = fork(fileURLToPath(new URL('journal.mjs', import.meta.url)), [
      path,
      join(folder, `${options.topic}.sent`),
      options.topic,
      String(options.queues),
      String(options.outstanding),
      `run-${process.pid}`,
    ])
    const journal = new Journal(child, path)
    await journal.#next()
    return journal
  }

  /** The refusals so far, by response code; null when there are none. */
  refusals(): ReadonlyMap<string, string> | null {
    return this.#refused.size === 0 ? null : this.#refused
  }

  /** The next word about its own state. */
  #next(): Promise<void> {
    return new Promise((resolve, reject) => {
      const listen = (message: { refused?: string }): void => {
        if (message.refused !== undefined) return
        this.#child.off('message', listen)
        resolve()
      }
      this.#child.on('message', listen)
      this.#child.once('exit', (code) => {
        reject(new Error(`the journal ended with ${code}`))
      })
    })
  }

  /** A broker is up: send to it until the connection breaks. */
  sendTo(address: string): void {
    const colon = address.lastIndexOf(':')
    this.#child.send({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)) })
  }

  /** Stops sending; resolves when every answer has come. */
  async pause(): Promise<void> {
    const drained = this.#next()
    this.#child.send({ pause: true })
    await drained
  }

  end(): void {
    this.#child.disconnect()
  }
}

/** The journalling producer (journal.mjs) as a test holds it. */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export class Journal {
  readonly #child: ChildProcess
  /** Acknowledgements, a line each. */
  readonly path: string

  private constructor(child: ChildProcess, path: string) {
    this.#child = child
    this.path = path
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

  #next(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#child.once('message', () => {
        resolve()
      })
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

/** The process that acknowledges everything and keeps nothing, on a free port of the loopback. */
import { MqError } from '../base/errors.ts'
import type { Clock } from '../world/clock.ts'
import { type LoadPlace, type LoadRole, thisHost } from './role-process.ts'

const LISTEN_TIMEOUT_MS = 10_000

export class NullTargetProcess {
  /** HOST:PORT. */
  readonly address: string
  readonly #process: LoadRole

  /** Rejects with MqError START_FAILED. */
  static start(clock: Clock, place: LoadPlace = thisHost): Promise<NullTargetProcess> {
    const process = place.openRole('null-target', 'null-target')
    return new Promise((resolve, reject) => {
      const fail = (why: string) => {
        process.end()
        reject(new MqError('START_FAILED', { what: 'the null target', why, hint: 'try again' }))
      }
      const stop = clock.after(LISTEN_TIMEOUT_MS, () => {
        fail('it did not listen in time')
      })
      process.onEnd = (why) => {
        stop()
        fail(why)
      }
      process.onReport = (report) => {
        if (report.kind !== 'listening') return
        stop()
        process.onEnd = () => undefined
        resolve(new NullTargetProcess(process, `127.0.0.1:${report.port}`))
      }
    })
  }

  private constructor(process: LoadRole, address: string) {
    this.#process = process
    this.address = address
  }

  get pid(): number | null {
    return this.#process.pid
  }

  end(): void {
    this.#process.end()
  }
}

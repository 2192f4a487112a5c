/** Where a run's files go. The directory is tried before the run: nobody wants to learn at the end that it is read-only. */
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { MqError, messageOf } from '../base/errors.ts'
import { makeDirectorySync } from '../world/make-directory.ts'

export class ResultDirectory {
  readonly path: string

  /** Makes it and writes to it once. Throws MqError OUTPUT_UNWRITABLE. */
  constructor(directory: string) {
    this.path = path.resolve(directory)
    this.#attempt(() => {
      makeDirectorySync(this.path)
      const probe = path.join(this.path, `.mqctl-probe-${process.pid}`)
      writeFileSync(probe, '')
      rmSync(probe)
    })
  }

  fileOf(name: string): string {
    return path.join(this.path, name)
  }

  /** Writes a file whole or not at all. Throws MqError OUTPUT_UNWRITABLE. */
  write(name: string, text: string): void {
    this.#attempt(() => {
      const temporary = this.fileOf(`.${name}.${process.pid}`)
      try {
        writeFileSync(temporary, text)
        renameSync(temporary, this.fileOf(name))
      } catch (error) {
        rmSync(temporary, { force: true })
        throw error
      }
    })
  }

  #attempt(work: () => void): void {
    try {
      work()
    } catch (error) {
      throw new MqError(
        'OUTPUT_UNWRITABLE',
        { path: this.path, why: messageOf(error) },
        { cause: error },
      )
    }
  }
}

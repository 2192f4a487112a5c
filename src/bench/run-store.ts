/**
 * Results of earlier runs, one file each, in a directory of the user's data: `bench` keeps every
 * run there, and `runs`, `report` and `compare` find it again by its id or the beginning of it.
 */
import { existsSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { MqError, messageOf } from '../base/errors.ts'
import { ResultDirectory } from './result-directory.ts'
import { type ResultText, resultTexts } from './saved-results.ts'

export interface StoredRun {
  readonly runId: string
  readonly file: string
  /** When it began, Unix milliseconds. */
  readonly startedMs: number
}

/** `2026-11-21T10-00-00Z-0badcafe.json`: by time, then by id. */
const NAME = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-([0-9a-f]{8})\.json$/

export class RunStore {
  readonly #directory: string

  /** @param directory made when the first run is kept */
  constructor(directory: string) {
    this.#directory = directory
  }

  /** Writes the text of a result; gives the file. Throws MqError OUTPUT_UNWRITABLE. */
  keep(runId: string, startedAt: string, text: string): string {
    const name = `${startedAt.replace(/\.\d+/, '').replaceAll(':', '-')}-${runId}.json`
    const directory = new ResultDirectory(this.#directory)
    directory.write(name, text)
    return directory.fileOf(name)
  }

  /** The newest first. */
  get runs(): StoredRun[] {
    let names: string[]
    try {
      names = readdirSync(this.#directory)
    } catch {
      // Nothing was kept yet.
      return []
    }
    return names
      .sort()
      .reverse()
      .flatMap((name) => {
        const runId = NAME.exec(name)?.[1]
        if (runId === undefined) return []
        const startedMs = Date.parse(name.slice(0, 20).replace(/-(\d\d)-(\d\dZ)$/, ':$1:$2'))
        return [{ runId, file: path.join(this.#directory, name), startedMs }]
      })
  }

  /** Runs beyond the newest `keep`, and those that began before a moment. */
  beyond(keep: number, beforeMs: number | null): StoredRun[] {
    return this.runs.filter(
      ({ startedMs }, index) => index >= keep || (beforeMs !== null && startedMs < beforeMs),
    )
  }

  /** Deletes one; gives its bytes. Throws MqError OUTPUT_UNWRITABLE. */
  remove({ file }: StoredRun): number {
    try {
      const { size } = statSync(file)
      rmSync(file)
      return size
    } catch (error) {
      throw new MqError(
        'OUTPUT_UNWRITABLE',
        { path: file, why: messageOf(error) },
        { cause: error },
      )
    }
  }

  /** `latest`, an id, or the beginning of one. Throws MqError CONFIG_INVALID. */
  find(wanted: string): StoredRun {
    const { runs } = this
    const found =
      wanted === 'latest' ? runs.slice(0, 1) : runs.filter(({ runId }) => runId.startsWith(wanted))
    const [run, other] = found
    if (run !== undefined && (other === undefined || run.runId === wanted)) return run
    throw new MqError('CONFIG_INVALID', {
      where: wanted,
      what:
        run === undefined
          ? 'there is no run of that id'
          : `${found.length} runs begin so: ${found
              .slice(0, 3)
              .map(({ runId }) => runId)
              .join(', ')}`,
      hint: 'mqctl bench runs shows them; a file is named by its path',
    })
  }

  /** Text of a run, or of a file. Throws MqError CONFIG_INVALID. */
  text(place: string): ResultText {
    const isPath = /[\\/]|\.json$/.test(place)
    const file = isPath ? place : this.find(place).file
    try {
      return { file, text: readFileSync(file, 'utf8') }
    } catch (error) {
      throw new MqError('CONFIG_INVALID', {
        where: file,
        what: `cannot be read: ${messageOf(error)}`,
        hint: 'mqctl bench runs shows what was kept',
      })
    }
  }

  /** Results to compare: a file, a directory of them, or a run that was kept. Throws MqError CONFIG_INVALID. */
  texts(place: string): ResultText[] {
    return existsSync(place) ? resultTexts(place) : [this.text(place)]
  }
}

/**
 * Results of earlier runs, one file each, in a directory of the user's data: `bench` keeps every
 * run there, and `runs`, `report` and `compare` find it again by its id or the beginning of it.
 */
import { existsSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { MqError, messageOf } from '../base/errors.ts'
import { ResultDirectory } from './result-directory.ts'
import { type RunBeginning, RunNotes, readNotes } from './run-notes.ts'
import { type ResultText, resultTexts } from './saved-results.ts'

export interface StoredRun {
  readonly runId: string
  readonly file: string
  /** When it began, Unix milliseconds. */
  readonly startedMs: number
}

/** `2026-11-21T10-00-00Z-0badcafe.json`: by time, then by id. */
const NAME = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-([0-9a-f]{8})\.json$/
/** Notes of a run that has not ended, or never did. */
const NOTES = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-([0-9a-f]{8})\.unfinished\.ndjson$/

export class RunStore {
  readonly #directory: string

  /** @param directory made when the first run is kept */
  constructor(directory: string) {
    this.#directory = directory
  }

  /** Writes the text of a result; gives the file. Throws MqError OUTPUT_UNWRITABLE. */
  keep(runId: string, startedAt: string, text: string): string {
    const name = `${stemOf(runId, startedAt)}.json`
    const directory = new ResultDirectory(this.#directory)
    directory.write(name, text)
    return directory.fileOf(name)
  }

  /** Begins to take notes of a run, for the case that it never ends. */
  begin(beginning: RunBeginning): RunNotes {
    const { runId, startedAt } = beginning
    const name = `${stemOf(runId, startedAt)}.unfinished.ndjson`
    return new RunNotes(path.join(this.#directory, name), beginning)
  }

  /** Those with a result, the newest first. */
  get runs(): StoredRun[] {
    return this.#named(NAME)
  }

  /** Those that go on, and those that never ended; the newest first. */
  get unfinished(): StoredRun[] {
    return this.#named(NOTES)
  }

  #named(pattern: RegExp): StoredRun[] {
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
        const runId = pattern.exec(name)?.[1]
        if (runId === undefined) return []
        const startedMs = Date.parse(name.slice(0, 20).replace(/-(\d\d)-(\d\dZ)$/, ':$1:$2'))
        return [{ runId, file: path.join(this.#directory, name), startedMs }]
      })
  }

  /** Runs beyond the newest `keep`, and those that began before a moment; what goes on still is not among them. */
  beyond(
    keep: number,
    beforeMs: number | null,
    isRunning: (unfinished: StoredRun) => boolean = () => true,
  ): StoredRun[] {
    return [...this.runs, ...this.unfinished.filter((run) => !isRunning(run))]
      .sort((a, b) => b.startedMs - a.startedMs)
      .filter(
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
    if (run === undefined) this.#refuseUnfinished(wanted)
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

  #refuseUnfinished(wanted: string): void {
    const cut = this.unfinished.find(({ runId }) => wanted !== '' && runId.startsWith(wanted))
    if (cut === undefined) return
    const seconds = readNotes(cut.file)?.seconds ?? 0
    throw new MqError('CONFIG_INVALID', {
      where: cut.runId,
      what: 'that run has no result: it goes on still, or was killed before its end',
      hint: `what it told of ${seconds} s stands in ${cut.file}, a JSON line a second`,
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

function stemOf(runId: string, startedAt: string): string {
  return `${startedAt.replace(/\.\d+/, '').replaceAll(':', '-')}-${runId}`
}

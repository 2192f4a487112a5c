/**
 * What a run tells while it goes on, for the case that it never ends: killed with -9, out of memory, a
 * machine that lost its power. One JSON line when it begins and one for each second after, beside the
 * results that were kept; removed when the result itself is there.
 */
import { appendFileSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { makeDirectorySync } from '../world/make-directory.ts'
import type { SeriesRow } from './result.ts'

/** The first line. */
export interface RunBeginning {
  readonly runId: string
  /** ISO 8601. */
  readonly startedAt: string
  readonly scenario: string
  readonly toolVersion: string
  /** Of the bench, as the caller names processes; whoever reads it asks whether it lives. */
  readonly owner: unknown
}

export class RunNotes {
  readonly #file: string
  #lastSecond = 0
  #isBroken = false

  /** Nothing is thrown: a run that cannot take notes is a run all the same. */
  constructor(file: string, beginning: RunBeginning) {
    this.#file = file
    this.#attempt(() => {
      makeDirectorySync(path.dirname(file))
      this.#append([{ schemaVersion: 1, kind: 'unfinished', ...beginning }])
    })
  }

  /** @param recent the last rows of the window, the newest last; that one still grows and is left for later */
  note(recent: readonly SeriesRow[]): void {
    const rows = recent.slice(0, -1).filter(({ t }) => t > this.#lastSecond)
    const last = rows.at(-1)
    if (last === undefined) return
    this.#lastSecond = last.t
    this.#attempt(() => {
      this.#append(rows)
    })
  }

  /** The result is kept, or there was nothing to keep. */
  remove(): void {
    this.#isBroken = true
    try {
      rmSync(this.#file, { force: true })
    } catch {
      // Where nothing could be noted, there is nothing to remove; why the run ended counts more.
    }
  }

  #append(lines: readonly object[]): void {
    appendFileSync(this.#file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  }

  #attempt(work: () => void): void {
    if (this.#isBroken) return
    try {
      work()
    } catch {
      // A full disk, most likely; that the result cannot be kept will be said at the end.
      this.#isBroken = true
    }
  }
}

/** What notes say; null when their first line is not whole. */
export function readNotes(file: string): { beginning: RunBeginning; seconds: number } | null {
  try {
    const [first = '', ...rows] = readFileSync(file, 'utf8').split('\n')
    const beginning = JSON.parse(first) as Partial<RunBeginning>
    const { runId, startedAt, scenario } = beginning
    if (![runId, startedAt, scenario].every((text) => typeof text === 'string')) return null
    // What follows the last line break was cut off.
    return { beginning: beginning as RunBeginning, seconds: Math.max(0, rows.length - 1) }
  } catch {
    return null
  }
}

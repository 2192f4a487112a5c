/**
 * What `apply` is about to do, written down before it does anything: for each file what was there,
 * for each value what it was. `rollback` needs nothing else, also after kill -9 at any point.
 */
import { createHash } from 'node:crypto'
import { MqError, messageOf } from '../../base/errors.ts'
import type { HostWriter } from './host-writer.ts'

export const STATE_DIRECTORIES = ['/var/lib/mqctl', '/var/lib/mqctl/tune-os'] as const
const DIRECTORY = '/var/lib/mqctl/tune-os'
const VERSION = 1

export interface JournalFile {
  readonly path: string
  /** Null when it did not exist. */
  readonly before: string | null
  readonly mode: number
  readonly afterSha256: string
}

export interface JournalValue {
  readonly path: string
  readonly before: string
  readonly after: string
  /** The other of a pair of bytes and ratio: writing one sets the other to 0. */
  readonly partner: { readonly path: string; readonly before: string } | null
}

export interface Journal {
  readonly version: number
  readonly tool: string
  /** ISO 8601. */
  readonly createdAt: string
  readonly state: 'applying' | 'applied'
  /** Directories that were not there, outermost first. */
  readonly directories: readonly string[]
  /** The same above the journals themselves: `/var/lib` is missing in a bare tree. */
  readonly stateDirectories: readonly string[]
  readonly files: readonly JournalFile[]
  readonly values: readonly JournalValue[]
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

export function temporaryOf(path: string): string {
  const slash = path.lastIndexOf('/')
  return `${path.slice(0, slash)}/.${path.slice(slash + 1)}.mqctl-new`
}

/** Numbers of journals, oldest first. */
export function journalNumbers(writer: HostWriter): number[] {
  return writer
    .list(DIRECTORY)
    .map((name) => /^(\d{6})\.json$/.exec(name)?.[1])
    .filter((number) => number !== undefined)
    .map(Number)
}

function journalPath(number: number): string {
  return `${DIRECTORY}/${String(number).padStart(6, '0')}.json`
}

/** Throws TUNING_REFUSED for a journal that cannot be understood. */
export function readJournal(writer: HostWriter, number: number): Journal {
  const path = journalPath(number)
  try {
    const journal = JSON.parse(writer.read(path) ?? '') as Journal
    if (journal.version > VERSION) {
      throw new Error(`version ${journal.version}, written by ${journal.tool}`)
    }
    return journal
  } catch (error) {
    throw new MqError(
      'TUNING_REFUSED',
      {
        what: `${path} cannot be read: ${messageOf(error)}`,
        hint: 'use the mqctl that wrote it; it holds what was there before',
      },
      { cause: error },
    )
  }
}

/** Whole or not at all. */
export function writeJournal(writer: HostWriter, number: number, journal: Journal): void {
  const path = journalPath(number)
  const temporary = temporaryOf(path)
  if (writer.stat(temporary) !== null) writer.unlink(temporary)
  writer.create(temporary, `${JSON.stringify(journal, null, 2)}\n`, 0o600)
  writer.rename(temporary, path)
}

export function newJournal(
  parts: Pick<
    Journal,
    'tool' | 'createdAt' | 'directories' | 'stateDirectories' | 'files' | 'values'
  >,
): Journal {
  return { version: VERSION, state: 'applying', ...parts }
}

/** Removes a journal and, when it was the last, the directories of journals. */
export function forgetJournal(
  writer: HostWriter,
  number: number | null,
  made: readonly string[] = [],
): void {
  if (number !== null) writer.unlink(journalPath(number))
  for (const name of writer.list(DIRECTORY)) {
    if (name.endsWith('.mqctl-new')) writer.unlink(`${DIRECTORY}/${name}`)
  }
  for (const directory of [...STATE_DIRECTORIES].reverse()) {
    if (writer.stat(directory) === null) continue
    if (writer.list(directory).length > 0) return
    writer.rmdir(directory)
  }
  for (const directory of [...made].reverse()) {
    if (writer.stat(directory) !== null && writer.list(directory).length === 0) {
      writer.rmdir(directory)
    }
  }
}

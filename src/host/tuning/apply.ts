/**
 * Makes what a plan says, and takes it back. Order of `apply`: look for everything that could stand
 * in the way; write down what is there (journal); directories, files (new file, then rename),
 * values; mark the journal as applied. `rollback` goes back, newest journal first, and can itself be
 * interrupted and repeated.
 */
import { MqError, messageOf } from '../../base/errors.ts'
import { sameValue, partnerOf } from './boot-values.ts'
import { sysctlPath } from './collect.ts'
import type { HostWriter } from './host-writer.ts'
import {
  forgetJournal,
  journalNumbers,
  newJournal,
  readJournal,
  sha256,
  STATE_DIRECTORIES,
  temporaryOf,
  writeJournal,
  type Journal,
  type JournalFile,
  type JournalValue,
} from './journal.ts'
import { isEmpty, type Plan, type PlannedValue } from './plan.ts'

const FILE_MODE = 0o644

export interface ApplyOptions {
  readonly tool: string
  /** ISO 8601. */
  readonly now: string
  /** User that this runs as; files of others are not trusted. */
  readonly uid: number
  /** Whether changes need root here: not in a tree of one’s own. */
  readonly needsRoot: boolean
}

export interface ApplyResult {
  readonly applied: boolean
  readonly files: readonly string[]
  readonly values: readonly CheckedValue[]
  readonly afterwards: readonly string[]
  /** Whether every value reads back as it was set. */
  readonly ok: boolean
}

export interface CheckedValue {
  readonly name: string
  readonly before: string
  readonly after: string
  /** As it reads now. */
  readonly now: string
  readonly ok: boolean
}

/** Throws TUNING_REFUSED or TUNING_NOT_PERMITTED before anything is done. */
export function applyPlan(writer: HostWriter, plan: Plan, options: ApplyOptions): ApplyResult {
  if (isEmpty(plan)) {
    return { applied: false, files: [], values: [], afterwards: [], ok: true }
  }
  checkObstacles(writer, plan, options)
  const number = (journalNumbers(writer).at(-1) ?? 0) + 1
  const journal = journalOf(writer, plan, options)
  for (const directory of [...journal.stateDirectories, ...STATE_DIRECTORIES]) {
    if (writer.stat(directory) === null) writer.mkdir(directory)
  }
  writeJournal(writer, number, journal)
  for (const directory of journal.directories) writer.mkdir(directory)
  for (const { path, after } of plan.files) {
    const temporary = temporaryOf(path)
    if (writer.stat(temporary) !== null) writer.unlink(temporary)
    writer.create(temporary, after, FILE_MODE)
    writer.rename(temporary, path)
  }
  const failures = new Map<string, string>()
  for (const { path, after } of plan.values) {
    try {
      writer.setValue(path, `${after}\n`)
    } catch (error) {
      // The kernel says no to this value; the others still count, and the re-check shows it.
      failures.set(path, messageOf(error))
    }
  }
  writeJournal(writer, number, { ...journal, state: 'applied' })
  const values = plan.values.map((value) => checked(writer, value, failures.get(value.path)))
  return {
    applied: true,
    files: plan.files.map(({ path }) => path),
    values,
    afterwards: plan.afterwards,
    ok: values.every(({ ok }) => ok),
  }
}

function checked(
  writer: HostWriter,
  value: PlannedValue,
  failure: string | undefined,
): CheckedValue {
  const { name, before, after, path } = value
  const text = writer.read(path)?.trim() ?? ''
  return {
    name,
    before: before.trim(),
    after,
    now: failure ?? text,
    ok: failure === undefined && isSet(text, after),
  }
}

/** Equal, or chosen: `always [madvise] never`. */
function isSet(text: string, value: string): boolean {
  return sameValue(text, value) || text.includes(`[${value}]`)
}

function checkObstacles(writer: HostWriter, plan: Plan, options: ApplyOptions): void {
  if (options.needsRoot && options.uid !== 0) {
    throw new MqError('TUNING_NOT_PERMITTED', {
      what: 'changing system settings needs root',
      hint: 'run it with sudo, or give the output of mqctl tune-os render to somebody who may',
    })
  }
  const open = journalNumbers(writer).find(
    (number) => readJournal(writer, number).state === 'applying',
  )
  if (open !== undefined) {
    throw refused('an earlier apply did not finish', 'mqctl tune-os rollback undoes it first')
  }
  const obstacle = plan.obstacles[0]
  if (obstacle !== undefined) throw refused(obstacle.what, obstacle.hint)
  for (const { path } of plan.files) checkPath(writer, path, options.uid)
  checkPath(writer, `${STATE_DIRECTORIES[1]}/journal`, options.uid)
  for (const { path } of plan.values) {
    const why = writer.refusal(path)
    if (why === null) continue
    throw new MqError('TUNING_NOT_PERMITTED', {
      what:
        why === 'EROFS'
          ? `${path} is read-only here (a container): nothing was changed`
          : `${path} may not be written (${why}): nothing was changed`,
      hint: 'apply it on the host, or use mqctl tune-os render --format k8s',
    })
  }
}

/** Links and files that others can write are how a tool that runs as root is led astray. */
function checkPath(writer: HostWriter, path: string, uid: number): void {
  const parts = path.split('/').filter((part) => part !== '')
  let at = ''
  for (const part of parts) {
    at += `/${part}`
    const stat = writer.stat(at)
    if (stat === null) continue
    const isLast = at === path
    if (stat.kind === 'link')
      throw refused(`${at} is a symbolic link`, 'replace it by a directory or file of its own')
    if (isLast ? stat.kind !== 'file' : stat.kind !== 'directory') {
      throw refused(`${at} is not a ${isLast ? 'file' : 'directory'}`, 'move it away')
    }
    if ((stat.mode & 0o022) !== 0) {
      throw refused(
        `${at} can be written by others (mode ${stat.mode.toString(8)})`,
        `chmod go-w ${at}`,
      )
    }
    if (stat.uid !== 0 && stat.uid !== uid) {
      throw refused(`${at} belongs to uid ${stat.uid}`, `chown root ${at}`)
    }
  }
}

function refused(what: string, hint: string): MqError {
  return new MqError('TUNING_REFUSED', { what: `${what}: nothing was changed`, hint })
}

function journalOf(writer: HostWriter, plan: Plan, options: ApplyOptions): Journal {
  const directories: string[] = []
  for (const { path } of plan.files) {
    const parts = path.split('/').slice(1, -1)
    let at = ''
    for (const part of parts) {
      at += `/${part}`
      if (writer.stat(at) === null && !directories.includes(at)) directories.push(at)
    }
  }
  return newJournal({
    tool: options.tool,
    createdAt: options.now,
    directories,
    stateDirectories: ['/var', '/var/lib'].filter((directory) => writer.stat(directory) === null),
    files: plan.files.map(({ path, before, after }) => ({
      path,
      before,
      mode: writer.stat(path)?.mode ?? FILE_MODE,
      afterSha256: sha256(after),
    })),
    values: plan.values.map(({ path, name, before, after }) => {
      const partner = partnerOf(name)
      const partnerPath = partner === null ? null : sysctlPath(partner)
      const partnerBefore = partnerPath === null ? null : writer.read(partnerPath)
      return {
        path,
        before,
        after,
        partner:
          partnerPath === null || partnerBefore === null
            ? null
            : { path: partnerPath, before: partnerBefore },
      }
    }),
  })
}

export interface RollbackResult {
  /** Journals that were undone, newest first. */
  readonly undone: number
  readonly files: readonly string[]
  readonly values: readonly string[]
  /** True when a journal of an interrupted apply was among them. */
  readonly interrupted: boolean
}

export interface RollbackOptions {
  readonly uid: number
  readonly needsRoot: boolean
  /** All of them, not only the newest. */
  readonly all: boolean
  /** Also where somebody has changed files or values since. */
  readonly force: boolean
}

/** Throws TUNING_REFUSED when something was changed by others since; nothing is undone then. */
export function rollback(writer: HostWriter, options: RollbackOptions): RollbackResult {
  if (options.needsRoot && options.uid !== 0) {
    throw new MqError('TUNING_NOT_PERMITTED', {
      what: 'changing system settings needs root',
      hint: 'run it with sudo',
    })
  }
  const numbers = journalNumbers(writer).reverse()
  const chosen = options.all ? numbers : numbers.slice(0, 1)
  const files: string[] = []
  const values: string[] = []
  let interrupted = false
  for (const number of chosen) {
    const journal = readJournal(writer, number)
    interrupted ||= journal.state === 'applying'
    for (const { path } of journal.files) checkPath(writer, path, options.uid)
    if (!options.force) checkUntouched(writer, journal)
    for (const value of [...journal.values].reverse()) {
      if (restoreValue(writer, value)) values.push(value.path)
    }
    for (const file of [...journal.files].reverse()) {
      if (restoreFile(writer, file)) files.push(file.path)
    }
    for (const directory of [...journal.directories].reverse()) {
      if (writer.stat(directory) !== null && writer.list(directory).length === 0) {
        writer.rmdir(directory)
      }
    }
    forgetJournal(writer, number, journal.stateDirectories)
  }
  // An apply that was killed before its journal was complete leaves empty directories at most.
  if (chosen.length === 0) forgetJournal(writer, null)
  return { undone: chosen.length, files, values, interrupted }
}

function checkUntouched(writer: HostWriter, journal: Journal): void {
  for (const { path, before, afterSha256 } of journal.files) {
    const text = writer.read(path)
    if (text === before || (text !== null && sha256(text) === afterSha256)) continue
    throw new MqError('TUNING_REFUSED', {
      what: `${path} was changed since it was written: nothing was undone`,
      hint: 'keep what is needed elsewhere, then mqctl tune-os rollback --force',
    })
  }
  for (const { path, before, after } of journal.values) {
    const now = writer.read(path)
    if (now === null || now === before || isSet(now.trim(), after)) continue
    throw new MqError('TUNING_REFUSED', {
      what: `${path} is ${now.trim()} now, neither what it was (${before.trim()}) nor what was set (${after}): nothing was undone`,
      hint: 'mqctl tune-os rollback --force sets it back all the same',
    })
  }
}

/** True when something was written. */
function restoreValue(writer: HostWriter, value: JournalValue): boolean {
  const { path, before, partner } = value
  const now = writer.read(path)
  if (now === null || now === before) return false
  if (before.trim() === '0' && partner !== null && partner.before.trim() !== '0') {
    // The kernel takes no 0 for bytes; setting the ratio makes them 0.
    writer.setValue(partner.path, partner.before)
    if (writer.read(path) === before) return true
  }
  const chosen = /\[([^\]]+)\]/.exec(before)?.[1]
  if (chosen !== undefined) {
    writer.setValue(path, `${chosen}\n`)
    if (writer.read(path) === before) return true
  }
  writer.setValue(path, before)
  return true
}

function restoreFile(writer: HostWriter, { path, before, mode }: JournalFile): boolean {
  const temporary = temporaryOf(path)
  if (writer.stat(temporary) !== null) writer.unlink(temporary)
  const now = writer.read(path)
  if (now === before) return false
  if (before === null) writer.unlink(path)
  else {
    writer.create(temporary, before, mode)
    writer.rename(temporary, path)
  }
  return true
}

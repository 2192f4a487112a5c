/**
 * The process that is judged. Its limits count, not the shell's: without a target they are those of
 * the parent of mqctl (Node raises its own before anybody can look). No binary of the target is run:
 * a JVM's version stands in the `release` file of its directory.
 */
import { MqError } from '../../base/errors.ts'
import { listeningInode, mountOf, parseKibLines, parseMounts } from '../proc-text.ts'
import type { JvmFacts, NodeFacts, TargetFacts } from './facts.ts'
import type { HostFiles } from './host-files.ts'
import { readingOf, textOf } from './reading.ts'
import { pidOfUnit } from './unit-facts.ts'

export interface TargetQuestion {
  readonly pid?: number
  readonly unit?: string
  readonly port?: number
}

/** The pid that is meant, or why there is none. Throws TARGET_GONE for what is certainly not there. */
export function findTarget(
  files: HostFiles,
  question: TargetQuestion,
): { how: TargetFacts['how']; asked: string | null; pid: number | null; why: string | null } {
  if (question.pid !== undefined) {
    if (!files.exists(`/proc/${question.pid}`)) {
      throw new MqError('TARGET_GONE', { what: `process ${question.pid}` })
    }
    return { how: 'pid', asked: String(question.pid), pid: question.pid, why: null }
  }
  if (question.port !== undefined) {
    const asked = String(question.port)
    const inode =
      listeningInode(textOf(files, '/proc/net/tcp') ?? '', question.port) ??
      listeningInode(textOf(files, '/proc/net/tcp6') ?? '', question.port)
    if (inode === null) {
      throw new MqError('TARGET_GONE', { what: `a process that listens on port ${asked}` })
    }
    const pid = ownerOfSocket(files, inode)
    const why = pid === null ? `the owner of port ${asked} belongs to another user` : null
    return { how: 'port', asked, pid, why }
  }
  if (question.unit !== undefined) {
    const pid = pidOfUnit(files, question.unit)
    const why = pid === null ? `${question.unit} does not run` : null
    return { how: 'unit', asked: question.unit, pid, why }
  }
  return {
    how: 'none',
    asked: null,
    pid: null,
    why: 'no target: --pid, --unit or --port names one',
  }
}

function ownerOfSocket(files: HostFiles, inode: string): number | null {
  const wanted = `socket:[${inode}]`
  for (const name of files.list('/proc') ?? []) {
    if (!/^\d+$/.test(name)) continue
    for (const file of files.list(`/proc/${name}/fd`) ?? []) {
      if (files.link(`/proc/${name}/fd/${file}`) === wanted) return Number(name)
    }
  }
  return null
}

export function readTarget(
  files: HostFiles,
  found: ReturnType<typeof findTarget>,
  flags: { readonly text: string; readonly jdk: string | null } | null,
): TargetFacts {
  const { pid } = found
  const denied: string[] = []
  const directory = pid === null ? null : `/proc/${pid}`
  const status = directory === null ? null : textOf(files, `${directory}/status`)
  if (directory !== null && status === null && !files.exists(directory)) {
    throw new MqError('TARGET_GONE', { what: `process ${pid}` })
  }
  const memory = parseKibLines(status ?? '')
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(status ?? '')?.[1]
  const threads = /^Threads:\s+(\d+)/m.exec(status ?? '')?.[1]
  const command = directory === null ? [] : commandLine(files, directory)
  const exe = directory === null ? null : files.link(`${directory}/exe`)
  const kind = pid === null ? null : kindOf(exe ?? command[0] ?? textOf(files, `${directory}/comm`))
  return {
    ...found,
    kind: flags === null ? kind : 'java',
    uid: uid === undefined ? null : Number(uid),
    limits: readingOf(files, `${directory ?? `/proc/${files.identity.parentPid}`}/limits`),
    limitsOf: pid === null ? 'parent' : 'target',
    openFiles: counted(files, directory, 'fd', denied),
    maps: lineCount(files, directory, 'maps', denied),
    threads: threads === undefined ? null : Number(threads),
    swappedBytes: status === null ? null : (memory.get('VmSwap') ?? 0),
    residentBytes: memory.get('VmRSS') ?? null,
    denied,
    jvm: jvmOf(files, directory, command, kind, flags, denied),
    node:
      directory === null
        ? ownNode(files, found.how)
        : kind === 'node'
          ? nodeOf(files, directory, command, denied)
          : null,
  }
}

/** Arguments, NUL-separated in /proc. */
export function commandLine(files: HostFiles, directory: string): string[] {
  const text = textOf(files, `${directory}/cmdline`) ?? ''
  return text.split('\0').filter((word) => word !== '')
}

/** By the binary, or what it calls itself where that cannot be seen: a title replaces the arguments. */
function kindOf(program: string | null): 'java' | 'node' | 'other' {
  if (program === null) return 'other'
  // `/opt/node/bin/node (deleted)` after an upgrade.
  const base = program.slice(program.lastIndexOf('/') + 1).split(' ')[0]
  if (base === 'java') return 'java'
  return base === 'node' || base === 'nodejs' ? 'node' : 'other'
}

function counted(files: HostFiles, directory: string | null, name: string, denied: string[]) {
  if (directory === null) return null
  const names = files.list(`${directory}/${name}`)
  if (names === null) denied.push(name)
  return names?.length ?? null
}

function lineCount(files: HostFiles, directory: string | null, name: string, denied: string[]) {
  if (directory === null) return null
  const { text } = files.read(`${directory}/${name}`)
  if (text === null) {
    denied.push(name)
    return null
  }
  let lines = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines += 1
  return lines
}

/**
 * JVM options only: -D properties, class paths and arguments can hold passwords. Of the two
 * properties that stop a JVM since 9 the names stay.
 */
export function jvmFlagsOf(words: readonly string[]): string[] {
  return words.flatMap((word) => {
    if (/^-(X|server$|client$|verbose|d(32|64)$)/.test(word)) return [word]
    return /^-Djava\.(ext|endorsed)\.dirs(?==)/.exec(word)?.[0] ?? []
  })
}

function jvmOf(
  files: HostFiles,
  directory: string | null,
  command: readonly string[],
  kind: TargetFacts['kind'],
  given: { readonly text: string; readonly jdk: string | null } | null,
  denied: string[],
): JvmFacts | null {
  if (given !== null) {
    const flags = jvmFlagsOf(given.text.trim().split(/\s+/))
    return {
      ...withLog(files, flags),
      source: '--flags',
      mainClass: null,
      version: given.jdk,
      versionSource: given.jdk === null ? null : '--jdk',
    }
  }
  if (kind !== 'java' || directory === null) return null
  const environment = optionsFromEnvironment(files, directory, denied)
  const flags = [
    ...environment.before,
    ...jvmFlagsOf(optionsBeforeClass(command)),
    ...environment.after,
  ]
  const mainClass = command.slice(1).find((word, index) => {
    const before = command[index] ?? ''
    return !word.startsWith('-') && !/^(-cp|-classpath|--class-path|-p|--module-path)$/.test(before)
  })
  const { version, source } = javaVersion(files, directory, denied)
  return {
    ...withLog(files, flags),
    source: `${directory}/cmdline`,
    mainClass: mainClass !== undefined && /^[\w.$/-]+$/.test(mainClass) ? mainClass : null,
    version,
    versionSource: source,
  }
}

/** What stands before the main class: later words are arguments of the program. */
function optionsBeforeClass(command: readonly string[]): readonly string[] {
  for (let index = 1; index < command.length; index += 1) {
    const word = command[index] ?? ''
    if (/^(-cp|-classpath|--class-path|-p|--module-path|--add-modules)$/.test(word)) index += 1
    else if (!word.startsWith('-')) return command.slice(0, index)
  }
  return command
}

/**
 * Options that the environment adds, in the order in which the JVM takes them: of several for one
 * thing the last counts. Source: the manual of java(1), "JDK_JAVA_OPTIONS"; JVM TI, "JAVA_TOOL_OPTIONS";
 * arguments.cpp (_JAVA_OPTIONS).
 */
function optionsFromEnvironment(
  files: HostFiles,
  directory: string,
  denied: string[],
): { readonly before: readonly string[]; readonly after: readonly string[] } {
  const { text, missing } = files.read(`${directory}/environ`)
  if (text === null && missing === 'denied') denied.push('environ')
  const entries = text?.split('\0') ?? []
  const optionsIn = (name: string) =>
    entries
      .filter((entry) => entry.startsWith(`${name}=`))
      .flatMap((entry) => jvmFlagsOf(entry.slice(name.length + 1).split(/\s+/)))
  return {
    before: [...optionsIn('JAVA_TOOL_OPTIONS'), ...optionsIn('JDK_JAVA_OPTIONS')],
    after: optionsIn('_JAVA_OPTIONS'),
  }
}

function javaVersion(files: HostFiles, directory: string, denied: string[]) {
  const binary = files.link(`${directory}/exe`)
  if (binary === null) {
    denied.push('exe')
    return { version: null, source: null }
  }
  // …/bin/java, and …/jre/bin/java before Java 9.
  const home = binary.replace(/\/bin\/java$/, '')
  for (const release of [`${home}/release`, `${home.replace(/\/jre$/, '')}/release`]) {
    // The target may have a root of its own (a container): look there first.
    const text = textOf(files, `${directory}/root${release}`) ?? textOf(files, release)
    const version = /^JAVA_VERSION="?([^"\n]+)"?/m.exec(text ?? '')?.[1]
    if (version !== undefined) return { version, source: release }
  }
  return { version: null, source: null }
}

function withLog(files: HostFiles, flags: readonly string[]) {
  const path = gcLogPath(flags)
  if (path === null || !path.startsWith('/')) {
    return { flags, gcLogFreeBytes: null, gcLogInMemory: false }
  }
  const directory = path.slice(0, path.lastIndexOf('/')) || '/'
  const mount = mountOf(parseMounts(textOf(files, '/proc/self/mountinfo') ?? ''), directory)
  return {
    flags,
    gcLogFreeBytes: files.space(directory)?.availableBytes ?? null,
    gcLogInMemory: mount?.type === 'tmpfs' || mount?.type === 'ramfs',
  }
}

/** Where the GC log goes: -Xlog:gc*:file=PATH… or -Xloggc:PATH; null when nowhere. */
export function gcLogPath(flags: readonly string[]): string | null {
  for (const flag of flags) {
    const path =
      /^-Xlog:[^:]*gc[^:]*:(?:file=)?"?([^":]+)/.exec(flag)?.[1] ?? /^-Xloggc:(.+)$/.exec(flag)?.[1]
    if (path !== undefined && path !== 'stdout' && path !== 'stderr') return path
  }
  return null
}

function nodeOf(
  files: HostFiles,
  directory: string,
  command: readonly string[],
  denied: string[],
): NodeFacts {
  const { text, missing } = files.read(`${directory}/environ`)
  if (missing === 'denied') denied.push('environ')
  const entries = text?.split('\0') ?? []
  const valueOf = (name: string) =>
    entries.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1) ?? null
  const pool = valueOf('UV_THREADPOOL_SIZE')
  const options = [...command, ...(valueOf('NODE_OPTIONS') ?? '').split(/\s+/)]
  const heap = options
    .map((option) => /^--max[-_]old[-_]space[-_]size=(\d+)$/.exec(option)?.[1])
    .findLast((value) => value !== undefined)
  const { version, source } = nodeVersion(files, directory)
  return {
    version,
    versionSource: source,
    threadPool: pool !== null && /^\d+$/.test(pool) ? Number(pool) : null,
    threadPoolKnown: text !== null,
    maxOldSpaceMb: heap === undefined ? null : Number(heap),
  }
}

/** Node has no release file; its headers or its path often carry the version. */
function nodeVersion(files: HostFiles, directory: string) {
  const binary = files.link(`${directory}/exe`)
  if (binary === null) return { version: null, source: null }
  const inPath = /(?:^|[/v-])v?(\d+\.\d+\.\d+)(?=[/-])/.exec(binary)?.[1]
  if (inPath !== undefined) return { version: inPath, source: binary }
  const header = `${binary.replace(/\/bin\/node(js)?$/, '')}/include/node/node_version.h`
  const text = textOf(files, `${directory}/root${header}`) ?? textOf(files, header) ?? ''
  const part = (name: string) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1]
  const parts = [part('MAJOR'), part('MINOR'), part('PATCH')]
  return parts.includes(undefined)
    ? { version: null, source: null }
    : { version: parts.join('.'), source: header }
}

/** Without a target, a Node broker is one that this mqctl would start, with the same Node. */
function ownNode(files: HostFiles, how: TargetFacts['how']): NodeFacts | null {
  if (how !== 'none') return null
  return {
    version: files.identity.nodeVersion,
    versionSource: 'the Node of this mqctl',
    threadPool: null,
    threadPoolKnown: false,
    maxOldSpaceMb: null,
  }
}

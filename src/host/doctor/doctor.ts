/**
 * `mqctl doctor` looks at mqctl itself on this machine: what it runs on, where it writes, which
 * ports it needs, and what an earlier run may have left behind. Whether brokers answer is asked by
 * the command, which has a client; both kinds of findings are rows of one shape.
 */
import { accessSync, constants, existsSync, realpathSync, statfsSync } from 'node:fs'
import path from 'node:path'
import { systemCodeOf } from '../../base/errors.ts'
import { formatBytes } from '../../base/units.ts'
import type { World } from '../../world/world.ts'
import { listenerPid, processName } from '../listener-process.ts'
import { NodeHostFiles } from '../tuning/host-files.ts'
import { clockKeeper } from '../tuning/checks/cpu-time.ts'
import { compareVersions } from '../tuning/checks/platform.ts'
import { readClock, readContainer } from '../tuning/platform-facts.ts'
import { commandLine } from '../tuning/target-facts.ts'

export interface DoctorRow {
  /** `node`, `terminal`, `data-dir`, `port 9876`, `clock`, `processes`, `name server …`, `broker …` */
  readonly id: string
  readonly status: 'ok' | 'warn' | 'fail' | 'skip'
  readonly text: string
  /** What to try; empty when all is well. */
  readonly hint: string
}

function row(id: string, status: DoctorRow['status'], text: string, hint = ''): DoctorRow {
  return { id, status, text, hint }
}

const NODE_MIN = '20.19.0'

export function nodeRow(version: string): DoctorRow {
  if (compareVersions(version, NODE_MIN) < 0) {
    return row('node', 'fail', `Node ${version}`, `mqctl needs Node ${NODE_MIN} or later`)
  }
  const major = parseInt(version, 10)
  return major % 2 === 1
    ? row('node', 'warn', `Node ${version}`, 'odd lines get fixes for half a year: use an even one')
    : row('node', 'ok', `Node ${version}`)
}

export interface TerminalLook {
  readonly stdoutIsTty: boolean
  readonly widthColumns: number
  readonly term: string | null
  readonly locale: string | null
}

export function terminalRow({ stdoutIsTty, widthColumns, term, locale }: TerminalLook): DoctorRow {
  if (!stdoutIsTty) return row('terminal', 'ok', 'not a terminal: plain text, no colours')
  const utf8 = /utf-?8/i.test(locale ?? '')
  const text = `${term ?? 'unknown'}, ${widthColumns} columns, locale ${locale ?? 'not set'}`
  if (!utf8) {
    return row(
      'terminal',
      'warn',
      text,
      'signs like µ and → need a UTF-8 locale: export LC_ALL=C.UTF-8',
    )
  }
  return widthColumns < 80
    ? row('terminal', 'warn', text, 'tables are made for 80 columns; --json does not care')
    : row('terminal', 'ok', text)
}

/** Where messages go: writable, or can be made; and room on the disk. Writes nothing. */
export function dataDirRow(directory: string): DoctorRow {
  let at = path.resolve(directory)
  while (!existsSync(at) && path.dirname(at) !== at) at = path.dirname(at)
  const there = at === path.resolve(directory)
  try {
    accessSync(at, constants.W_OK | constants.X_OK)
  } catch {
    const what = there ? at : `${at}, where ${directory} would be made`
    return row(
      'data-dir',
      'fail',
      `this user may not write to ${what}`,
      'chown it, or set XDG_DATA_HOME or --data-dir',
    )
  }
  const space = statfsSync(realpathSync(at))
  const free = space.bavail * space.bsize
  const used = (space.blocks - space.bfree) * space.bsize
  const text = `${directory}${there ? '' : ' (not made yet)'}, ${formatBytes(free)} free, ${formatBytes(used)} used`
  // As df and brokers count: without what is kept back for root.
  const share = free / Math.max(1, used + free)
  if (share < 0.1) {
    return row('data-dir', 'fail', text, 'a broker takes no messages above 90 %: free some space')
  }
  return share < 0.25
    ? row('data-dir', 'warn', text, 'a broker begins to delete early above 75 %')
    : row('data-dir', 'ok', text)
}

/** Whether a port that `mqctl start` wants can be had; `own` are pids of what mqctl runs. */
export async function portRow(
  world: World,
  port: number,
  flag: string,
  own: ReadonlySet<number>,
): Promise<DoctorRow> {
  const id = `port ${port}`
  try {
    const listener = await world.net.listen('127.0.0.1', port, (stream) => {
      stream.destroy()
    })
    await listener.close()
    return row(id, 'ok', 'free')
  } catch (error) {
    const code = systemCodeOf(error) ?? 'error'
    if (code !== 'EADDRINUSE')
      return row(id, 'warn', `cannot be used: ${code}`, `choose another with ${flag}`)
    const pid = listenerPid(port)
    if (pid !== null && own.has(pid)) return row(id, 'ok', `served by mqctl (pid ${pid})`)
    const who =
      pid === null ? 'a process of another user' : `${processName(pid) ?? 'process'} (pid ${pid})`
    return row(id, 'warn', `taken by ${who}`, `mqctl start needs ${flag} or --any-port then`)
  }
}

/** 2024-01-01: a clock before that is certainly wrong. */
const CLOCK_MS_MIN = 1_704_067_200_000

export function clockRow(nowMs: number): DoctorRow {
  const now = new Date(nowMs).toISOString()
  if (nowMs < CLOCK_MS_MIN) return row('clock', 'fail', now, 'the clock is wrong: set it')
  if (process.platform !== 'linux') return row('clock', 'ok', now)
  const files = new NodeHostFiles()
  const { state, who } = clockKeeper(readClock(files, nowMs))
  const hint = 'delays and latencies across machines need a synchronised clock: '
  switch (state) {
    case 'kept':
      return row('clock', 'ok', `${now}, kept by ${who}`)
    case 'unsure':
      return row('clock', 'ok', `${now}, ${who} runs; chronyc tracking tells whether it is in step`)
    case 'not-synchronised':
      return row('clock', 'warn', `${now}, ${who} is not synchronised`, `${hint}timedatectl`)
    case 'nobody':
      return readContainer(files).kind === 'none'
        ? row('clock', 'warn', `${now}, kept by nobody`, `${hint}install chrony`)
        : row('clock', 'ok', `${now}, kept by the host of this container`)
  }
}

/** Role processes of mqctl that run here, by their command lines. */
export function roleProcesses(): { pid: number; role: string }[] {
  if (process.platform !== 'linux') return []
  const files = new NodeHostFiles()
  const found: { pid: number; role: string }[] = []
  for (const name of files.list('/proc') ?? []) {
    if (!/^\d+$/.test(name)) continue
    const words = commandLine(files, `/proc/${name}`)
    // A role calls itself `mqctl NAME`; until then its script stands in its command line.
    const role =
      /^mqctl ([\w.-]+)$/.exec(words[0]?.trim() ?? '')?.[1] ??
      words
        .map((word) => /\/src\/engine\/roles\/(supervisor|broker|nameserver)\.js$/.exec(word)?.[1])
        .find((match) => match !== undefined)
    if (role !== undefined) found.push({ pid: Number(name), role })
  }
  return found
}

/** What runs and belongs to nothing that is known: left over, or of another user or directory. */
export function leftOverRow(
  running: readonly { pid: number; role: string }[],
  known: ReadonlySet<number>,
  orphaned: readonly { name: string; pid: number }[],
): DoctorRow {
  if (orphaned.length > 0) {
    const text = orphaned.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ')
    return row(
      'processes',
      'fail',
      `run without their supervisor: ${text}`,
      'mqctl stop --all ends them',
    )
  }
  const strangers = running.filter(({ pid }) => !known.has(pid))
  if (strangers.length > 0) {
    const text = strangers.map(({ role, pid }) => `${role} (pid ${pid})`).join(', ')
    return row(
      'processes',
      'warn',
      `of no instance of this user: ${text}`,
      'started by somebody else or with other XDG directories; else end them by pid',
    )
  }
  return row('processes', 'ok', known.size === 0 ? 'nothing runs' : `${known.size} run, all known`)
}

export interface DoctorSummary {
  readonly ok: number
  readonly warn: number
  readonly fail: number
  readonly skip: number
  readonly exitCode: number
}

/** Exit code 1 when anything failed. */
export function summaryOf(rows: readonly DoctorRow[]): DoctorSummary {
  const count = (status: DoctorRow['status']) => rows.filter((one) => one.status === status).length
  const fail = count('fail')
  return {
    ok: count('ok'),
    warn: count('warn'),
    fail,
    skip: count('skip'),
    exitCode: fail > 0 ? 1 : 0,
  }
}

/**
 * A systemd unit as it will apply at the next start: the unit file and its drop-ins, without asking
 * systemd. Source: systemd.unit(5), sections "Unit file load path" and "Description" (drop-ins).
 */
import type { UnitFacts, UnitSetting } from './facts.ts'
import type { HostFiles } from './host-files.ts'
import { numberIn, textOf } from './reading.ts'

const unitDirectories = [
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
]

const wanted = new Set([
  'LimitNOFILE',
  'LimitNPROC',
  'LimitMEMLOCK',
  'TasksMax',
  'MemoryMax',
  'CPUQuota',
  'User',
])

/** `broker` → `broker.service`; null when it could not be the name of a unit. */
export function unitName(text: string): string | null {
  const name = text.includes('.') ? text : `${text}.service`
  return /^[A-Za-z0-9:_.@\\-]{1,255}$/.test(name) && !name.startsWith('.') ? name : null
}

export function readUnit(files: HostFiles, name: string): UnitFacts {
  const settings: Record<string, UnitSetting> = {}
  const read: string[] = []
  const template = name.includes('@') ? name.replace(/@[^.]*\./, '@.') : null
  const main = [name, ...(template === null ? [] : [template])]
    .flatMap((candidate) => unitDirectories.map((directory) => `${directory}/${candidate}`))
    .find((path) => textOf(files, path) !== null)
  const fragments: { name: string; path: string }[] = []
  const seen = new Set<string>()
  for (const directory of unitDirectories) {
    for (const unit of template === null ? [name] : [name, template]) {
      for (const file of files.list(`${directory}/${unit}.d`) ?? []) {
        if (!file.endsWith('.conf') || seen.has(file)) continue
        seen.add(file)
        fragments.push({ name: file, path: `${directory}/${unit}.d/${file}` })
      }
    }
  }
  fragments.sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const path of [
    ...(main === undefined ? [] : [main]),
    ...fragments.map(({ path }) => path),
  ]) {
    const text = textOf(files, path)
    if (text === null) continue
    read.push(path)
    text.split('\n').forEach((line, index) => {
      const match = /^\s*([A-Za-z]+)\s*=\s*(.*?)\s*$/.exec(line)
      const key = match?.[1] ?? ''
      if (wanted.has(key)) {
        settings[key] = { value: match?.[2] ?? '', file: path, line: index + 1 }
      }
    })
  }
  return { name, found: main !== undefined, settings, files: read }
}

/** The main process of a unit: the one of its control group whose parent is not in the group. */
export function pidOfUnit(files: HostFiles, name: string): number | null {
  const groups = [
    '/sys/fs/cgroup/system.slice',
    '/sys/fs/cgroup/unified/system.slice',
    '/sys/fs/cgroup/systemd/system.slice',
  ]
  for (const group of groups) {
    const text = textOf(files, `${group}/${name}/cgroup.procs`)
    const pids = (text ?? '')
      .trim()
      .split(/\s+/)
      .filter((pid) => /^\d+$/.test(pid))
      .map(Number)
    const main = pids.find((pid) => !pids.includes(parentOf(files, pid) ?? 0)) ?? pids[0]
    if (main === undefined) continue
    return brokerBelow(files, main, pids)
  }
  return null
}

/** Start scripts stay as the parent of the JVM: the JVM or Node process counts. */
function brokerBelow(files: HostFiles, main: number, pids: readonly number[]): number {
  const isRuntime = (pid: number) =>
    /^(java|node|MainThread)$/.test(textOf(files, `/proc/${pid}/comm`)?.trim() ?? '')
  return isRuntime(main) ? main : (pids.find(isRuntime) ?? main)
}

function parentOf(files: HostFiles, pid: number): number | null {
  const status = textOf(files, `/proc/${pid}/status`) ?? ''
  const parent = /^PPid:\s+(\d+)/m.exec(status)?.[1]
  return parent === undefined ? numberIn(files, `/proc/${pid}/ppid`) : Number(parent)
}

/**
 * What is set at boot, by whom, and which line wins: sysctl.d in all its directories, tmpfiles.d and
 * the kernel's command line for huge pages, limits.conf, and daemons that set values by themselves.
 *
 * Order of sysctl.d: files of all directories by name; of two with one name the one in the earlier
 * directory counts alone (a link to /dev/null masks); of several lines for one key the last counts.
 * Source: sysctl.d(5), tmpfiles.d(5), sysctl(8), pam_limits(8), tuned-profiles(7).
 */
import type { Definition, Manager, PersistedFacts } from './facts.ts'
import type { HostFiles } from './host-files.ts'
import { textOf } from './reading.ts'

const sysctlDirectories = [
  '/etc/sysctl.d',
  '/run/sysctl.d',
  '/usr/local/lib/sysctl.d',
  '/usr/lib/sysctl.d',
  '/lib/sysctl.d',
]
const tmpfilesDirectories = [
  '/etc/tmpfiles.d',
  '/run/tmpfiles.d',
  '/usr/local/lib/tmpfiles.d',
  '/usr/lib/tmpfiles.d',
]
export const THP_ENABLED = '/sys/kernel/mm/transparent_hugepage/enabled'
const SYSCTL_CONF = '/etc/sysctl.conf'

export function readPersisted(files: HostFiles): PersistedFacts {
  const unreadable: string[] = []
  return {
    definitions: sysctlDefinitions(files, unreadable),
    thp: thpDefinitions(files, unreadable),
    managers: managers(files),
    limits: limitDefinitions(files),
    unreadable,
  }
}

interface DropIn {
  readonly path: string
  readonly name: string
  /** Path of the file of the same name that hides this one. */
  readonly maskedBy: string | null
}

/** All drop-ins of several directories in the order they are applied. */
function dropIns(files: HostFiles, directories: readonly string[]): DropIn[] {
  const first = new Map<string, string>()
  const all: DropIn[] = []
  const seen = new Set<string>()
  for (const directory of directories) {
    // /lib is a link to /usr/lib on most systems: the same file must not count twice.
    const real = directory === '/lib/sysctl.d' && files.link('/lib') !== null ? null : directory
    if (real === null || seen.has(real)) continue
    seen.add(real)
    for (const name of files.list(directory) ?? []) {
      if (!name.endsWith('.conf')) continue
      const path = `${directory}/${name}`
      all.push({ path, name, maskedBy: first.get(name) ?? null })
      if (!first.has(name)) first.set(name, path)
    }
  }
  return all.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}

function sysctlDefinitions(files: HostFiles, unreadable: string[]): Definition[] {
  const definitions: Definition[] = []
  let linked = false
  for (const { path, maskedBy } of dropIns(files, sysctlDirectories)) {
    const target = files.link(path)
    if (target === '/dev/null') continue
    if (target !== null && /(^|\/)sysctl\.conf$/.test(target)) linked = true
    const { text, missing } = files.read(path)
    if (text === null) {
      if (missing !== 'absent') unreadable.push(path)
      continue
    }
    const ignored = maskedBy === null ? null : `masked by ${maskedBy}`
    definitions.push(...parseSysctlConf(text, path, ignored))
  }
  const main = files.read(SYSCTL_CONF)
  if (main.text === null) {
    if (main.missing === 'denied') unreadable.push(SYSCTL_CONF)
  } else if (!linked) {
    const systemd = files.exists('/run/systemd/system')
    const ignored = systemd ? 'systemd-sysctl does not read /etc/sysctl.conf' : null
    definitions.push(...parseSysctlConf(main.text, SYSCTL_CONF, ignored))
  }
  return definitions
}

/** `key = value` lines; `-` in front means "ignore errors", slashes may stand for dots. */
export function parseSysctlConf(text: string, file: string, ignored: string | null): Definition[] {
  const definitions: Definition[] = []
  text.split('\n').forEach((line, index) => {
    const match = /^\s*-?\s*([A-Za-z0-9_][^=\s]*)\s*=\s*(.*?)\s*$/.exec(line)
    if (match === null || /^\s*[#;]/.test(line)) return
    const key = sysctlKey(match[1] ?? '')
    definitions.push({ key, value: match[2] ?? '', file, line: index + 1, ignored })
  })
  return definitions
}

/** With dots; a key that starts with a slash-separated part keeps dots in interface names. */
function sysctlKey(written: string): string {
  const slash = written.indexOf('/')
  const dot = written.indexOf('.')
  return slash >= 0 && (dot < 0 || slash < dot) ? written.replaceAll('/', '.') : written
}

function thpDefinitions(files: HostFiles, unreadable: string[]): Definition[] {
  const definitions: Definition[] = []
  const boot = /(?:^|\s)transparent_hugepage=(\w+)/.exec(textOf(files, '/proc/cmdline') ?? '')?.[1]
  const key = THP_ENABLED
  const kernel = textOf(files, '/proc/sys/kernel/osrelease')?.trim() ?? ''
  const config = `/boot/config-${kernel}`
  const built = /^CONFIG_TRANSPARENT_HUGEPAGE_(ALWAYS|MADVISE|NEVER)=y$/m.exec(
    textOf(files, config) ?? '',
  )?.[1]
  if (built !== undefined) {
    definitions.push({ key, value: built.toLowerCase(), file: config, line: 1, ignored: null })
  }
  if (boot !== undefined) {
    definitions.push({ key, value: boot, file: '/proc/cmdline', line: 1, ignored: null })
  }
  for (const { path, maskedBy } of dropIns(files, tmpfilesDirectories)) {
    const { text, missing } = files.read(path)
    if (text === null) {
      if (missing === 'denied') unreadable.push(path)
      continue
    }
    text.split('\n').forEach((line, index) => {
      const words = line.trim().split(/\s+/)
      if (!/^w[+!]*$/.test(words[0] ?? '') || words[1] !== THP_ENABLED) return
      definitions.push({
        key,
        value: words.slice(6).join(' '),
        file: path,
        line: index + 1,
        ignored: maskedBy === null ? null : `masked by ${maskedBy}`,
      })
    })
  }
  return definitions
}

function limitDefinitions(files: HostFiles): Definition[] {
  const definitions: Definition[] = []
  const paths = [
    '/etc/security/limits.conf',
    ...(files.list('/etc/security/limits.d') ?? [])
      .filter((name) => name.endsWith('.conf'))
      .map((name) => `/etc/security/limits.d/${name}`),
  ]
  for (const file of paths) {
    const lines = (textOf(files, file) ?? '').split('\n')
    lines.forEach((line, index) => {
      const [domain, kind, item, value] = line.replace(/#.*/, '').trim().split(/\s+/)
      if (item !== 'nofile' || value === undefined) return
      const key = `${domain} ${kind} nofile`
      definitions.push({ key, value, file, line: index + 1, ignored: null })
    })
  }
  return definitions
}

const tunedDirectories = [
  '/etc/tuned/profiles',
  '/etc/tuned',
  '/usr/lib/tuned/profiles',
  '/usr/lib/tuned',
]

function managers(files: HostFiles): Manager[] {
  const found: Manager[] = []
  const profile = textOf(files, '/etc/tuned/active_profile')?.trim()
  if (profile !== undefined && profile !== '') {
    const keys = new Set<string>()
    for (const name of profile.split(/\s+/)) tunedKeys(files, name, keys, 0)
    found.push({
      name: 'tuned',
      profile,
      keys: [...keys].sort(),
      source: '/etc/tuned/active_profile',
    })
  }
  if (files.exists('/etc/cloud/cloud.cfg')) {
    const written = (files.list('/etc/cloud/cloud.cfg.d') ?? [])
      .map((name) => `/etc/cloud/cloud.cfg.d/${name}`)
      .find((path) => /sysctl/.test(textOf(files, path) ?? ''))
    if (written !== undefined) {
      found.push({ name: 'cloud-init', profile: null, keys: [], source: written })
    }
  }
  return found
}

/** Sysctl keys of a tuned profile and of those that it includes. */
function tunedKeys(files: HostFiles, profile: string, keys: Set<string>, depth: number): void {
  if (depth > 8 || !/^[\w.-]+$/.test(profile)) return
  for (const directory of tunedDirectories) {
    const text = textOf(files, `${directory}/${profile}/tuned.conf`)
    if (text === null) continue
    let section = ''
    for (const line of text.split('\n')) {
      section = /^\s*\[([^\]]+)\]/.exec(line)?.[1] ?? section
      const match = /^\s*([\w./-]+)\s*=\s*>?(.*)$/.exec(line)
      if (match === null) continue
      if (section === 'sysctl') keys.add((match[1] ?? '').replaceAll('/', '.'))
      if (section === 'vm' && match[1] === 'transparent_hugepages') keys.add(THP_ENABLED)
      if (section === 'main' && match[1] === 'include') {
        for (const name of (match[2] ?? '').trim().split(/[\s,]+/)) {
          tunedKeys(files, name, keys, depth + 1)
        }
      }
    }
    return
  }
}

/**
 * What would change: files of our own with the lines that make values last, and values to set now.
 * Nothing is written here; `apply.ts` does what a plan says, `render.ts` writes it for other tools.
 *
 * Never lowers what is already better (a check that passes asks for nothing), never touches a file
 * of somebody else, and refuses a key that a later file of somebody else would set again.
 */
import { bootOf, partnerOf, sameValue, winnerOf } from './boot-values.ts'
import {
  changeFile,
  diskPath,
  SYSCTL_FILE,
  TMPFILES_FILE,
  UDEV_FILE,
  unitFile,
} from './change-text.ts'
import type { Change, Check, Profile } from './check.ts'
import { sysctlPath } from './collect.ts'
import { explanationOf } from './explanations.ts'
import type { HostFacts } from './facts.ts'
import type { HostFiles } from './host-files.ts'
import { parseSysctlConf, THP_ENABLED } from './persisted-facts.ts'
import { checksOf, type JudgeOptions } from './report.ts'
import { registry } from './registry.ts'
import { isExpired } from './waivers.ts'

export const MANAGED =
  '# Managed by mqctl tune-os. Edits by hand stand in the way of its apply and rollback.'

/** A change, the check that asks for it, and why. */
export interface PlannedChange {
  readonly id: string
  readonly change: Change
  readonly why: string
  /** False when a file already sets the value at boot. */
  readonly persist: boolean
  /** Whether the live value is to be set: not when it is right already. */
  readonly live: boolean
}

export interface PlannedFile {
  readonly path: string
  /** Null when it does not exist. */
  readonly before: string | null
  readonly after: string
}

export interface PlannedValue {
  readonly path: string
  readonly name: string
  readonly before: string
  readonly after: string
}

/** Something that stands in the way; nothing is applied then. */
export interface Obstacle {
  readonly what: string
  readonly hint: string
}

export interface Plan {
  readonly changes: readonly PlannedChange[]
  readonly files: readonly PlannedFile[]
  readonly values: readonly PlannedValue[]
  readonly obstacles: readonly Obstacle[]
  /** What a person has to do: fixes that are never automatic. */
  readonly manual: readonly { readonly id: string; readonly summary: string }[]
  /** What must start again before it counts. */
  readonly afterwards: readonly string[]
}

export interface PlanOptions extends JudgeOptions {
  /** Limits of a unit that nobody has named yet are among the changes: for text, never for apply. */
  readonly anyUnit?: boolean
}

export function planOf(files: HostFiles, facts: HostFacts, options: PlanOptions): Plan {
  const obstacles: Obstacle[] = []
  const { changes, manual } = changesOf(facts, options)
  const unit = facts.unit?.name ?? null
  const planned = plannedFiles(files, changes, unit, obstacles)
  for (const { change, persist } of changes) {
    if (change.kind === 'sysctl' && persist) checkForeign(facts, change.key, obstacles)
  }
  const values = changes.flatMap((one) => (one.live ? valueOf(files, one) : []))
  const unitChanged = planned.some(({ path }) => unit !== null && path === unitFile(unit))
  return {
    changes,
    files: planned.filter(({ before, after }) => before !== after),
    values,
    obstacles,
    manual,
    afterwards: [
      ...(unitChanged && unit !== null
        ? [`systemctl daemon-reload && systemctl restart ${unit}`]
        : []),
      ...(changes.some(({ change }) => change.kind === 'thp') && facts.target.pid !== null
        ? [`restart process ${facts.target.pid}: huge pages it already has stay`]
        : []),
    ],
  }
}

export function isEmpty(plan: Plan): boolean {
  return plan.files.length === 0 && plan.values.length === 0
}

function changesOf(facts: HostFacts, options: PlanOptions) {
  const { profile, anyUnit = false } = options
  const changes: PlannedChange[] = []
  const manual: { id: string; summary: string }[] = []
  const waived = new Set(
    options.waivers?.list.filter((waiver) => !isExpired(waiver, options.nowMs)).map(({ id }) => id),
  )
  const inContainer = facts.container.kind !== 'none'
  for (const { check } of checksOf(options)) {
    if (waived.has(check.id) || (inContainer && check.scope === 'host')) continue
    const finding = check.judge(facts, profile)
    if (finding.status !== 'fail' || finding.remedy === null) continue
    const possible = (finding.remedy.changes ?? []).filter(
      (change) => change.kind !== 'unit' || facts.unit !== null || anyUnit,
    )
    if (possible.length === 0) manual.push({ id: check.id, summary: finding.remedy.summary })
    for (const change of possible) {
      if (changes.some((other) => sameTarget(other.change, change))) continue
      changes.push(withBoot(check, change, facts, profile))
    }
  }
  return { changes, manual }
}

function sameTarget(one: Change, other: Change): boolean {
  return (
    changeFile({ ...one, value: '' }, null).line === changeFile({ ...other, value: '' }, null).line
  )
}

/** When a file sets a value at boot that the check accepts, that value is the wanted one. */
function withBoot(check: Check, change: Change, facts: HostFacts, profile: Profile): PlannedChange {
  const why = explanationOf(check.id).why
  const plain = { id: check.id, change, why, persist: true, live: true }
  if (change.kind === 'thp') {
    return { ...plain, live: !facts.thp.enabled.text?.includes(`[${change.value}]`) }
  }
  if (change.kind !== 'sysctl') return { ...plain, live: change.kind === 'disk' }
  const { key, value } = change
  const boot = bootOf(facts, key)
  const live = facts.sysctl[key]?.text ?? null
  if (live !== null && sameValue(live, value)) {
    // Right already: it only has to last, whatever a file says now.
    return { ...plain, live: false, persist: boot.value === null || !sameValue(boot.value, value) }
  }
  if (boot.winner !== null && boot.value !== null && boot.winner.key === key) {
    const judged = check.judge(withValue(facts, key, boot.value), profile)
    if (judged.status === 'pass') {
      const wanted: Change = { kind: 'sysctl', key, value: boot.value }
      return { ...plain, change: wanted, persist: false }
    }
  }
  return plain
}

function withValue(facts: HostFacts, key: string, value: string): HostFacts {
  const partner = partnerOf(key)
  const reading = (name: string, text: string) => ({
    [name]: { source: sysctlPath(name), text, missing: null },
  })
  return {
    ...facts,
    sysctl: {
      ...facts.sysctl,
      ...reading(key, value),
      ...(partner === null ? {} : reading(partner, '0')),
    },
  }
}

/** Ours is called 90-mqctl.conf: a line in a file that sorts later would win again at boot. */
function checkForeign(facts: HostFacts, key: string, obstacles: Obstacle[]): void {
  const partner = partnerOf(key)
  for (const name of [key, ...(partner === null ? [] : [partner])]) {
    const winner = winnerOf(facts, name)
    if (winner === null || winner.file === SYSCTL_FILE) continue
    if (name === partner && winner.value.trim() === '0') continue
    const base = winner.file.slice(winner.file.lastIndexOf('/') + 1)
    if (base < '90-mqctl.conf' && winner.file !== '/etc/sysctl.conf') continue
    obstacles.push({
      what: `${key}: ${winner.file}:${winner.line} sets ${name} = ${winner.value} and is read after ${SYSCTL_FILE}`,
      hint: 'change that line, or leave the check out with --skip',
    })
  }
}

function valueOf(files: HostFiles, { change }: PlannedChange): PlannedValue[] {
  if (change.kind === 'unit') return []
  const path =
    change.kind === 'sysctl'
      ? sysctlPath(change.key)
      : change.kind === 'thp'
        ? THP_ENABLED
        : diskPath(change)
  const before = files.read(path).text
  const name = change.kind === 'sysctl' ? change.key : path
  return before === null ? [] : [{ path, name, before, after: change.value }]
}

/** The whole new text of every file that the changes touch. */
function plannedFiles(
  files: HostFiles,
  changes: readonly PlannedChange[],
  unit: string | null,
  obstacles: Obstacle[],
): PlannedFile[] {
  const lasting = changes.filter(({ persist }) => persist)
  const paths = new Set(lasting.map(({ change }) => changeFile(change, unit).path))
  return [...paths].map((path) => {
    const { text } = files.read(path)
    if (text !== null && !text.startsWith(MANAGED)) {
      obstacles.push({
        what: `${path} exists and was not written by mqctl`,
        hint: 'move it away, or leave the check out with --skip',
      })
    }
    const own = lasting.filter(({ change }) => changeFile(change, unit).path === path)
    return { path, before: text, after: fileText(path, text, own, unit) }
  })
}

/** Existing lines of ours stay unless a change replaces them; the same input gives the same text. */
function fileText(
  path: string,
  before: string | null,
  changes: readonly PlannedChange[],
  unit: string | null,
): string {
  switch (path) {
    case SYSCTL_FILE:
      return sysctlText(before, changes)
    case TMPFILES_FILE:
    case UDEV_FILE:
      return withLines(before, changes, unit, [])
    default:
      return withLines(before, changes, unit, ['[Service]'])
  }
}

/** Text of a sysctl drop-in with these changes and what it had before. */
export function sysctlText(before: string | null, changes: readonly PlannedChange[]): string {
  const values = new Map<string, string>()
  for (const { key, value } of parseSysctlConf(before ?? '', SYSCTL_FILE, null)) {
    values.set(key, value)
  }
  for (const { change } of changes) {
    if (change.kind !== 'sysctl') continue
    const partner = partnerOf(change.key)
    if (partner !== null) values.delete(partner)
    values.set(change.key, change.value)
  }
  const order = registry.flatMap((check) => [...(check.keys ?? [])])
  const sorted = [...values].sort(
    ([one], [other]) => order.indexOf(one) - order.indexOf(other) || (one < other ? -1 : 1),
  )
  const lines = sorted.flatMap(([key, value]) => {
    const check = registry.find(({ keys }) => keys?.includes(key) === true)
    const why = check === undefined ? '' : `${check.id}: ${explanationOf(check.id).why}`
    return [...(why === '' ? [] : [`# ${why}`]), `${key} = ${value}`]
  })
  return `${[MANAGED, ...lines].join('\n')}\n`
}

function withLines(
  before: string | null,
  changes: readonly PlannedChange[],
  unit: string | null,
  head: readonly string[],
): string {
  const kept = (before ?? '')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#') && !head.includes(line))
  for (const { change } of changes) {
    const { line } = changeFile(change, unit)
    const start = changeFile({ ...change, value: '' }, unit).line.replace(/"$/, '')
    const at = kept.findIndex((other) => other.startsWith(start))
    if (at < 0) kept.push(line)
    else kept[at] = line
  }
  const whys = [...new Set(changes.map(({ id, why }) => `# ${id}: ${why}`))]
  const comments =
    before === null
      ? whys
      : before.split('\n').filter((line) => line.startsWith('# ') && line !== MANAGED)
  const all = [...new Set([...comments, ...whys])].sort()
  return `${[MANAGED, ...all, ...head, ...kept].join('\n')}\n`
}

/** Everything that a profile recommends, whatever this host has: for images and other machines. */
export function recommended(
  options: Pick<JudgeOptions, 'profile' | 'only' | 'skip'>,
): PlannedChange[] {
  return checksOf(options).flatMap(({ check }) =>
    (ideals[check.id] ?? []).map((change) => ({
      id: check.id,
      change,
      why: explanationOf(check.id).why,
      persist: true,
      live: true,
    })),
  )
}

const sysctl = (key: string, value: string): Change => ({ kind: 'sysctl', key, value })

const ideals: Readonly<Record<string, readonly Change[]>> = {
  'vm.swappiness': [sysctl('vm.swappiness', '1')],
  'vm.overcommit': [sysctl('vm.overcommit_memory', '0')],
  'vm.max-map-count': [sysctl('vm.max_map_count', '655360')],
  'vm.dirty-background': [sysctl('vm.dirty_background_bytes', '268435456')],
  'vm.dirty-limit': [sysctl('vm.dirty_bytes', '1073741824')],
  'vm.writeback-interval': [
    sysctl('vm.dirty_writeback_centisecs', '500'),
    sysctl('vm.dirty_expire_centisecs', '3000'),
  ],
  'vm.zone-reclaim': [sysctl('vm.zone_reclaim_mode', '0')],
  'vm.thp': [{ kind: 'thp', value: 'madvise' }],
  'limit.nofile': [{ kind: 'unit', setting: 'LimitNOFILE', value: '655350' }],
  'limit.nproc': [{ kind: 'unit', setting: 'LimitNPROC', value: '65536' }],
  'limit.memlock': [{ kind: 'unit', setting: 'LimitMEMLOCK', value: 'infinity' }],
  'fs.nr-open': [sysctl('fs.nr_open', '1048576')],
  'net.somaxconn': [sysctl('net.core.somaxconn', '4096')],
  'net.syn-backlog': [sysctl('net.ipv4.tcp_max_syn_backlog', '4096')],
  'net.port-range': [sysctl('net.ipv4.ip_local_port_range', '10000 65000')],
  'net.tw-reuse': [sysctl('net.ipv4.tcp_tw_reuse', '1')],
}

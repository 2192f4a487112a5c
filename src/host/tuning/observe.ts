/**
 * Which resource hurts now: counters of /proc at both ends of a window, as rates, and a verdict.
 * `free`, `top` and the first sample of `vmstat` mislead for a broker that lives by the page cache;
 * faults, stalls, pressure, drops and throttling do not.
 */
import { formatBytes } from '../../base/units.ts'
import type { Clock } from '../../world/clock.ts'
import { parseCpuTimes, parseDisk, parseNics } from '../proc-text.ts'
import { waited } from './collect.ts'
import { lookAtCounters, tables, type CounterLook } from './counter-facts.ts'
import { readDisk } from './disk-facts.ts'
import { groupDirectories } from './group-facts.ts'
import type { HostFiles } from './host-files.ts'
import { numberIn, textOf } from './reading.ts'

export interface ObserveOptions {
  readonly seconds: number
  readonly pid: number | null
  /** The disk below this directory is watched. */
  readonly path: string
}

/** One look. */
export interface Look {
  readonly atMs: number
  readonly counters: CounterLook
  readonly cpu: {
    readonly busyMs: number
    readonly totalMs: number
    readonly iowaitMs: number
    readonly stealMs: number
  } | null
  /** Stalled time in µs since boot, by name as in `io.some`; of the group when the target has one. */
  readonly pressure: Readonly<Record<string, number>>
  readonly vmstat: Readonly<Record<string, number>>
  readonly retransmits: number | null
  readonly disk: { readonly name: string; readonly busyMs: number; readonly bytes: number } | null
  readonly links: readonly {
    readonly name: string
    readonly rx: number
    readonly tx: number
    readonly bitsPerSecond: number | null
  }[]
}

export type Resource = 'cpu' | 'memory' | 'disk' | 'network'

export interface Signal {
  readonly resource: Resource
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly text: string
  /** 0 nothing, 1 worth knowing, 2 hurts. */
  readonly level: 0 | 1 | 2
}

export interface Observation {
  readonly seconds: number
  readonly signals: readonly Signal[]
  /** The resource that hurts most; null when none does. */
  readonly hurts: Resource | null
  readonly why: string
  /** What could not be read here. */
  readonly missing: readonly string[]
}

const vmstatNames = [
  'pgmajfault',
  'allocstall_normal',
  'allocstall_movable',
  'allocstall_dma32',
  'pswpin',
  'pswpout',
]

export async function observe(
  files: HostFiles,
  clock: Clock,
  options: ObserveOptions,
): Promise<Observation> {
  const before = lookNow(files, clock, options)
  await waited(clock, options.seconds * 1_000)
  return compare(before, lookNow(files, clock, options))
}

function lookNow(files: HostFiles, clock: Clock, options: ObserveOptions): Look {
  const pid = options.pid ?? 'self'
  const cpu = parseCpuTimes(textOf(files, '/proc/stat') ?? '')
  const idle = cpu === null ? 0 : cpu.idleMs + cpu.iowaitMs
  const busy = cpu === null ? 0 : cpu.userMs + cpu.systemMs + cpu.irqMs + cpu.stealMs
  const vmstat = textOf(files, '/proc/vmstat') ?? ''
  const snmp = tables(textOf(files, '/proc/net/snmp') ?? '').get('Tcp')
  return {
    atMs: clock.monotonicMs(),
    counters: lookAtCounters(files, pid),
    cpu:
      cpu === null
        ? null
        : { busyMs: busy, totalMs: busy + idle, iowaitMs: cpu.iowaitMs, stealMs: cpu.stealMs },
    pressure: pressureOf(files, options.pid),
    vmstat: Object.fromEntries(
      vmstatNames.flatMap((name) => {
        const value = new RegExp(`^${name} (\\d+)$`, 'm').exec(vmstat)?.[1]
        return value === undefined ? [] : [[name, Number(value)]]
      }),
    ),
    retransmits: snmp?.get('RetransSegs') ?? null,
    disk: diskOf(files, options.path),
    links: parseNics(textOf(files, '/proc/net/dev') ?? '')
      .filter(({ name }) => name !== 'lo')
      .map(({ name, rxBytes, txBytes }) => {
        const speed = numberIn(files, `/sys/class/net/${name}/speed`)
        return {
          name,
          rx: rxBytes,
          tx: txBytes,
          bitsPerSecond: speed !== null && speed > 0 ? speed * 1e6 : null,
        }
      }),
  }
}

function pressureOf(files: HostFiles, pid: number | null): Record<string, number> {
  const found: Record<string, number> = {}
  const group = pid === null ? undefined : groupDirectories(files, pid, 'memory')[0]
  for (const resource of ['cpu', 'memory', 'io']) {
    const text =
      (group === undefined ? null : textOf(files, `${group}/${resource}.pressure`)) ??
      textOf(files, `/proc/pressure/${resource}`)
    for (const match of (text ?? '').matchAll(/^(some|full) .*total=(\d+)$/gm)) {
      found[`${resource}.${match[1]}`] = Number(match[2])
    }
  }
  return found
}

function diskOf(files: HostFiles, path: string): Look['disk'] {
  const { legs } = readDisk(files, { path, from: null, mustExist: false, uid: null })
  const name = legs[0]?.name
  if (name === undefined) return null
  const numbers = textOf(files, `/sys/class/block/${name}/dev`)?.trim().split(':')
  if (numbers?.[0] === undefined || numbers[1] === undefined) return null
  const row = parseDisk(
    textOf(files, '/proc/diskstats') ?? '',
    Number(numbers[0]),
    Number(numbers[1]),
  )
  return row === null ? null : { name, busyMs: row.busyMs, bytes: row.readBytes + row.writtenBytes }
}

/** Pure: two looks to what happened between them. */
export function compare(before: Look, after: Look): Observation {
  const ms = Math.max(1, after.atMs - before.atMs)
  const seconds = ms / 1_000
  const signals: Signal[] = []
  const missing: string[] = []
  const add = (
    resource: Resource,
    name: string,
    value: number,
    unit: string,
    text: string,
    [some, bad]: readonly [number, number],
  ) => {
    const level = value >= bad ? 2 : value >= some ? 1 : 0
    signals.push({ resource, name, value: Math.round(value * 100) / 100, unit, text, level })
  }
  if (before.cpu === null || after.cpu === null) missing.push('/proc/stat')
  else {
    const total = Math.max(1, after.cpu.totalMs - before.cpu.totalMs)
    const share = (name: 'busyMs' | 'iowaitMs' | 'stealMs') =>
      (100 * Math.max(0, (after.cpu?.[name] ?? 0) - (before.cpu?.[name] ?? 0))) / total
    add('cpu', 'busy', share('busyMs'), '%', 'CPU time in use', [75, 95])
    add('cpu', 'steal', share('stealMs'), '%', 'taken by the hypervisor', [2, 5])
    add('disk', 'iowait', share('iowaitMs'), '%', 'idle while a disk was awaited', [10, 30])
  }
  const throttled =
    (after.counters.throttling?.throttled ?? 0) - (before.counters.throttling?.throttled ?? 0)
  const periods =
    (after.counters.throttling?.periods ?? 0) - (before.counters.throttling?.periods ?? 0)
  if (periods > 0) {
    add(
      'cpu',
      'throttled',
      (100 * throttled) / periods,
      '% of periods',
      'stopped by the CPU limit',
      [1, 10],
    )
  }
  const names: Readonly<Record<string, Resource>> = { cpu: 'cpu', memory: 'memory', io: 'disk' }
  if (Object.keys(after.pressure).length === 0) missing.push('pressure (PSI)')
  for (const [name, total] of Object.entries(after.pressure)) {
    const [kind = '', degree] = name.split('.')
    if (kind === 'cpu' && degree === 'full') continue
    // The kernel and this process read their clocks at different moments: never more than all of it.
    const stalled = Math.min(100, (total - (before.pressure[name] ?? total)) / (ms * 10))
    const limits =
      degree === 'full'
        ? ([2, 10] as const)
        : kind === 'cpu'
          ? ([20, 60] as const)
          : ([5, 25] as const)
    add(
      names[kind] ?? 'cpu',
      `pressure ${name}`,
      stalled,
      '% of time',
      degree === 'full' ? 'everybody waited' : 'somebody waited',
      limits,
    )
  }
  const perSecond = (name: string) =>
    ((after.vmstat[name] ?? 0) - (before.vmstat[name] ?? 0)) / seconds
  add(
    'memory',
    'major faults',
    perSecond('pgmajfault'),
    '/s',
    'pages read from disk in the middle of work',
    [50, 500],
  )
  const stalls = ['allocstall_normal', 'allocstall_movable', 'allocstall_dma32'].reduce(
    (sum, name) => sum + perSecond(name),
    0,
  )
  add(
    'memory',
    'allocation stalls',
    stalls,
    '/s',
    'threads that had to free memory themselves',
    [0.1, 10],
  )
  add(
    'memory',
    'swapped',
    perSecond('pswpin') + perSecond('pswpout'),
    'pages/s',
    'pages through swap',
    [0.1, 100],
  )
  if (before.disk === null || after.disk === null) missing.push('disk counters')
  else {
    const busy = (100 * (after.disk.busyMs - before.disk.busyMs)) / ms
    const rate = (after.disk.bytes - before.disk.bytes) / seconds
    add('disk', `${after.disk.name} busy`, busy, '%', `${formatBytes(rate)}/s`, [70, 95])
  }
  for (const link of after.links) {
    const old = before.links.find(({ name }) => name === link.name)
    if (old === undefined) continue
    const bytes = Math.max(link.rx - old.rx, link.tx - old.tx) / seconds
    if (link.bitsPerSecond === null) {
      add('network', `${link.name} rate`, bytes / 1e6, 'MB/s', 'speed of the link unknown', [
        Infinity,
        Infinity,
      ])
    } else {
      add(
        'network',
        `${link.name} busy`,
        (100 * bytes * 8) / link.bitsPerSecond,
        '%',
        `${formatBytes(bytes)}/s in its busier direction`,
        [70, 90],
      )
    }
  }
  const drops = Object.entries(after.counters.drops)
    .filter(([name]) => name !== 'TcpExt.ListenDrops' && name !== 'softnet.squeezed')
    .map(([name, count]) => ({ name, count: count - (before.counters.drops[name] ?? count) }))
  const dropped = drops.filter(({ count }) => count > 0)
  add(
    'network',
    'drops',
    dropped.reduce((sum, { count }) => sum + count, 0) / seconds,
    '/s',
    dropped.map(({ name }) => name).join(', ') || 'packets and connections',
    [0.1, 10],
  )
  if (after.retransmits !== null && before.retransmits !== null) {
    add(
      'network',
      'retransmits',
      (after.retransmits - before.retransmits) / seconds,
      '/s',
      'segments sent again',
      [5, 100],
    )
  }
  return { seconds: Math.round(seconds * 10) / 10, signals, missing, ...verdictOf(signals) }
}

function verdictOf(signals: readonly Signal[]): { hurts: Resource | null; why: string } {
  for (const level of [2, 1] as const) {
    const found = signals.filter((signal) => signal.level === level)
    const order: readonly Resource[] = ['memory', 'disk', 'network', 'cpu']
    const counted = order
      .map((resource) => ({
        resource,
        own: found.filter((signal) => signal.resource === resource),
      }))
      .filter(({ own }) => own.length > 0)
      .sort((a, b) => b.own.length - a.own.length)
    const worst = counted[0]
    if (worst === undefined) continue
    const why = worst.own.map(({ name, value, unit }) => `${name} ${value} ${unit}`).join(', ')
    return level === 2
      ? { hurts: worst.resource, why }
      : { hurts: null, why: `nothing hurts; closest is ${worst.resource}: ${why}` }
  }
  return { hurts: null, why: 'nothing hurts' }
}

/** Counters that only grow: CPU time that was taken away, packets that were dropped, throttling. */
import { parseCpuTimes, parseNics } from '../proc-text.ts'
import type { Counters } from './facts.ts'
import { readThrottling } from './group-facts.ts'
import type { HostFiles } from './host-files.ts'
import { textOf } from './reading.ts'

/** One look at all of them. */
export interface CounterLook {
  readonly cpu: { readonly total: number; readonly steal: number; readonly iowait: number } | null
  readonly drops: Readonly<Record<string, number>>
  readonly packets: number | null
  readonly throttling: { readonly periods: number; readonly throttled: number } | null
}

/** Names of /proc/net/netstat that mean that somebody was turned away or heard late. */
const netstatNames = [
  'ListenOverflows',
  'ListenDrops',
  'TCPBacklogDrop',
  'PruneCalled',
  'RcvPruned',
]

export function lookAtCounters(files: HostFiles, pid: number | 'self'): CounterLook {
  const cpu = parseCpuTimes(textOf(files, '/proc/stat') ?? '')
  const drops: Record<string, number> = {}
  const netstat = tables(textOf(files, '/proc/net/netstat') ?? '').get('TcpExt')
  for (const name of netstatNames) {
    const value = netstat?.get(name)
    if (value !== undefined) drops[`TcpExt.${name}`] = value
  }
  const softnet = textOf(files, '/proc/net/softnet_stat')
  if (softnet !== null) Object.assign(drops, softnetDrops(softnet))
  const netDev = textOf(files, '/proc/net/dev')
  let packets: number | null = null
  if (netDev !== null) {
    packets = 0
    for (const nic of parseNics(netDev)) {
      if (nic.name === 'lo') continue
      packets += nic.rxPackets + nic.txPackets
      drops[`${nic.name}.rx_dropped`] = nic.rxDrops
      drops[`${nic.name}.tx_dropped`] = nic.txDrops
    }
  }
  return {
    cpu:
      cpu === null
        ? null
        : {
            total: cpu.userMs + cpu.systemMs + cpu.idleMs + cpu.iowaitMs + cpu.irqMs + cpu.stealMs,
            steal: cpu.stealMs,
            iowait: cpu.iowaitMs,
          },
    drops,
    packets,
    throttling: readThrottling(files, pid),
  }
}

/** Since boot (`before` null), or over the time between two looks. */
export function countersOf(
  files: HostFiles,
  after: CounterLook,
  before: CounterLook | null,
  windowMs: number | null,
): Counters {
  const uptime = /^(\d+(\.\d+)?) /.exec(textOf(files, '/proc/uptime') ?? '')?.[1]
  const total = (after.cpu?.total ?? 0) - (before?.cpu?.total ?? 0)
  const share = (name: 'steal' | 'iowait') =>
    after.cpu === null || total <= 0
      ? null
      : Math.max(0, after.cpu[name] - (before?.cpu?.[name] ?? 0)) / total
  const drops = Object.fromEntries(
    Object.entries(after.drops).map(([name, value]) => [
      name,
      Math.max(0, value - (before?.drops[name] ?? 0)),
    ]),
  )
  return {
    windowMs,
    uptimeSeconds: uptime === undefined ? null : Number(uptime),
    steal: share('steal'),
    iowait: share('iowait'),
    drops,
    packets: after.packets === null ? null : after.packets - (before?.packets ?? 0),
    periods:
      after.throttling === null
        ? null
        : after.throttling.periods - (before?.throttling?.periods ?? 0),
    throttledPeriods:
      after.throttling === null
        ? null
        : after.throttling.throttled - (before?.throttling?.throttled ?? 0),
  }
}

/** `Name: a b c` over `Name: 1 2 3`, as in /proc/net/netstat and /proc/net/snmp. */
export function tables(text: string): Map<string, Map<string, number>> {
  const found = new Map<string, Map<string, number>>()
  const lines = text.split('\n')
  for (let index = 0; index + 1 < lines.length; index += 1) {
    const [head = '', ...names] = (lines[index] ?? '').trim().split(/\s+/)
    const [again, ...values] = (lines[index + 1] ?? '').trim().split(/\s+/)
    if (!head.endsWith(':') || head !== again) continue
    const table = new Map<string, number>()
    names.forEach((name, at) => {
      const value = Number(values[at])
      if (Number.isFinite(value)) table.set(name, value)
    })
    found.set(head.slice(0, -1), table)
    index += 1
  }
  return found
}

/** Second column: dropped because the backlog was full; third: the budget ran out. Hexadecimal. */
function softnetDrops(text: string): Record<string, number> {
  let dropped = 0
  let squeezed = 0
  for (const line of text.trim().split('\n')) {
    const words = line.trim().split(/\s+/)
    dropped += parseInt(words[1] ?? '0', 16) || 0
    squeezed += parseInt(words[2] ?? '0', 16) || 0
  }
  return { 'softnet.dropped': dropped, 'softnet.squeezed': squeezed }
}

/** What a value will be after the next boot, and which line makes it so. */
import type { Definition, HostFacts } from './facts.ts'

/**
 * Values of a kernel that nobody configures. Source: Linux Documentation/admin-guide/sysctl/vm.rst,
 * net.rst, networking/ip-sysctl.rst. Missing: what depends on the machine's memory.
 */
const kernelDefaults: Readonly<Record<string, string>> = {
  'vm.swappiness': '60',
  'vm.overcommit_memory': '0',
  'vm.max_map_count': '65530',
  'vm.dirty_background_ratio': '10',
  'vm.dirty_background_bytes': '0',
  'vm.dirty_ratio': '20',
  'vm.dirty_bytes': '0',
  'vm.dirty_writeback_centisecs': '500',
  'vm.dirty_expire_centisecs': '3000',
  'vm.zone_reclaim_mode': '0',
  'fs.nr_open': '1048576',
  'net.ipv4.ip_local_port_range': '32768 60999',
}

/** Defaults that changed with a kernel version: before, since, version. */
const changedDefaults: Readonly<Record<string, readonly [string, string, number]>> = {
  'net.core.somaxconn': ['128', '4096', 5.04],
  'net.ipv4.tcp_tw_reuse': ['0', '2', 4.19],
}

/** Bytes and ratio of one thing: writing one sets the other to 0. */
const partners: Readonly<Record<string, string>> = {
  'vm.dirty_background_bytes': 'vm.dirty_background_ratio',
  'vm.dirty_background_ratio': 'vm.dirty_background_bytes',
  'vm.dirty_bytes': 'vm.dirty_ratio',
  'vm.dirty_ratio': 'vm.dirty_bytes',
}

export function partnerOf(key: string): string | null {
  return partners[key] ?? null
}

function kernelDefault(key: string, kernel: string | null): string | null {
  const fixed = kernelDefaults[key]
  if (fixed !== undefined) return fixed
  const changed = changedDefaults[key]
  const match = /^(\d+)\.(\d+)/.exec(kernel ?? '')
  if (changed === undefined || match === null) return null
  const [before, since, version] = changed
  return Number(match[1]) + Number(match[2]) / 100 >= version ? since : before
}

/** Lines for a key in the order they are applied, ignored ones included. Globs match. */
export function definitionsOf(facts: HostFacts, key: string): readonly Definition[] {
  return facts.persisted.definitions.filter((definition) => matches(definition.key, key))
}

function matches(pattern: string, key: string): boolean {
  if (pattern === key) return true
  if (!pattern.includes('*')) return false
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('[^.]*')}$`).test(key)
}

/** The line that wins at boot; null when nothing sets the key. */
export function winnerOf(facts: HostFacts, key: string): Definition | null {
  const active = definitionsOf(facts, key).filter(({ ignored }) => ignored === null)
  // A line for the key itself wins over a glob, whatever their order. Source: sysctl.d(5).
  return active.findLast(({ key: pattern }) => pattern === key) ?? active.at(-1) ?? null
}

/** Values as the kernel shows them: blanks are one tab or one space. */
export function sameValue(one: string, other: string): boolean {
  const plain = (text: string) => text.trim().replace(/\s+/g, ' ')
  return plain(one) === plain(other)
}

export interface Boot {
  /** Null when it depends on the machine. */
  readonly value: string | null
  readonly winner: Definition | null
}

/** After a boot: what a line says, or the kernel's default. A pair of bytes and ratio counts as one. */
export function bootOf(facts: HostFacts, key: string): Boot {
  const winner = winnerOf(facts, key)
  const partner = partnerOf(key)
  const other = partner === null ? null : winnerOf(facts, partner)
  if (other !== null && other.value.trim() !== '0' && comesAfter(facts, other, winner)) {
    return { value: '0', winner: other }
  }
  if (winner !== null) return { value: winner.value, winner }
  return { value: kernelDefault(key, facts.platform.kernel.text), winner: null }
}

function comesAfter(facts: HostFacts, one: Definition, other: Definition | null): boolean {
  if (other === null) return true
  const all = facts.persisted.definitions
  return all.indexOf(one) > all.indexOf(other)
}

export interface Drift {
  readonly key: string
  readonly live: string
  readonly boot: Boot
}

/** Live value and boot value differ; null when they are the same or one is not known. */
export function driftOf(facts: HostFacts, key: string): Drift | null {
  const live = facts.sysctl[key]?.text ?? null
  if (live === null) return null
  // Of a pair only the one that counts is compared.
  if (partnerOf(key) !== null && live === '0') return null
  const boot = bootOf(facts, key)
  if (boot.value === null || sameValue(boot.value, live)) return null
  return { key, live, boot }
}

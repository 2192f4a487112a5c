/**
 * What only a run can tell of its machine: what it needs, and what happened while it ran. Each says
 * what, why it matters and what to do. What holds without a run is judged by the registry of
 * `tuning/`, whose findings stand beside these.
 */
import { formatBytes } from '../base/units.ts'
import type { HostFacts } from './facts.ts'
import type { HostUsage } from './usage.ts'

export interface HostWarning {
  /** Stable name: `cpu-steal`, `disk-free`, `swap`, `shared-cores`, `memory-disk`, or an id of the registry. */
  readonly check: string
  readonly text: string
  readonly hint: string
}

export interface CheckNeeds {
  /** Processes of the run that want a core of their own: brokers, producers, consumers. */
  readonly busyProcessCount: number
  /** Bytes that the run may write to the data directory. */
  readonly diskBytes: number
}

/** Below this share of free space a broker starts to refuse or to delete (Apache: 90 % and 85 %). */
const DISK_FREE_SHARE_MIN = 0.15
const STEAL_WARN = 0.02

/** Before the run: what can be told from facts alone. */
export function checkBefore(facts: HostFacts, needs: CheckNeeds): HostWarning[] {
  const warnings: HostWarning[] = []
  const cores = Math.min(facts.cpuCount, facts.cpuLimitCores ?? Number.POSITIVE_INFINITY)
  if (needs.busyProcessCount > cores) {
    warnings.push({
      check: 'shared-cores',
      text: `${needs.busyProcessCount} busy processes share ${round(cores)} CPU cores`,
      hint: 'the rate is one of the whole machine, not of the broker alone; compare only runs from this machine',
    })
  }
  if (facts.disk !== null) {
    const { freeBytes, totalBytes, path, fileSystem } = facts.disk
    if (freeBytes < needs.diskBytes || freeBytes < totalBytes * DISK_FREE_SHARE_MIN) {
      warnings.push({
        check: 'disk-free',
        text: `${path} has ${formatBytes(freeBytes)} free of ${formatBytes(totalBytes)}; the run may write ${formatBytes(needs.diskBytes)}`,
        hint: 'a broker refuses messages when its disk is nearly full: free space or use another --data-dir',
      })
    }
    if (fileSystem.isMemory) {
      warnings.push({
        check: 'memory-disk',
        text: `${path} is on ${fileSystem.type ?? 'a memory file system'}: what is acknowledged is only in memory`,
        hint: 'the result is labelled durability "memory"; use a directory on a disk to measure one',
      })
    }
  }
  return warnings
}

/** After the run: what can only be seen while it runs. */
export function checkDuring(usage: HostUsage): HostWarning[] {
  const warnings: HostWarning[] = []
  const steal = usage.cpu?.steal ?? 0
  if (steal > STEAL_WARN) {
    warnings.push({
      check: 'cpu-steal',
      text: `the hypervisor kept ${(steal * 100).toFixed(1)} % of the CPU time to itself`,
      hint: 'the machine is shared with others: repeat the run, or use a dedicated machine',
    })
  }
  const swapped = (usage.memory?.swapInPages ?? 0) + (usage.memory?.swapOutPages ?? 0)
  if (swapped > 0) {
    warnings.push({
      check: 'swap',
      text: `${swapped} pages went through swap during the run`,
      hint: 'a broker that is swapped out stalls: add memory, or lower vm.swappiness',
    })
  }
  for (const nic of usage.nics) {
    if (nic.rxDrops + nic.txDrops > 0) {
      warnings.push({
        check: 'nic-drops',
        text: `${nic.name} dropped ${nic.rxDrops + nic.txDrops} packets during the run`,
        hint: 'dropped packets are sent again and show as latency',
      })
    }
  }
  return warnings
}

function round(cores: number): string {
  return String(Math.round(cores * 10) / 10)
}

/**
 * Whether this machine is fit for a measurement, in a handful of checks that matter to a benchmark.
 * Each says what, why it matters and what to do. (The full host check is `mqctl tune-os`.)
 */
import { formatBytes } from '../base/units.ts'
import type { HostFacts } from './facts.ts'
import { fileText } from './filesystem.ts'
import type { HostUsage } from './usage.ts'

export interface HostWarning {
  /** Stable name: `cpu-steal`, `disk-free`, `nofile`, `swap`, `shared-cores`, `memory-disk` … */
  readonly check: string
  readonly text: string
  readonly hint: string
}

export interface CheckNeeds {
  /** Processes of the run that want a core of their own: brokers, producers, consumers. */
  readonly busyProcessCount: number
  /** Bytes that the run may write to the data directory. */
  readonly diskBytes: number
  /** File descriptors that one process of the run may need. */
  readonly openFiles: number
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
  const openFilesMax = softOpenFiles()
  if (openFilesMax !== null && openFilesMax < needs.openFiles) {
    warnings.push({
      check: 'nofile',
      text: `a process may open ${openFilesMax} files; the run may need ${needs.openFiles}`,
      hint: 'raise it for this shell: ulimit -n 65536',
    })
  }
  if (facts.governor !== null && !['performance', 'schedutil'].includes(facts.governor)) {
    warnings.push({
      check: 'cpu-governor',
      text: `the CPU frequency governor is ${facts.governor}`,
      hint: 'rates change with the clock; "performance" gives steadier results',
    })
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

function softOpenFiles(): number | null {
  const match = /^Max open files +(\S+)/m.exec(fileText('/proc/self/limits') ?? '')
  if (match === null) return null
  return match[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(match[1])
}

function round(cores: number): string {
  return String(Math.round(cores * 10) / 10)
}

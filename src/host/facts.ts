/** What kind of machine this is: everything that must be known before two results are compared. */
import {
  availableParallelism,
  arch,
  cpus,
  hostname,
  release,
  totalmem,
  type as osType,
} from 'node:os'
import { statfsSync } from 'node:fs'
import { groupFile, quotaCores } from './control-group.ts'
import { type FileSystem, existingPath, fileSystemOf, fileText } from './filesystem.ts'

export interface HostFacts {
  readonly name: string
  readonly os: string
  readonly kernel: string
  readonly arch: string
  readonly cpuModel: string
  readonly cpuCount: number
  readonly governor: string | null
  readonly memoryBytes: number
  /** Memory limit of the control group, when there is one below the machine's memory. */
  readonly memoryLimitBytes: number | null
  /** CPU limit of the control group, in cores. */
  readonly cpuLimitCores: number | null
  readonly virtualisation: string | null
  readonly clockSource: string | null
  readonly disk: {
    readonly path: string
    readonly fileSystem: FileSystem
    readonly freeBytes: number
    /** Used and free, as df and brokers count: without what is kept back for root. */
    readonly totalBytes: number
  } | null
}

export function readHostFacts(diskPath: string | null): HostFacts {
  return {
    name: hostname(),
    os: osType(),
    kernel: release(),
    arch: arch(),
    cpuModel: cpus()[0]?.model.trim() ?? 'unknown',
    cpuCount: availableParallelism(),
    governor: trimmed('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor'),
    memoryBytes: totalmem(),
    memoryLimitBytes: memoryLimit(),
    cpuLimitCores: quotaCores('self'),
    virtualisation: virtualisation(),
    clockSource: trimmed('/sys/devices/system/clocksource/clocksource0/current_clocksource'),
    disk: diskPath === null ? null : diskFacts(diskPath),
  }
}

function trimmed(file: string): string | null {
  return fileText(file)?.trim() ?? null
}

function diskFacts(path: string): HostFacts['disk'] {
  const space = statfsSync(existingPath(path))
  return {
    path,
    fileSystem: fileSystemOf(path),
    freeBytes: space.bavail * space.bsize,
    totalBytes: (space.blocks - space.bfree + space.bavail) * space.bsize,
  }
}

function memoryLimit(): number | null {
  const limit = Number(
    groupFile('self', 'memory', 'memory.max', 'memory.limit_in_bytes') ?? Number.NaN,
  )
  return limit > 0 && limit < totalmem() ? limit : null
}

function virtualisation(): string | null {
  if (process.platform !== 'linux') return null
  const product = trimmed('/sys/class/dmi/id/product_name')
  if (/^flags.*\bhypervisor\b/m.test(fileText('/proc/cpuinfo') ?? '')) {
    return product === null ? 'virtual machine' : `virtual machine (${product})`
  }
  return product
}

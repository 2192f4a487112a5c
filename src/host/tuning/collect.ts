/** Reads a host into facts: the only part of the checks that touches files. */
import { MqError } from '../../base/errors.ts'
import type { Clock } from '../../world/clock.ts'
import { confText, parseBrokerConf } from './broker-conf.ts'
import { countersOf, lookAtCounters } from './counter-facts.ts'
import { readDisk } from './disk-facts.ts'
import {
  FACTS_SCHEMA,
  FACTS_VERSION,
  type BrokerConf,
  type HostFacts,
  type ProbeFacts,
  type Reading,
} from './facts.ts'
import { readGroup } from './group-facts.ts'
import type { HostFiles } from './host-files.ts'
import { readLinks } from './network-facts.ts'
import { readPersisted, THP_ENABLED } from './persisted-facts.ts'
import {
  readClock,
  readContainer,
  readCpu,
  readMemory,
  readNumaNodes,
  readPlatform,
} from './platform-facts.ts'
import { probeClock, probeFsync } from './probes.ts'
import { joined, readingOf } from './reading.ts'
import { commandLine, findTarget, readTarget } from './target-facts.ts'
import { readUnit } from './unit-facts.ts'

export interface CollectOptions {
  /** `mqctl 0.1.0` */
  readonly tool: string
  readonly pid?: number
  readonly unit?: string
  readonly port?: number
  readonly dataDir?: string
  /** Used when nothing names one: where mqctl itself would put messages. */
  readonly dataDirFallback?: string
  /** Path of a broker.conf, or its text as a broker told it. */
  readonly brokerConf?:
    { readonly path: string } | { readonly text: string; readonly source: string }
  /** JVM flags to judge instead of a process. */
  readonly jvmFlags?: { readonly text: string; readonly jdk: string | null }
  /** Counters over this time instead of since boot. */
  readonly windowMs?: number
  readonly probe?: boolean
  /** Connections that are planned; 0 when unknown. */
  readonly connections?: number
  readonly expectGbps?: number
  readonly rttMs?: number
}

/** Every key that a rule reads. */
const sysctlKeys = [
  'vm.swappiness',
  'vm.overcommit_memory',
  'vm.max_map_count',
  'vm.dirty_background_ratio',
  'vm.dirty_background_bytes',
  'vm.dirty_ratio',
  'vm.dirty_bytes',
  'vm.dirty_writeback_centisecs',
  'vm.dirty_expire_centisecs',
  'vm.min_free_kbytes',
  'vm.zone_reclaim_mode',
  'fs.nr_open',
  'fs.file-max',
  'kernel.threads-max',
  'kernel.pid_max',
  'net.core.somaxconn',
  'net.ipv4.tcp_max_syn_backlog',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_tw_reuse',
  'net.core.rmem_max',
  'net.core.wmem_max',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_wmem',
] as const

/** `/proc/sys/…` of a key. */
export function sysctlPath(key: string): string {
  return `/proc/sys/${key.replaceAll('.', '/')}`
}

/**
 * Throws NOT_LINUX, TARGET_GONE for a process that is not there, VALUE_INVALID for a broker.conf
 * that cannot be read.
 */
export async function collectFacts(
  files: HostFiles,
  clock: Clock,
  options: CollectOptions,
): Promise<HostFacts> {
  const platform = readPlatform(files)
  if (!platform.linux) {
    throw new MqError('NOT_LINUX', { why: `it runs ${files.identity.platform}, not Linux` })
  }
  if (!platform.procReadable) throw new MqError('NOT_LINUX', { why: '/proc cannot be read' })
  const found = findTarget(files, options)
  const pid = found.pid ?? 'self'
  const before = options.windowMs === undefined ? null : lookAtCounters(files, pid)
  if (options.windowMs !== undefined) await waited(clock, options.windowMs)
  const seen = readTarget(files, found, options.jvmFlags ?? null)
  const { broker, denied } = readBrokerConf(files, options, found.pid)
  const target = denied ? { ...seen, denied: [...seen.denied, 'broker.conf'] } : seen
  const place = dataDirOf(options, broker)
  const disk = readDisk(files, { ...place, uid: target.uid })
  return {
    schema: FACTS_SCHEMA,
    version: FACTS_VERSION,
    tool: options.tool,
    collectedAt: new Date(clock.wallMs()).toISOString(),
    platform,
    container: readContainer(files),
    memory: readMemory(files),
    cpu: readCpu(files),
    sysctl: readSysctls(files),
    thp: {
      enabled: readingOf(files, THP_ENABLED),
      defrag: readingOf(files, THP_ENABLED.replace('enabled', 'defrag')),
    },
    numaNodes: readNumaNodes(files),
    clock: readClock(files, clock.wallMs()),
    counters: countersOf(files, lookAtCounters(files, pid), before, options.windowMs ?? null),
    network: { links: readLinks(files) },
    target,
    unit: options.unit === undefined ? null : readUnit(files, options.unit),
    group: readGroup(files, pid),
    disk,
    persisted: readPersisted(files),
    broker,
    probes: probes(files, clock, options.probe === true, disk.exists ? disk.path : null),
    plans: {
      connections: options.connections ?? 0,
      expectGbps: options.expectGbps ?? 1,
      rttMs: options.rttMs ?? null,
      fileBytes: null,
    },
  }
}

function readSysctls(files: HostFiles): Record<string, Reading> {
  return Object.fromEntries(sysctlKeys.map((key) => [key, readingOf(files, sysctlPath(key))]))
}

function dataDirOf(options: CollectOptions, broker: BrokerConf | null) {
  if (options.dataDir !== undefined) {
    return { path: options.dataDir, from: '--data-dir', mustExist: true }
  }
  const root = confText(broker, 'storePathRootDir') ?? confText(broker, 'storePathCommitLog')
  if (root?.startsWith('/') === true) {
    return { path: root, from: `storePathRootDir in ${broker?.source ?? ''}`, mustExist: true }
  }
  const path = options.dataDirFallback ?? null
  return { path, from: path === null ? null : "mqctl's own data directory", mustExist: false }
}

function readBrokerConf(
  files: HostFiles,
  options: CollectOptions,
  pid: number | null,
): { readonly broker: BrokerConf | null; readonly denied: boolean } {
  const { brokerConf } = options
  const denied = false
  if (brokerConf === undefined) {
    const path = pid === null ? null : confPathOf(files, pid)
    if (path === null) return { broker: null, denied }
    if (path === 'hidden') return { broker: null, denied: true }
    const { text, missing } = files.read(path)
    if (text === null) return { broker: null, denied: missing === 'denied' }
    return { broker: parseBrokerConf(text, path), denied }
  }
  if ('text' in brokerConf) {
    return { broker: parseBrokerConf(brokerConf.text, brokerConf.source, true), denied }
  }
  const { text, missing } = files.read(brokerConf.path)
  if (text !== null) return { broker: parseBrokerConf(text, brokerConf.path), denied }
  throw new MqError('VALUE_INVALID', {
    what: `${brokerConf.path} cannot be read: ${whyUnread[missing ?? 'failed']}`,
    hint: 'give the path of a broker.conf that this user may read',
  })
}

const whyUnread = {
  absent: 'it does not exist',
  denied: 'this user may not',
  gone: 'it vanished',
  failed: 'it is not a file',
} as const

/** `-c FILE` of a RocketMQ broker's command line; `hidden` for a relative one below a directory that is. */
function confPathOf(files: HostFiles, pid: number): string | null {
  const words = commandLine(files, `/proc/${pid}`)
  if (!words.some((word) => /BrokerStartup$/.test(word))) return null
  const at = words.findIndex((word) => word === '-c' || word === '--configFile')
  const path = at < 0 ? undefined : words[at + 1]
  if (path === undefined || path.startsWith('/')) return path ?? null
  const directory = files.link(`/proc/${pid}/cwd`)
  return directory === null ? 'hidden' : joined(directory, path)
}

function probes(
  files: HostFiles,
  clock: Clock,
  asked: boolean,
  directory: string | null,
): ProbeFacts {
  if (!asked) return { asked, fsync: null, fsyncWhy: null, clockKernelShare: null }
  const fsync =
    directory === null
      ? { probe: null, why: 'there is no data directory to write in' }
      : probeFsync(clock, directory, files.identity.pid)
  return { asked, fsync: fsync.probe, fsyncWhy: fsync.why, clockKernelShare: probeClock(clock) }
}

export function waited(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve)
  })
}

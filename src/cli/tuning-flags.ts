/** Flags of the commands that judge a host, and the request that they make. */
import { Flags } from '@oclif/core'
import { MqError } from '../base/errors.ts'
import { parseDurationMs } from '../base/units.ts'
import { dataHome } from '../engine/directories.ts'
import { durationFlag, portFlag, wholeFlag } from './flags.ts'

const TARGET = 'TARGET'
const PLAN = 'PLANNED LOAD'
const SOURCE = 'SOURCE'

const list = { multiple: true, delimiter: ',' as const, multipleNonGreedy: true } as const

/** Of what shall be judged, and where it is read. */
export const hostFlags = {
  pid: wholeFlag({
    summary: 'Process that is judged: its limits, not the shell’s.',
    min: 1,
    helpGroup: TARGET,
    exclusive: ['unit', 'port', 'facts'],
  }),
  unit: Flags.string({
    summary: 'systemd unit that is judged, running or not.',
    helpValue: '<unit>',
    helpGroup: TARGET,
    exclusive: ['pid', 'port', 'facts'],
  }),
  port: portFlag({
    summary: 'Process that listens on this port.',
    helpGroup: TARGET,
    exclusive: ['pid', 'unit', 'facts'],
  }),
  'data-dir': Flags.string({
    summary: 'Directory of messages; default: from broker.conf, else mqctl’s own.',
    helpValue: '<dir>',
    helpGroup: TARGET,
    exclusive: ['facts'],
  }),
  'broker-conf': Flags.string({
    summary: 'A broker.conf to judge; default: the one of the process.',
    helpValue: '<file>',
    helpGroup: TARGET,
    exclusive: ['broker', 'facts'],
  }),
  'jvm-flags': Flags.string({
    summary: 'JVM flags to judge instead of those of a process.',
    helpValue: '<flags>',
    helpGroup: TARGET,
    exclusive: ['facts'],
  }),
  jdk: Flags.string({
    summary: 'Version of the JDK for --jvm-flags, as in 17.',
    helpValue: '<version>',
    helpGroup: TARGET,
    dependsOn: ['jvm-flags'],
  }),
  connections: wholeFlag({
    summary: 'Connections that are planned.',
    helpGroup: PLAN,
    exclusive: ['facts'],
  }),
  'expect-gbps': Flags.custom<number>({
    parse: async (input) => numberAbove0(input),
    helpValue: '<gbps>',
  })({
    summary: 'Speed of the network link that is needed; default 1.',
    helpGroup: PLAN,
    exclusive: ['facts'],
  }),
  rtt: durationFlag({
    summary: 'Round-trip time to the farthest peer.',
    helpGroup: PLAN,
    exclusive: ['facts'],
  }),
  window: durationFlag({
    summary: 'Judge drops, steal and throttling over this time instead of since boot.',
    helpGroup: SOURCE,
    exclusive: ['facts'],
  }),
  probe: Flags.boolean({
    summary:
      'Also measure: fdatasync in the data directory, the clock. Writes a file and removes it.',
    helpGroup: SOURCE,
    exclusive: ['facts'],
  }),
  facts: Flags.string({
    summary: 'Judge facts of tune-os collect instead of this host; - is stdin.',
    helpValue: '<file>',
    helpGroup: SOURCE,
  }),
  sysroot: Flags.string({
    summary: 'Look at a mounted or captured tree instead of /.',
    helpValue: '<dir>',
    helpGroup: SOURCE,
    exclusive: ['facts'],
  }),
} as const

/** Which checks, and how they count. */
export const profileFlag = Flags.option({
  summary: 'What the host is for.',
  options: ['jvm-broker', 'node-broker', 'loadgen', 'dev'] as const,
  default: 'jvm-broker' as const,
})

export const selectionFlags = {
  profile: profileFlag(),
  only: Flags.string({
    summary: 'Only these ids or families (vm, net.*); repeatable, or with commas.',
    helpValue: '<id>',
    ...list,
  }),
  skip: Flags.string({ summary: 'Not these.', helpValue: '<id>', ...list }),
} as const

interface HostFlagValues {
  readonly pid?: number | undefined
  readonly unit?: string | undefined
  readonly port?: number | undefined
  readonly 'data-dir'?: string | undefined
  readonly 'broker-conf'?: string | undefined
  readonly 'jvm-flags'?: string | undefined
  readonly jdk?: string | undefined
  readonly connections?: number | undefined
  readonly 'expect-gbps'?: number | undefined
  readonly rtt?: number | undefined
  readonly window?: number | undefined
  readonly probe?: boolean | undefined
  readonly facts?: string | undefined
  readonly sysroot?: string | undefined
  readonly profile?: 'jvm-broker' | 'node-broker' | 'loadgen' | 'dev' | undefined
  readonly only?: string[] | undefined
  readonly skip?: string[] | undefined
}

/** Flags as a request; what was not said is absent. */
export function tuningRequest(flags: HostFlagValues, version: string) {
  const { profile = 'jvm-broker', pid, unit, port, jdk, connections, probe, facts, sysroot } = flags
  const { only, skip, window: windowMs, rtt: rttMs } = flags
  const given = {
    pid,
    unit,
    port,
    dataDir: flags['data-dir'],
    brokerConf: flags['broker-conf'],
    jvmFlags: flags['jvm-flags'],
    jdk,
    connections,
    expectGbps: flags['expect-gbps'],
    rttMs,
    windowMs,
    probe,
    facts,
    sysroot,
    only,
    skip,
    dataDirFallback:
      profile === 'node-broker' || profile === 'dev' ? dataHome(process.env) : undefined,
  }
  return { version, profile, ...present(given) }
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** Without the members that are undefined. */
function present<T extends object>(values: T): Present<T> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as Present<T>
}

function numberAbove0(input: string): number {
  const value = Number(input)
  if (value > 0 && Number.isFinite(value)) return value
  throw new MqError('VALUE_INVALID', {
    what: `${JSON.stringify(input)} is not a number above 0`,
    hint: 'write Gb/s, as in 10 or 2.5',
  })
}

/** `5s` or a bare number of seconds. */
export function secondsOrDuration(input: string): number {
  return /^\d+(\.\d+)?$/.test(input) ? Number(input) * 1_000 : parseDurationMs(input)
}

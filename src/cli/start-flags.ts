/**
 * The flags of `start` and the plan that they make. What belongs to the stored messages (where they are,
 * how many brokers have them, how they are flushed) is as in the last run unless a flag says otherwise;
 * `restart` uses all of the last run's plan.
 */
import { Flags } from '@oclif/core'
import { MqError } from '../base/errors.ts'
import { parseWhole } from '../base/units.ts'
import { directoriesOf } from '../engine/directories.ts'
import { advertisedHost, defaultBrokerPort, defaultNameServerPort } from '../engine/ports.ts'
import {
  ROLES_MAX,
  brokersOf,
  topologies,
  type InstancePlan,
  type PlannedTopic,
} from '../engine/topology.ts'
import { isLoopback } from '../base/loopback.ts'
import { portFlag, wholeFlag } from './flags.ts'

const NODES = 'TOPOLOGY'
const NETWORK = 'NETWORK'

/** `orders` or `orders:8`. */
const topicFlag = Flags.custom<PlannedTopic>({
  helpValue: 'name[:queues]',
  parse: async (input) => {
    const [name = '', queues, rest] = input.split(':')
    const count = queues === undefined ? 8 : parseWhole(queues)
    if (/^[%|a-zA-Z0-9_-]{1,127}$/.test(name) && count >= 1 && count <= 1_024 && rest === undefined)
      return { name, queues: count }
    throw new MqError('VALUE_INVALID', {
      what: `${JSON.stringify(input)} is not a topic with its queues`,
      hint: 'write name or name:queues, as in orders:8; up to 127 letters, digits, % | - _',
    })
  },
})

export const startFlags = {
  topic: topicFlag({
    summary: 'Have this topic once it runs; repeatable.',
    multiple: true,
    multipleNonGreedy: true,
  }),
  flush: Flags.option({
    summary:
      'When a message counts as stored: in the kernel (async) or on the disk (sync); default: as before, async.',
    options: ['async', 'sync'] as const,
  })(),
  'data-dir': Flags.string({
    summary: 'Where messages are kept; default: as before.',
    helpValue: '<dir>',
  }),
  set: Flags.string({
    summary: 'A broker option by its name or RocketMQ’s; repeatable.',
    helpValue: 'key=value',
    multiple: true,
    multipleNonGreedy: true,
  }),
  brokers: wholeFlag({
    summary: 'Number of brokers (masters), topics spread over them; default: as before, 1.',
    min: 1,
    max: ROLES_MAX,
    helpGroup: NODES,
    exclusive: ['topology'],
  }),
  namesrvs: wholeFlag({
    summary: 'Number of name servers; default: as before, 1.',
    min: 1,
    max: ROLES_MAX,
    helpGroup: NODES,
  }),
  topology: Flags.option({
    summary: 'A topology by name; replicated ones are not available yet.',
    options: topologies,
    helpGroup: NODES,
  })(),
  engine: Flags.option({
    summary: 'Whose broker: ours, or Apache’s (not available yet).',
    options: ['embedded', 'apache'] as const,
    default: 'embedded' as const,
    helpGroup: NODES,
  })(),
  port: portFlag({
    summary: 'Port of the first broker; the next ones follow in steps of 20.',
    default: defaultBrokerPort,
    helpGroup: NETWORK,
  }),
  'namesrv-port': portFlag({
    summary: 'Port of the first name server.',
    default: defaultNameServerPort,
    helpGroup: NETWORK,
  }),
  'any-port': Flags.boolean({
    summary: 'Take free ports; mqctl status --json tells which.',
    helpGroup: NETWORK,
  }),
  bind: Flags.string({
    summary: 'Address to listen on.',
    default: '127.0.0.1',
    helpValue: '<address>',
    helpGroup: NETWORK,
  }),
  advertise: Flags.string({
    summary: 'Host that clients are told to connect to (containers, NAT).',
    helpValue: '<host>',
    helpGroup: NETWORK,
  }),
  'insecure-expose': Flags.boolean({
    summary: 'Allow --bind on an address that other machines reach, without access control.',
    helpGroup: NETWORK,
  }),
} as const

export interface StartFlags {
  readonly topic?: readonly PlannedTopic[] | undefined
  readonly flush?: 'async' | 'sync' | undefined
  readonly 'data-dir'?: string | undefined
  readonly set?: readonly string[] | undefined
  readonly brokers?: number | undefined
  readonly namesrvs?: number | undefined
  readonly topology?: string | undefined
  readonly engine: 'embedded' | 'apache'
  readonly port: number
  readonly 'namesrv-port': number
  readonly 'any-port': boolean
  readonly bind: string
  readonly advertise?: string | undefined
  readonly 'insecure-expose': boolean
}

/** Checks what can be checked before anything runs; throws NOT_BUILT, EXPOSED_WITHOUT_CONSENT … */
export function planOf(name: string, flags: StartFlags, last: InstancePlan | null): InstancePlan {
  if (flags.engine === 'apache') {
    throw new MqError('NOT_BUILT', {
      what: '--engine apache',
      hint: 'start Apache RocketMQ yourself and name it with --namesrv; the embedded engine is the default',
    })
  }
  if (!isLoopback(flags.bind) && !flags['insecure-expose']) {
    throw new MqError('EXPOSED_WITHOUT_CONSENT', { host: flags.bind })
  }
  const advertise = flags.advertise ?? advertisedHost(flags.bind)
  if (!/^[A-Za-z0-9_.:%-]{1,255}$/.test(advertise)) {
    throw new MqError('VALUE_INVALID', {
      what: `--advertise ${JSON.stringify(advertise)} is not a host`,
      hint: 'write a host name or an address, without port',
    })
  }
  return {
    name,
    dataDir: directoriesOf(process.env, name, flags['data-dir'] ?? last?.dataDir).dataDir,
    nameServers: flags.namesrvs ?? last?.nameServers ?? 1,
    brokers: brokersWanted(flags) ?? last?.brokers ?? 1,
    flush: flags.flush ?? last?.flush ?? 'async',
    bind: flags.bind,
    advertise,
    anyPort: flags['any-port'],
    port: flags.port,
    nameServerPort: flags['namesrv-port'],
    topics: flags.topic ?? [],
    settings: flags.set ?? last?.settings ?? [],
  }
}

function brokersWanted({ brokers, topology }: StartFlags): number | undefined {
  return brokers ?? (topology === undefined ? undefined : brokersOf(topology))
}

/** What the plan takes from the last run and no flag named, for people; null when that is the usual. */
export function keptText(plan: InstancePlan, flags: StartFlags): string | null {
  const kept = [
    ...(flags.brokers === undefined && plan.brokers > 1 ? [`${plan.brokers} brokers`] : []),
    ...(flags.namesrvs === undefined && plan.nameServers > 1
      ? [`${plan.nameServers} name servers`]
      : []),
    ...(flags.flush === undefined && plan.flush === 'sync' ? ['flush sync'] : []),
    ...(flags.set === undefined ? plan.settings : []),
  ]
  return kept.length === 0 ? null : `as before: ${kept.join(', ')}`
}

/** Brokers that have messages of the last run and will not run; null when there is none. */
export function leftOutText(plan: InstancePlan, last: InstancePlan | null): string | null {
  if (last === null || last.dataDir !== plan.dataDir || plan.brokers >= last.brokers) return null
  return `there were ${last.brokers} brokers: messages of the others stay stored and are not served now`
}

/** Which roles an instance consists of, and with what each is started. */
import path from 'node:path'
import { MqError } from '../base/errors.ts'
import { brokerPort, nameServerPort } from './ports.ts'

export interface InstancePlan {
  readonly name: string
  readonly dataDir: string
  readonly nameServers: number
  readonly brokers: number
  readonly flush: 'sync' | 'async'
  /** Address to listen on. */
  readonly bind: string
  /** Host that clients are told to connect to. */
  readonly advertise: string
  /** Let the system choose every port. */
  readonly anyPort: boolean
  /** First broker's port. */
  readonly port: number
  /** First name server's port. */
  readonly nameServerPort: number
  /** Topics to have once it runs. */
  readonly topics: readonly PlannedTopic[]
  /** Further broker options, `key=value`. */
  readonly settings: readonly string[]
}

export interface PlannedTopic {
  readonly name: string
  readonly queues: number
}

export interface NameServerConfig {
  readonly role: 'nameserver'
  readonly name: string
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  readonly dataDir: string
}

export interface BrokerConfig {
  readonly role: 'broker'
  readonly name: string
  readonly clusterName: string
  readonly host: string
  readonly port: number
  readonly advertise: string
  readonly dataDir: string
  readonly flush: 'sync' | 'async'
  readonly nameServers: readonly string[]
  readonly settings: readonly string[]
}

export type RoleConfig = NameServerConfig | BrokerConfig

/** As in Apache's own default, so that mqadmin's examples work unchanged. */
const clusterName = 'DefaultCluster'

export const ROLES_MAX = 64

/** Topologies that have a name. Those that are not built are refused, never approximated. */
export const topologies = [
  'single',
  '2m-noslave',
  '2m-2s-async',
  '2m-2s-sync',
  'dledger-3',
] as const

/** Brokers of a topology; throws NOT_BUILT for the replicated ones. */
export function brokersOf(topology: string): number {
  if (topology === 'single') return 1
  if (topology === '2m-noslave') return 2
  throw new MqError('NOT_BUILT', {
    what: `topology ${topology}`,
    hint: 'available: single, 2m-noslave, and --brokers N for N masters without followers',
  })
}

/** `broker-a` … `broker-z`, `broker-27` … */
function brokerName(index: number): string {
  return index < 26 ? `broker-${String.fromCharCode(97 + index)}` : `broker-${index + 1}`
}

export function nameServerConfigs(plan: InstancePlan): NameServerConfig[] {
  return Array.from({ length: plan.nameServers }, (_, index) => ({
    role: 'nameserver',
    name: `namesrv-${index + 1}`,
    host: plan.bind,
    port: plan.anyPort ? 0 : nameServerPort(plan.nameServerPort, index),
    dataDir: path.join(plan.dataDir, `namesrv-${index + 1}`),
  }))
}

export function brokerConfigs(plan: InstancePlan, nameServers: readonly string[]): BrokerConfig[] {
  return Array.from({ length: plan.brokers }, (_, index) => ({
    role: 'broker',
    name: brokerName(index),
    clusterName,
    host: plan.bind,
    port: plan.anyPort ? 0 : brokerPort(plan.port, index),
    advertise: plan.advertise,
    dataDir: path.join(plan.dataDir, brokerName(index)),
    flush: plan.flush,
    nameServers,
    settings: plan.settings,
  }))
}

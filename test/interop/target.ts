/**
 * What the interop tests are held against: our own name server and broker, or (to prove the tests
 * themselves, MQCTL_INTEROP_TARGET=apache) Apache's. The tests see the same `Cluster` either way.
 */
import { type ApachePeers, type Cluster, type NoPeers, startApache } from './peers.ts'
import { startMqctl } from './embedded.ts'

export type TargetKind = Cluster['kind']

export const targetKind: TargetKind =
  process.env['MQCTL_INTEROP_TARGET'] === 'apache' ? 'apache' : 'mqctl'

/** What a test wants otherwise than by default. */
export interface TargetOptions {
  /** Broker options under RocketMQ's names, the same for both. */
  readonly settings?: Record<string, string>
  /** Options that only one of the two has: of ours, and of Apache's JVM. */
  readonly mqctlSettings?: Record<string, string>
  readonly apacheSettings?: Record<string, string>
  readonly javaOptions?: readonly string[]
}

export async function startTarget(
  peers: ApachePeers | NoPeers,
  options: TargetOptions = {},
): Promise<Cluster> {
  const { settings = {}, mqctlSettings = {}, apacheSettings = {}, javaOptions = [] } = options
  if (targetKind === 'mqctl') return startMqctl({ settings: { ...settings, ...mqctlSettings } })
  if (peers.missing !== null) throw new Error(peers.missing)
  return startApache({
    classPath: peers.classPath,
    brokerConf: { ...settings, ...apacheSettings },
    javaOptions,
  })
}

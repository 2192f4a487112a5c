/**
 * What the interop tests are held against: our own name server and broker, or (to prove the tests
 * themselves, MQCTL_INTEROP_TARGET=apache) Apache's. The tests see the same `Cluster` either way.
 */
import { type ApachePeers, type Cluster, startApache } from './peers.ts'
import { startMqctl } from './embedded.ts'

export type TargetKind = Cluster['kind']

export const targetKind: TargetKind =
  process.env['MQCTL_INTEROP_TARGET'] === 'apache' ? 'apache' : 'mqctl'

export function startTarget(peers: ApachePeers): Promise<Cluster> {
  return targetKind === 'apache' ? startApache({ classPath: peers.classPath }) : startMqctl()
}

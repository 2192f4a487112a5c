/**
 * What the interop tests are held against: our own name server and broker, or (to prove the tests
 * themselves, MQCTL_INTEROP_TARGET=apache) Apache's. The tests see the same `Cluster` either way.
 */
import { type ApachePeers, type Cluster, type NoPeers, startApache } from './peers.ts'
import { startMqctl } from './embedded.ts'

export type TargetKind = Cluster['kind']

export const targetKind: TargetKind =
  process.env['MQCTL_INTEROP_TARGET'] === 'apache' ? 'apache' : 'mqctl'

export async function startTarget(peers: ApachePeers | NoPeers): Promise<Cluster> {
  if (targetKind === 'mqctl') return startMqctl()
  if (peers.missing !== null) throw new Error(peers.missing)
  return startApache({ classPath: peers.classPath })
}

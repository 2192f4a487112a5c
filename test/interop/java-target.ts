/**
 * A target and, beside it, a JVM with official clients: what most interop files are about. Both start
 * before the tests of the block that asks for them and end after the last one, whatever failed.
 */
import { afterAll, beforeAll } from 'vitest'
import { type ApachePeers, type Cluster, JavaPeer, type NoPeers } from './peers.ts'
import { startTarget, type TargetOptions } from './target.ts'

export interface JavaTarget {
  readonly cluster: Cluster
  readonly java: JavaPeer
}

/** `use` gets both once they run; nothing starts where the peers are missing. */
export function withJavaTarget(
  peers: ApachePeers | NoPeers,
  options: TargetOptions,
  use: (target: JavaTarget) => void,
): void {
  const ends: (() => Promise<void>)[] = []

  beforeAll(async () => {
    if (peers.missing !== null) return
    const cluster = await startTarget(peers, options)
    ends.unshift(() => cluster.stop())
    const java = await JavaPeer.start(peers.classPath)
    ends.unshift(() => java.stop())
    use({ cluster, java })
  })

  afterAll(async () => {
    for (const end of ends) await end()
  })
}

/**
 * `mqctl verify` on a real Apache broker: what the checker calls a promise is one that Apache keeps, so a
 * violation on ours is none of the checker's making.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { features } from '../../src/verify/history.ts'
import { Home } from '../cli/mqctl.ts'
import { apacheClassPath, type Cluster, skipBecause, startApache } from './peers.ts'

const peers = await apacheClassPath()

interface Result {
  readonly feature: string
  readonly verdict: string
  readonly violations: readonly unknown[]
  readonly reasons: readonly string[]
}

describe.skipIf(skipBecause('verify on Apache', peers.missing))(
  'mqctl verify on an Apache cluster',
  () => {
    let cluster: Cluster
    let home: Home

    beforeAll(async () => {
      if (peers.missing !== null) return
      home = await Home.make()
      cluster = await startApache({
        classPath: peers.classPath,
        // It asks about open transactions when it likes: after 6 s, every 30 s.
        brokerConf: { enablePropertyFilter: 'true' },
      })
    })

    afterAll(async () => {
      await cluster.stop()
      await home.remove()
    })

    it.each(features)('finds nothing wrong: %s', async (feature) => {
      const args = ['verify', '--feature', feature, '--namesrv', cluster.namesrv]
      const { document, stderr } = await home.json([...args, '--messages', '300'])
      const judged = document.results?.map(({ feature: of, verdict, ...rest }: Result) => ({
        ...{ of, verdict, violations: rest.violations, reasons: rest.reasons },
      }))
      expect(judged, stderr).toEqual([
        { of: feature, verdict: 'valid', violations: [], reasons: [] },
      ])
      // Nothing of the run is left on somebody else's cluster.
      const { document: left } = await home.json(['topic', 'list', '-n', cluster.namesrv])
      const names = left.topics.map(({ name }: { name: string }) => name)
      expect(names.filter((name: string) => name.startsWith('verify-'))).toEqual([])
    })
  },
)

/**
 * `mqctl bench` against a real Apache RocketMQ: every message adds up, the broker's process is
 * found, and what is said of its garbage collector is what `jstat` says.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BenchResult, resultSchema } from '../../src/bench/result.ts'
import { readJvmGc } from '../../src/host/jvm-perfdata.ts'
import { mqctl } from './embedded.ts'
import { type Cluster, apacheClassPath, skipBecause, startApache } from './peers.ts'

const peers = await apacheClassPath()

describe.skipIf(skipBecause('the bench against Apache RocketMQ', peers.missing))(
  'mqctl bench on Apache RocketMQ',
  () => {
    let cluster: Cluster
    let result: BenchResult

    beforeAll(async () => {
      if (peers.classPath === null) return
      cluster = await startApache({ classPath: peers.classPath })
      const args = ['bench', '--namesrv', cluster.namesrv, '--duration', '4s', '--no-ceiling']
      // A machine that is shared with other tests must not turn this into a matter of luck.
      const set = ['--set', 'validity.maxLoopLag=10s', '--set', 'validity.minSamples=100']
      const out = await mqctl([...args, ...set, '--json'])
      result = resultSchema.parse(JSON.parse(out))
    })
    afterAll(() => cluster.stop())

    it('loses, repeats, reorders and corrupts nothing', () => {
      expect([result.verdict, result.integrity.lost, result.integrity.violations]).toEqual([
        'ok',
        0,
        [],
      ])
      expect(result.wholeRun.received).toBeGreaterThanOrEqual(result.integrity.conservation.acked)
    })

    it('reads back what an acknowledgement means and who gave it', () => {
      expect(result.durability).toMatchObject({ profile: 'page-cache', verifiedBy: 'broker' })
      expect(result.environment.brokers[0]).toMatchObject({
        version: 'V5_5_0',
        isLocal: true,
        pid: cluster.brokerPid,
      })
    })

    it('sees CPU, memory, disk and garbage collection of the JVM', () => {
      const broker = result.processes.find((process) => process.role === 'broker')
      expect(broker?.cores).toBeGreaterThan(0)
      expect(broker?.rssBytes).toBeGreaterThan(50e6)
      expect(broker?.gc?.count).toBeGreaterThanOrEqual(0)
    })

    const jstat = spawnSync('jstat', ['-help']).error === undefined
    it.skipIf(!jstat)('counts the collections that jstat counts', () => {
      const before = readJvmGc(cluster.brokerPid)
      const [heads = '', values = ''] = execFileSync('jstat', ['-gc', String(cluster.brokerPid)])
        .toString()
        .split('\n')
      const after = readJvmGc(cluster.brokerPid)
      const row = new Map(
        heads
          .trim()
          .split(/\s+/)
          .map((head, index) => [head, values.trim().split(/\s+/)[index]]),
      )
      const sum = (...names: string[]) =>
        names.reduce((total, name) => total + Number(row.get(name) ?? 0), 0)
      // The broker may collect between two of the three looks.
      const count = sum('YGC', 'FGC', 'CGC')
      expect(count).toBeGreaterThanOrEqual(before?.count ?? Infinity)
      expect(count).toBeLessThanOrEqual(after?.count ?? -1)
      // jstat shows milliseconds.
      const pauseMs = sum('YGCT', 'FGCT', 'CGCT') * 1000
      expect(pauseMs).toBeGreaterThan((before?.pauseMs ?? Infinity) - 4)
      expect(pauseMs).toBeLessThan((after?.pauseMs ?? -1) + 4)
    })
  },
)

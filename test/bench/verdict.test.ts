import { describe, expect, it } from 'vitest'
import { type BottleneckInput, findBottleneck } from '../../src/bench/bottleneck.ts'
import { readScenario } from '../../src/bench/scenario.ts'
import type { HostResult } from '../../src/bench/result-hosts.ts'
import { type ValidityInput, checkValidity } from '../../src/bench/validity.ts'
import { aHost, aNic, aProcess, aProducer } from './a-result.ts'

const fullCpu = { user: 0.7, system: 0.28, irq: 0.01, iowait: 0, steal: 0, idle: 0.01, busy: 0.99 }

function found(changes: Partial<BottleneckInput>) {
  return findBottleneck({
    host: aHost(),
    processes: [aProcess({}), aProducer()],
    windowMs: 10_000,
    sent: 1_000_000,
    acked: 1_000_000,
    ackedPerSecond: 100_000,
    receivedPerSecond: 100_000,
    errors: {},
    senders: 160,
    meanServiceMs: 1.6,
    brokersAreLocal: true,
    brokersAreSeen: true,
    syncFlush: false,
    ceilingShare: 0.2,
    ...changes,
  })
}

describe('the bottleneck', () => {
  it('is the wait for answers when nothing is full, and the sum of Little’s law is shown', () => {
    const { resource, evidence } = found({})
    expect(resource).toBe('latency-bound')
    expect(evidence[0]).toBe('on average 160 of 160 senders were waiting, 1.60 ms for each answer')
  })

  it('is nothing that is watched when the senders do not wait either', () => {
    expect(found({ ackedPerSecond: 20_000 }).resource).toBe('none')
  })

  it('is the CPU of the host when all cores are busy, and names who took how much', () => {
    const { resource, evidence } = found({
      host: aHost({ cpuCount: 2, cpu: fullCpu }),
      processes: [aProcess({ cores: 0.9 }), aProducer({ cores: 0.95 })],
    })
    expect(resource).toBe('cpu-host')
    expect(evidence).toContain('producer-1 0.95, broker-a 0.90 cores')
  })

  it('blames other programs when they took the CPU', () => {
    const { resource, text, confidence } = found({ host: aHost({ cpu: fullCpu }) })
    expect([resource, confidence]).toEqual(['cpu-host', 'medium'])
    expect(text).toContain('not part of this run took 2.72')
  })

  it('is the broker’s CPU when one of its threads has a core to itself', () => {
    const broker = aProcess({ cores: 1.1, busiestThread: { name: 'node', cores: 0.99 } })
    expect(found({ processes: [broker] }).resource).toBe('cpu-broker')
  })

  it('is the client when it reaches its ceiling, or needs more than its core on a host with room', () => {
    const working = aProducer({ busiestThread: { name: 'node', cores: 0.8 } })
    expect(found({ ceilingShare: 0.95, processes: [working] }).resource).toBe('client')
    const busy = aProducer({ busiestThread: { name: 'node', cores: 0.99 } })
    expect(found({ processes: [busy] }).resource).toBe('client')
  })

  it('is the link when it is full, by direction, and never the loopback', () => {
    const link = { linkBitsPerSecond: 1e9 }
    const nics = (nic: object) => ({ host: aHost({ nics: [aNic({ ...link, ...nic })] }) })
    expect(found(nics({ txBytesPerSecond: 118e6, txShare: 0.944 })).resource).toBe('nic-tx')
    expect(found(nics({ rxBytesPerSecond: 118e6, rxShare: 0.944 })).resource).toBe('nic-rx')
    expect(found(nics({ txShare: 0.5 })).resource).toBe('latency-bound')
    const loopback = aNic({ name: 'lo', isLoopback: true, txBytesPerSecond: 9e9 })
    expect(found({ host: aHost({ nics: [loopback] }) }).resource).toBe('latency-bound')
  })

  it('is flow control when the broker refused as busy', () => {
    expect(found({ errors: { SYSTEM_BUSY: 50_000 } }).resource).toBe('flow-control')
  })

  it('is garbage collection when the broker stood still for it', () => {
    const broker = aProcess({ gc: { count: 99, pauseMs: 2500, share: 0.25, pauseMsMax: null } })
    expect(found({ processes: [broker] }).resource).toBe('gc')
  })

  it('is the flush when fsyncs fill the time, only where they are waited for', () => {
    const broker = aProcess({ fsync: { count: 12_000, meanMs: 0.75, maxMs: 9 } })
    expect(found({ processes: [broker], syncFlush: true }).resource).toBe('disk-flush')
    expect(found({ processes: [broker] }).resource).toBe('latency-bound')
  })

  it('is the flush when the device says so, for a broker that does not', () => {
    const { disk } = aHost()
    const flushing = disk === null ? null : { ...disk, flushes: 9000, flushAwaitMs: 0.9 }
    const verdict = found({
      host: aHost({ disk: flushing }),
      processes: [aProcess({ fsync: null })],
      syncFlush: true,
    })
    expect([verdict.resource, verdict.confidence]).toEqual(['disk-flush', 'medium'])
  })

  it('is the disk when it is busy all the time', () => {
    const { disk } = aHost()
    const host = aHost({ disk: disk === null ? null : { ...disk, utilisation: 0.98 } })
    expect(found({ host }).resource).toBe('disk-bandwidth')
    expect(found({ host, syncFlush: true }).resource).toBe('disk-flush')
  })

  it('is the disk on a busy machine as well, when somebody is seen waiting for it', () => {
    const { disk } = aHost()
    const pressure = { cpuSome: 0.9, ioSome: 0.8, ioFull: 0.1, memorySome: 0, memoryFull: 0 }
    const full = disk === null ? null : { ...disk, utilisation: 0.98 }
    const host = (ioSome: number) =>
      aHost({ cpu: fullCpu, disk: full, pressure: { ...pressure, ioSome } })
    expect(found({ host: host(0.8) }).resource).toBe('disk-bandwidth')
    expect(found({ host: host(0.1) }).resource).toBe('cpu-host')
  })

  it('is the CPU of the broker when its quota stopped it, and the client when that of the load did', () => {
    const quota = { cores: 0.2, throttledShare: 0.9 }
    const broker = found({ processes: [aProcess({ cores: 0.2, quota }), aProducer()] })
    expect(broker.resource).toBe('cpu-broker')
    expect(broker.evidence[0]).toBe(
      'broker-a may use 0.20 cores, used 0.20, and was stopped in 90 % of the periods',
    )
    expect(found({ processes: [aProcess({}), aProducer({ quota })] }).resource).toBe('client')
    const idle = { cores: 0.2, throttledShare: 0.1 }
    expect(found({ processes: [aProcess({ quota: idle })] }).resource).toBe('latency-bound')
  })

  it('is memory when programs waited for it', () => {
    const pressure = { cpuSome: 0, ioSome: 0, ioFull: 0, memorySome: 0.4, memoryFull: 0.1 }
    expect(found({ host: aHost({ pressure }) }).resource).toBe('memory')
  })

  it('is that of any host of brokers, by name, and of no host that only carries load', () => {
    const first = aHost({ name: 'one', roles: ['broker'], agent: '10.0.0.1:7400' })
    const { disk, memory } = first
    const full = disk === null ? null : { ...disk, utilisation: 1 }
    const swapped = memory === null ? null : { ...memory, swapOutPages: 5000 }
    const flushing = disk === null ? null : { ...disk, flushes: 9_000, flushAwaitMs: 1 }
    const withOther = (changes: Partial<HostResult>) => {
      const hosts = [
        first,
        aHost({ name: 'two', roles: ['broker'], agent: 'two:7400', ...changes }),
      ]
      const { resource, text } = found({ host: first, hosts, syncFlush: 'disk' in changes })
      return `${resource}: ${text}`
    }
    expect([
      withOther({ disk: flushing }),
      withOther({ disk: full }),
      withOther({ memory: swapped }),
      withOther({ cpu: fullCpu }),
    ]).toEqual([
      'disk-flush: the disk at two:7400 was flushing nearly all the time',
      'disk-flush: the disk at two:7400 was busy with flushes',
      'memory: the machine at two:7400 was swapping',
      expect.stringMatching(/^cpu-host: all 4 cores.* at two:7400 are busy/),
    ])
    const hosts = [first, aHost({ name: 'two', roles: ['broker'], agent: 'two:7400', disk: full })]
    expect(found({ host: first, hosts }).text).toBe('vda at two:7400 was busy nearly all the time')
    expect(withOther({ roles: ['load'], memory: swapped })).toMatch(/^latency-bound/)
    const worst = { ...first, memory: swapped }
    expect([
      found({ host: worst, hosts: [worst, ...hosts.slice(1)] }).text,
      found({ host: worst, hosts: [worst] }).text,
    ]).toEqual(['the machine at 10.0.0.1:7400 was swapping', 'the machine was swapping'])
  })

  it('is memory when the machine swapped', () => {
    const { memory } = aHost()
    const host = aHost({ memory: memory === null ? null : { ...memory, swapInPages: 5000 } })
    expect(found({ host }).resource).toBe('memory')
  })
})

describe('validity', () => {
  const { scenario } = readScenario('version: 1\nname: x\n', 'x.yaml')

  function checked(changes: Partial<ValidityInput>) {
    const checks = checkValidity({
      scenario,
      acked: 1_000_000,
      ackedPerSecond: 100_000,
      host: aHost({
        cpuCount: 2,
        cpu: { user: 0.5, system: 0.1, irq: 0, iowait: 0, steal: 0, idle: 0.4, busy: 0.6 },
      }),
      processes: [aProcess({}), aProducer()],
      ceilingPerSecond: 500_000,
      negativeEndToEnd: 0,
      earlyEndToEndMs: 0,
      endToEndCount: 1000,
      pacing: null,
      scheduled: 0,
      unsent: 0,
      windowMs: 10_000,
      seenMs: 10_020,
      ...changes,
    })
    return checks.filter((check) => !check.ok).map(({ check, severity }) => `${check} ${severity}`)
  }

  it('finds nothing wrong with a healthy run', () => {
    expect(checked({})).toEqual([])
  })

  it('is lost when the resources of another time were seen than of the one that counts', () => {
    expect(checked({ seenMs: 400 })).toEqual(['resources-window error'])
    expect(checked({ seenMs: 8_500 })).toEqual(['resources-window warning'])
    expect(checked({ windowMs: 100, seenMs: 300 })).toEqual([])
  })

  it('does not believe a schedule that the generator itself could not keep', () => {
    const pacing = { phase: 'steady', p99Ms: 3, intervalMs: 1 }
    expect(checked({ pacing, scheduled: 1000 })).toEqual(['pacing-error error'])
  })

  it('lets the pacing error be a tenth of the interval between two messages', () => {
    const pacing = { phase: 'steady', p99Ms: 3, intervalMs: 100 }
    expect(checked({ pacing, scheduled: 1000 })).toEqual([])
  })

  it('says when a schedule was not sent out because the target did not take it', () => {
    expect(checked({ scheduled: 1000, unsent: 20 })).toEqual(['offered-rate warning'])
  })

  it('does not believe a run without samples', () => {
    expect(checked({ acked: 0, ackedPerSecond: 0 })).toEqual(['samples error'])
  })

  it('does not believe a run at the generator’s own ceiling', () => {
    const processes = [aProducer({ cores: 0.9, busiestThread: { name: 'node', cores: 0.85 } })]
    expect(checked({ ceilingPerSecond: 105_000, processes })).toContain('generator-ceiling error')
  })

  it('does not take a ceiling for one that was measured while the machine was busier', () => {
    expect(checked({ ceilingPerSecond: 105_000 })).toEqual(['generator-ceiling warning'])
  })

  it('does not believe a run whose generator had a full core while the host had room', () => {
    const processes = [aProducer({ cores: 1, busiestThread: { name: 'node', cores: 0.99 } })]
    expect(checked({ processes })).toEqual(['generator-cpu error'])
  })

  it('only warns of that on a full host, where nobody gets more', () => {
    const processes = [aProducer({ cores: 1.97, busiestThread: { name: 'node', cores: 0.99 } })]
    const host = aHost({ cpuCount: 2, cpu: fullCpu })
    expect(checked({ processes, host })).toEqual(['generator-cpu warning'])
  })

  it('does not excuse a full host that carries load alone, and finds its link', () => {
    const agent = '198.51.100.2:9890'
    const broker = aHost({ name: 'one', roles: ['broker'] })
    const load = (changes: Partial<HostResult>) => {
      const hosts = [broker, aHost({ name: 'other', roles: ['load'], agent, ...changes })]
      const processes = [aProcess({}), aProducer({ host: agent, cores: 0.9 })]
      return { host: broker, hosts, processes, brokersAreLocal: false }
    }
    const busy = load({ cpuCount: 2, cpu: fullCpu })
    expect(checked(busy)).toContain('generator-cpu error')
    expect(found(busy)).toMatchObject({ resource: 'client', confidence: 'high' })
    expect(checked(load({ name: 'one', cpuCount: 2, cpu: fullCpu }))).not.toContain(
      'generator-cpu error',
    )
    const link = found(load({ nics: [aNic({ txShare: 0.97 })] }))
    expect(link.resource).toBe('nic-tx')
    expect(link.text).toContain(`at ${agent} is full`)
  })

  it('does not believe a run whose generator was often late', () => {
    const processes = [aProcess({}), aProducer({ loop: { p99Ms: 900, maxMs: 2000, scope: '' } })]
    expect(checked({ processes })).toEqual(['generator-loop-lag error'])
  })

  it('warns of a little steal and does not believe a run with much', () => {
    const host = (steal: number) =>
      aHost({
        cpuCount: 2,
        cpu: {
          user: 0.5,
          system: 0.1,
          irq: 0,
          iowait: 0,
          steal,
          idle: 0.4 - steal,
          busy: 0.6 + steal,
        },
      })
    expect(checked({ host: host(0.05) })).toEqual(['steal warning'])
    expect(checked({ host: host(0.2) })).toEqual(['steal error'])
  })

  it('warns when other programs took a part of the machine', () => {
    expect(checked({ host: aHost({ cpuCount: 8 }) })).toEqual(['other-load warning'])
  })

  it('does not believe messages that arrived before they were sent', () => {
    const early = { negativeEndToEnd: 1, earlyEndToEndMs: 0.001 }
    expect(checked(early)).toEqual(['negative-end-to-end error'])
  })

  it('lets messages arrive as early as the clocks may have been apart, and no earlier', () => {
    const clocks = { errorMs: 1.5, movedMs: 4 }
    const early = { negativeEndToEnd: 7, earlyEndToEndMs: 1.4, clocks }
    expect(checked(early)).toEqual([])
    expect(checked({ ...early, earlyEndToEndMs: 1.6 })).toEqual(['negative-end-to-end error'])
  })

  it('does not believe clocks that nobody knows, or that have moved far apart', () => {
    expect(checked({ clocks: { errorMs: 11, movedMs: 11 } })).toEqual(['clock-skew error'])
    expect(checked({ clocks: { errorMs: null, movedMs: 0 } })).toEqual(['clock-skew error'])
    // What is known of a drift does no harm, as long as phases begin in the same second.
    expect(checked({ clocks: { errorMs: 1, movedMs: 200 } })).toEqual([])
    expect(checked({ clocks: { errorMs: 1, movedMs: 300 } })).toEqual(['clock-drift error'])
  })
})

import { describe, expect, it } from 'vitest'
import { type SeenHost, seenBetween, sharesOf } from '../../src/bench/host-look.ts'
import type { HostSnapshot } from '../../src/host/snapshot.ts'
import type { HostUsage } from '../../src/host/usage.ts'

const snapshot = (atMs: number): HostSnapshot => ({
  ...{ atMs, cpuCount: 2, cpu: null, load1: null, pressure: null, memory: null, disk: null },
  ...{ nics: [], processes: new Map(), unavailable: {} },
})

function aHost(busy: number, brokers: readonly number[], cores: number): SeenHost {
  const cpu = { user: busy, system: 0, irq: 0, iowait: 0, steal: 0, idle: 1 - busy, busy }
  const process = { pid: 7, busiestThread: { name: 'broker', cores } }
  const usage = { cpu, disk: null, memory: null, nics: [], processes: [process] }
  return { usage: usage as unknown as HostUsage, brokers }
}

describe('the resources of a rate that is tried', () => {
  const [before, after] = [snapshot(0), snapshot(1000)]
  const looks = (there: readonly SeenHost[] | null) =>
    [
      { own: before, there: [] },
      { own: after, there },
    ] as const
  const broker = aHost(0.4, [7], 0.9)

  it('are those of the brokers’ host, here or at an agent', () => {
    const isOwn = ({ brokers }: SeenHost) => brokers.includes(1)
    const seen = (there: readonly SeenHost[], own: number[] | null, loadIsHere: boolean) =>
      seenBetween(...looks(there), own, loadIsHere)
    expect(seen([], [1], true).map(isOwn)).toEqual([true])
    expect(seen([broker], null, false)).toEqual([broker])
    expect(seen([broker], [1], true).map(isOwn)).toEqual([true, false])
  })

  it('are those of the load when nobody looks at the brokers, and nobody’s without load here', () => {
    expect(seenBetween(...looks([]), null, true)).toHaveLength(1)
    expect(seenBetween(...looks([]), null, false)).toEqual([])
    expect(sharesOf([])).toMatchObject({ cpu: null, broker: null, disk: null })
  })

  it('are nobody’s when a host of brokers is not seen any more, and never those of the load instead', () => {
    expect(seenBetween(...looks(null), null, true)).toEqual([])
    expect(seenBetween(...looks(null), [1], true)).toEqual([])
  })

  it('are those of the fullest of several hosts', () => {
    expect(sharesOf([broker, aHost(0.7, [], 1), aHost(0.1, [7], 0.3)])).toMatchObject({
      cpu: 0.7,
      broker: 0.9,
      nic: null,
    })
  })
})

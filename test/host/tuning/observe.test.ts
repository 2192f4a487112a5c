import { describe, expect, it } from 'vitest'
import { compare, type Look } from '../../../src/host/tuning/observe.ts'

const quiet: Look = {
  atMs: 0,
  counters: { cpu: null, drops: { 'TcpExt.ListenOverflows': 5 }, packets: 1, throttling: null },
  cpu: { busyMs: 0, totalMs: 0, iowaitMs: 0, stealMs: 0 },
  pressure: { 'cpu.some': 0, 'memory.some': 0, 'memory.full': 0, 'io.some': 0, 'io.full': 0 },
  vmstat: { pgmajfault: 100, allocstall_normal: 0, pswpin: 0, pswpout: 0 },
  retransmits: 10,
  disk: { name: 'sda', busyMs: 0, bytes: 0 },
  links: [{ name: 'eth0', rx: 0, tx: 0, bitsPerSecond: 1e9 }],
}

/** Ten seconds later. */
function later(change: Partial<Look>): Look {
  return {
    ...quiet,
    atMs: 10_000,
    cpu: { busyMs: 2_000, totalMs: 20_000, iowaitMs: 0, stealMs: 0 },
    ...change,
  }
}

describe('a window over counters', () => {
  it('says that nothing hurts when nothing does', () => {
    expect(compare(quiet, later({}))).toMatchObject({
      hurts: null,
      why: 'nothing hurts',
      missing: [],
    })
  })

  it.each([
    ['cpu', { cpu: { busyMs: 19_800, totalMs: 20_000, iowaitMs: 0, stealMs: 0 } }],
    [
      'memory',
      { vmstat: { pgmajfault: 60_100, allocstall_normal: 900, pswpin: 5_000, pswpout: 5_000 } },
    ],
    [
      'disk',
      {
        disk: { name: 'sda', busyMs: 9_900, bytes: 1e9 },
        pressure: { ...quiet.pressure, 'io.full': 3e6 },
      },
    ],
    ['network', { links: [{ name: 'eth0', rx: 1_200_000_000, tx: 0, bitsPerSecond: 1e9 }] }],
    ['network', { counters: { ...quiet.counters, drops: { 'TcpExt.ListenOverflows': 505 } } }],
    ['cpu', { counters: { ...quiet.counters, throttling: { periods: 100, throttled: 60 } } }],
  ] as const)('says that %s hurts', (resource, change) => {
    const before =
      'counters' in change && 'throttling' in change.counters && change.counters.throttling !== null
        ? { ...quiet, counters: { ...quiet.counters, throttling: { periods: 0, throttled: 0 } } }
        : quiet
    expect(compare(before, later(change)).hurts).toBe(resource)
  })

  it('counts pressure as a share of the window', () => {
    const { signals } = compare(quiet, later({ pressure: { ...quiet.pressure, 'io.some': 4e6 } }))
    expect(signals.find(({ name }) => name === 'pressure io.some')).toMatchObject({
      value: 40,
      level: 2,
    })
  })

  it('says what it could not see', () => {
    const blind = { ...quiet, cpu: null, disk: null, pressure: {} }
    const { missing } = compare(blind, { ...blind, atMs: 1_000 })
    expect(missing).toEqual(['/proc/stat', 'pressure (PSI)', 'disk counters'])
  })
})

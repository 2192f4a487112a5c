import { describe, expect, it } from 'vitest'
import type { HostSnapshot, ProcessCounters } from '../../src/host/snapshot.ts'
import { usageBetween } from '../../src/host/usage.ts'

const cpu = { userMs: 0, systemMs: 0, idleMs: 0, iowaitMs: 0, irqMs: 0, stealMs: 0 }

function aSnapshot(changes: Partial<HostSnapshot>): HostSnapshot {
  return {
    atMs: 0,
    cpuCount: 2,
    cpu,
    load1: 0,
    memory: null,
    disk: null,
    nics: [],
    processes: new Map(),
    unavailable: {},
    ...changes,
  }
}

function aProcess(changes: Partial<ProcessCounters>): ProcessCounters {
  return {
    pid: 7,
    userMs: 0,
    systemMs: 0,
    threadCount: 1,
    rssBytes: 0,
    rssPeakBytes: null,
    majorFaults: 0,
    diskReadBytes: 0,
    diskWrittenBytes: 0,
    threads: null,
    ...changes,
  }
}

describe('usage between two snapshots', () => {
  it('shares the CPU time of all CPUs by kind', () => {
    const last = { userMs: 500, systemMs: 300, idleMs: 900, iowaitMs: 100, irqMs: 0, stealMs: 200 }
    const usage = usageBetween(aSnapshot({}), aSnapshot({ atMs: 1000, cpu: last }))
    expect(usage.cpu).toEqual({
      user: 0.25,
      system: 0.15,
      irq: 0,
      iowait: 0.05,
      steal: 0.1,
      idle: 0.45,
      busy: 0.5,
    })
  })

  it('gives a process in cores and names its busiest thread', () => {
    const before = aProcess({ threads: [{ threadId: 7, name: 'main', cpuMs: 100 }] })
    const after = aProcess({
      userMs: 1500,
      systemMs: 500,
      threads: [
        { threadId: 7, name: 'main', cpuMs: 1600 },
        { threadId: 8, name: 'pool', cpuMs: 500 },
      ],
    })
    const usage = usageBetween(
      aSnapshot({ processes: new Map([[7, before]]) }),
      aSnapshot({ atMs: 2000, processes: new Map([[7, after]]) }),
    )
    expect(usage.processes[0]).toMatchObject({
      cores: 1,
      userCores: 0.75,
      busiestThread: { name: 'main', cores: 0.75 },
    })
  })

  it('leaves out a process that was not there at the start', () => {
    const last = aSnapshot({ atMs: 1000, processes: new Map([[7, aProcess({})]]) })
    expect(usageBetween(aSnapshot({}), last).processes).toEqual([])
  })

  it('compares an interface with its link, and loopback with nothing', () => {
    const nic = {
      name: 'eth0',
      isLoopback: false,
      linkBitsPerSecond: 1e9,
      rxBytes: 0,
      rxPackets: 0,
      rxDrops: 0,
      txBytes: 0,
      txPackets: 0,
      txDrops: 0,
    }
    const lo = { ...nic, name: 'lo', isLoopback: true, linkBitsPerSecond: null }
    const usage = usageBetween(
      aSnapshot({ nics: [nic, lo] }),
      aSnapshot({
        atMs: 2000,
        nics: [
          { ...nic, txBytes: 125_000_000, rxBytes: 25_000_000 },
          { ...lo, txBytes: 9e9 },
        ],
      }),
    )
    expect(usage.nics.map((row) => [row.name, row.txShare, row.rxShare])).toEqual([
      ['eth0', 0.5, 0.1],
      ['lo', null, null],
    ])
  })

  it('measures the disk by bytes, utilisation and the mean wait of a flush', () => {
    const disk = {
      device: 'vda',
      reads: 0,
      readBytes: 0,
      readMs: 0,
      writes: 0,
      writtenBytes: 0,
      writeMs: 0,
      busyMs: 0,
      flushes: 0,
      flushMs: 0,
    }
    const usage = usageBetween(
      aSnapshot({ disk }),
      aSnapshot({
        atMs: 4000,
        disk: {
          ...disk,
          writes: 10,
          writtenBytes: 8000,
          writeMs: 50,
          busyMs: 1000,
          flushes: 4,
          flushMs: 6,
        },
      }),
    )
    expect(usage.disk).toMatchObject({
      writtenBytesPerSecond: 2000,
      utilisation: 0.25,
      writeAwaitMs: 5,
      flushes: 4,
      flushAwaitMs: 1.5,
    })
  })
})

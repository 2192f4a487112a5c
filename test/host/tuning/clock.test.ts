import { describe, expect, it } from 'vitest'
import { resultIn, reportOf, nowMs } from './judging.ts'
import { MemoryHost } from './memory-files.ts'

const drift = '/var/lib/chrony/chrony.drift'

/** A machine with one time daemon, whose drift file is as old as this. */
function keptBy(daemon: string, ageMinutes: number | null): MemoryHost {
  const host = MemoryHost.fixture('kvm-virtio').set('/proc/400/comm', `${daemon}\n`)
  if (ageMinutes === null) return host.without(drift)
  host.modifiedMs.set(drift, nowMs - ageMinutes * 60_000)
  return host
}

describe('whether the clock is synchronised', () => {
  it.each([
    ['chronyd', 40, 'pass', null],
    ['chronyd', 300, 'skip', 'unknown'],
    ['chronyd', null, 'skip', 'unknown'],
    ['ptp4l', null, 'skip', 'unknown'],
    ['systemd-timesyn', null, 'fail', null],
    ['sshd', null, 'fail', null],
  ] as const)('%s with a drift file %s minutes old: %s', async (daemon, age, status, reason) => {
    const result = resultIn(await reportOf(keptBy(daemon, age)), 'time.sync')
    expect([result.status, result.reason]).toEqual([status, reason])
  })

  it('is certain when systemd-timesyncd says so', async () => {
    const host = keptBy('systemd-timesyn', null).set('/run/systemd/timesync/synchronized', '')
    expect(resultIn(await reportOf(host), 'time.sync').status).toBe('pass')
  })
})

describe('root of a user namespace', () => {
  it.each([
    ['         0          0 4294967295\n', true],
    ['         0      65534          1\n', false],
    ['0 100000 65536\n', false],
  ])('%j: privileged %s', async (map, privileged) => {
    const host = MemoryHost.fixture('bare-metal-nvme').set('/proc/self/uid_map', map)
    expect((await reportOf(host)).host.privileged).toBe(privileged)
  })
})

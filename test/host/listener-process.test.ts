import { describe, expect, it } from 'vitest'
import { type HostProcesses, processBehind } from '../../src/host/listener-process.ts'

function behind(toldPid: number | null, changes: Partial<HostProcesses>) {
  const none: HostProcesses = {
    listenerPid: () => null,
    nameOf: () => null,
    isBroker: () => false,
  }
  return processBehind(10_911, toldPid, { ...none, ...changes })
}

describe('the process behind a port', () => {
  it('is the one that listens', () => {
    const listening = { listenerPid: () => 4_242, nameOf: () => 'java' }
    expect(behind(17, listening)).toEqual({ pid: 4_242, why: null })
  })

  it('is not a program that listens for a container or a tunnel', () => {
    const { pid, why } = behind(17, {
      listenerPid: () => 900,
      nameOf: () => 'docker-proxy',
      isBroker: () => true,
    })
    expect([pid, why]).toEqual([
      null,
      expect.stringContaining('port 10911 is that of docker-proxy'),
    ])
  })

  it('is the one that the broker calls itself only when that is a broker here too', () => {
    expect(behind(17, { isBroker: (pid) => pid === 17 }).pid).toBe(17)
    // In a container it is number 17; here that is somebody else.
    expect(behind(17, {})).toMatchObject({ pid: null, why: expect.stringContaining('not found') })
  })

  it('is unknown when nobody tells', () => {
    expect(behind(null, { isBroker: () => true }).pid).toBeNull()
  })
})

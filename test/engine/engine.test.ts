import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Instance, type InstanceOptions } from '../../src/engine/engine.ts'
import { readLastRun, readRunFile, statusOf } from '../../src/engine/instance.ts'
import { identityOf, isAlive } from '../../src/engine/process-identity.ts'
import { readLogs } from '../../src/engine/log-reader.ts'
import { stopInstance } from '../../src/engine/stop.ts'
import type { RoleEnd } from '../../src/engine/supervisor.ts'
import type { InstancePlan } from '../../src/engine/topology.ts'
import { nodeWorld } from '../../src/world/node-world.ts'

const fakeRole = new URL('./fixtures/fake-role.mjs', import.meta.url)

let directory = ''
let instances: Instance[] = []
let ends: RoleEnd[] = []

beforeEach(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'mqctl-engine-'))
  instances = []
  ends = []
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await Promise.all(instances.map((instance) => instance.stop(200)))
  await rm(directory, { recursive: true, force: true })
})

function aPlan(fields: Partial<InstancePlan> = {}): InstancePlan {
  return {
    name: 'test',
    dataDir: path.join(directory, 'data'),
    nameServers: 1,
    brokers: 1,
    flush: 'async',
    bind: '127.0.0.1',
    advertise: '127.0.0.1',
    anyPort: true,
    port: 10_911,
    nameServerPort: 9_876,
    topics: [],
    settings: [],
    ...fields,
  }
}

async function start(plan: InstancePlan = aPlan(), more: Partial<InstanceOptions> = {}) {
  const instance = await Instance.start(nodeWorld, plan, {
    stateDir: path.join(directory, 'state'),
    scripts: { nameserver: fakeRole, broker: fakeRole },
    onRoleEnd: (end) => ends.push(end),
    ...more,
  })
  instances.push(instance)
  return instance
}

const stateDir = () => path.join(directory, 'state')
const pidsOf = (instance: Instance) =>
  [...instance.status.nameServers, ...instance.status.brokers].map(({ pid }) => pid ?? 0)
const livingOf = (pids: number[]) => pids.filter((pid) => isAlive(identityOf(pid)))

describe('an instance', () => {
  it('runs a process a role and says where they are', async () => {
    const instance = await start(aPlan({ brokers: 2, nameServers: 2 }))
    const { state, namesrv, brokers } = instance.status
    expect(state).toBe('running')
    expect(brokers.map(({ name, role }) => [name, role])).toEqual([
      ['broker-a', 'master'],
      ['broker-b', 'master'],
    ])
    expect(new Set([...namesrv, ...brokers.map(({ address }) => address)]).size).toBe(4)
    expect(livingOf(pidsOf(instance))).toHaveLength(4)
  })

  it('writes what it is into run.json, and moves that away when it stops', async () => {
    const instance = await start()
    const run = readRunFile(stateDir())
    expect(run).toMatchObject({ name: 'test', ready: true, roles: [{}, {}] })
    const pids = pidsOf(instance)
    await instance.stop()
    expect(readRunFile(stateDir())).toBeNull()
    expect(readLastRun(stateDir())?.plan).toEqual(run?.plan)
    expect(livingOf(pids)).toEqual([])
  })

  it('refuses a second one under the same name', async () => {
    await start()
    await expect(start()).rejects.toThrow(/test is already running \(pid \d+\)/)
  })

  it('names the port that is taken and the flag that changes it, and starts nothing', async () => {
    const blocker = net.createServer()
    const port = await new Promise<number>((resolve) => {
      blocker.listen(0, '127.0.0.1', () => {
        resolve((blocker.address() as net.AddressInfo).port)
      })
    })
    const failed = start(aPlan({ anyPort: false, port: 0, nameServerPort: port }))
    await expect(failed).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      hint: expect.stringContaining('--namesrv-port'),
    })
    blocker.close()
    expect(await readdir(directory)).toEqual([])
  })

  it.each([
    ['crash', /broker-a did not start: its process ended \(exit 7\)/],
    ['refuse', /store directory \/data is in use/],
    ['silent', /was not ready within 300 ms/],
  ])('leaves nothing running when a broker is of the kind %s', async (fault, message) => {
    vi.stubEnv('FAKE_ROLE', fault)
    // Only one of them is never ready; a busy machine may take longer than that for the others.
    const options = fault === 'silent' ? { readyTimeoutMs: 300 } : {}
    await expect(start(aPlan(), options)).rejects.toThrow(message)
    expect(ends).toHaveLength(2)
    expect(livingOf(ends.map(({ pid }) => pid))).toEqual([])
    expect(readLastRun(stateDir())).toBeNull()
  })

  it('leaves no directory behind when it failed before a role ran', async () => {
    const dataDir = path.join(directory, 'file')
    await writeFile(dataDir, '')
    await expect(start(aPlan({ dataDir }))).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' })
    expect(await readdir(directory)).toEqual(['file'])
  })

  it('still knows what ran before a start that failed', async () => {
    await (await start(aPlan({ brokers: 2 }))).stop()
    vi.stubEnv('FAKE_ROLE', 'crash')
    await expect(start()).rejects.toThrow('did not start')
    expect(readRunFile(stateDir())).toBeNull()
    expect(readLastRun(stateDir())?.plan.brokers).toBe(2)
  })

  it('kills a role that does not hear SIGTERM', async () => {
    vi.stubEnv('FAKE_ROLE', 'deaf')
    const instance = await start()
    const pids = pidsOf(instance)
    await instance.stop(100)
    expect(livingOf(pids)).toEqual([])
    expect(ends.find(({ name }) => name === 'broker-a')).toMatchObject({
      how: 'SIGKILL',
      expected: true,
    })
  })

  it('is partial when one role was killed, and says so', async () => {
    const instance = await start(aPlan({ brokers: 2 }))
    const ended = new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        if (ends.length === 0) return
        clearInterval(timer)
        resolve()
      }, 5)
    })
    process.kill(instance.status.brokers[0]?.pid ?? 0, 'SIGKILL')
    await ended
    expect(ends).toMatchObject([{ name: 'broker-a', how: 'SIGKILL', expected: false }])
    expect(instance.status).toMatchObject({ state: 'partial', brokers: [{ pid: null }, {}] })
    expect(instance.living).toBe(2)
  })

  it('keeps what the roles print, a file a role', async () => {
    await start()
    expect(readLogs(stateDir()).map(({ role, text }) => [role, text])).toEqual([
      ['broker-a', 'ready'],
      ['namesrv-1', 'ready'],
    ])
  })
})

describe('a run.json that outlived its processes', () => {
  it('means stopped, also when its process ids belong to strangers now', async () => {
    const instance = await start()
    const run = readRunFile(stateDir())
    await instance.stop()
    if (run === null) throw new Error('no run.json')
    const stranger = { pid: process.pid, startedAt: '1' }
    const stale = {
      ...run,
      supervisor: stranger,
      roles: run.roles.map((role) => ({ ...role, process: stranger })),
    }
    expect(statusOf(stale, stateDir()).state).toBe('stopped')
    const result = await stopInstance(nodeWorld, stale, stateDir(), {
      timeoutMs: 100,
      force: true,
    })
    expect(result.killed).toBe(0)
  })
})

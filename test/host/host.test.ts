import { spawn } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { describe, expect, it, vi } from 'vitest'
import { checkBefore, checkDuring } from '../../src/host/checks.ts'
import { readHostFacts } from '../../src/host/facts.ts'
import { fileSystemOf } from '../../src/host/filesystem.ts'
import { openHostProbe } from '../../src/host/host.ts'
import { gcOf, parsePerfData } from '../../src/host/jvm-perfdata.ts'
import { isLocalHost, listenerPid } from '../../src/host/listener-process.ts'
import { RuntimeMonitor } from '../../src/host/node-runtime.ts'
import { PortableProbe } from '../../src/host/portable-probe.ts'
import { HostSampler } from '../../src/host/sampler.ts'
import { usageBetween } from '../../src/host/usage.ts'
import { nodeClock } from '../../src/world/node-clock.ts'

const onLinux = process.platform === 'linux'

describe('the probe of this machine', () => {
  it.runIf(onLinux)(
    'sees the CPU time that a process burns',
    async () => {
      const probe = openHostProbe(nodeClock, { diskPath: tmpdir() })
      const burner = spawn(process.execPath, ['-e', 'for(;;);'])
      try {
        const pid = burner.pid ?? 0
        const first = await probe.snapshot([pid], true)
        // However busy the machine is: sooner or later the burner has had its 50 ms.
        const usage = await vi.waitFor(
          async () => {
            const between = usageBetween(first, await probe.snapshot([pid], true))
            expect(between.processes[0]?.cpuMs).toBeGreaterThan(50)
            return between
          },
          { timeout: 50_000, interval: 100 },
        )
        expect(usage.processes[0]?.cores).toBeLessThan(3)
        expect(usage.cpu?.busy).toBeGreaterThan(0)
      } finally {
        burner.kill('SIGKILL')
      }
    },
    60_000,
  )

  it.runIf(onLinux)('counts the bytes of the loopback as loopback', async () => {
    const snapshot = await openHostProbe(nodeClock, { diskPath: null }).snapshot([], false)
    const loopback = snapshot.nics.find((nic) => nic.name === 'lo')
    expect(loopback?.isLoopback).toBe(true)
    expect(loopback?.linkBitsPerSecond).toBeNull()
  })

  it('leaves out a process that does not exist', async () => {
    const probe = openHostProbe(nodeClock, { diskPath: null })
    const snapshot = await probe.snapshot([2 ** 22 + 1], true)
    expect(snapshot.processes.size).toBe(0)
  })

  it('says why it has no disk when no path was given', async () => {
    const snapshot = await openHostProbe(nodeClock, { diskPath: null }).snapshot([], false)
    expect([snapshot.disk, snapshot.unavailable.disk?.startsWith('n/a')]).toEqual([null, true])
  })

  it('works without /proc and gives the reason for what is missing', async () => {
    const probe = new PortableProbe(nodeClock, 'darwin')
    const snapshot = await probe.snapshot([process.pid], false)
    expect(snapshot.processes.get(process.pid)?.rssBytes).toBeGreaterThan(1_000_000)
    expect(snapshot.memory?.totalBytes).toBeGreaterThan(1_000_000)
    expect(snapshot.disk).toBeNull()
    expect(snapshot.unavailable.disk).toBe('n/a on darwin: there is no /proc/diskstats')
    expect(snapshot.unavailable.steal).toBe('n/a on darwin: the kernel does not count it')
  })

  it('samples and knows what it costs', async () => {
    const usages: number[] = []
    const probe = openHostProbe(nodeClock, { diskPath: null })
    const sampler = new HostSampler(nodeClock, probe, (usage) => usages.push(usage.spanMs))
    sampler.watch(process.pid)
    sampler.start(20)
    await expect.poll(() => usages.length).toBeGreaterThan(2)
    await sampler.stop()
    expect(sampler.cost().samples).toBeGreaterThanOrEqual(3)
  })
})

describe('facts', () => {
  it('describes the machine and the disk under a path that does not exist yet', () => {
    const facts = readHostFacts(`${tmpdir()}/not/there/yet`)
    expect(facts.cpuCount).toBeGreaterThan(0)
    expect(facts.disk?.totalBytes).toBeGreaterThan(0)
  })

  it.runIf(onLinux)('knows memory file systems for what they are', () => {
    expect(fileSystemOf('/dev/shm/x')).toMatchObject({
      type: 'tmpfs',
      isMemory: true,
      device: null,
    })
  })

  it('finds the process behind a local port', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    expect(listenerPid(port)).toBe(onLinux ? process.pid : null)
    server.close()
  })

  it('tells this machine from others', () => {
    expect([isLocalHost('127.0.0.1'), isLocalHost('localhost'), isLocalHost('192.0.2.1')]).toEqual([
      true,
      true,
      false,
    ])
  })
})

describe('checks', () => {
  const needs = { busyProcessCount: 1, diskBytes: 0 }

  it('warns of shared cores and says what that means', () => {
    const warnings = checkBefore(readHostFacts(null), { ...needs, busyProcessCount: 10_000 })
    expect(warnings.map((warning) => warning.check)).toContain('shared-cores')
  })

  it('warns of a disk that is too small for the run', () => {
    const warnings = checkBefore(readHostFacts(tmpdir()), { ...needs, diskBytes: 1e18 })
    expect(warnings.map((warning) => warning.check)).toContain('disk-free')
  })

  it.runIf(onLinux)('warns of a directory in memory', () => {
    const warnings = checkBefore(readHostFacts('/dev/shm'), needs)
    expect(warnings.map((warning) => warning.check)).toContain('memory-disk')
  })

  it('warns of steal and swap seen during the run', async () => {
    const snapshot = await openHostProbe(nodeClock, { diskPath: null }).snapshot([], false)
    const usage = usageBetween(snapshot, snapshot)
    const warnings = checkDuring({
      ...usage,
      cpu: { user: 0, system: 0, irq: 0, iowait: 0, idle: 0.9, busy: 0.1, steal: 0.1 },
      memory: {
        totalBytes: 1,
        availableBytes: 1,
        cachedBytes: 0,
        dirtyBytes: 0,
        swapUsedBytes: 1,
        swapInPages: 4,
        swapOutPages: 0,
      },
      nics: [],
    })
    expect(warnings.map((warning) => warning.check)).toEqual(['cpu-steal', 'swap'])
  })
})

describe('the inside of a Node process', () => {
  it('counts garbage collections and their pauses', async () => {
    const monitor = new RuntimeMonitor()
    const keep: unknown[] = []
    await expect
      .poll(
        () => {
          for (let i = 0; i < 200_000; i += 1) keep[i % 1000] = { i, text: String(i) }
          return monitor.figures().gc.count
        },
        { timeout: 5000 },
      )
      .toBeGreaterThan(0)
    expect(monitor.figures().gc.pauseMs).toBeGreaterThan(0)
    monitor.close()
  })

  it('sees a loop that was blocked', async () => {
    const monitor = new RuntimeMonitor()
    await new Promise((resolve) => setTimeout(resolve, 30))
    const end = performance.now() + 120
    while (performance.now() < end);
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(monitor.figures().loop.maxMs).toBeGreaterThan(60)
    monitor.close()
  })
})

describe('the counters of a JVM', () => {
  it('reads collectors from a perfdata file', () => {
    const entry = (name: string, value: bigint | string) => {
      const nameBytes = Buffer.from(`${name}\0`)
      const nameRoom = Math.ceil((20 + nameBytes.length) / 8) * 8
      const data =
        typeof value === 'bigint' ? Buffer.alloc(8) : Buffer.from(`${value}\0`.padEnd(16, '\0'))
      if (typeof value === 'bigint') data.writeBigInt64LE(value)
      const bytes = Buffer.alloc(nameRoom + data.length)
      bytes.writeInt32LE(bytes.length, 0)
      bytes.writeInt32LE(20, 4)
      bytes.writeInt32LE(typeof value === 'bigint' ? 0 : data.length, 8)
      bytes.writeUInt8(typeof value === 'bigint' ? 0x4a : 0x42, 12)
      bytes.writeInt32LE(nameRoom, 16)
      nameBytes.copy(bytes, 20)
      data.copy(bytes, nameRoom)
      return bytes
    }
    const head = Buffer.alloc(32)
    head.writeUInt32BE(0xcafec0c0, 0)
    head.writeUInt8(1, 4)
    head.writeInt32LE(32, 24)
    head.writeInt32LE(4, 28)
    const file = Buffer.concat([
      head,
      entry('sun.os.hrt.frequency', 1_000_000_000n),
      entry('sun.gc.collector.0.name', 'G1'),
      entry('sun.gc.collector.0.invocations', 12n),
      entry('sun.gc.collector.0.time', 34_000_000n),
      Buffer.alloc(8),
    ])
    const values = parsePerfData(file)
    expect(values === null ? null : gcOf(values)).toEqual({
      collectors: [{ name: 'G1', count: 12, pauseMs: 34 }],
      count: 12,
      pauseMs: 34,
    })
  })

  it('refuses a file that is something else', () => {
    expect(parsePerfData(Buffer.from('hello'.repeat(10)))).toBeNull()
  })
})

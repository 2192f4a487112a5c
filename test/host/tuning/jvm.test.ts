import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { adviseJvm, type JvmQuestion } from '../../../src/host/tuning/jvm.ts'
import { troublesOf } from '../../../src/host/tuning/jvm-flags.ts'
import { judge } from '../../../src/host/tuning/report.ts'
import { selected } from '../../../src/host/tuning/registry.ts'
import { jvmFlagsOf } from '../../../src/host/tuning/target-facts.ts'
import { factsOf, nowMs } from './judging.ts'
import { MemoryHost } from './memory-files.ts'

const GIB = 1_073_741_824

const question = (change: Partial<JvmQuestion> = {}): JvmQuestion => ({
  memoryBytes: 16 * GIB,
  jdk: 17,
  gc: 'g1',
  container: false,
  storePool: false,
  logDirectory: '/var/log/rocketmq',
  ...change,
})

interface Java {
  readonly program: string
  readonly version: number
}

/** `java` on the path, and of homes that MQCTL_TEST_JAVA_HOMES names, `:` between them. */
function javasHere(): Java[] {
  const homes = (process.env['MQCTL_TEST_JAVA_HOMES'] ?? '').split(':')
  const named = homes.filter((home) => home !== '').map((home) => path.join(home, 'bin', 'java'))
  const javas = new Map<number, Java>()
  for (const program of ['java', ...named]) {
    const run = spawnSync(program, ['-version'], { encoding: 'utf8' })
    const said = run.error === undefined ? run.stderr : ''
    const version = Number(/version "(?:1\.)?(\d+)/.exec(said)?.[1])
    if (Number.isInteger(version) && !javas.has(version)) javas.set(version, { program, version })
  }
  return [...javas.values()]
}

const javas = javasHere()
const none = javas.length === 0
const without = none ? ' (skipped: there is no java here)' : ''

describe('flags for a JVM', () => {
  it.each([1, 2, 4, 8, 16, 64, 512])('leave more than half of %i GiB to the page cache', (gib) => {
    const { heapBytes, flags } = adviseJvm(question({ memoryBytes: gib * GIB }))
    expect(heapBytes).toBeLessThanOrEqual(Math.min(gib * 0.45, 31) * GIB)
    const texts = flags.map(({ flag }) => flag)
    expect(texts[0]?.slice(4)).toBe(texts[1]?.slice(4))
    expect(flags.every(({ why }) => why.length > 10)).toBe(true)
  })

  it.each([8, 11, 17, 21, 25])('have nothing that JDK %i refuses', (version) => {
    const { flags } = adviseJvm(question({ jdk: version }))
    const fatal = troublesOf(
      flags.map(({ flag }) => flag),
      version,
    ).filter((trouble) => trouble.fatal)
    expect(fatal).toEqual([])
  })

  it('satisfy the checks that judge flags', async () => {
    const { line } = adviseJvm(question({ memoryBytes: 200 * GIB }))
    const host = MemoryHost.fixture('bare-metal-nvme')
    const facts = await factsOf(host, { jvmFlags: { text: line, jdk: '17' } })
    const only = selected(['jvm', 'mem.heap-fit'], 'test')
    const report = judge(facts, { profile: 'jvm-broker', version: '0', nowMs, only })
    const bad = report.results.filter(({ status }) => status !== 'pass')
    expect(bad.map(({ id, text }) => [id, text])).toEqual([])
  })

  it('are taken from the environment too, in the order of the JVM, without values of properties', async () => {
    const host = MemoryHost.fixture('bare-metal-nvme')
    host.set('/proc/710/cmdline', 'java\0-Xmx3g\0-Djava.ext.dirs=/secret\0-Dkey=secret\0Main\0')
    host.set(
      '/proc/710/environ',
      '_JAVA_OPTIONS=-Xmx4g\0JDK_JAVA_OPTIONS=-Xmx2g\0JAVA_TOOL_OPTIONS=-Xmx1g\0',
    )
    const { target } = await factsOf(host, { pid: 710 })
    const flags = ['-Xmx1g', '-Xmx2g', '-Xmx3g', '-Djava.ext.dirs', '-Xmx4g']
    expect(target.jvm?.flags).toEqual(flags)
  })

  it('refuse too little memory, and a collector that the version lacks', () => {
    expect(() => adviseJvm(question({ memoryBytes: 100_000_000 }))).toThrow(/too little/)
    expect(() => adviseJvm(question({ gc: 'zgc', jdk: 11 }))).toThrow(/ZGC/)
  })

  it.skipIf(none)(
    `start every real java here${without}`,
    () => {
      const logDirectory = mkdtempSync(path.join(os.tmpdir(), 'mqctl-jvm-'))
      try {
        for (const { program, version } of javas) {
          for (const gc of version < 15 ? (['g1'] as const) : (['g1', 'zgc'] as const)) {
            const asked = question({ memoryBytes: GIB, jdk: version, gc, logDirectory })
            const flags = adviseJvm(asked).flags.map(({ flag }) => flag)
            const { status, stderr } = spawnSync(program, [...flags, '-version'], {
              encoding: 'utf8',
            })
            expect([version, gc, status, stderr]).toEqual([
              ...[version, gc, 0],
              expect.not.stringMatching(/warning|error/i),
            ])
          }
        }
      } finally {
        rmSync(logDirectory, { recursive: true, force: true })
      }
    },
    60_000,
  )

  // What the table says of a version is what that version does: starts, warns, or refuses.
  const flags = [
    ...['PrintGCDateStamps', 'PrintGCTimeStamps', 'PrintGCApplicationStoppedTime'],
    ...['PrintAdaptiveSizePolicy', 'UseGCLogFileRotation', 'PrintGCDetails', 'UseConcMarkSweepGC'],
    ...['CMSClassUnloadingEnabled', 'UseCMSCompactAtFullCollection', 'UseParNewGC', 'UseZGC'],
    ...['UseParallelOldGC', 'AggressiveOpts', 'UseBiasedLocking', 'ZGenerational', 'UseEpsilonGC'],
    ...['TraceClassLoading', 'PrintSafepointStatistics', 'UseAppCDS', 'UseMembar', 'UseG1GC'],
    ...['FlightRecorder', 'ExplicitGCInvokesConcurrentAndUnloadsClasses', 'AlwaysPreTouch'],
    ...['ExitOnOutOfMemoryError', 'UseStringDeduplication', 'ParallelRefProcEnabled'],
  ].map((name) => `-XX:+${name}`)
  const settings = [
    ...['NumberOfGCLogFiles=5', 'GCLogFileSize=30m', 'CMSInitiatingOccupancyFraction=70'],
    ...['MaxPermSize=64m', 'MaxRAMFraction=2', 'MaxRAMPercentage=50', 'G1NewSizePercent=10'],
    ...['G1ReservePercent=25', 'InitiatingHeapOccupancyPercent=30', 'SoftRefLRUPolicyMSPerMB=0'],
    ...['G1HeapRegionSize=16m', 'MaxDirectMemorySize=1g', 'SurvivorRatio=8'],
  ].map((setting) => `-XX:${setting}`)
  const others = [
    ...['-XX:-UseBiasedLocking', '-XX:-UseZGC', '-XX:-UseLargePages', '-Xlog:gc', '-d64'],
    ...['-Djava.ext.dirs=/nowhere', '-Xverify:none', '-XX:+UseG1GC -XX:+UseSerialGC', '-Xms2g'],
    '-XX:+UnlockExperimentalVMOptions -XX:G1NewSizePercent=10',
    '-XX:+IgnoreUnrecognizedVMOptions -XX:+PrintGCDateStamps',
  ]
  it.skipIf(none).each([...flags, ...settings, ...others])(
    `agree with every real java here about %s${without}`,
    (text) => {
      const words = ['-Xmx256m', ...text.split(' ')]
      const told = javas.map(({ version }) => {
        const troubles = troublesOf(jvmFlagsOf(words), version)
        if (troubles.some((trouble) => trouble.fatal)) return [version, 'refuses']
        return [version, troubles.length > 0 && !text.includes('Ignore') ? 'warns' : 'starts']
      })
      const done = javas.map(({ version, program }) => {
        const { status, stderr, stdout } = spawnSync(program, [...words, '-version'], {
          encoding: 'utf8',
        })
        const warns = /warning|deprecat/i.test(stdout + stderr)
        return [version, status !== 0 ? 'refuses' : warns ? 'warns' : 'starts']
      })
      expect(told).toEqual(done)
    },
    60_000,
  )
})

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { adviseJvm, type JvmQuestion } from '../../../src/host/tuning/jvm.ts'
import { troublesOf } from '../../../src/host/tuning/jvm-flags.ts'
import { judge } from '../../../src/host/tuning/report.ts'
import { selected } from '../../../src/host/tuning/registry.ts'
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

const java = spawnSync('java', ['-version'], { encoding: 'utf8' })
const found = /version "(?:1\.)?(\d+)/.exec(java.error === undefined ? java.stderr : '')?.[1]
const jdk = found === undefined ? null : Number(found)
const without = jdk === null ? ' (skipped: there is no java here)' : ''

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

  it('refuse too little memory, and a collector that the version lacks', () => {
    expect(() => adviseJvm(question({ memoryBytes: 100_000_000 }))).toThrow(/too little/)
    expect(() => adviseJvm(question({ gc: 'zgc', jdk: 11 }))).toThrow(/ZGC/)
  })

  it.skipIf(jdk === null).each(['g1', 'zgc'] as const)(
    `start a real java with %s${without}`,
    (gc) => {
      const logDirectory = mkdtempSync(path.join(os.tmpdir(), 'mqctl-jvm-'))
      try {
        const version = jdk ?? 17
        if (gc === 'zgc' && version < 15) return
        const { flags } = adviseJvm(question({ memoryBytes: GIB, jdk: version, gc, logDirectory }))
        const run = spawnSync('java', [...flags.map(({ flag }) => flag), '-version'], {
          encoding: 'utf8',
        })
        expect([run.status, run.stderr]).toEqual([0, expect.not.stringMatching(/warning|error/i)])
      } finally {
        rmSync(logDirectory, { recursive: true, force: true })
      }
    },
  )

  // What the table says of a version is what that version does.
  const old = [
    '-XX:+PrintGCDateStamps',
    '-XX:+UseGCLogFileRotation',
    '-XX:NumberOfGCLogFiles=5',
    '-XX:+UseConcMarkSweepGC',
    '-XX:+UseParNewGC',
    '-XX:MaxPermSize=64m',
    '-XX:+AggressiveOpts',
    '-XX:-UseBiasedLocking',
    '-XX:+PrintGCDetails',
    '-XX:+ZGenerational',
    '-XX:+UseG1GC -XX:+UseSerialGC',
  ]
  it.skipIf(jdk === null).each(old)(`agree with a real java about %s${without}`, (text) => {
    const flags = text.split(' ')
    const fatal = troublesOf(flags, jdk ?? 17).some((trouble) => trouble.fatal)
    const run = spawnSync('java', [...flags, '-version'], { stdio: 'ignore' })
    expect(run.status !== 0).toBe(fatal)
  })
})

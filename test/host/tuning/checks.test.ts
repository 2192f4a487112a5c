import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { checksMarkdown } from '../../../src/host/tuning/explain-text.ts'
import { explainedIds, explanationOf } from '../../../src/host/tuning/explanations.ts'
import { registry } from '../../../src/host/tuning/registry.ts'
import { judge } from '../../../src/host/tuning/report.ts'
import { cases, type Case } from './cases.ts'
import { factsOf, nowMs, resultIn } from './judging.ts'

/** Section 5 of the plan of the checks, and what the issue adds; an id is never renamed. */
const promised = `platform.linux platform.kernel platform.container mem.heap-fit mem.broker-swapped
vm.swappiness vm.overcommit vm.max-map-count vm.dirty-background vm.dirty-limit vm.writeback-interval
vm.min-free vm.zone-reclaim vm.thp limit.nofile limit.nofile-huge limit.nproc limit.memlock fs.nr-open
disk.data-dir disk.free disk.inodes disk.fs-type disk.mount-opts disk.shared disk.scheduler
disk.read-ahead disk.fsync net.somaxconn net.syn-backlog net.port-range net.tw-reuse net.buffers
net.drops nic.speed nic.irq cpu.governor cpu.steal cpu.quota time.clocksource time.sync jvm.version
jvm.flags jvm.heap-equal jvm.young-fixed jvm.gc jvm.gc-log jvm.oom-exit jvm.g1-ihop jvm.g1-reserve
jvm.g1-region jvm.soft-ref jvm.pre-touch jvm.direct-memory node.version node.threadpool node.heap
broker.send-threads broker.pull-threads broker.flush-mode broker.retention broker.keys broker.address
persist.drift persist.duplicates persist.manager`.split(/\s+/)

async function judged(id: string, { host, options, facts, profile = 'jvm-broker' }: Case) {
  const read = await factsOf(host, options)
  const changed = facts?.(read) ?? read
  const report = judge(changed, { profile, version: '0.0.0', nowMs, only: new Set([id]) })
  return resultIn(report, id)
}

describe('the registry', () => {
  it('has every promised id, in order', () => {
    expect(registry.map(({ id }) => id)).toEqual(promised)
  })

  it('has a passing, a failing and an absent host for each check', () => {
    expect(Object.keys(cases).sort()).toEqual([...promised].sort())
  })

  it('explains each check, and nothing else', () => {
    expect([...explainedIds].sort()).toEqual([...promised].sort())
  })

  it.each(promised)('%s: the explanation has all its parts', (id) => {
    const { refs, ...texts } = explanationOf(id)
    expect(Object.values(texts).filter((text) => text.trim().length < 5)).toEqual([])
    expect(refs.every((ref) => ref.startsWith('https://'))).toBe(true)
  })
})

describe.each(Object.entries(cases))('%s', (id, { pass, fail, absent }) => {
  it('passes where all is well', async () => {
    const { status, actual, text } = await judged(id, pass())
    expect({ status, actual, text }).toMatchObject({ status: 'pass' })
  })

  it('fails where it should, with a fix', async () => {
    const result = await judged(id, fail())
    const { status, text } = result
    expect({ status, text }).toMatchObject({ status: 'fail' })
    expect(result.remediation?.summary).toMatch(/\S/)
  })

  it('skips with a reason where there is nothing to look at', async () => {
    const { status, reason, text } = await judged(id, absent())
    expect({ status, reason, text }).toMatchObject({
      status: 'skip',
      reason: expect.stringMatching(
        /^(absent|not-applicable|needs-root|unknown|needs-probe|not-namespaced)$/,
      ),
      text: expect.stringMatching(/\S/),
    })
  })
})

describe('docs/tune-os.md', () => {
  it('has the table that explain makes', () => {
    const file = path.join(import.meta.dirname, '..', '..', '..', 'docs', 'tune-os.md')
    const cells = (text: string) =>
      text
        .split('\n')
        .filter((line) => line.startsWith('| `'))
        .map((line) => line.split('|').map((cell) => cell.trim()))
    expect(cells(readFileSync(file, 'utf8'))).toEqual(cells(checksMarkdown()))
  })
})

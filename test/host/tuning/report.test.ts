import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { MqError } from '../../../src/base/errors.ts'
import { profiles } from '../../../src/host/tuning/check.ts'
import type { HostFacts } from '../../../src/host/tuning/facts.ts'
import { parseFacts } from '../../../src/host/tuning/facts-file.ts'
import { selected } from '../../../src/host/tuning/registry.ts'
import { judge, type Report } from '../../../src/host/tuning/report.ts'
import { junitText, reportText } from '../../../src/host/tuning/report-text.ts'
import { parseWaivers } from '../../../src/host/tuning/waivers.ts'
import { factsOf, nowMs, reportOf, resultIn } from './judging.ts'
import { MemoryHost } from './memory-files.ts'

const bare = () => MemoryHost.fixture('bare-metal-nvme')
const plain = (text: string) => text
const paints = { bold: plain, dim: plain, red: plain, yellow: plain, green: plain, cyan: plain }

async function thrown(work: () => unknown): Promise<MqError> {
  try {
    await work()
  } catch (error) {
    if (error instanceof MqError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('captured hosts', () => {
  it.each([
    ['bare-metal-nvme', 'jvm-broker', { pid: 710 }],
    ['kvm-virtio', 'node-broker', { pid: 1200, dataDir: '/home/mq/data' }],
    ['container-cgroup-v1', 'jvm-broker', { pid: 1 }],
    ['container-cgroup-v2', 'node-broker', { pid: 7, dataDir: '/data' }],
    ['arm', 'loadgen', {}],
    ['old-kernel', 'jvm-broker', { pid: 2000, dataDir: '/data/rocketmq' }],
  ] as const)(
    '%s as %s gives a verdict on every check and no error',
    async (name, profile, options) => {
      const report = await reportOf(MemoryHost.fixture(name), profile, options)
      const failed = report.results.filter(({ status }) => status === 'fail').map(({ id }) => id)
      expect({
        errors: report.summary.error,
        failed,
        exitCode: report.summary.exitCode,
      }).toMatchSnapshot()
    },
  )

  describe('facts of a real virtual machine with a real Apache broker, by tune-os collect', () => {
    const file = path.join(
      import.meta.dirname,
      '..',
      'fixtures',
      'virtual-machine-apache.facts.json',
    )

    it.each(profiles)('give a verdict on every check of %s and no error', async (profile) => {
      const facts = await parseFacts(readFileSync(file, 'utf8'), file)
      const report = judge(facts, { profile, version: '0.0.0', nowMs })
      const failed = report.results.filter(({ status }) => status === 'fail').map(({ id }) => id)
      expect({ errors: report.summary.error, failed }).toMatchSnapshot()
    })

    it('show its group’s limits, its broker.conf from a relative path, and its JDK', async () => {
      const facts = await parseFacts(readFileSync(file, 'utf8'), file)
      expect([facts.group.memoryMaxBytes, facts.group.cpuCores, facts.group.pidsMax]).toEqual([
        2_147_483_648, 1.5, 3_000,
      ])
      expect([facts.broker?.source, facts.target.jvm?.version]).toEqual([
        '/srv/mq/broker.conf',
        '17.0.15',
      ])
    })
  })

  it('asks nothing about spelling of what a broker tells: it tells every key that it knows', async () => {
    const told = {
      text: 'aclEnable=false\nflushDiskType=ASYNC_FLUSH',
      source: 'broker 10.0.0.1:10911',
    }
    const report = await reportOf(bare(), 'jvm-broker', { brokerConf: told })
    expect(resultIn(report, 'broker.keys')).toMatchObject({
      status: 'skip',
      reason: 'not-applicable',
    })
  })

  it('finds the broker.conf that a broker was given by a relative path', async () => {
    const host = bare()
      .set('/proc/710/cmdline', 'java\0org.apache.rocketmq.broker.BrokerStartup\0-c\0b.conf\0')
      .symlink('/proc/710/cwd', '/srv/mq')
      .set('/srv/mq/b.conf', 'flushDiskType=SYNC_FLUSH\n')
    expect((await factsOf(host, { pid: 710 })).broker?.source).toBe('/srv/mq/b.conf')
  })

  it('says needs-root where the broker.conf of a process, or its owner, is hidden from this user', async () => {
    const started = (file: string) =>
      `java\0org.apache.rocketmq.broker.BrokerStartup\0-c\0${file}\0`
    // Of another user's process the working directory cannot be seen.
    const relative = await reportOf(
      bare().set('/proc/710/cmdline', started('b.conf')),
      ...(['jvm-broker', { pid: 710 }] as const),
    )
    const denied = await reportOf(
      bare().set('/proc/710/cmdline', started('/b.conf')).set('/b.conf', '').deny('/b.conf'),
      ...(['jvm-broker', { pid: 710 }] as const),
    )
    expect(resultIn(denied, 'broker.keys').reason).toBe('needs-root')
    for (const id of ['broker.keys', 'broker.flush-mode', 'disk.free', 'limit.memlock']) {
      expect([id, resultIn(relative, id).reason]).toEqual([id, 'needs-root'])
    }
  })

  it('finds the broker of a unit below its start script, and the process of a port', async () => {
    const byUnit = await factsOf(bare(), { unit: 'rocketmq-broker.service' })
    const byPort = await factsOf(bare(), { port: 10_911 })
    expect([byUnit.target.pid, byPort.target.pid]).toEqual([710, 710])
  })

  it('names the lines of limits.conf that a shell will get at its next login', async () => {
    const file = '/etc/security/limits.d/mq.conf'
    const host = bare().set(file, '# mq\nmq hard nofile 655350\n')
    expect(resultIn(await reportOf(host), 'limit.nofile').evidence).toContainEqual({
      source: `${file}:2`,
      value: 'mq hard nofile 655350 (from the next login on, not for units)',
    })
  })

  it('takes the limits of a stopped unit from its files: configured, not observed', async () => {
    const host = bare().without('/sys/fs/cgroup/system.slice')
    const report = await reportOf(host, 'jvm-broker', { unit: 'rocketmq-broker.service' })
    expect(resultIn(report, 'limit.nofile')).toMatchObject({
      status: 'pass',
      evidence: [
        {
          source: '/etc/systemd/system/rocketmq-broker.service.d/10-limits.conf:2',
          value: 'LimitNOFILE=655350',
        },
      ],
    })
  })

  it('reads limits of a container’s group and not of the host', async () => {
    const v1 = await factsOf(MemoryHost.fixture('container-cgroup-v1'), { pid: 1 })
    const v2 = await factsOf(MemoryHost.fixture('container-cgroup-v2'), { pid: 7 })
    expect([
      v1.container.kind,
      v1.group.version,
      v1.group.memoryMaxBytes,
      v1.group.cpuCores,
    ]).toEqual(['docker', 1, 4_294_967_296, 2])
    expect([
      v2.container.kind,
      v2.group.version,
      v2.group.memoryMaxBytes,
      v2.group.cpuCores,
    ]).toEqual(['k8s', 2, 8_589_934_592, null])
  })

  it('leaves values of the host to the host inside a container, save what stops a broker', async () => {
    const host = MemoryHost.fixture('container-cgroup-v1').set(
      '/proc/sys/vm/max_map_count',
      '65530\n',
    )
    const report = await reportOf(host, 'jvm-broker', { pid: 1 })
    expect(resultIn(report, 'vm.dirty-background')).toMatchObject({
      status: 'skip',
      reason: 'not-namespaced',
    })
    expect(resultIn(report, 'vm.max-map-count')).toMatchObject({
      status: 'fail',
      severity: 'critical',
    })
  })

  it('keeps no secret of command line, environment or broker.conf', async () => {
    const facts = JSON.stringify(await factsOf(bare(), { pid: 710 }))
    expect(facts).not.toMatch(/planted/)
    expect(facts).toContain('-Xmx8g')
  })

  it('looks below LVM at every disk', async () => {
    const { disk } = await factsOf(bare(), { dataDir: '/data/rocketmq' })
    expect(disk.legs.map(({ name, scheduler }) => [name, scheduler])).toEqual([
      ['nvme0n1', 'none'],
      ['nvme1n1', 'none'],
    ])
  })
})

describe('what survives a reboot', () => {
  it('finds a wrong value that was set by hand, and what the next boot makes of it', async () => {
    const report = await reportOf(bare().set('/proc/sys/vm/swappiness', '80\n'))
    expect(resultIn(report, 'vm.swappiness')).toMatchObject({
      status: 'fail',
      actual: { value: 80 },
      persisted: { value: '1', file: '/etc/sysctl.d/50-broker.conf', line: 2, same: false },
    })
    expect(resultIn(report, 'persist.drift').text).toContain(
      'vm.swappiness = 80 now, vm.swappiness = 1 at boot by /etc/sysctl.d/50-broker.conf:2',
    )
  })

  it('finds a right value that nothing sets at boot', async () => {
    const report = await reportOf(bare().without('/etc/sysctl.d/50-broker.conf'))
    expect(resultIn(report, 'vm.swappiness').status).toBe('pass')
    expect(resultIn(report, 'persist.drift').text).toContain(
      'vm.swappiness = 1 would be lost: nothing sets it at boot (kernel default 60)',
    )
  })

  it('names the line that wins and the one that it overrides', async () => {
    const host = bare().set('/usr/lib/sysctl.d/99-vendor.conf', '\nvm.swappiness = 60\n')
    const report = await reportOf(host)
    expect(resultIn(report, 'vm.swappiness').persisted).toMatchObject({
      value: '60',
      file: '/usr/lib/sysctl.d/99-vendor.conf',
      line: 2,
      shadowed: [
        {
          file: '/etc/sysctl.d/50-broker.conf',
          line: 2,
          value: '1',
          why: 'overridden by /usr/lib/sysctl.d/99-vendor.conf',
        },
      ],
    })
    expect(resultIn(report, 'persist.duplicates').text).toContain(
      'vm.swappiness: /etc/sysctl.d/50-broker.conf:2 overridden by /usr/lib/sysctl.d/99-vendor.conf:2',
    )
  })

  it('lets a file in /etc mask one of the same name, and a link to /dev/null silence it', async () => {
    const masked = bare()
      .set('/usr/lib/sysctl.d/60-x.conf', 'vm.swappiness = 60\n')
      .set('/etc/sysctl.d/60-x.conf', '# nothing\n')
    const silenced = bare()
      .set('/usr/lib/sysctl.d/60-x.conf', 'vm.swappiness = 60\n')
      .symlink('/etc/sysctl.d/60-x.conf', '/dev/null')
    for (const host of [masked, silenced]) {
      const { persisted } = resultIn(await reportOf(host), 'vm.swappiness')
      expect(persisted).toMatchObject({ value: '1', file: '/etc/sysctl.d/50-broker.conf' })
    }
  })

  it('knows that systemd does not read sysctl.conf unless it is linked', async () => {
    const host = bare().set('/etc/sysctl.conf', 'vm.swappiness = 60\n')
    expect(resultIn(await reportOf(host), 'vm.swappiness').persisted).toMatchObject({ value: '1' })
    host.symlink('/etc/sysctl.d/99-sysctl.conf', '../sysctl.conf')
    expect(resultIn(await reportOf(host), 'vm.swappiness').persisted).toMatchObject({
      value: '60',
      file: '/etc/sysctl.d/99-sysctl.conf',
    })
  })

  it('says which manager sets the same values', async () => {
    const report = await reportOf(MemoryHost.fixture('old-kernel'))
    expect(resultIn(report, 'persist.manager').text).toMatch(
      /^tuned sets .*vm\.dirty_ratio, vm\.swappiness/,
    )
  })
})

describe('values that cannot be judged', () => {
  it('calls a value that is no number an error, and goes on', async () => {
    const report = await reportOf(bare().set('/proc/sys/vm/swappiness', 'lots\n'))
    expect(resultIn(report, 'vm.swappiness')).toMatchObject({
      status: 'error',
      reason: 'malformed',
      text: '/proc/sys/vm/swappiness says "lots", which is not a number',
    })
    expect(report.summary).toMatchObject({ error: 1, exitCode: 0 })
  })

  it('ends with 3 on errors and missing rights when strict', async () => {
    const facts = await factsOf(bare().set('/proc/sys/vm/swappiness', 'lots\n'))
    const denied = await factsOf(bare().deny('/proc/sys/vm/swappiness'))
    const codes = [facts, denied].map(
      (one) =>
        judge(one, { profile: 'jvm-broker', version: '0', nowMs, strict: true }).summary.exitCode,
    )
    expect(codes).toEqual([3, 3])
  })

  it('skips what this user may not read, and what vanished', async () => {
    const host = bare().deny('/proc/sys/vm/swappiness')
    host.gone.add('/proc/sys/vm/overcommit_memory')
    const report = await reportOf(host)
    expect(resultIn(report, 'vm.swappiness').reason).toBe('needs-root')
    expect(resultIn(report, 'vm.overcommit').reason).toBe('gone')
  })

  it('cannot judge a process that is not there, a port that nobody serves, another system', async () => {
    const mac = bare()
    mac.identity = { ...mac.identity, platform: 'darwin' }
    const errors = [
      await thrown(() => factsOf(bare(), { pid: 4_242 })),
      await thrown(() => factsOf(bare(), { port: 4_242 })),
      await thrown(() => factsOf(mac)),
    ]
    expect(errors.map(({ code, exitCode }) => [code, exitCode])).toEqual([
      ['TARGET_GONE', 3],
      ['TARGET_GONE', 3],
      ['NOT_LINUX', 3],
    ])
  })
})

describe('a start of mqctl', () => {
  const severityAt = async (limit: string) => {
    const host = bare()
    const text = host.read(`/proc/${host.identity.parentPid}/limits`).text ?? ''
    const line = `${'Max open files'.padEnd(26)}${limit.padEnd(21)}${limit.padEnd(21)}files`
    host.set(`/proc/${host.identity.parentPid}/limits`, text.replace(/^Max open files.*$/m, line))
    const { status, severity } = resultIn(await reportOf(host, 'dev'), 'limit.nofile')
    return [status, severity]
  }

  it('is warned of a limit of open files with which no broker starts', async () => {
    expect(await severityAt('64')).toEqual(['fail', 'critical'])
    expect(await severityAt('512')).toEqual(['fail', 'info'])
  })
})

describe('the exit code', () => {
  const codeOf = (report: Report) => report.summary.exitCode

  it.each([
    ['critical', 0],
    ['warning', 1],
    ['info', 1],
    ['never', 0],
  ] as const)('with --fail-on %s a warning ends with %i', async (failOn, exitCode) => {
    const facts = await factsOf(bare().set('/proc/sys/vm/swappiness', '60\n'))
    expect(codeOf(judge(facts, { profile: 'jvm-broker', version: '0', nowMs, failOn }))).toBe(
      exitCode,
    )
  })

  it('weighs by profile: on a development machine only what stops a broker', async () => {
    const facts = await factsOf(bare().set('/proc/sys/vm/max_map_count', '65530\n'))
    const severities = (['jvm-broker', 'dev'] as const).map(
      (profile) =>
        resultIn(judge(facts, { profile, version: '0', nowMs }), 'vm.max-map-count').severity,
    )
    expect(severities).toEqual(['critical', 'info'])
  })
})

describe('waivers', () => {
  const file = (expires: string) =>
    `waivers:\n  - id: vm.max-map-count\n    justification: few topics\n    expires: ${expires}\n`
  const judgedWith = async (text: string) => {
    const facts = await factsOf(bare().set('/proc/sys/vm/max_map_count', '65530\n'))
    const waivers = { file: 'w.yaml', list: await parseWaivers(text, 'w.yaml') }
    return judge(facts, { profile: 'jvm-broker', version: '0', nowMs, waivers })
  }

  it('take a failure out of the verdict and leave it in the report', async () => {
    const report = await judgedWith(file('2026-06-01'))
    expect(resultIn(report, 'vm.max-map-count')).toMatchObject({
      status: 'fail',
      waiver: { justification: 'few topics', expired: false },
    })
    expect(report.summary).toMatchObject({ waived: 1, exitCode: 0 })
  })

  it('end with their last day, and the report says so', async () => {
    const report = await judgedWith(file('2026-05-31'))
    expect(report.summary).toMatchObject({ waived: 0, exitCode: 1 })
    expect(reportText(report, paints, false)).toContain('waiver expired 2026-05-31: few topics')
  })

  it.each([
    [
      'an unknown id',
      'waivers:\n  - id: vm.swapiness\n    justification: x\n    expires: 2027-01-01\n',
      /w\.yaml:2.*vm\.swapiness/,
      /did you mean vm\.swappiness/,
    ],
    [
      'no reason',
      'waivers:\n  - id: vm.swappiness\n    expires: 2027-01-01\n',
      /w\.yaml:2.*no justification/,
      /./,
    ],
    ['no end', 'waivers:\n  - id: vm.swappiness\n    justification: x\n', /needs expires/, /./],
    [
      'a day that does not exist',
      'waivers:\n  - {id: vm.swappiness, justification: x, expires: 2027-02-30}\n',
      /needs expires/,
      /./,
    ],
    [
      'an unknown key',
      'waivers:\n  - {id: vm.swappiness, reason: x}\n',
      /unknown key "reason"/,
      /./,
    ],
    ['no list', 'nothing: here\n', /no list/, /./],
    ['broken YAML', 'waivers: [\n', /w\.yaml:/, /./],
  ])('with %s are refused with the line', async (_, text, message, hint) => {
    const error = await thrown(() => parseWaivers(text, 'w.yaml'))
    expect(error.exitCode).toBe(2)
    expect(error.message).toMatch(message)
    expect(error.hint).toMatch(hint)
  })
})

describe('ids', () => {
  it.each([
    ['vm.swapiness', 'vm.swappiness'],
    ['max_map_count', 'vm.max-map-count'],
    ['swappines', 'vm.swappiness'],
    ['vm.maxmapcount', 'vm.max-map-count'],
  ])('%s is unknown, and %s is suggested', async (wrong, right) => {
    const error = await thrown(() => selected([wrong], '--only'))
    expect([error.exitCode, error.hint]).toEqual([
      2,
      expect.stringContaining(`did you mean ${right}?`),
    ])
  })

  it('come as families too', () => {
    expect([...selected(['vm', 'net.*'], '--only')]).toContain('net.somaxconn')
  })
})

describe('facts as a file', () => {
  it('give the same report elsewhere', async () => {
    const facts = await factsOf(bare(), { pid: 710 })
    const read = await parseFacts(JSON.stringify(facts), 'facts.json')
    const options = { profile: 'jvm-broker', version: '0', nowMs } as const
    expect(judge(read, options)).toEqual(judge(facts, options))
  })

  it.each([
    [
      'a newer version',
      (facts: HostFacts) => JSON.stringify({ ...facts, version: 99 }),
      /version 99, written by mqctl/,
    ],
    ['another schema', () => '{"schema":"x"}', /schema is "x"/],
    ['no JSON', () => 'hello', /not JSON/],
    [
      'a part missing',
      (facts: HostFacts) => JSON.stringify({ ...facts, memory: undefined }),
      /memory: Invalid input: expected object/,
    ],
    [
      'a value of the wrong kind',
      (facts: HostFacts) => JSON.stringify({ ...facts, sysctl: { 'vm.x': { text: 5 } } }),
      /sysctl\.vm\.x\.source: Invalid input/,
    ],
  ])('with %s are refused', async (_, make, message) => {
    const facts = await factsOf(bare())
    const error = await thrown(() => parseFacts(make(facts), 'facts.json'))
    expect([error.exitCode, error.message]).toEqual([2, expect.stringMatching(message)])
  })
})

describe('JUnit', () => {
  it('counts what the policy counts, and escapes what it shows', async () => {
    const facts = await factsOf(
      bare().set('/proc/sys/vm/max_map_count', '1\n').set('/proc/sys/vm/swappiness', '<"&>\n'),
    )
    const text = junitText(judge(facts, { profile: 'jvm-broker', version: '0', nowMs }))
    expect(text).toMatch(/<testsuites [^>]*failures="1" errors="1"/)
    expect(text).toContain('<failure type="critical" message="1 → ≥ 262144, under 60 % in use">')
    expect(text).not.toMatch(/<"&>/)
    expect(text).toContain('&lt;\\&quot;&amp;&gt;')
  })
})

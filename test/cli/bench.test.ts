import { existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { resultSchema } from '../../src/bench/result.ts'
import { Proxy, type ProxyFaults } from '../bench/a-proxy.ts'
import { aResult } from '../bench/a-result.ts'
import { Home } from './mqctl.ts'

let home: Home

beforeAll(async () => {
  home = await Home.make()
})
afterAll(() => home.remove())

const short = ['--no-ceiling', '--warmup', '300ms', '--set', 'validity.minSamples=1']

describe('mqctl bench', () => {
  it('alone runs the pressure test on a broker of its own, and every message adds up', async () => {
    const { exitCode, document, stderr } = await home.json([
      'bench',
      '--duration',
      '1s',
      '--warmup',
      '300ms',
    ])
    expect([exitCode, document.verdict, stderr]).toEqual([
      0,
      'ok',
      expect.not.stringMatching(/error/i),
    ])
    const result = resultSchema.parse(document)
    expect(result.scenario.name).toBe('pressure-80x500')
    expect(result.client.senders).toContain('2 producer processes × 80 concurrent')
    const { conservation, lost, violations } = result.integrity
    expect([lost, violations]).toEqual([0, []])
    expect(conservation.sent).toBe(conservation.acked + conservation.failed + conservation.pending)
    expect(conservation.stored).toBe(conservation.acked)
    expect(result.wholeRun.received).toBe(conservation.acked)
    expect(result.latency.service?.count).toBe(result.totals.acked)
    expect(result.latency.service?.label).toContain('service time only')
    expect(result.client.ceiling?.perSecond).toBeGreaterThan(0)
    expect(result.processes.map((process) => process.name).sort()).toEqual([
      'broker-a',
      'consumer-1',
      'consumer-2',
      'mqctl',
      'namesrv-1',
      'producer-1',
      'producer-2',
    ])
    const broker = result.processes.find((process) => process.role === 'broker')
    expect(broker?.gc?.count).toBeGreaterThanOrEqual(0)
    expect(home.benchDirectories()).toEqual([])
  })

  it('prints one page for people and writes the files it was asked for', async () => {
    const out = path.join(home.directory, 'out')
    const args = ['bench', 'smoke', '--duration', '500ms', '--out', out, ...short]
    const { exitCode, stdout, stderr } = await home.run(args)
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^OK · smoke · run [0-9a-f]{8} · exit 0\n/)
    expect(stdout).toContain('broker-a')
    expect(stderr).toContain('measure (0.5 s)')
    const saved = resultSchema.parse(
      JSON.parse(readFileSync(path.join(out, 'result.json'), 'utf8')),
    )
    expect(saved.artifacts.map(({ path: file }) => existsSync(file))).toEqual([
      true,
      true,
      true,
      true,
      true,
      true,
      true,
      true,
    ])
    expect(stdout.trim()).toBe(readFileSync(path.join(out, 'report.txt'), 'utf8').trim())
  })

  it('keeps every run, and shows it again in any form', async () => {
    const args = ['bench', 'smoke', '--duration', '500ms', ...short]
    const { document } = await home.json(args)
    const runs = await home.json(['bench', 'runs'])
    expect(runs.document.runs[0]).toMatchObject({ runId: document.runId, verdict: 'ok' })
    const again = await home.json(['bench', 'report', document.runId])
    expect(again.document).toEqual(document)
    const page = await home.run(['bench', 'report', '--format', 'html'])
    expect([page.exitCode, page.stdout.slice(0, 15)]).toEqual([0, '<!doctype html>'])
    const file = path.join(home.directory, 'seconds.csv')
    await home.run(['bench', 'report', 'latest', '--format', 'csv', '--file', file])
    expect(readFileSync(file, 'utf8')).toMatch(/^second,phase,/)
    const compared = await home.json(['bench', 'compare', document.runId, 'latest'])
    expect([compared.exitCode, compared.document.verdict]).toEqual([14, 'inconclusive'])
    const unknown = await home.json(['bench', 'report', 'ffffffffff'])
    expect([unknown.exitCode, unknown.document.error.code]).toEqual([2, 'CONFIG_INVALID'])
  })

  it('tests any brokers by their name server, and leaves no topic and no group behind', async () => {
    // It makes no group by itself either: the bench has to.
    const strict = ['--set', 'autoCreateGroup=false']
    await home.run(['start', 'other', '--detach', '--any-port', ...strict])
    const status = await home.json(['status', 'other'])
    const namesrv = status.document.namesrv[0]
    const { exitCode, document } = await home.json([
      'bench',
      'smoke',
      '--namesrv',
      namesrv,
      '--duration',
      '500ms',
      ...short,
    ])
    expect([exitCode, document.verdict]).toEqual([0, 'ok'])
    const { integrity, wholeRun } = resultSchema.parse(document)
    expect([integrity.lost, wholeRun.received]).toEqual([0, wholeRun.acked])
    expect(document.environment.brokers[0]).toMatchObject({ name: 'broker-a', isLocal: true })
    const topics = await home.json(['topic', 'list', '--namesrv', namesrv])
    const names: string[] = topics.document.topics.map((topic: { name: string }) => topic.name)
    const groups = await home.json(['group', 'list', '--namesrv', namesrv])
    names.push(...groups.document.groups.map((group: { name: string }) => group.name))
    expect(names.filter((name) => name.startsWith('mqctl_bench'))).toEqual([])
  })

  it('calls a run without enough samples invalid, exit 13', async () => {
    const args = ['bench', 'smoke', '--no-ceiling', '--duration', '200ms', '--warmup', '0']
    const set = ['--set', 'validity.minSamples=1000000000']
    const { exitCode, document } = await home.json([...args, ...set])
    expect([exitCode, document.verdict, document.valid]).toEqual([13, 'invalid', false])
  })

  it('sends an open load by its schedule, phase by phase, and says what each measured', async () => {
    const file = path.join(home.directory, 'phases.yaml')
    await writeFile(
      file,
      `version: 1
name: phases
producers: {instances: 2, threads: 50}
consumers: {instances: 1}
load:
  - {as: low, model: open, rate: 200/s, for: 1s}
  - {as: rise, model: open, shape: ramp, from: 200/s, to: 400/s, for: 1s}
  - {as: flat-out, model: closed, for: 1s}
repeat: 2
validity: {maxPacingError: 10s, maxLoopLag: 10s}
`,
    )
    const { exitCode, document } = await home.json(['bench', file, ...short])
    const result = resultSchema.parse(document)
    expect([exitCode, result.integrity.violations]).toEqual([0, []])
    const counted = result.phases.flatMap(({ name, repetition, figures }) =>
      figures === null ? [] : [{ name, repetition, figures }],
    )
    expect(counted.map(({ name, repetition }) => `${name} #${repetition}`)).toEqual([
      'low #1',
      'rise #1',
      'flat-out #1',
      'low #2',
      'rise #2',
      'flat-out #2',
    ])
    expect(counted.map(({ figures }) => figures.totals.scheduled)).toEqual([
      200, 300, 0, 200, 300, 0,
    ])
    for (const { figures } of counted) {
      const { totals, latency } = figures
      if (totals.scheduled > 0) expect(totals.sent + totals.unsent).toBe(totals.scheduled)
      expect(totals.sent).toBe(totals.acked + totals.failed + totals.pending)
      const responses = totals.scheduled === 0 ? 0 : totals.acked
      expect(latency.response?.count ?? 0).toBe(responses)
      expect(latency.service?.count ?? 0).toBe(totals.acked)
    }
    expect(result.totals.acked).toBe(
      counted.reduce((sum, { figures }) => sum + figures.totals.acked, 0),
    )
    expect(result.pacing.model).toBe('mixed')
  })

  describe('through a proxy between it and the broker', () => {
    let [namesrv, broker] = ['', '']
    const open: Proxy[] = []

    beforeAll(async () => {
      const { document } = await home.json(['start', '--detach', '--wait', '--any-port'])
      namesrv = document.namesrv[0]
      broker = document.brokers[0].address
    })
    afterAll(() => home.run(['stop']))
    afterEach(() => {
      for (const proxy of open.splice(0)) proxy.close()
    })

    /** A bench whose every connection to the broker goes through the proxy. */
    async function through(
      faults: ProxyFaults,
      { cutAt = 0, silentFrom = 0 } = {},
      more: readonly string[] = [],
    ) {
      const toBroker: Proxy = await Proxy.open(broker, {
        ...faults,
        onSend: (number) => {
          if (number === cutAt) toBroker.cut()
          if (number === silentFrom) toBroker.stall(600_000)
          return faults.onSend?.(number) ?? 'pass'
        },
      })
      const toNames = await Proxy.open(namesrv, {
        rewrite: (text) => text.replaceAll(broker, toBroker.address),
      })
      open.push(toBroker, toNames)
      const args = [
        'bench',
        'smoke',
        '--namesrv',
        toNames.address,
        '--duration',
        '1s',
        ...short,
        ...more,
      ]
      const { exitCode, document } = await home.json(args)
      return { exitCode, result: resultSchema.parse(document) }
    }

    it('finds what was swallowed or sent twice, exit 12', async () => {
      const faults = { 50: 'swallow', 60: 'twice' } as const
      const { exitCode, result } = await through({
        onSend: (number) => (number === 50 || number === 60 ? faults[number] : 'pass'),
      })
      const { integrity } = result
      expect([exitCode, result.verdict]).toEqual([12, 'integrity'])
      expect([integrity.lost, integrity.duplicated, integrity.corrupted]).toEqual([1, 1, 0])
      expect(integrity.lostRanges).toHaveLength(1)
    })

    it('counts an answer that comes twice once', async () => {
      const { result } = await through({ answersTwice: true })
      const { conservation, violations } = result.integrity
      expect([violations, conservation.balanced, conservation.stored]).toEqual([
        [],
        true,
        conservation.acked,
      ])
      expect(result.client.strayAnswers).toBeGreaterThan(0)
    })

    it('ends when its target takes everything and answers nothing any more, exit 3', async () => {
      const set = ['producers.timeout=300ms', 'drain.timeout=300ms'].flatMap((key) => [
        '--set',
        key,
      ])
      const { exitCode, result } = await through({}, { silentFrom: 50 }, set)
      expect([exitCode, result.verdict]).toEqual([3, 'unreachable'])
      expect(result.reasons.join('\n')).toContain('the target does not answer any more')
      expect(result.totals.errors['TIMEOUT']).toBeGreaterThan(0)
    })

    it('is invalid when its consumers may not read, and says why, exit 13', async () => {
      await home.run(['topic', 'create', 'blind', '--perm', 'w', '--queues', '2'])
      const set = ['topics.name=blind', 'drain.timeout=300ms'].flatMap((key) => ['--set', key])
      const args = ['bench', 'smoke', '--namesrv', namesrv, '--duration', '500ms', ...set, ...short]
      const { exitCode, document } = await home.json(args)
      const result = resultSchema.parse(document)
      expect([exitCode, result.verdict, result.wholeRun.received]).toEqual([13, 'invalid', 0])
      expect(result.reasons.join('\n')).toMatch(
        /received none of the \d+ messages in its queues; what failed: \d+ × NO_PERMISSION/,
      )
    })

    it('ends when its connections are cut, and says which and what has no outcome, exit 3', async () => {
      const { exitCode, result } = await through({}, { cutAt: 50 })
      expect([exitCode, result.verdict]).toEqual([3, 'unreachable'])
      expect(result.reasons.join('\n')).toMatch(/producer-1: the connection to .* is gone/)
      const { sent, acked, failed, balanced } = result.integrity.conservation
      expect([balanced, sent > 0, sent]).toEqual([true, true, acked + failed])
    })
  })

  it('builds a backlog while the consumers stand still, and times how it is read', async () => {
    const file = path.join(home.directory, 'backlog.yaml')
    await writeFile(
      file,
      `version: 1
name: backlog
producers: {instances: 1, threads: 20}
consumers: {instances: 1}
load:
  - {as: build, model: open, rate: 500/s, for: 2s, consumers: paused}
  - {as: drain, model: idle, until: drained, for: 30s}
validity: {maxPacingError: 10s, maxLoopLag: 10s}
thresholds:
  - 'integrity.lost == 0'
  - {expr: 'errors.count == 0', phase: build}
  - {expr: 'response.p99 < 1us', phase: build}
`,
    )
    const { exitCode, document } = await home.json(['bench', file, ...short])
    const result = resultSchema.parse(document)
    expect([exitCode, result.verdict]).toEqual([10, 'threshold'])
    expect(result.thresholds.map(({ pass }) => pass)).toEqual([true, true, false])
    expect(result.reasons).toHaveLength(1)
    const [build, drain] = result.phases.flatMap(({ figures, durationMs }) =>
      figures === null ? [] : [{ ...figures.totals, durationMs }],
    )
    expect(build?.scheduled).toBe(1000)
    expect(build?.received).toBeLessThan(500)
    expect(drain?.sent).toBe(0)
    // The last of them may be counted after the phase has ended.
    const acked = build?.acked ?? 0
    expect(drain?.received).toBeGreaterThan(acked * 0.4)
    expect(result.wholeRun.received).toBeGreaterThanOrEqual(acked)
    expect(drain?.durationMs).toBeLessThan(30_000)
    const drained = result.phases.find(({ name }) => name === 'drain')?.figures
    // What the build left unread, and perhaps a little of the warm-up.
    expect(drained?.drain).toMatchObject({ done: true, remaining: 0 })
    expect(drained?.drain?.backlog).toBeGreaterThan(acked * 0.4)
    expect(result.integrity.violations).toEqual([])
  })

  it('has consumers that work on every message, and shows how far they fall behind', async () => {
    const file = path.join(home.directory, 'slow.yaml')
    await writeFile(
      file,
      `version: 1
name: slow
topics: {queues: 2}
producers: {instances: 1, threads: 20}
consumers: {instances: 1, processingTime: 10ms}
load: [{as: m, model: open, rate: 400/s, for: 4s}]
drain: {timeout: 30s}
validity: {maxPacingError: 10s, maxLoopLag: 10s}
`,
    )
    const { exitCode, document } = await home.json(['bench', file, ...short])
    const { totals, lag, integrity } = resultSchema.parse(document)
    expect([exitCode, integrity.lost]).toEqual([0, 0])
    // Two queues at 10 ms a message are 200 a second; a batch may lie over either edge.
    expect(totals.received).toBeLessThanOrEqual(4 * 200 + 2 * 32)
    const [group] = lag.groups
    expect(group?.slopePerSecond).toBeGreaterThan(50)
    expect(group?.queues.map(({ stored }) => (stored ?? 0) > 0)).toEqual([true, true])
    expect(group?.maxSeconds).toBeGreaterThan(0.5)
  })

  it('searches for the rate that keeps a promise, and says which did not', async () => {
    const file = path.join(home.directory, 'search.yaml')
    await writeFile(
      file,
      `version: 1
name: search
producers: {instances: 1, threads: 20}
consumers: {instances: 1}
load:
  - {as: find, model: open, shape: search, from: 50/s, to: 100/s, sla: 'response.p90 < 30s', for: 2s}
validity: {maxPacingError: 10s, maxLoopLag: 10s, minSamples: 1}
`,
    )
    const { exitCode, document } = await home.json(['bench', file, ...short])
    const { search, phases, series } = resultSchema.parse(document)
    expect([exitCode, search?.sustainablePerSecond, search?.failedPerSecond]).toEqual([
      0,
      100,
      null,
    ])
    expect(search?.trials.map(({ phase, pass }) => [phase, pass])).toEqual([
      ['find 50/s', true],
      ['find 100/s', true],
      ['find confirmed 100/s', true],
    ])
    // A trial is judged by its own seconds, not by those in which the rate settled before it.
    const tried = phases.flatMap(({ figures }) => figures ?? [])
    const ofSeries = (index: number) =>
      series.filter(({ phase }) => phase === index).map(({ sent }) => sent)
    expect(tried.map(({ totals }) => totals.rates.sent?.maxPerSecond)).toEqual(
      tried.map(({ index }) => Math.max(...ofSeries(index))),
    )
  })

  it('runs every combination of a matrix: batches and one-way messages over topics, groups, keys and tags', async () => {
    const file = path.join(home.directory, 'matrix.yaml')
    await writeFile(
      file,
      `version: 1
name: modes
topics: {count: 3, queues: 2, weights: zipf, keys: {distribution: hot, cardinality: 50}}
producers: {instances: 2, threads: 4, batch: {size: 8, linger: 1ms}}
consumers: {instances: 2, groups: 2, failRate: 2%, retryAfter: 1ms}
message: {size: 100B, tags: [{tag: a, weight: 3}, {tag: null}], properties: {region: eu}}
matrix: {producers.mode: [batch, one-way]}
load: [{model: open, rate: 400/s, for: 1s}]
drain: {timeout: 20s}
validity: {maxPacingError: 10s, maxLoopLag: 10s, minSamples: 1}
`,
    )
    const { exitCode, document } = await home.json(['bench', file, ...short])
    expect([exitCode, document.kind, document.runs.length]).toEqual([0, 'matrix', 2])
    const results = await Promise.all(
      document.runs.map(async ({ runId }: { runId: string }) =>
        resultSchema.parse((await home.json(['bench', 'report', runId])).document),
      ),
    )
    for (const { integrity, environment, lag, wholeRun } of results) {
      const { sent, acked, failed, unanswered, pending, stored } = integrity.conservation
      expect(integrity.violations).toEqual([])
      expect(sent).toBe(acked + failed + unanswered + pending)
      expect(stored).toBe(sent)
      expect(environment.target).toMatchObject({ topics: 3, lanes: 6 })
      expect(lag.groups.map(({ queueCount }: { queueCount: number }) => queueCount)).toEqual([6, 6])
      expect(wholeRun.received).toBe(2 * sent)
    }
    const [batch, oneWay] = results
    expect(batch.integrity.groups.map(({ lost }: { lost: number | null }) => lost)).toEqual([0, 0])
    expect(batch.totals.consumerTroubles['PROCESSING_FAILED']).toBeGreaterThan(0)
    expect([oneWay.integrity.lost, oneWay.integrity.unreceived]).toEqual([null, 0])
    expect([oneWay.latency.service, oneWay.totals.acked]).toEqual([null, 0])
  })

  it('measures the ceiling of one-way messages as well, and keeps an open load below it', async () => {
    const set = [
      'producers.mode=one-way',
      'load=[{model: open, rate: 300/s, for: 1s}]',
      'validity={minSamples: 1, maxPacingError: 60s, maxLoopLag: 60s, maxSteal: 100%}',
    ].flatMap((key) => ['--set', key])
    const { exitCode, document } = await home.json(['bench', 'smoke', '--warmup', '300ms', ...set])
    const { client, totals, integrity, ...result } = resultSchema.parse(document)
    expect([exitCode, result.verdict, integrity.unreceived]).toEqual([0, 'ok', 0])
    expect([totals.unanswered, totals.acked, totals.scheduled]).toEqual([300, 0, 300])
    expect(client.ceiling?.perSecond).toBeGreaterThan(300)
  })

  it('runs against the null target alone', async () => {
    const set = ['--set', 'target.driver="null"', '--consumers', '0']
    const { exitCode, document } = await home.json([
      'bench',
      'smoke',
      '--duration',
      '500ms',
      ...set,
      ...short,
    ])
    expect([exitCode, document.integrity.why]).toEqual([0, 'nobody consumed'])
  })

  it('says that nobody answers, exit 3', async () => {
    const { exitCode, document } = await home.json(['bench', '--namesrv', '127.0.0.1:1'])
    expect([exitCode, document.error.code]).toEqual([3, 'NAMESRV_UNREACHABLE'])
  })

  it.each([
    [['bench', 'nosuch'], 'there is no scenario of that name'],
    [['bench', 'pressure'], 'did you mean pressure-80x500?'],
    [['bench', './nosuch.yaml'], 'cannot be read'],
    [['bench', '--threads', 'many'], '--threads many: producers.threads: expected a whole number'],
    [['bench', '--duration', '10'], '--duration 10: load.0.for: duration 10 has no unit'],
    [['bench', '--size', '8B'], 'needs at least 32 bytes'],
    [['bench', '--set', 'producers.treads=3'], 'did you mean threads?'],
  ])('%j is refused before anything starts, exit 2', async (args, text) => {
    const { exitCode, stdout, stderr } = await home.run(args)
    expect([exitCode, stdout]).toEqual([2, ''])
    expect(stderr).toContain(text)
  })

  it('names file, line and column of a mistake in a scenario file', async () => {
    const file = path.join(home.directory, 'my.yaml')
    await writeFile(file, 'version: 1\nname: mine\nmessage:\n  sise: 500B\n')
    const { exitCode, stderr } = await home.run(['bench', file])
    expect(exitCode).toBe(2)
    expect(stderr).toContain(`${file}:4:3: unknown key message.sise`)
    expect(stderr).toContain('did you mean size?')
  })

  it.each([
    ['speed=1gbit', '"speed" is not a key of a laboratory'],
    ['link=fast', '"fast" is not the speed of a link'],
    ['followers=1', '"followers=1" names no link'],
  ])('refuses the laboratory %j', async (lab, what) => {
    const { document, exitCode } = await home.json(['bench', 'smoke', '--lab', lab])
    expect([document.error.message, exitCode]).toEqual([`--lab: ${what}`, 2])
  })

  it('refuses a laboratory for brokers that run elsewhere', async () => {
    const args = ['bench', 'smoke', '--lab', 'link=1gbit', '--namesrv', '127.0.0.1:1']
    const { document, exitCode } = await home.json(args)
    expect(document.error.message).toContain('--lab starts a broker of its own')
    expect(exitCode).toBe(2)
  })

  it('says what is missing where no laboratory can be built', async () => {
    const args = ['bench', 'smoke', '--lab', 'link=1gbit']
    const { document, exitCode } = await home.json(args, { env: { PATH: '' } })
    expect([document.error.code, exitCode]).toEqual(['LAB_IMPOSSIBLE', 1])
    expect(document.error.message).toMatch(/needs root|ip and tc not found|Linux only/)
  })

  it('refuses a result directory that cannot be written before it runs', async () => {
    const file = path.join(home.directory, 'file')
    await writeFile(file, '')
    await mkdir(path.join(home.directory, 'x'), { recursive: true })
    const { exitCode, stderr } = await home.run(['bench', 'smoke', '--out', path.join(file, 'sub')])
    expect(exitCode).toBe(1)
    expect(stderr).toContain('cannot write to')
  })
})

describe('mqctl bench compare and report', () => {
  const own = aResult()
  const files = {
    'own.json': own,
    'newer.json': { ...own, schemaVersion: own.schemaVersion + 1 },
    'elsewhere.json': { ...own, hosts: own.hosts.map((host) => ({ ...host, name: 'another' })) },
  }

  beforeAll(async () => {
    for (const [name, content] of Object.entries(files)) {
      await writeFile(path.join(home.directory, name), JSON.stringify(content))
    }
  })

  it.each([
    [['report', './newer.json'], 'newer'],
    [['compare', './own.json', './newer.json'], 'newer'],
    [['compare', './elsewhere.json', './own.json'], 'the machine differs'],
  ])('%j is refused with the difference named, exit 2', async (args, text) => {
    const { exitCode, document } = await home.json(['bench', ...args])
    expect([exitCode, document.error.code]).toEqual([2, 'CONFIG_INVALID'])
    expect(document.error.message).toContain(text)
  })
})

describe('mqctl bench gate', () => {
  const few = ['--pairs', '8', '--same', '0', '--one-look', '--no-confirm', '--duration', '200ms']
  const loose = ['--warmup', '100ms', '--set', 'validity.minSamples=1']

  it('ends with the exit code of a run that failed', async () => {
    const nobody = ['bench', 'gate', 'self', '127.0.0.1:1', 'smoke', ...few, ...loose]
    const { exitCode, document } = await home.json(nobody)
    expect([exitCode, document.error.code]).toEqual([3, 'NAMESRV_UNREACHABLE'])
  })

  it.each([
    [['sefl', 'self'], 'did you mean self?'],
    [['./nosuch', 'self'], 'no such file'],
    [['self', 'producers.treads=3'], 'did you mean threads?'],
    [['self', 'self', '--pairs', '5'], 'it takes 8 to 100'],
    [['self', 'self', 'saturation-search'], 'saturation-search: a search tries rates'],
  ])('%j is refused before anything runs, exit 2', async (args, text) => {
    const { exitCode, stderr } = await home.run(['bench', 'gate', ...args])
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining(text)])
  })
})

describe('mqctl bench search without consumers', () => {
  const search = ['bench', 'search', '--consumers', '0', '--namesrv', '127.0.0.1:1']

  it('promises nothing of their lag by itself', async () => {
    const { exitCode, document } = await home.json(search)
    expect([exitCode, document.error.code]).toEqual([3, 'NAMESRV_UNREACHABLE'])
  })

  it('refuses a promise of their lag', async () => {
    const { exitCode, stderr } = await home.run([...search, '--sla', 'lag.max == 0'])
    expect([exitCode, stderr]).toEqual([
      2,
      expect.stringContaining('lag.max == 0 needs consumers, and there are none'),
    ])
  })
})

describe('mqctl bench list and show', () => {
  it('lists the scenarios that ship', async () => {
    const { document } = await home.json(['bench', 'list'])
    expect(document.scenarios.map((row: { name: string }) => row.name)).toEqual([
      'backlog-drain',
      'large-messages',
      'latency-5k',
      'many-connections',
      'many-topics',
      'peak',
      'pressure-80x500',
      'saturation-search',
      'smoke',
      'soak',
    ])
  })

  it('shows a scenario that is right as it stands', async () => {
    const { stdout } = await home.run(['bench', 'show', 'smoke'])
    const file = path.join(home.directory, 'copy.yaml')
    await writeFile(file, stdout)
    const { exitCode, document } = await home.json(['bench', 'show', file])
    expect([exitCode, document.name]).toEqual([0, 'smoke'])
    expect(document.resolved.message.size).toBe(500)
  })
})

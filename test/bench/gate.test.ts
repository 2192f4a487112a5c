import { describe, expect, it } from 'vitest'
import { type GateOptions, type GateSide, runGate, runQualifiedGate } from '../../src/bench/gate.ts'
import { gateTarget } from '../../src/bench/gate-target.ts'
import { xorshift } from '../../src/bench/payload.ts'
import type { BenchResult } from '../../src/bench/result.ts'
import { gateNotes, gateTable } from '../../src/report/gate.ts'
import { aResult } from './a-result.ts'

const random = xorshift(5)

/** A result at this rate, a little noise in it; latency and CPU follow the rate. */
function at(rate: number, changes: Partial<BenchResult> = {}): BenchResult {
  const { totals, latency, efficiency } = aResult()
  const noisy = rate * (1 + ((random() % 100) - 50) / 10_000)
  const acked = { ...totals.rates.acked, meanPerSecond: noisy }
  const service = latency.service === null ? null : { ...latency.service, p99Ms: 1e5 / noisy }
  return aResult({
    totals: { ...totals, rates: { ...totals.rates, acked } },
    latency: { ...latency, service },
    efficiency: { ...efficiency, brokerCpuUsPerMessage: 1e5 / noisy },
    ...changes,
  })
}

/** Sides that answer by a function of how often they were asked; the order of asking is kept. */
function sides(base: (run: number) => BenchResult, head: (run: number) => BenchResult) {
  const asked: string[] = []
  const seeds: number[] = []
  const side = (name: string, answer: (run: number) => BenchResult): GateSide => {
    let runs = 0
    return {
      name,
      run: async (seed) => {
        asked.push(name)
        seeds.push(seed)
        runs += 1
        return answer(runs)
      },
    }
  }
  return { asked, seeds, base: side('base', base), head: side('head', head) }
}

function gate(of: ReturnType<typeof sides>, changes: Partial<GateOptions> = {}) {
  return runGate({
    base: of.base,
    head: of.head,
    pairs: 8,
    oneLook: false,
    draws: 3,
    minEffect: 0.05,
    seed: 1,
    confirm: true,
    interrupted: new AbortController().signal,
    nowMs: () => 0,
    onRun: () => undefined,
    ...changes,
  })
}

describe('a gate', () => {
  it('says ok of equals after the first look, and runs both sides as often, the floor aside', async () => {
    const of = sides(
      () => at(1000),
      () => at(1000),
    )
    const result = await gate(of)
    expect([result.verdict, result.exitCode, result.looks.length]).toEqual(['ok', 0, 1])
    expect(of.asked.filter((name) => name === 'head')).toHaveLength(8)
    expect(of.asked.filter((name) => name === 'base')).toHaveLength(8 + 6)
    // The two runs of a pair have one seed, so they send the same bytes.
    for (let run = 0; run < of.seeds.length; run += 2) {
      expect(of.seeds[run]).toBe(of.seeds[run + 1])
    }
  })

  /** Its brokers could not write most of what came. */
  const full = () => {
    const { totals } = at(1000)
    const errors = { SERVICE_NOT_AVAILABLE: 700, SEND_TIMEOUT: 3 }
    return at(1000, { totals: { ...totals, sent: 1000, failed: 703, errors } })
  }

  it('compares nothing when brokers of both sides could not write, and says what may be behind it', async () => {
    const { verdict, exitCode, reasons } = await gate(sides(full, full))
    expect([verdict, exitCode]).toEqual(['stopped', 13])
    expect(reasons[0]).toMatch(/703 of 1000 messages failed.*SERVICE_NOT_AVAILABLE.*disk.*full/)
  })

  it('judges a head that alone cannot write: the disk is not full', async () => {
    const result = await gate(sides(() => at(1000), full))
    expect([result.verdict, result.exitCode]).toEqual(['regressed', 11])
    expect(result.reasons).toContain(
      'errors.rate <= 0.1%: broken by 8 of 8 runs of the head and 0 of the base',
    )
  })

  it('ends with 11 when a loss comes again in the confirming runs', async () => {
    const result = await gate(
      sides(
        () => at(1000),
        () => at(850),
      ),
    )
    expect([result.verdict, result.exitCode]).toEqual(['regressed', 11])
    expect(result.confirmation?.verdict).toBe('regressed')
    expect(result.reasons[0]).toMatch(/^rate\.acked -1[45]\.\d %/)
  })

  it('gives only what regressed as the reason, not what cannot be told', async () => {
    const latency = (result: BenchResult, p99Ms: number): BenchResult => {
      const { service } = result.latency
      if (service === null) throw new Error('no service time')
      return { ...result, latency: { ...result.latency, service: { ...service, p99Ms } } }
    }
    const result = await gate(
      sides(
        () => latency(at(1000), 3),
        (run) => latency(at(500), run % 2 === 0 ? 1 : 9),
      ),
    )
    expect(result.metrics.find(({ metric }) => metric === 'latency.p99')?.verdict).toBe(
      'inconclusive',
    )
    expect([result.verdict, result.reasons.length > 0]).toEqual(['regressed', true])
    expect(result.reasons.join()).not.toContain('latency.p99')
  })

  it('is inconclusive, exit 14, when it does not come again', async () => {
    const result = await gate(
      sides(
        () => at(1000),
        (run) => at(run <= 8 ? 850 : 1000),
      ),
    )
    expect([result.verdict, result.exitCode]).toEqual(['inconclusive', 14])
    expect(result.reasons.at(-1)).toContain('did not come again')
  })

  it('runs as many pairs again when the first look cannot tell, and not with one look', async () => {
    const wild = () =>
      sides(
        () => at(1000),
        (run) => at(run % 2 === 0 ? 800 : 1250),
      )
    const two = await gate(wild())
    expect(two.looks.map(({ pairs, alpha }) => [pairs, alpha])).toEqual([
      [8, 0.03],
      [16, 0.02],
    ])
    expect([two.verdict, two.exitCode]).toEqual(['inconclusive', 14])
    const one = await gate(wild(), { oneLook: true })
    expect(one.looks.map(({ pairs, alpha }) => [pairs, alpha])).toEqual([[8, 0.05]])
    expect(gateNotes(one).join('\n')).toMatch(/about \d+ pairs would tell/)
  })

  it('repeats an invalid run once, and ends with its code when it comes again', async () => {
    const invalid = { verdict: 'invalid' as const, exitCode: 13, reasons: ['steal'] }
    const once = await gate(
      sides(
        (run) => at(1000, run === 3 ? invalid : {}),
        () => at(1000),
      ),
    )
    expect(once.verdict).toBe('ok')
    const always = await gate(
      sides(
        () => at(1000),
        () => at(1000, invalid),
      ),
    )
    expect([always.verdict, always.exitCode]).toEqual(['stopped', 13])
    expect(always.reasons).toEqual(['a run of head was invalid: steal'])
  })

  it('ends with the code of a run that lost messages', async () => {
    const lost = { verdict: 'integrity' as const, exitCode: 12, reasons: ['1 lost'] }
    const result = await gate(
      sides(
        () => at(1000),
        () => at(1000, lost),
      ),
    )
    expect([result.verdict, result.exitCode]).toEqual(['stopped', 12])
  })

  it('stops at Ctrl-C with what it has, exit 130', async () => {
    const stop = new AbortController()
    const of = sides(
      (run) => {
        if (run === 9) stop.abort()
        return at(1000)
      },
      () => at(1000),
    )
    const result = await gate(of, { interrupted: stop.signal })
    expect([result.verdict, result.exitCode]).toEqual(['interrupted', 130])
    expect(result.pairs.length).toBeGreaterThan(1)
  })

  it('refuses to rank sides whose acknowledgements mean different things', async () => {
    const { durability } = aResult()
    const fsync = { durability: { ...durability, profile: 'fsync' as const } }
    const of = sides(
      () => at(1000),
      () => at(1000, fsync),
    )
    await expect(gate(of)).rejects.toThrow('an acknowledgement means')
  })

  /** 1,000 a second were asked for, for 100 s; what was answered came as fast as ever. */
  const scheduled = (
    acked: number,
    { failed = 0, drainSeconds = 0 }: { failed?: number; drainSeconds?: number } = {},
  ): BenchResult => {
    const { latency, efficiency, pacing, totals } = at(1000)
    const meanPerSecond = (acked * 100) / (100 + drainSeconds)
    const rates = {
      ...totals.rates,
      acked: { ...totals.rates.acked, meanPerSecond },
      offeredPerSecond: 1000,
    }
    return aResult({
      totals: { ...totals, rates, failed, acked: acked * 100, scheduled: 100_000 },
      latency: { ...latency, response: latency.service },
      efficiency: { ...efficiency, brokerCpuUsPerMessage: null },
      pacing: { ...pacing, model: 'open' },
    })
  }

  it('does not pass a head that refuses what a schedule sends it', async () => {
    const result = await gate(
      sides(
        () => scheduled(1000),
        () => scheduled(700),
      ),
    )
    expect([result.verdict, result.exitCode]).toEqual(['regressed', 11])
    expect(result.reasons[0]).toMatch(/^rate\.acked -30\.0 %/)
    const same = await gate(
      sides(
        () => scheduled(1000),
        () => scheduled(1000),
      ),
    )
    expect(same.verdict).toBe('ok')
  })

  it('counts what a schedule sent by the time of the schedule, however long a drain at its end took', async () => {
    const result = await gate(
      sides(
        () => scheduled(1000, { drainSeconds: 1 }),
        () => scheduled(1000, { drainSeconds: 40 }),
      ),
    )
    expect([result.verdict, result.metrics[0]?.metric, result.metrics[0]?.change]).toEqual([
      'ok',
      'rate.acked',
      0,
    ])
  })

  it('finds sends that fail on the head alone, also when they are too few to show in the rate', async () => {
    const result = await gate(
      sides(
        () => scheduled(1000),
        () => scheduled(980, { failed: 2_000 }),
      ),
    )
    expect([result.verdict, result.exitCode]).toEqual(['regressed', 11])
    expect(result.reasons).toEqual([
      'errors.rate <= 0.1%: broken by 8 of 8 runs of the head and 0 of the base',
    ])
    expect(gateNotes(result).join('\n')).toContain('errors.rate <= 0.1%: regressed')
  })

  describe('with a threshold', () => {
    const broken = (changes: Partial<BenchResult> = {}) => ({
      verdict: 'threshold' as const,
      exitCode: 10,
      reasons: ['response.p99 < 1ms: was 5 ms'],
      thresholds: [
        {
          expression: 'response.p99 < 1ms',
          phase: null,
          repetition: 1,
          actual: 5,
          limit: 1,
          unit: 'ms',
          pass: false,
          why: null,
        },
      ],
      ...changes,
    })

    it('has regressed when the head breaks it and the base does not', async () => {
      const result = await gate(
        sides(
          () => at(1000),
          () => at(1000, broken()),
        ),
        { pairs: 10 },
      )
      expect([result.verdict, result.exitCode]).toEqual(['regressed', 11])
      expect(result.confirmation?.thresholds[0]?.verdict).toBe('regressed')
    })

    it('has regressed when the head breaks it in each of the fewest pairs, and the base in none', async () => {
      const result = await gate(
        sides(
          () => at(1000),
          () => at(1000, broken()),
        ),
        { oneLook: true },
      )
      expect([result.verdict, result.exitCode]).toEqual(['regressed', 11])
    })

    it('counts it once, however often its phase is repeated', async () => {
      const [one] = broken().thresholds
      if (one === undefined) throw new Error('no threshold')
      const thresholds = [1, 2, 3, 4].map((repetition) => ({ ...one, repetition }))
      const four = broken({ thresholds })
      const result = await gate(
        sides(
          (run) => at(1000, run === 3 ? four : {}),
          () => at(1000, four),
        ),
        { pairs: 10, draws: 0, oneLook: true, confirm: false },
      )
      expect(result.thresholds).toMatchObject([{ onlyHead: 9, onlyBase: 0, verdict: 'regressed' }])
    })

    it('that a gate which was stopped saw in a few pairs alone is not told', async () => {
      const lost = { verdict: 'integrity' as const, exitCode: 12, reasons: ['1 lost'] }
      const result = await gate(
        sides(
          (run) => at(1000, run === 3 ? lost : {}),
          () => at(1000, broken()),
        ),
        { draws: 0 },
      )
      expect(result.thresholds).toMatchObject([{ pairs: 2, onlyHead: 2, verdict: 'inconclusive' }])
    })

    it('that both break says nothing about a change', async () => {
      const result = await gate(
        sides(
          () => at(1000, broken()),
          () => at(1000, broken()),
        ),
      )
      expect([result.verdict, result.thresholds[0]?.verdict]).toEqual(['ok', 'ok'])
    })

    it('that the head breaks now and then is no pass', async () => {
      const result = await gate(
        sides(
          () => at(1000),
          (run) => at(1000, run % 3 === 0 ? broken() : {}),
        ),
      )
      expect([result.verdict, result.exitCode]).toEqual(['inconclusive', 14])
      expect(result.reasons[0]).toContain('response.p99 < 1ms: broken by 5 of 16 runs of the head')
    })
  })

  it('leaves a metric out that some run has no value of, and says so', async () => {
    const { latency } = aResult()
    const unknown = { latency: { ...latency, service: null } }
    const result = await gate(
      sides(
        () => at(1000),
        (run) => at(1000, run === 2 ? unknown : {}),
      ),
    )
    expect(result.unmeasured).toEqual(['latency.p99'])
    expect(gateTable(result).rows.map(([metric]) => metric)).toEqual([
      'rate.acked',
      'broker.cpuPerMessage',
      '(endToEnd.p99)',
    ])
  })
})

describe('a gate that is tried on itself', () => {
  const qualified = (
    slowed: (run: number) => BenchResult,
    base: (run: number) => BenchResult = () => at(1000),
  ) => {
    const of = sides(base, () => at(1000))
    const planted = sides(slowed, slowed).head
    const options = {
      base: of.base,
      head: of.head,
      pairs: 8,
      oneLook: false,
      draws: 3,
      minEffect: 0.05,
      seed: 1,
      confirm: true,
      interrupted: new AbortController().signal,
      nowMs: () => 0,
      onRun: () => undefined,
    }
    return { of, run: runQualifiedGate(options, planted, 0.3) }
  }

  it('judges when it finds what was planted and nothing where nothing was', async () => {
    const { run } = qualified(() => at(700))
    const result = await run
    expect(result.qualification).toEqual({
      plantedShare: 0.3,
      planted: 'regressed',
      same: 'ok',
      qualified: true,
    })
    expect([result.verdict, result.exitCode]).toEqual(['ok', 0])
    expect(gateNotes(result)).toContain(
      'the gate itself: a planted slow-down of 30 % was regressed, nothing at all was ok',
    )
  })

  it('is unqualified, exit 14, when it misses what was planted, and judges nothing', async () => {
    const { of, run } = qualified(() => at(1000))
    const result = await run
    expect([result.verdict, result.exitCode]).toEqual(['unqualified', 14])
    expect(result.reasons[0]).toContain('a planted slow-down of 30 % was called')
    expect(of.asked).not.toContain('head')
  })

  it('ends as its runs ended when they could not be judged', async () => {
    const lost = () => at(700, { verdict: 'integrity', exitCode: 12, reasons: ['1 lost'] })
    const result = await qualified(lost).run
    expect([result.verdict, result.exitCode, result.qualification?.qualified]).toEqual([
      'stopped',
      12,
      false,
    ])
  })
})

describe('a side of a gate', () => {
  it.each([
    ['self', { kind: 'self' }],
    ['127.0.0.1:9876', { kind: 'brokers' }],
    ['a.example:9876;b.example:9876', { kind: 'brokers' }],
    ['./build', { kind: 'build', place: './build' }],
    ['..', { kind: 'build', place: '..' }],
    ['message.size=1KiB', { kind: 'self' }],
  ])('%s', (spec, expected) => {
    expect(gateTarget(spec)).toMatchObject(expected)
  })

  it('may change several keys, and a value may have commas', () => {
    const { overrides } = gateTarget('producers.threads=5,target.endpoints=[a:1,b:2],seed=3')
    expect(overrides.map(({ path, value }) => [path, value])).toEqual([
      ['producers.threads', '5'],
      ['target.endpoints', '[a:1,b:2]'],
      ['seed', '3'],
    ])
  })

  it('is refused when it is none of these', () => {
    expect(() => gateTarget('banana')).toThrow('"banana" is no side of a gate')
  })
})

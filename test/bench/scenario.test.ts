import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import { type OverrideFlags, overridesOf } from '../../src/bench/overrides.ts'
import { type Override, readMatrix, readScenario } from '../../src/bench/scenario.ts'

const scenarios = path.join(import.meta.dirname, '../../scenarios')

function errorOf(text: string, overrides: Override[] = []): { message: string; hint: string } {
  try {
    readScenario(text, 'my.yaml', overrides)
  } catch (error) {
    if (error instanceof MqError) {
      expect(error.exitCode).toBe(2)
      return { message: error.message, hint: error.hint }
    }
    throw error
  }
  throw new Error('the scenario was accepted')
}

describe('hosts that agents sample', () => {
  const of = (lines: string) => readScenario(`version: 1\nname: x\nmetrics:\n${lines}`, 'x.yaml')
  const host = '    - {via: agent, address: "10.0.0.5:9890", role: broker, name: one}\n'

  it('are named in the scenario with the file of their token, and change nothing of the load', () => {
    const { scenario, hash } = of(`  tokenFile: ./token\n  hosts:\n${host}`)
    expect(scenario.metrics).toMatchObject({
      tokenFile: './token',
      hosts: [{ via: 'agent', address: '10.0.0.5:9890', role: 'broker', name: 'one' }],
    })
    expect(hash).toBe(of('  interval: 1s\n').hash)
  })

  it.each([
    ['{via: ssh, address: "a:1"}', /hosts\.0\.via: expected agent/],
    ['{via: agent, address: "a"}', /address: expected the HOST:PORT/],
    ['{via: agent}', /address/],
    ['{via: agent, address: "a:1", token: secret}', /unknown key metrics\.hosts\.token/],
  ])('%s is refused', (one, why) => {
    expect(() => of(`  hosts:\n    - ${one}\n`)).toThrow(why)
  })
})

describe('the scenarios that ship', () => {
  it.each([
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
  ])('%s is right and is named like its file', (name) => {
    const file = path.join(scenarios, `${name}.yaml`)
    expect(readScenario(readFileSync(file, 'utf8'), file).scenario.name).toBe(name)
  })

  it('the pressure test is 2 × 80 senders of 500 bytes with 2 consumers, every check on', () => {
    const file = path.join(scenarios, 'pressure-80x500.yaml')
    const { scenario } = readScenario(readFileSync(file, 'utf8'), file)
    expect(scenario).toMatchObject({
      producers: { instances: 2, threads: 80, timeout: 3000 },
      consumers: { instances: 2 },
      message: { size: 500 },
      verify: { sequence: true, checksum: true },
    })
  })
})

describe('a scenario', () => {
  it('has every default filled in and units turned into numbers', () => {
    const { scenario } = readScenario(
      'version: 1\nname: x\nmessage: {size: 1KiB}\nwarmup: {min: 500ms}\nvalidity: {maxSteal: 5%}\n',
      'my.yaml',
    )
    expect(scenario.message.size).toBe(1024)
    expect(scenario.warmup.min).toBe(500)
    expect(scenario.validity.maxSteal).toBe(0.05)
    expect(scenario.load).toMatchObject([
      { as: 'measure', model: 'closed', shape: 'hold', for: 10_000 },
    ])
  })

  it('has a hash that changes with the load and not with the layout of the file', () => {
    const one = readScenario('version: 1\nname: x\nmessage: {size: 500B}\n', 'a.yaml')
    const two = readScenario('# a comment\nname: x\nversion: 1\n', 'b.yaml')
    const three = readScenario('name: x\nversion: 1\nmessage: {size: 501}\n', 'b.yaml')
    expect([one.hash === two.hash, one.hash === three.hash]).toEqual([true, false])
  })

  it.each([
    'validity: {minSamples: 5, minReceived: 50%}',
    'metrics: {interval: 500ms, linkSpeed: 1gbit, diskSpeed: 500MB/s}',
    'description: one\ntags: [a]\noutput: {dir: there}',
  ])('has the same hash with %s, which is about the result alone', (more) => {
    const hashOf = (text: string) => readScenario(text, 'a.yaml').hash
    const plain = 'version: 1\nname: x\n'
    expect(hashOf(plain + more)).toBe(hashOf(plain))
  })

  it.each([
    'target: {topology: {masters: 2}}',
    'target: {durability: fsync}',
    'load: [{for: 1s}, {for: 1s}]',
    'message: {properties: {region: eu}}',
    'verify: {checksum: false}',
    'seed: 2',
  ])('has another hash with %s', (more) => {
    const hashOf = (text: string) => readScenario(text, 'a.yaml').hash
    const plain = 'version: 1\nname: x\n'
    expect(hashOf(plain + more)).not.toBe(hashOf(plain))
  })

  it('takes values from outside over those of the file', () => {
    const { scenario, overrides } = readScenario('version: 1\nname: x\n', 'my.yaml', [
      { path: 'producers.threads', value: '160', source: '--threads 160' },
      { path: 'load.0.for', value: '3s', source: '--duration 3s' },
    ])
    expect(scenario.producers.threads).toBe(160)
    expect(scenario.load[0]?.for).toBe(3000)
    expect(overrides).toEqual(['producers.threads=160', 'load.0.for=3s'])
  })
})

describe('a wrong scenario', () => {
  it('names file, line and column of an unknown key, and what was meant', () => {
    expect(errorOf('version: 1\nname: x\nproducers:\n  instances: 2\n  treads: 80\n')).toEqual({
      message: 'my.yaml:5:3: unknown key producers.treads',
      hint: 'did you mean threads?',
    })
  })

  it('lists the keys when none is close', () => {
    const { hint } = errorOf('version: 1\nname: x\ndrain: {xyzzy: 1}\n')
    expect(hint).toBe('known here: timeout, idle')
  })

  it('says of a key of the full instrument that it is not there yet', () => {
    const { message } = errorOf('version: 1\nname: x\nfaults: []\n')
    expect(message).toBe('my.yaml:3:1: faults is not available yet')
  })

  it.each([
    [
      'a missing unit',
      'drain: {timeout: 10}',
      'my.yaml:3:9: drain.timeout: duration 10 has no unit',
    ],
    [
      'a wrong unit',
      'message: {size: 5parsecs}',
      'my.yaml:3:11: message.size: "5parsecs" is not a size',
    ],
    [
      'a wrong type',
      'producers: {threads: many}',
      'my.yaml:3:13: producers.threads: expected a whole number from 1 to 4096',
    ],
    [
      'a number out of range',
      'producers: {threads: 0}',
      'my.yaml:3:13: producers.threads: expected a whole number from 1 to 4096',
    ],
    [
      'a model that does not exist',
      'load: [{model: ajar}]',
      'my.yaml:3:9: load.0.model: expected one of closed, open, idle',
    ],
    [
      'weights that are not one for each topic',
      'topics: {count: 3, weights: [1, 2]}',
      'my.yaml:3:20: 2 weights for 3 topics',
    ],
    [
      'weights that are not one for each queue',
      'topics: {queues: 2, queueWeights: [1]}',
      'my.yaml:3:21: 1 weights for 2 queues',
    ],
    [
      'weights of which none is above zero',
      'topics: {queues: 2, queueWeights: [0, 0]}',
      'my.yaml:3:21: all weights are 0',
    ],
    [
      'more queues than a message can name',
      'topics: {count: 10000, queues: 16}',
      'my.yaml:3:10: 10000 topics of 16 queues are 160000 queues, above 65535',
    ],
    [
      'keys that choose the queue without keys',
      'topics: {keys: {chooseQueue: true}}',
      'my.yaml:3:17: keys choose the queue, and there are no keys',
    ],
    [
      'keys and weights that both choose the queue',
      'topics: {queueWeights: [1, 1], queues: 2, keys: {distribution: zipf, chooseQueue: true}}',
      'my.yaml:3:70: either keys choose the queue, or weights do',
    ],
    [
      'hot keys that are all keys',
      'topics: {keys: {distribution: hot, hotKeys: 10, cardinality: 10}}',
      'my.yaml:3:36: 10 hot keys of 10 leave none that is not',
    ],
    [
      'a tag and a mix of tags',
      'message: {tag: a, tags: [{tag: b}]}',
      'my.yaml:3:11: there is a tag, and a mix of tags as well',
    ],
    [
      'a property that RocketMQ would take for its own',
      'message: {properties: {KEYS: x}}',
      'my.yaml:3:11: message.properties: expected names that begin with a small letter, and texts without control characters; or a list of {set, weight}',
    ],
    [
      'a batch that no request holds',
      'producers: {mode: batch, batch: {size: 4096}}\nmessage: {size: 4KiB}',
      'my.yaml:3:34: 4096 messages of 4096 bytes do not fit into a request of 4 MiB',
    ],
    [
      'a batch whose keys choose the queue',
      'producers: {mode: batch}\ntopics: {keys: {distribution: zipf, chooseQueue: true}}',
      'my.yaml:4:37: messages of a batch go to one queue, so their keys cannot choose it',
    ],
    [
      'a search without acknowledgements',
      'producers: {mode: one-way}\nload: [{model: open, shape: search, from: 1k/s, to: 2k/s, sla: rate.acked > 1/s}]',
      'my.yaml:4:22: a search needs acknowledgements, and one-way messages have none',
    ],
    [
      'a start that is no position',
      'consumers: {startAt: yesterday}',
      'my.yaml:3:13: consumers.startAt: expected end, beginning, or a duration such as 10m',
    ],
    [
      'a matrix where one run is wanted',
      'matrix: {producers.threads: [1, 2]}',
      'my.yaml:3:1: a matrix is many runs, and one is wanted here',
    ],
    [
      'an open load without a rate',
      'load: [{model: open}]',
      'my.yaml:3:9: an open load of shape hold needs rate',
    ],
    [
      'a closed load with a rate',
      'load: [{rate: 5/s}]',
      'my.yaml:3:9: a load of model closed takes no rate',
    ],
    [
      'a key of another shape',
      'load: [{model: open, shape: ramp, from: 1/s, to: 2/s, steps: 3}]',
      'my.yaml:3:55: steps does not belong to shape ramp',
    ],
    [
      'a rate that is none',
      'load: [{model: open, rate: fast}]',
      'my.yaml:3:22: load.0.rate: "fast" is not a rate',
    ],
    [
      'a threshold on a metric that there is not',
      'thresholds: ["respons.p99 < 20ms"]',
      'my.yaml:3:14: "respons.p99 < 20ms": there is no metric respons.p99',
    ],
    [
      'a threshold without its unit',
      'thresholds: ["response.p99 < 20"]',
      'my.yaml:3:14: "response.p99 < 20": duration 20 has no unit',
    ],
    [
      'a threshold on a phase that there is not',
      'thresholds: [{expr: "response.p99 < 20ms", phase: steddy}]',
      'my.yaml:3:14: there is no phase steddy',
    ],
    [
      'a threshold on a search, whose rates are phases of other names',
      "load: [{as: most, model: open, shape: search, from: 1k/s, to: 2k/s, sla: 'errors.count == 0'}]\nthresholds: [{expr: 'rate.acked >= 1M/s', phase: most}]",
      'my.yaml:4:14: most is a search, and none of the rates that it tries is a phase of this name',
    ],
    [
      'an SLA that its first rate has too few messages for',
      "load: [{model: open, shape: search, from: 50/s, to: 1k/s, sla: 'response.p99 < 1s', for: 2s}]",
      'my.yaml:3:37: response.p99 < 1s needs 1000 messages, and the first rate sends 100',
    ],
    [
      'a search that goes down',
      "load: [{model: open, shape: search, from: 5k/s, to: 1k/s, sla: 'response.p99 < 1s'}]",
      'my.yaml:3:37: a search goes up: from is higher than to',
    ],
    [
      'two searches',
      "load: [&s {model: open, shape: search, from: 1k/s, to: 2k/s, sla: 'response.p50 < 1s'}, *s]",
      'a scenario has one search, curve or balance',
    ],
    [
      'a search that is repeated',
      "repeat: 2\nload: [{model: open, shape: search, from: 1k/s, to: 2k/s, sla: 'errors.count == 0'}]",
      'my.yaml:3:1: a search is not repeated',
    ],
    [
      'an SLA that only a whole run can be asked for',
      "load: [{model: open, shape: search, from: 1k/s, to: 2k/s, sla: 'integrity.lost == 0'}]",
      'integrity.lost == 0 cannot be told of a single rate',
    ],
    [
      'a backlog without consumers',
      'consumers: {instances: 0}\nload: [{consumers: paused}]',
      'my.yaml:4:9: consumers: paused needs consumers, and there are none',
    ],
    [
      'a promise about consumers that there are not',
      "consumers: {instances: 0}\nload: [{model: open, shape: search, from: 1k/s, to: 2k/s, sla: ['response.p99 < 20ms', 'lag.seconds < 1s']}]",
      'lag.seconds < 1s needs consumers, and there are none',
    ],
    [
      'a drain by consumers that stand still',
      'load: [{model: idle, until: drained, consumers: paused}]',
      'my.yaml:3:22: consumers that are paused drain nothing',
    ],
    ['a mapping where a list should be', 'load: {for: 1s}', 'my.yaml:3:1: load: '],
    [
      'a body too small for its identity',
      'message: {size: 8B}',
      'my.yaml:3:11: a checked message needs at least 32 bytes',
    ],
    [
      'brokers without addresses',
      'target: {driver: rocketmq}',
      'my.yaml:3:10: driver rocketmq needs target.endpoints',
    ],
    [
      'more senders and queues than a consumer can follow',
      'producers: {threads: 4096, instances: 64}\ntopics: {queues: 1024}',
      'my.yaml:3:13: senders × queues is 268435456',
    ],
    [
      'consumers of nothing',
      'target: {driver: "null"}',
      'my.yaml:1:1: nothing can be consumed from the null target',
    ],
    [
      'addresses of the embedded broker',
      'target: {endpoints: ["a:1"]}',
      'my.yaml:3:10: the embedded broker is started by mqctl',
    ],
  ])('with %s says where and what', (_, line, expected) => {
    expect(errorOf(`version: 1\nname: x\n${line}\n`).message).toContain(expected)
  })

  it('suggests a word for a misspelt one', () => {
    expect(errorOf('version: 1\nname: x\ntarget: {driver: embeded}\n').hint).toBe(
      'did you mean embedded?',
    )
  })

  it('says where broken YAML breaks', () => {
    expect(errorOf('version: 1\nname: [x\n').message).toMatch(/^my\.yaml:\d+:\d+: /)
  })

  it('says of an alias without an anchor where it stands, and what * means', () => {
    const error = errorOf('version: 1\nname: x\nmessage: {tag: *a}\n')
    expect(error.message).toContain('my.yaml:3:16: nothing above has the anchor of *a')
    expect(error.hint).toContain('in quotes')
  })

  it('refuses an alias that stands inside of itself', () => {
    const error = errorOf('version: 1\nname: x\ntags: &a [*a]\n')
    expect(error.message).toBe('my.yaml:3:11: *a stands inside of itself')
  })

  it('refuses aliases of aliases that grow without end', () => {
    const names = ['a', 'b', 'c', 'd']
    const nine = (of: string): string => Array.from({ length: 9 }, () => of).join(', ')
    const grown = names.map((name, at) => `${name}: &${name} [${nine(`*${names[at - 1]}`)}]\n`)
    const text = `version: 1\nname: x\na: &a [${nine('x')}]\n${grown.slice(1).join('')}`
    expect(errorOf(text).message).toBe(
      'my.yaml:1:1: its aliases stand for far more than the file holds',
    )
  })

  it('takes one document a file', () => {
    const error = errorOf('version: 1\nname: x\n---\nname: y\n')
    expect(error.message).toBe('my.yaml:3:1: there is more than one document')
    expect(error.hint).toContain('---')
  })

  it('refuses a key that stands twice', () => {
    expect(errorOf('version: 1\nname: x\nname: y\n').message).toMatch(/^my\.yaml:3:1: /)
  })

  it('refuses a file that is not a mapping', () => {
    expect(errorOf('- 1\n').message).toBe('my.yaml:1:1: a scenario is a mapping of keys')
  })

  it('needs a version and a name', () => {
    expect(errorOf('name: x\n').message).toContain('version')
    expect(errorOf('version: 1\n').message).toContain('name')
  })

  it('blames the flag for a value that came from a flag', () => {
    const override = { path: 'producers.threads', value: 'many', source: '--threads many' }
    expect(errorOf('version: 1\nname: x\n', [override]).message).toBe(
      '--threads many: producers.threads: expected a whole number from 1 to 4096',
    )
  })

  it('blames --set for a path that does not exist', () => {
    const override = { path: 'producers.treads', value: '3', source: '--set producers.treads=3' }
    const error = errorOf('version: 1\nname: x\n', [override])
    expect(error.message).toBe('--set producers.treads=3: unknown key producers.treads')
    expect(error.hint).toBe('did you mean threads?')
  })
})

describe('a matrix', () => {
  const matrix = (text: string, overrides: Override[] = []) =>
    readMatrix(`version: 1\nname: m\n${text}\n`, 'my.yaml', overrides)

  it('is every combination, the last path changing first', () => {
    const cells = matrix('matrix: {producers.threads: [1, 2], message.size: [100B, 1KiB]}')
    expect(cells?.map(({ label }) => label)).toEqual([
      'producers.threads=1 message.size=100B',
      'producers.threads=1 message.size=1KiB',
      'producers.threads=2 message.size=100B',
      'producers.threads=2 message.size=1KiB',
    ])
    const last = cells?.[3]?.loaded.scenario
    expect([last?.producers.threads, last?.message.size]).toEqual([2, 1024])
    expect(new Set(cells?.map(({ loaded }) => loaded.hash)).size).toBe(4)
  })

  it('is none in a scenario without one', () => {
    expect(matrix('seed: 1')).toBeNull()
  })

  it.each([
    ['matrix: [1, 2]', 'my.yaml:3:1: a matrix is paths with lists of values'],
    ['matrix: {}', 'my.yaml:3:1: a matrix without values'],
    ['matrix: {producers.threads: 4}', 'my.yaml:3:10: producers.threads needs a list of values'],
    ['matrix: {producers.thread: [1]}', 'matrix producers.thread=1: unknown key producers.thread'],
    ['matrix: {producers.threads: [0]}', 'matrix producers.threads=0: producers.threads: expected'],
    [
      `matrix: {seed: [${Array.from({ length: 201 }, (_, index) => index).join()}]}`,
      'my.yaml:3:10: more than 200 combinations',
    ],
  ])('%s is refused before anything runs', (text, message) => {
    expect(() => matrix(text)).toThrow(message)
  })

  it('does not fight with the command line', () => {
    const override = { path: 'producers.threads', value: '9', source: '--threads 9' }
    expect(() => matrix('matrix: {producers.threads: [1, 2]}', [override])).toThrow(
      'my.yaml:3:10: --threads 9 and the matrix both set producers.threads',
    )
  })
})

describe('flags of a scenario', () => {
  it('add thresholds to those that stand in the file', () => {
    const overrides = overridesOf({ threshold: ['errors.count == 0', 'rate.acked > 1/s'] })
    const text = "version: 1\nname: x\nthresholds: ['service.p99 < 1s']\n"
    const { scenario } = readScenario(text, 'x.yaml', overrides)
    expect(scenario.thresholds).toEqual([
      'service.p99 < 1s',
      'errors.count == 0',
      'rate.acked > 1/s',
    ])
    const bare = readScenario('version: 1\nname: x\n', 'x.yaml', overrides).scenario
    expect(bare.thresholds).toHaveLength(2)
  })

  it('do not change the hash when they do not change the load', () => {
    const hashOf = (flags: OverrideFlags) =>
      readScenario('version: 1\nname: x\n', 'x.yaml', overridesOf(flags)).hash
    expect(hashOf({ threshold: ['errors.count == 0'] })).toBe(hashOf({}))
    expect(hashOf({ rate: '5/s' })).not.toBe(hashOf({}))
  })
})

describe('a scenario that extends another', () => {
  const files: Record<string, string> = {
    'base.yaml':
      'version: 1\nname: base\nproducers: {instances: 3, threads: 7}\nload: [{for: 1s}, {for: 2s}]\n',
    'wrong.yaml': 'version: 1\nname: wrong\nproducers: {treads: 7}\n',
    'a.yaml': 'version: 1\nname: a\nextends: b.yaml\n',
    'b.yaml': 'version: 1\nname: b\nextends: a.yaml\n',
  }
  const baseOf = (name: string) => ({ file: name, text: files[name] ?? '' })
  const extending = (base: string, more = '') =>
    readScenario(`version: 1\nname: mine\nextends: ${base}\n${more}`, 'mine.yaml', [], baseOf)

  it('changes single keys and takes lists as a whole', () => {
    const { scenario } = extending('base.yaml', 'producers: {threads: 9}\nload: [{for: 5s}]\n')
    expect(scenario.name).toBe('mine')
    expect(scenario.producers).toMatchObject({ instances: 3, threads: 9 })
    expect(scenario.load.map((stage) => stage.for)).toEqual([5000])
  })

  it('keeps the load of the other when the command line changes a stage of it', () => {
    const text = 'version: 1\nname: mine\nextends: base.yaml\n'
    const override = { path: 'load.1.for', value: '9s', source: '--set load.1.for=9s' }
    const { scenario } = readScenario(text, 'mine.yaml', [override], baseOf)
    expect(scenario.load.map((stage) => stage.for)).toEqual([1000, 9000])
  })

  it('reports a mistake of the other in the other’s file', () => {
    expect(() => extending('wrong.yaml')).toThrow('wrong.yaml:3:13: unknown key producers.treads')
  })

  it('does not run in circles', () => {
    expect(() => extending('a.yaml')).toThrow(/extends goes in a circle/)
  })
})

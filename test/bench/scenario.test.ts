import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import { type Override, readScenario } from '../../src/bench/scenario.ts'

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

describe('the scenarios that ship', () => {
  it.each([
    'large-messages',
    'latency-5k',
    'many-connections',
    'peak',
    'pressure-80x500',
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
    expect(scenario.load).toEqual([{ as: 'measure', model: 'closed', shape: 'hold', for: 10_000 }])
  })

  it('has a hash that changes with the load and not with the layout of the file', () => {
    const one = readScenario('version: 1\nname: x\nmessage: {size: 500B}\n', 'a.yaml')
    const two = readScenario('# a comment\nname: x\nversion: 1\n', 'b.yaml')
    const three = readScenario('name: x\nversion: 1\nmessage: {size: 501}\n', 'b.yaml')
    expect([one.hash === two.hash, one.hash === three.hash]).toEqual([true, false])
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
    const { message } = errorOf('version: 1\nname: x\nthresholds: []\n')
    expect(message).toBe('my.yaml:3:1: thresholds is not available yet')
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
      'my.yaml:3:9: load.0.model: expected one of closed, open',
    ],
    [
      'an open load without a rate',
      'load: [{model: open}]',
      'my.yaml:3:9: an open load of shape hold needs rate',
    ],
    [
      'a closed load with a rate',
      'load: [{rate: 5/s}]',
      'my.yaml:3:9: a closed load takes no rate',
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

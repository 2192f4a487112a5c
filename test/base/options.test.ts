import { describe, expect, it } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import {
  choice,
  duration,
  optionTable,
  parseOption,
  parseSettings,
  resolveOptions,
  size,
  text,
  toggle,
  whole,
} from '../../src/base/options.ts'

const table = optionTable({
  flush: choice({
    values: ['sync', 'async'],
    default: 'async',
    rocketmq: 'flushDiskType',
    summary: 'when a message counts as stored',
  }),
  flushIntervalMs: duration({ default: 500, min: 10, max: 60_000, summary: 'pause' }),
  segmentBytes: size({ default: 1_073_741_824, min: 4_096, summary: 'size of a file' }),
  queues: whole({ default: 8, min: 1, max: 1_024, summary: 'queues of a new topic' }),
  autoCreate: toggle({ default: true, summary: 'make topics on first use' }),
  name: text({ default: 'a', pattern: /^[a-z]+$/, patternText: 'lower-case', summary: 'name' }),
})

function failure(run: () => unknown): MqError {
  try {
    run()
  } catch (error) {
    if (error instanceof MqError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('option tables', () => {
  it('resolves to defaults overlaid by what is given, frozen', () => {
    const options = resolveOptions(table, { flush: 'sync', queues: 4 })
    expect(options).toMatchObject({ flush: 'sync', queues: 4, flushIntervalMs: 500, name: 'a' })
    expect(Object.isFrozen(options)).toBe(true)
  })

  it('reads key=value, by its own name or by the name of RocketMQ', () => {
    expect(
      parseSettings(table, ['flushDiskType=SYNC', 'segmentBytes=64KiB', 'flushIntervalMs=2s']),
    ).toEqual({ flush: 'sync', segmentBytes: 65_536, flushIntervalMs: 2_000 })
  })

  it('takes bare milliseconds, as RocketMQ configuration has them', () => {
    expect(parseOption(table, 'flushIntervalMs', '1000')).toBe(1_000)
  })

  it('names the nearest option for a key that it does not know', () => {
    const error = failure(() => parseSettings(table, ['flushInterval=1s']))
    expect([error.exitCode, error.message, error.hint]).toEqual([
      2,
      '--set: unknown option "flushInterval"',
      'did you mean flushIntervalMs?',
    ])
  })

  it.each([
    ['queues=0', /queues: 0 is out of range/],
    ['queues=many', /not a whole number/],
    ['flush=never', /not one of sync, async/],
    ['autoCreate=perhaps', /neither true nor false/],
    ['name=Big', /must be lower-case/],
    ['queues', /not key=value/],
    ['=3', /not key=value/],
  ])('refuses %s with the range in the hint', (setting, message) => {
    expect(() => parseSettings(table, [setting])).toThrow(message)
  })

  it('checks values that did not come as text, too', () => {
    expect(() => resolveOptions(table, { queues: 2_000 })).toThrow(/out of range/)
  })

  it('does not take inherited names for options', () => {
    expect(() => parseSettings(table, ['constructor=1'])).toThrow(/unknown option/)
  })
})

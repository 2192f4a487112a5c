import { describe, expect, it } from 'vitest'
import {
  type TraceRecord,
  decodeTraceRecords,
  encodeTraceRecord,
  handlingResults,
  tracedTypes,
} from '../../src/protocol/trace-record.ts'

const id = '7F000001000018B4AAC2000000000001'
const otherId = '7F000001000018B4AAC2000000000002'
const requestId = 'AC11000100002A9F000000000000000A'
const common = { timeMs: 1_700_000_000_123, region: 'DefaultRegion', group: 'billing' }
const message = { topic: 'orders', messageId: id, tags: 'paid', keys: 'A-1 A-2' }

const pub: TraceRecord = {
  kind: 'Pub',
  ...common,
  ...message,
  storeHost: '127.0.0.1:10911',
  bodyBytes: 26,
  tookMs: 7,
  type: 'normal',
  offsetMessageId: '7F00000100002A9F0000000000000000',
  ok: true,
  clientHost: '',
}
const before: TraceRecord = {
  kind: 'SubBefore',
  ...common,
  requestId,
  messageId: id,
  tries: 2,
  keys: 'A-1 A-2',
}
const after: TraceRecord = {
  kind: 'SubAfter',
  requestId,
  messageId: id,
  tookMs: 7,
  ok: false,
  keys: 'A-1 A-2',
  result: 'exception',
  timeMs: common.timeMs,
  group: 'billing',
}

/**
 * What TraceDataEncoder.encoderFromContextBean() of the official Java client 5.5.0 made of these values,
 * run here; the spaces stand for \u0001 and the semicolons for \u0002.
 */
const golden: readonly [string, string, readonly TraceRecord[]][] = [
  [
    'a message that was sent',
    '507562 31373030303030303030313233 44656661756c74526567696f6e 62696c6c696e67 6f7264657273 3746303030303031303030303138423441414332303030303030303030303031 70616964 412d3120412d32 3132372e302e302e313a3130393131 3236 37 30 3746303030303031303030303241394630303030303030303030303030303030 74727565;',
    [pub],
  ],
  [
    'a delayed message without tags and keys that was not stored safely',
    '507562 31373030303030303030313233 44656661756c74526567696f6e 62696c6c696e67 6f7264657273 3746303030303031303030303138423441414332303030303030303030303031 6e756c6c 6e756c6c 3132372e302e302e313a3130393131 3236 37 33 3746303030303031303030303241394630303030303030303030303030303030 66616c7365;',
    [{ ...pub, tags: '', keys: '', type: 'delayed', ok: false }],
  ],
  [
    'two messages whose processing begins',
    '5375624265666f7265 31373030303030303030313233 44656661756c74526567696f6e 62696c6c696e67 4143313130303031303030303241394630303030303030303030303030303041 3746303030303031303030303138423441414332303030303030303030303031 32 412d3120412d32;5375624265666f7265 31373030303030303030313233 44656661756c74526567696f6e 62696c6c696e67 4143313130303031303030303241394630303030303030303030303030303041 3746303030303031303030303138423441414332303030303030303030303032 30 6e756c6c;',
    [before, { ...before, messageId: otherId, tries: 0, keys: '' }],
  ],
  [
    'processing that ended with an exception',
    '5375624166746572 4143313130303031303030303241394630303030303030303030303030303041 3746303030303031303030303138423441414332303030303030303030303031 37 66616c7365 412d3120412d32 32 31373030303030303030313233 62696c6c696e67;',
    [after],
  ],
  [
    'the same in a cloud, without time and group',
    '5375624166746572 4143313130303031303030303241394630303030303030303030303030303041 3746303030303031303030303138423441414332303030303030303030303031 37 74727565 412d3120412d32 30 ;',
    [{ ...after, ok: true, result: 'success', timeMs: null, group: '' }],
  ],
  [
    'a transaction that was rolled back because the broker asked',
    '456e645472616e73616374696f6e 31373030303030303030313233 44656661756c74526567696f6e 62696c6c696e67 6f7264657273 3746303030303031303030303138423441414332303030303030303030303031 70616964 412d3120412d32 3132372e302e302e313a3130393131 32 3746303030303031303030303138423441414332303030303030303030303031 524f4c4c4241434b5f4d455353414745 74727565;',
    [
      {
        kind: 'EndTransaction',
        ...common,
        ...message,
        storeHost: '127.0.0.1:10911',
        type: 'transaction',
        transactionId: id,
        decision: 'rollback',
        asked: true,
      },
    ],
  ],
  [
    'a message that was taken back',
    '526563616c6c 31373030303030303030313233 44656661756c74526567696f6e 62696c6c696e67 6f7264657273 3746303030303031303030303138423441414332303030303030303030303031 74727565;',
    [{ kind: 'Recall', ...common, topic: 'orders', messageId: id, ok: true }],
  ],
]

function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', '01').replaceAll(';', '02'), 'hex')
}

const fields = (...all: readonly string[]) => Buffer.from(all.join('\u0001') + '\u0002')

describe('trace records of the Java client', () => {
  it.each(golden)('are read: %s', (_, hex, records) => {
    expect(decodeTraceRecords(bytes(hex))).toEqual({ records, faults: [] })
  })

  it.each(golden)('are written byte for byte: %s', (_, hex, records) => {
    const text = records.map(encodeTraceRecord).join('')
    expect(Buffer.from(text).toString('hex')).toBe(bytes(hex).toString('hex'))
  })

  const sent = ['Pub', '5', 'r', 'g', 't', 'id', 'null', 'k', 'h:1', '3', '4', '0']
  it.each([
    ['12 fields: it succeeded', sent, { ok: true, offsetMessageId: '' }],
    ['13 fields: with the outcome', [...sent, 'false'], { ok: false, offsetMessageId: '' }],
    ['14 fields: with its place', [...sent, 'OID', 'true'], { ok: true, offsetMessageId: 'OID' }],
    [
      '15 fields: with the client',
      [...sent, 'OID', 'true', '10.0.0.9'],
      { clientHost: '10.0.0.9' },
    ],
    ['more fields', [...sent, 'OID', 'true', '10.0.0.9', 'x', 'y'], { clientHost: '10.0.0.9' }],
  ])('of all ages say of a send what they know: %s', (_, given, expected) => {
    const { records, faults } = decodeTraceRecords(fields(...given))
    expect(faults).toEqual([])
    expect(records).toEqual([expect.objectContaining({ ...expected, tags: '', keys: 'k' })])
  })

  it.each([
    ['6 fields', ['k'], { result: null, timeMs: null, group: '' }],
    ['7 fields', ['k', '1'], { result: 'timeout', timeMs: null, group: '' }],
    ['9 fields', ['k', '4', '77', 'g'], { result: 'failed', timeMs: 77, group: 'g' }],
  ])('of all ages say of an end what they know: %s', (_, given, expected) => {
    const { records, faults } = decodeTraceRecords(
      fields('SubAfter', 'req', 'id', '9', 'true', ...given),
    )
    expect(faults).toEqual([])
    expect(records).toEqual([expect.objectContaining({ ...expected, tookMs: 9, ok: true })])
  })
})

describe('trace records', () => {
  it('come back as they were written, whatever their values', () => {
    const text = 'ä /\\"\n 漢字'
    for (const type of tracedTypes) {
      const record = { ...pub, type, keys: text, clientHost: '::1' } as const
      const again = decodeTraceRecords(Buffer.from(encodeTraceRecord(record)))
      expect(again).toEqual({ records: [record], faults: [] })
    }
    for (const result of handlingResults) {
      const again = decodeTraceRecords(Buffer.from(encodeTraceRecord({ ...after, result })))
      expect(again).toEqual({ records: [{ ...after, result }], faults: [] })
    }
  })

  it('with a separator in a field are not written', () => {
    expect(() => encodeTraceRecord({ ...pub, keys: 'a\u0001b' })).toThrow(RangeError)
    expect(() => encodeTraceRecord({ ...pub, keys: 'a\u0002b' })).toThrow(/a trace cannot hold/)
  })

  it.each([
    ['of a kind that is not known', ['Publish', '1'], 'a record of unknown kind "Publish"'],
    ['that are too short', ['Recall', '1', 'r'], 'Recall: field 4 is missing'],
    [
      'whose number is none',
      ['Recall', 'noon', 'r', 'g', 't', 'i', 'true'],
      'Recall: field 2 is no number: "noon"',
    ],
    [
      'of a type that is not known',
      ['Pub', '1', 'r', 'g', 't', 'i', '', '', 'h', '1', '1', '9'],
      'Pub: field 12 is no number below 5: "9"',
    ],
    [
      'with a decision that is none',
      ['EndTransaction', '1', 'r', 'g', 't', 'i', '', '', 'h', '2', 'x', 'MAYBE', 'true'],
      'EndTransaction: field 12 is no decision: "MAYBE"',
    ],
  ])('%s are left out, and said so', (_, given, fault) => {
    const body = Buffer.concat([fields(...given), Buffer.from(encodeTraceRecord(before))])
    expect(decodeTraceRecords(body)).toEqual({ records: [before], faults: [fault] })
  })

  it('never throw, whatever bytes there are', () => {
    let seed = 7
    const random = () => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) / 2 ** 32
    const body = Buffer.concat(golden.map(([, hex]) => bytes(hex)))
    const whole = decodeTraceRecords(body).records.length
    for (let end = 0; end < body.length; end++) {
      const { records, faults } = decodeTraceRecords(body.subarray(0, end))
      expect(records.length + faults.length).toBeLessThanOrEqual(whole)
    }
    for (let round = 0; round < 2_000; round++) {
      const damaged = Buffer.from(body)
      for (let i = 0; i < 5; i++) {
        damaged[Math.floor(random() * damaged.length)] = Math.floor(random() * 256)
      }
      const { records, faults } = decodeTraceRecords(damaged)
      expect(records.length + faults.length).toBeGreaterThan(0)
    }
  })
})

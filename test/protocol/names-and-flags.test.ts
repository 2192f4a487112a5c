import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BatchReader, encodeBatch } from '../../src/protocol/batch-body.ts'
import { javaHash, javaHashOfBytes } from '../../src/protocol/java-hash.ts'
import {
  faultOfGroup,
  faultOfTopic,
  isClosedToSend,
  isSystemTopic,
} from '../../src/protocol/names.ts'
import { compressionOf, isQueued } from '../../src/protocol/sys-flag.ts'

describe('names', () => {
  it('allow letters, digits, %, |, - and _', () => {
    for (const name of ['a', 'Topic-1_x', '%RETRY%g', 'a|b']) {
      expect([name, faultOfTopic(name), faultOfGroup(name)]).toEqual([name, null, null])
    }
  })

  it('never lead out of a directory', () => {
    for (const name of ['', ' ', '..', 'a/b', 'a.b', 'a b', 'ä', 'a\0b', 'a\\b', 'a\n']) {
      expect([name, faultOfTopic(name) === null, faultOfGroup(name) === null]).toEqual([
        name,
        false,
        false,
      ])
    }
  })

  it('have their lengths: topics 127, retry and dead-letter topics 255, groups 120', () => {
    expect(faultOfTopic('t'.repeat(127))).toBeNull()
    expect(faultOfTopic('t'.repeat(128))).toContain('at most 127')
    expect(faultOfTopic('%RETRY%' + 't'.repeat(248))).toBeNull()
    expect(faultOfTopic('%DLQ%' + 't'.repeat(251))).toContain('at most 255')
    expect(faultOfGroup('g'.repeat(120))).toBeNull()
    expect(faultOfGroup('g'.repeat(121))).toContain('at most 120')
  })

  it('know the system’s topics and those closed to senders', () => {
    expect(isSystemTopic('TBW102')).toBe(true)
    expect(isSystemTopic('rmq_sys_anything')).toBe(true)
    expect(isSystemTopic('mine')).toBe(false)
    expect(isClosedToSend('SCHEDULE_TOPIC_XXXX')).toBe(true)
    expect(isClosedToSend('BenchmarkTest')).toBe(false)
  })
})

describe('sysFlag', () => {
  it('names the compression', () => {
    expect([0, 0x1, 0x301, 0x101, 0x201, 0x401].map(compressionOf)).toEqual([
      'none',
      'zlib',
      'zlib',
      'lz4',
      'zstd',
      'unknown',
    ])
  })

  it('lets plain and committed messages into queues, others not', () => {
    const flags = [0, 0x4, 0x8, 0xc]
    expect(flags.map((flag) => isQueued(flag, false))).toEqual([true, false, true, false])
    expect(flags.map((flag) => isQueued(flag, true))).toEqual([true, false, true, false])
  })

  it('lets inner batches into batch queues only', () => {
    expect([0x80, 0xc0].map((flag) => isQueued(flag, false))).toEqual([false, false])
    expect([0x80, 0xc0].map((flag) => isQueued(flag, true))).toEqual([true, true])
  })
})

describe('Java’s hash', () => {
  it('has the values that Java prints', () => {
    expect(javaHash('')).toBe(0)
    expect(javaHash('TagA')).toBe(2_598_919)
    expect(javaHash('polygenelubricants')).toBe(-2_147_483_648)
  })

  it('is the same over bytes, in parts, and beyond ASCII', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (a, b) => {
        const left = Buffer.from(a)
        const right = Buffer.from(b)
        const seed = javaHashOfBytes(left, 0, left.length)
        expect(javaHashOfBytes(right, 0, right.length, seed)).toBe(
          javaHash(left.toString() + right.toString()),
        )
      }),
    )
  })
})

describe('a batch body', () => {
  const items = [
    { flag: 1, body: Buffer.from('one'), properties: Buffer.from('TAGS\x01a\x02') },
    { flag: 0, body: Buffer.from(''), properties: Buffer.from('') },
  ]

  it('has the bytes of the layout', () => {
    expect(encodeBatch(items).toString('hex')).toBe(
      '00000020' +
        '00000000' +
        '00000000' +
        '00000001' +
        '00000003' +
        '6f6e65' +
        '0007' +
        '54414753016102' +
        '00000016' +
        '00000000' +
        '00000000' +
        '00000000' +
        '00000000' +
        '0000',
    )
  })

  it('reads back item by item', () => {
    const bytes = Buffer.concat([Buffer.from('__'), encodeBatch(items), Buffer.from('__')])
    const reader = new BatchReader()
    reader.open(bytes, 2, bytes.length - 2)
    expect(reader.next()).toBe(true)
    expect([reader.flag, bytes.toString('utf8', reader.bodyStart, reader.bodyEnd)]).toEqual([
      1,
      'one',
    ])
    expect(bytes.toString('utf8', reader.propertiesStart, reader.propertiesEnd)).toBe(
      'TAGS\x01a\x02',
    )
    expect([reader.next(), reader.bodyEnd - reader.bodyStart]).toEqual([true, 0])
    expect([reader.next(), reader.fault]).toEqual([false, null])
  })

  it('is refused at every truncation inside an item, and never read past its end', () => {
    const bytes = encodeBatch(items)
    const reader = new BatchReader()
    for (let end = 1; end < bytes.length; end++) {
      reader.open(bytes, 0, end)
      let count = 0
      while (reader.next()) {
        count++
        expect(reader.propertiesEnd).toBeLessThanOrEqual(end)
      }
      expect([end, count, reader.fault !== null]).toEqual([end, end >= 32 ? 1 : 0, end !== 32])
    }
  })

  it('survives random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        const bytes = Buffer.from(noise)
        if (bytes.length >= 22) bytes.writeInt32BE(Math.min(bytes.length, 60), 0)
        const reader = new BatchReader()
        reader.open(bytes, 0, bytes.length)
        while (reader.next()) expect(reader.propertiesEnd).toBeLessThanOrEqual(bytes.length)
      }),
    )
  })
})

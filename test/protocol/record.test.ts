import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeHost } from '../../src/protocol/host.ts'
import {
  bodyCrcOf,
  decodeRecord,
  decodeRecords,
  encodeRecord,
  propertiesBytes,
  recordBytes,
  RecordParts,
  RecordVerdict,
  RecordView,
} from '../../src/protocol/record.ts'

const v4 = encodeHost('127.0.0.1:10911') ?? Buffer.alloc(0)
const v6 = encodeHost('[::1]:10911') ?? Buffer.alloc(0)

interface Given {
  topic?: string
  body?: Buffer
  properties?: Buffer
  suffix?: Buffer
  bornHost?: Buffer
  sysFlag?: number
}

function someParts(given: Given = {}): RecordParts {
  const parts = new RecordParts()
  parts.topic = Buffer.from(given.topic ?? 'T')
  parts.queueId = 3
  parts.flag = 7
  parts.sysFlag = given.sysFlag ?? 0
  parts.bornTimestamp = 1_700_000_000_000
  parts.bornHost = given.bornHost ?? v4
  parts.reconsumeTimes = 2
  parts.body = given.body ?? Buffer.from('hello')
  parts.bodyEnd = parts.body.length
  parts.properties = given.properties ?? Buffer.from('TAGS\x01a\x02')
  parts.propertiesEnd = parts.properties.length
  parts.suffix = given.suffix ?? Buffer.alloc(0)
  return parts
}

function encoded(parts: RecordParts, storeHost = v4): Buffer {
  const target = Buffer.alloc(recordBytes(parts, storeHost.length))
  expect(encodeRecord(target, 0, parts, storeHost, 42, 4096, 1_700_000_000_123)).toBe(target.length)
  return target
}

// Built by hand from the order of fields in store/…/MessageExtEncoder.java; CRC-32("hello") is 0x3610a686.
const goldenV1 =
  '00000068' + // totalSize 104 = 91 + 5 body + 1 topic + 7 properties
  'daa320a7' +
  '3610a686' +
  '00000003' +
  '00000007' +
  '000000000000002a' +
  '0000000000001000' +
  '00000000' +
  '0000018bcfe56800' +
  '7f00000100002a9f' +
  '0000018bcfe5687b' +
  '7f00000100002a9f' +
  '00000002' +
  '0000000000000000' +
  '0000000568656c6c6f' +
  '0154' +
  '0007544147530161' +
  '02'

describe('the stored record', () => {
  it('has the bytes of the layout: V1, IPv4', () => {
    expect(encoded(someParts()).toString('hex')).toBe(goldenV1)
  })

  it('takes 12 bytes more for an IPv6 host and marks it in sysFlag', () => {
    const bytes = encoded(someParts({ bornHost: v6 }))
    expect(bytes.length).toBe(104 + 12)
    expect(bytes.readInt32BE(36)).toBe(0x10)
    expect(bytes.toString('hex', 48, 68)).toBe('00000000000000000000000000000001' + '00002a9f')
    expect(decodeRecord(bytes, 0, bytes.length)?.bornHost).toBe('[0:0:0:0:0:0:0:1]:10911')
    const both = encoded(someParts({ bornHost: v6 }), v6)
    expect(both.readInt32BE(36)).toBe(0x30)
    expect(both.length).toBe(104 + 24)
  })

  it('is V2 with a two-byte topic length when the topic is longer than 127', () => {
    const topic = '%RETRY%' + 'g'.repeat(121)
    const bytes = encoded(someParts({ topic }))
    expect(bytes.readUInt32BE(4)).toBe(0xdaa320ab)
    expect(bytes.readInt16BE(93)).toBe(128)
    expect(decodeRecord(bytes, 0, bytes.length)?.topic).toBe(topic)
  })

  it('puts the missing separator between the sender’s properties and the suffix', () => {
    const parts = someParts({
      properties: Buffer.from('KEYS\x01k'),
      suffix: Buffer.from('CLUSTER\x01c\x02'),
    })
    const bytes = encoded(parts)
    expect(propertiesBytes(parts)).toBe(6 + 1 + 10)
    expect({ ...decodeRecord(bytes, 0, bytes.length)?.properties }).toEqual({
      KEYS: 'k',
      CLUSTER: 'c',
    })
  })

  it('gives back what was put in', () => {
    const bytes = encoded(someParts())
    expect(decodeRecord(bytes, 0, bytes.length)).toMatchObject({
      topic: 'T',
      queueId: 3,
      queueOffset: 42,
      physicalOffset: 4096,
      flag: 7,
      bornTimestamp: 1_700_000_000_000,
      bornHost: '127.0.0.1:10911',
      storeTimestamp: 1_700_000_000_123,
      storeHost: '127.0.0.1:10911',
      reconsumeTimes: 2,
      body: Buffer.from('hello'),
      compression: 'none',
      offsetMessageId: '7F00000100002A9F0000000000001000',
      messageId: '7F00000100002A9F0000000000001000',
      sizeBytes: 104,
    })
  })

  it('gives back any body, topic and properties', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.string({ minLength: 1, maxLength: 200 }),
        fc.dictionary(fc.stringMatching(/^[A-Za-z_]{1,12}$/), fc.stringMatching(/^[^\x01\x02]+$/)),
        fc.boolean(),
        (body, topic, properties, ipv6) => {
          const text = Object.entries(properties)
            .map(([name, value]) => `${name}\x01${value}\x02`)
            .join('')
          const bytes = encoded(
            someParts({
              body: Buffer.from(body),
              topic: Buffer.from(topic).toString('utf8'),
              properties: Buffer.from(text),
            }),
            ipv6 ? v6 : v4,
          )
          const message = decodeRecord(bytes, 0, bytes.length)
          expect(message?.body).toEqual(Buffer.from(body))
          expect(message?.topic).toBe(Buffer.from(topic).toString('utf8'))
          expect({ ...message?.properties }).toEqual({ ...properties })
        },
      ),
    )
  })

  it('is refused at every truncation', () => {
    const bytes = encoded(someParts())
    const view = new RecordView()
    for (let length = 0; length < bytes.length; length++) {
      expect(view.check(bytes, 0, length, true)).toBe(RecordVerdict.partial)
    }
  })

  it('is refused or harmless with any one byte changed', () => {
    const bytes = encoded(someParts({ suffix: Buffer.from('CLUSTER\x01c\x02') }))
    const view = new RecordView()
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const damaged = Buffer.from(bytes)
        damaged.writeUInt8(damaged.readUInt8(at) ^ flip, at)
        const verdict = view.check(damaged, 0, damaged.length, true)
        const structural = at < 12 || (at >= 84 && at < 88) || (at >= 88 && at < 93)
        if (structural) expect([at, verdict]).not.toEqual([at, RecordVerdict.ok])
        if (verdict === RecordVerdict.ok) expect(view.size).toBe(bytes.length)
        decodeRecord(damaged, 0, damaged.length, false)
      }
    }
  })

  it('survives random bytes behind a valid magic', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 200 }), fc.boolean(), (noise, v2) => {
        const bytes = Buffer.from(noise)
        bytes.writeUInt32BE(v2 ? 0xdaa320ab : 0xdaa320a7, 4)
        bytes.writeInt32BE(bytes.length, 0)
        decodeRecord(bytes, 0, bytes.length, false)
        return true
      }),
    )
  })

  it('tells a blank, zeros and a wrong magic apart', () => {
    const view = new RecordView()
    const bytes = Buffer.alloc(200)
    expect(view.check(bytes, 0, 200, true)).toBe(RecordVerdict.bad)
    expect(view.fault).toBe('magic')
    bytes.writeInt32BE(200, 0)
    bytes.writeUInt32BE(0xcbd43194, 4)
    expect(view.check(bytes, 0, 200, true)).toBe(RecordVerdict.blank)
    expect(view.size).toBe(200)
  })

  it('has checksum 0 for an empty body, and one without the sign bit otherwise', () => {
    expect(bodyCrcOf(Buffer.from('x'), 0, 0)).toBe(0)
    expect(bodyCrcOf(Buffer.from('123456789'), 0, 9)).toBe(0xcbf43926 & 0x7fffffff)
  })

  it('stops a pull body at the first byte that is no record, and says where', () => {
    const one = encoded(someParts())
    const damaged = Buffer.concat([one, one, Buffer.from('garbage garbage')])
    const { messages, fault } = decodeRecords(damaged)
    expect(messages).toHaveLength(2)
    expect(fault).toContain('byte 208')
    expect(decodeRecords(Buffer.concat([one, one])).fault).toBeNull()
  })

  it.each([
    [0x1, 'zlib'],
    [0x301, 'zlib'],
    [0x101, 'lz4'],
    [0x201, 'zstd'],
    [0x701, 'unknown'],
    [0x300, 'none'],
  ])('with sysFlag %i says that its body is %s', (sysFlag, compression) => {
    const bytes = encoded(someParts({ sysFlag }))
    expect(decodeRecord(bytes, 0, bytes.length)?.compression).toBe(compression)
  })
})

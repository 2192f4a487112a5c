import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RequestCode } from '../../src/protocol/codes.ts'
import { type ExtValues, request } from '../../src/protocol/command.ts'
import { decodeFrame, encodeFrame } from '../../src/protocol/frame.ts'
import { SendRequest } from '../../src/protocol/send-request.ts'

/** What a send request says, in a form that can be compared. */
function facts(send: SendRequest) {
  return {
    code: send.code,
    opaque: send.opaque,
    frameFlag: send.frameFlag,
    version: send.version,
    group: send.bytes.toString('utf8', send.groupStart, send.groupEnd),
    topic: send.topic,
    defaultTopic: send.defaultTopic,
    defaultTopicQueueNums: send.defaultTopicQueueNums,
    queueId: send.queueId,
    sysFlag: send.sysFlag,
    bornTimestamp: send.bornTimestamp,
    flag: send.flag,
    reconsumeTimes: send.reconsumeTimes,
    maxReconsumeTimes: send.maxReconsumeTimes,
    batch: send.batch,
    properties: send.properties.toString('utf8', 0, send.propertiesEnd),
    body: send.body.toString('hex', send.bodyStart, send.bodyEnd),
  }
}

function frameOf(ext: ExtValues, body: Buffer | null = Buffer.from('body')): Buffer {
  const command = request(RequestCode.SEND_MESSAGE_V2, ext, body)
  command.opaque = 42
  return encodeFrame(command)
}

const plain = {
  a: 'PG',
  b: 'T1',
  c: 'TBW102',
  d: 4,
  e: 3,
  f: 0x301,
  g: 1_700_000_000_123,
  h: -7,
  i: 'KEYS\u0001a b\u0002TAGS\u0001Ü "x" \\ /\u0002',
  j: 0,
  k: false,
  m: false,
  n: 'broker-a',
}

function scanned(frame: Buffer) {
  const send = new SendRequest()
  return send.scan(frame, 0, frame.length) ? facts(send) : null
}

function slow(frame: Buffer) {
  const send = new SendRequest()
  expect(send.fromCommand(decodeFrame(frame, 0, frame.length))).toBe(true)
  return facts(send)
}

describe('the byte scan', () => {
  test('reads the header that an official client sends', () => {
    const frame = frameOf(plain)
    expect(SendRequest.mayBe(frame, 0, frame.length)).toBe(true)
    expect(scanned(frame)).toEqual({
      code: 310,
      opaque: 42,
      frameFlag: 0,
      version: 479,
      group: 'PG',
      topic: 'T1',
      defaultTopic: 'TBW102',
      defaultTopicQueueNums: 4,
      queueId: 3,
      sysFlag: 0x301,
      bornTimestamp: 1_700_000_000_123,
      flag: -7,
      reconsumeTimes: 0,
      maxReconsumeTimes: -1,
      batch: false,
      properties: plain.i,
      body: Buffer.from('body').toString('hex'),
    })
  })

  test('leaves white space, other codes and odd escapes to the slow way', () => {
    const spaced = Buffer.from(' {"code":310}')
    const frame = Buffer.concat([Buffer.alloc(8), spaced])
    frame.writeInt32BE(frame.length - 4, 0)
    frame.writeInt32BE(spaced.length, 4)
    expect(scanned(frame)).toBeNull()
    expect(scanned(encodeFrame(request(RequestCode.PULL_MESSAGE, plain)))).toBeNull()
    expect(scanned(frameOf({ ...plain, b: 'T"1' }))).toBeNull()
    expect(scanned(frameOf({ ...plain, i: 'a\u0001line\nbreak\u0002' }))).toBeNull()
  })

  test('says the same as the slow way whenever it says anything', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 30 })
    fc.assert(
      fc.property(
        fc.record({
          a: text,
          b: text.filter((value) => value.length > 0),
          e: fc.integer({ min: -1, max: 2000 }),
          f: fc.integer({ min: 0, max: 0x7ff }),
          g: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
          h: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
          i: fc.string({ unit: 'binary', maxLength: 300 }),
          j: fc.option(fc.integer({ min: 0, max: 20 })),
          l: fc.option(fc.integer({ min: -1, max: 20 })),
          m: fc.option(fc.boolean()),
          bname: fc.option(text),
        }),
        fc.option(fc.uint8Array({ maxLength: 50 })),
        (ext, body) => {
          // Lone surrogates have no UTF-8 form; JSON text cannot carry them either way.
          const clean = { ...ext, i: Buffer.from(ext.i, 'utf8').toString('utf8') }
          const frame = frameOf(clean, body ? Buffer.from(body) : null)
          const fast = scanned(frame)
          if (fast !== null) expect(fast).toEqual(slow(frame))
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('survives every truncation and any flipped byte of a header', () => {
    const frame = frameOf(plain, null)
    for (let at = 8; at < frame.length; at++) {
      const cut = Buffer.from(frame.subarray(0, at))
      cut.writeInt32BE(cut.length - 4, 0)
      cut.writeInt32BE(cut.length - 8, 4)
      expect(scanned(cut)).toBeNull()
      const flipped = Buffer.from(frame)
      flipped[at] = (flipped[at] ?? 0) ^ 0x08
      expect(() => scanned(flipped)).not.toThrow()
    }
  })
})

describe('the slow way', () => {
  test('reads V1 names', () => {
    const send = new SendRequest()
    const command = request(RequestCode.SEND_MESSAGE, {
      producerGroup: 'PG',
      topic: 'T1',
      defaultTopic: 'TBW102',
      defaultTopicQueueNums: 4,
      queueId: 1,
      sysFlag: 0,
      bornTimestamp: 5,
      flag: 0,
      properties: 'a\u0001b\u0002',
      batch: true,
    })
    expect(send.fromCommand(command)).toBe(true)
    expect(facts(send)).toMatchObject({ topic: 'T1', queueId: 1, batch: true, bornTimestamp: 5 })
  })

  test.each([
    [{ ...plain, b: undefined }, /topic is missing/],
    [{ ...plain, e: undefined }, /queueId is missing/],
    [{ ...plain, e: 'abc' }, /queueId is abc/],
  ])('names the field that is missing or no number', (ext, fault) => {
    const send = new SendRequest()
    expect(send.fromCommand(request(RequestCode.SEND_MESSAGE_V2, ext))).toBe(false)
    expect(send.fault).toMatch(fault)
  })
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RequestCode } from '../../src/protocol/codes.ts'
import { type ExtValues, request } from '../../src/protocol/command.ts'
import { decodeFrame, encodeFrame } from '../../src/protocol/frame.ts'
import { type PullHeader, PullHeaderError, readPullHeader } from '../../src/protocol/pull-header.ts'
import { PullRequest } from '../../src/protocol/pull-request.ts'

/** As the official Java client sends it. */
const plain: ExtValues = {
  queueId: 3,
  maxMsgNums: 32,
  sysFlag: 6,
  suspendTimeoutMillis: 15_000,
  commitOffset: 0,
  topic: 'orders',
  bname: 'broker-a',
  queueOffset: 1_234_567_890_123,
  expressionType: 'TAG',
  subscription: 'a || b',
  consumerGroup: 'CG',
  subVersion: 1_700_000_000_000,
  maxMsgBytes: 262_144,
}

function frameOf(ext: ExtValues, change: Partial<ReturnType<typeof request>> = {}): Buffer {
  return encodeFrame(Object.assign(request(RequestCode.PULL_MESSAGE, ext), { opaque: 7 }, change))
}

/** A frame around a header that no encoder of ours would write. */
function frameAround(header: string): Buffer {
  const text = Buffer.from(header)
  const frame = Buffer.alloc(8 + text.length)
  frame.writeInt32BE(4 + text.length, 0)
  frame.writeInt32BE(text.length, 4)
  text.copy(frame, 8)
  return frame
}

const shared = new PullRequest()

function scan(frame: Buffer, pull = shared): { opaque: number; header: PullHeader } | null {
  // Something stands before and behind, as in a socket's buffer.
  const bytes = Buffer.concat([Buffer.from('xyz'), frame, Buffer.from('{}')])
  const header = pull.scan(bytes, 3, 3 + frame.length)
  return header === null ? null : { opaque: pull.opaque, header }
}

function slow(frame: Buffer): { opaque: number; header: PullHeader } | null {
  const command = decodeFrame(frame, 0, frame.length)
  try {
    return { opaque: command.opaque, header: readPullHeader(command.ext) }
  } catch (error) {
    if (error instanceof PullHeaderError) return null
    throw error
  }
}

describe('the scan of a pull', () => {
  test('reads what the official client sends as the slow way does', () => {
    const frame = frameOf(plain)
    expect(PullRequest.mayBe(frame, 0, frame.length)).toBe(true)
    expect(scan(frame)).toEqual(slow(frame))
    expect(scan(frame)?.header).toMatchObject({ topic: 'orders', queueOffset: 1_234_567_890_123 })
  })

  test('leaves fields out that are not there, after a pull that had them', () => {
    scan(frameOf(plain))
    const less = frameOf({
      ...plain,
      subscription: null,
      expressionType: undefined,
      maxMsgBytes: null,
    })
    expect(scan(less)?.header).toMatchObject({
      subscription: null,
      expressionType: null,
      maxMsgBytes: null,
    })
    expect(scan(less)).toEqual(slow(less))
  })

  test('tells apart names of one length, also when they come in turn', () => {
    const one = frameOf(plain)
    const other = frameOf({
      ...plain,
      topic: 'orderz',
      consumerGroup: 'CH',
      subscription: 'a || c',
    })
    for (const frame of [one, other, other, one]) expect(scan(frame)).toEqual(slow(frame))
  })

  test('gives the same string for the same bytes and reads names of any length', () => {
    for (const topic of ['', 'Ü', 'x'.repeat(255), 'y'.repeat(256), 'y'.repeat(255) + 'z', 'x']) {
      const frame = frameOf({ ...plain, topic })
      expect(scan(frame)).toEqual(slow(frame))
    }
  })

  test('says the same as the slow way for any values', () => {
    const number = fc.integer({ min: -999_999_999_999_999, max: 999_999_999_999_999 })
    const text = fc
      .string({ unit: 'grapheme', maxLength: 40 })
      .filter((value) => !JSON.stringify(value).includes('\\'))
    const fields = fc.record({
      consumerGroup: text,
      topic: text,
      queueId: number,
      queueOffset: number,
      maxMsgNums: number,
      sysFlag: number,
      commitOffset: number,
      suspendTimeoutMillis: number,
      subVersion: number,
      subscription: fc.option(text),
      expressionType: fc.option(text),
      maxMsgBytes: fc.option(number),
    })
    fc.assert(
      fc.property(fields, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (ext, opaque) => {
        const frame = frameOf(ext, { opaque })
        expect(scan(frame)).toEqual(slow(frame))
      }),
    )
  })

  test('never disagrees with the slow way about a frame with a byte changed', () => {
    const frame = frameOf(plain)
    fc.assert(
      fc.property(fc.nat(frame.length - 9), fc.integer({ min: 0x20, max: 0x7e }), (at, byte) => {
        const changed = Buffer.from(frame)
        changed[8 + at] = byte
        let expected: ReturnType<typeof slow> = null
        try {
          expected = slow(changed)
        } catch {
          // No JSON any more: the scan may not take it for a pull of another queue.
          return
        }
        const seen = PullRequest.mayBe(changed, 0, changed.length) ? scan(changed) : null
        if (seen !== null) expect(seen).toEqual(expected)
      }),
      { numRuns: 2_000 },
    )
  })

  test.each([
    ['consumerGroup'],
    ['topic'],
    ['queueId'],
    ['queueOffset'],
    ['maxMsgNums'],
    ['sysFlag'],
    ['commitOffset'],
    ['suspendTimeoutMillis'],
    ['subVersion'],
  ])('leaves a pull without %s to the slow way, which says so', (name) => {
    expect(scan(frameOf({ ...plain, [name]: null }))).toBeNull()
  })

  const header = (fields: string, rest = ',"flag":0,"language":"JAVA","opaque":7,"version":1') =>
    `{"code":11,"extFields":{${fields}}${rest}}`
  const good = Object.entries(plain)
    .map(([name, value]) => `"${name}":"${String(value)}"`)
    .join(',')

  test('reads the header that the odd ones below are made of', () => {
    expect(scan(frameAround(header(good)))).toEqual(slow(frameAround(header(good))))
    expect(scan(frameAround(header(good)))).not.toBeNull()
  })

  test.each([
    ['white space', header(good).replace('"extFields":', '"extFields": ')],
    ['an escape', header(good).replace('orders', 'ord\\u0065rs')],
    ['a number that is no text', header(good.replace('"3"', '3'))],
    ['a field that is null', header(good.replace('"a || b"', 'null'))],
    ['no number where one belongs', header(good.replace('"3"', '"three"'))],
    ['an empty number', header(good.replace('"3"', '""'))],
    ['a fraction', header(good.replace('"3"', '"3.5"'))],
    ['a number that may not be exact', header(good.replace('"3"', '"9223372036854775807"'))],
    ['another code', header(good).replace('"code":11', '"code":34')],
    ['a response', header(good, ',"flag":1,"opaque":7')],
    ['a field of the frame that is not known', header(good, ',"flag":0,"opaque":7,"extra":1')],
    ['bytes behind the object', `${header(good)} `],
    ['an object that does not end', header(good).slice(0, -1)],
    ['no object', '[]'],
  ])('leaves %s to the slow way', (_name, text) => {
    expect(scan(frameAround(text))).toBeNull()
  })

  test('leaves a binary header to the slow way', () => {
    expect(scan(frameOf(plain, { serializeType: 1 }))).toBeNull()
  })

  test.each([
    ['shorter than any', Buffer.from('{"code":11,')],
    ['a send', frameAround(header(good).replace('"code":11,', '"code":310,'))],
    ['a code that begins alike', frameAround(header(good).replace('"code":11,', '"code":112,'))],
  ])('%s is no candidate', (_name, frame) => {
    expect(PullRequest.mayBe(frame, 0, frame.length)).toBe(false)
  })
})

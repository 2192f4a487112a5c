import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RequestCode } from '../../src/protocol/codes.ts'
import { type Command, type ExtValues, request } from '../../src/protocol/command.ts'
import { EndRequest } from '../../src/protocol/end-request.ts'
import { decodeFrame, encodeFrame } from '../../src/protocol/frame.ts'

/** As the official Java client sends it. */
const plain: ExtValues = {
  topic: 'orders',
  producerGroup: 'PG',
  tranStateTableOffset: 17,
  commitLogOffset: 1_234_567_890_123,
  commitOrRollback: 8,
  fromTransactionCheck: false,
  msgId: '7F0000010F0018B4AAC2737AD1C90001',
  transactionId: '7F0000010F0018B4AAC2737AD1C90001',
  bname: 'broker-a',
}

function frameOf(ext: ExtValues, change: Partial<Command> = {}): Buffer {
  return encodeFrame(
    Object.assign(request(RequestCode.END_TRANSACTION, ext), { opaque: 7 }, change),
  )
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

const end = new EndRequest()

function scan(frame: Buffer) {
  if (!EndRequest.mayBe(frame, 0, frame.length)) return null
  // Something stands before and behind, as in a socket's buffer.
  const bytes = Buffer.concat([Buffer.from('xyz'), frame, Buffer.from('{}')])
  if (!end.scan(bytes, 3, 3 + frame.length)) return null
  const { opaque, isOneway, producerGroup, queueOffset, physicalOffset, decision, isAnswer } = end
  return { opaque, isOneway, producerGroup, queueOffset, physicalOffset, decision, isAnswer }
}

/** What the command says, read field by field. */
function slow({ opaque, isOneway, ext }: Command) {
  const bits = Number(ext['commitOrRollback'])
  return {
    opaque,
    isOneway,
    producerGroup: ext['producerGroup'],
    queueOffset: Number(ext['tranStateTableOffset']),
    physicalOffset: Number(ext['commitLogOffset']),
    decision: bits === 8 ? 'commit' : bits === 12 ? 'rollback' : null,
    isAnswer: ext['fromTransactionCheck']?.toLowerCase() === 'true',
  }
}

const whole = (frame: Buffer) => decodeFrame(frame, 0, frame.length)

describe('the scan of the end of a transaction', () => {
  test('reads what the official client sends as the slow way does', () => {
    for (const change of [{}, { flag: 2 }, { opaque: -5 }]) {
      const frame = frameOf(plain, change)
      expect(scan(frame)).toEqual(slow(whole(frame)))
    }
    expect(scan(frameOf(plain))).toMatchObject({ queueOffset: 17, decision: 'commit' })
  })

  test('says the same as the slow way for any values', () => {
    const number = fc.nat({ max: 999_999_999_999_999 })
    const fields = fc.record({
      producerGroup: fc
        .string({ unit: 'grapheme', minLength: 1, maxLength: 300 })
        .filter((value) => !JSON.stringify(value).includes('\\')),
      tranStateTableOffset: number,
      commitLogOffset: number,
      commitOrRollback: fc.constantFrom(8, 12),
      fromTransactionCheck: fc.option(fc.boolean()),
      bname: fc.option(fc.constant('b')),
    })
    fc.assert(
      fc.property(fields, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (ext, opaque) => {
        const frame = frameOf(ext, { opaque })
        expect(scan(frame)).toEqual(slow(whole(frame)))
      }),
    )
  })

  test('never disagrees with the slow way about a frame with a byte changed', () => {
    const frame = frameOf(plain)
    fc.assert(
      fc.property(fc.nat(frame.length - 9), fc.integer({ min: 0x20, max: 0x7e }), (at, byte) => {
        const changed = Buffer.from(frame)
        changed[8 + at] = byte
        let expected: Command
        try {
          expected = whole(changed)
        } catch {
          // No JSON any more: whatever it names, the checks of a half stand before its end.
          return
        }
        const seen = scan(changed)
        if (seen !== null) expect(seen).toEqual(slow(expected))
      }),
      { numRuns: 2_000 },
    )
  })

  test('forgets what the one before said', () => {
    expect(scan(frameOf({ ...plain, fromTransactionCheck: true }))?.isAnswer).toBe(true)
    expect(scan(frameOf({ ...plain, fromTransactionCheck: null }))?.isAnswer).toBe(false)
    for (const name of [
      'producerGroup',
      'tranStateTableOffset',
      'commitLogOffset',
      'commitOrRollback',
    ]) {
      scan(frameOf(plain))
      expect([name, scan(frameOf({ ...plain, [name]: null }))]).toEqual([name, null])
    }
  })

  const header = (fields: string, rest = ',"flag":0,"language":"JAVA","opaque":7,"version":1') =>
    `{"code":37,"extFields":{${fields}}${rest}}`
  const good = Object.entries(plain)
    .map(([name, value]) => `"${name}":"${String(value)}"`)
    .join(',')

  test('reads the header that the odd ones below are made of', () => {
    const frame = frameAround(header(good))
    expect(scan(frame)).toEqual(slow(whole(frame)))
  })

  test.each([
    ['white space', header(good).replace('"extFields":', '"extFields": ')],
    ['an escape', header(good).replace('"PG"', '"P\\u0047"')],
    ['an empty group', header(good.replace('"PG"', '""'))],
    ['a number that is no text', header(good.replace('"17"', '17'))],
    ['a negative place', header(good.replace('"17"', '"-1"'))],
    ['a place that may not be exact', header(good.replace('"17"', '"9223372036854775807"'))],
    ['a decision that is none', header(good.replace('"8"', '"0"'))],
    ['a flag that is neither', header(good.replace('"false"', '"FALSE"'))],
    ['a remark', header(good, ',"flag":0,"opaque":7,"remark":"why"')],
    ['another code', header(good).replace('"code":37', '"code":310')],
    ['a code that begins alike', header(good).replace('"code":37,', '"code":371,')],
    ['a response', header(good, ',"flag":1,"opaque":7')],
    ['an object that does not end', header(good).slice(0, -1)],
    ['something short', '{"code":37,'],
  ])('leaves %s to the slow way', (_name, text) => {
    expect(scan(frameAround(text))).toBeNull()
  })

  test('leaves a binary header to the slow way', () => {
    expect(scan(frameOf(plain, { serializeType: 1 }))).toBeNull()
  })
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  Command,
  CommandFlag,
  OUR_LANGUAGE,
  PROTOCOL_VERSION,
  SerializeType,
} from '../../src/protocol/command.ts'
import { encodeFrameHead } from '../../src/protocol/frame.ts'
import { pullAnswerHeadBytes, writePullAnswerHead } from '../../src/protocol/pull-answer.ts'
import { pullResponseFields } from '../../src/protocol/pull-header.ts'

function slow(opaque: number, next: number, min: number, max: number, bodyBytes: number): Buffer {
  const fields = pullResponseFields({
    suggestWhichBrokerId: 0,
    nextBeginOffset: next,
    minOffset: min,
    maxOffset: max,
  })
  const { response } = CommandFlag
  const { json } = SerializeType
  return encodeFrameHead(
    new Command(0, OUR_LANGUAGE, PROTOCOL_VERSION, opaque, response, 'FOUND', fields, null, json),
    bodyBytes,
  )
}

function fast(opaque: number, next: number, min: number, max: number, bodyBytes: number): Buffer {
  const bytes = pullAnswerHeadBytes(opaque, next, min, max)
  const target = Buffer.alloc(bytes + 10, 0xee)
  expect(writePullAnswerHead(target, 5, opaque, next, min, max, bodyBytes)).toBe(5 + bytes)
  expect([...target.subarray(0, 5), ...target.subarray(5 + bytes)]).toEqual(Array(10).fill(0xee))
  return target.subarray(5, 5 + bytes)
}

test('the head of an answer has the bytes of the general encoder, for any numbers', () => {
  const offset = fc.oneof(
    fc.nat(2_000),
    fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    fc.constantFrom(0, 9, 10, 999_999_999, 1_000_000_000, 9_999_999_999, Number.MAX_SAFE_INTEGER),
  )
  const opaque = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
  fc.assert(
    fc.property(opaque, offset, offset, offset, fc.nat(16_000_000), (...numbers) => {
      expect(fast(...numbers).toString('latin1')).toBe(slow(...numbers).toString('latin1'))
    }),
  )
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ResponseCode } from '../../src/protocol/codes.ts'
import { respond, SerializeType } from '../../src/protocol/command.ts'
import { decodeFrame, encodeFrame } from '../../src/protocol/frame.ts'
import {
  SendAnswerWriter,
  SUCCESS_BYTES_MAX,
  readSuccess,
  writeDecimal,
  writeSuccess,
} from '../../src/protocol/send-answer.ts'

test('decimal text is what String writes, for every size', () => {
  const target = Buffer.alloc(32)
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      expect(target.toString('latin1', 0, writeDecimal(target, value, 0))).toBe(String(value))
    }),
  )
  for (const value of [
    0,
    9,
    10,
    999_999_999,
    1_000_000_000,
    1_000_000_001,
    Number.MAX_SAFE_INTEGER,
  ]) {
    expect(target.toString('latin1', 0, writeDecimal(target, value, 0))).toBe(String(value))
  }
})

test('the answer is a frame that a client can read, with id, queue and offset', () => {
  const host = Buffer.from([127, 0, 0, 1, 0, 0, 0x2a, 0x9f])
  const writer = new SendAnswerWriter(host, 'DefaultRegion', true)
  const target = Buffer.alloc(writer.bytesMax + 10)
  fc.assert(
    fc.property(
      fc.integer(),
      fc.nat(2000),
      fc.maxSafeNat(),
      fc.maxSafeNat(),
      (opaque, queueId, queueOffset, physicalOffset) => {
        const end = writer.write(target, 10, opaque, queueId, queueOffset, physicalOffset)
        expect(end - 10).toBeLessThanOrEqual(writer.bytesMax)
        const command = decodeFrame(target, 10, end)
        expect(command).toMatchObject({ code: 0, flag: 1, opaque, body: null })
        expect({ ...command.ext }).toEqual({
          MSG_REGION: 'DefaultRegion',
          TRACE_ON: 'true',
          msgId: `7F00000100002A9F${physicalOffset.toString(16).toUpperCase().padStart(16, '0')}`,
          queueId: String(queueId),
          queueOffset: String(queueOffset),
        })
      },
    ),
  )
})

test('the answer to a half says its transaction id as well', () => {
  const writer = new SendAnswerWriter(Buffer.alloc(8), 'DefaultRegion', true)
  const id = '7F0000010F0018B4AAC2737AD1C90001'
  const most = Number.MAX_SAFE_INTEGER
  const target = Buffer.alloc(writer.bytesMaxWith(id) + 10, 'x')
  const end = writer.write(target, 10, -(2 ** 31), 65_535, most, most, id)
  expect(end - 10).toBeLessThanOrEqual(writer.bytesMaxWith(id))
  const { ext } = decodeFrame(target, 10, end)
  expect([ext['transactionId'], ext['queueOffset']]).toEqual([id, String(most)])
})

test('the answer that says nothing but that it is done is what a command would be', () => {
  const target = Buffer.alloc(SUCCESS_BYTES_MAX + 3)
  fc.assert(
    fc.property(fc.integer(), (opaque) => {
      const end = writeSuccess(target, 3, opaque)
      const command = respond({ opaque, serializeType: SerializeType.json }, ResponseCode.SUCCESS)
      expect(target.toString('latin1', 3, end)).toBe(encodeFrame(command).toString('latin1'))
    }),
  )
})

test('that answer is read as the decoder reads it, and no other frame is', () => {
  const target = Buffer.alloc(SUCCESS_BYTES_MAX + 3)
  fc.assert(
    fc.property(fc.nat(2 ** 31 - 1), fc.nat(200), fc.nat(255), (opaque, at, byte) => {
      const end = writeSuccess(target, 3, opaque)
      expect(readSuccess(target, 3, end)).toEqual(decodeFrame(target, 3, end))
      target[3 + at] = byte
      const seen = readSuccess(target, 3, end)
      if (seen !== null) expect(seen).toEqual(decodeFrame(target, 3, end))
    }),
    { numRuns: 2_000 },
  )
  const asked = { opaque: 7, serializeType: SerializeType.json }
  for (const other of [
    respond(asked, ResponseCode.SYSTEM_ERROR),
    respond(asked, ResponseCode.SUCCESS, 'why'),
    respond(asked, ResponseCode.SUCCESS, null, { a: 1 }),
    respond(asked, ResponseCode.SUCCESS, null, {}, Buffer.from('body')),
    respond({ ...asked, opaque: -7 }, ResponseCode.SUCCESS),
    respond({ ...asked, serializeType: SerializeType.rocketmq }, ResponseCode.SUCCESS),
  ]) {
    const frame = encodeFrame(other)
    expect(readSuccess(frame, 0, frame.length)).toBeNull()
  }
})

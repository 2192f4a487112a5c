import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RequestCode } from '../../src/protocol/codes.ts'
import { Command, SerializeType, extFields, request, respond } from '../../src/protocol/command.ts'
import {
  FRAME_BYTES_MAX,
  FrameError,
  decodeFrame,
  encodeFrame,
  encodeFrameHead,
  prefixProblem,
  putFrameHead,
} from '../../src/protocol/frame.ts'

const decode = (frame: Buffer) => decodeFrame(frame, 0, frame.length)

function jsonFrame(header: string, body = ''): Buffer {
  const frame = Buffer.alloc(8 + Buffer.byteLength(header) + Buffer.byteLength(body))
  frame.writeInt32BE(frame.length - 4, 0)
  frame.writeInt32BE(Buffer.byteLength(header), 4)
  frame.write(header, 8)
  frame.write(body, 8 + Buffer.byteLength(header))
  return frame
}

describe('frames that Apache RocketMQ wrote', () => {
  test('a JSON request for a route is understood', () => {
    const command = decode(
      jsonFrame(
        '{"code":105,"extFields":{"topic":"T1"},"flag":0,"language":"JAVA","opaque":0,"serializeTypeCurrentRPC":"JSON","version":479}',
      ),
    )
    expect(command).toMatchObject({
      code: 105,
      flag: 0,
      language: 'JAVA',
      opaque: 0,
      version: 479,
      remark: null,
      body: null,
    })
    expect({ ...command.ext }).toEqual({ topic: 'T1' })
  })

  test('the binary route request has the bytes that RocketMQSerializable writes', () => {
    // Observed from RocketMQ 5.3: topic "T1" with three more fields; here with the topic alone.
    const golden = Buffer.from(
      '00000027' + '01000023' + '0069' + '00' + '01df' + '00000007' + '00000000' + '00000000' +
        '0000000d' + '0005' + '746f706963' + '00000002' + '5431',
      'hex',
    ) // prettier-ignore
    // 21 bytes fixed + 13 of fields = 0x22 header; the frame length is header + 4.
    golden.writeInt32BE(golden.length - 4, 0)
    golden.writeInt32BE(0x0100_0000 | (golden.length - 8), 4)
    const command = new Command(
      RequestCode.GET_ROUTEINFO_BY_TOPIC,
      'JAVA',
      479,
      7,
      0,
      null,
      extFields({ topic: 'T1' }),
      null,
      SerializeType.rocketmq,
    )
    expect(encodeFrame(command).toString('hex')).toBe(golden.toString('hex'))
    expect(decode(golden)).toEqual(command)
  })
})

describe('leniency of the JSON header', () => {
  test('code, flag and opaque alone are enough', () => {
    expect(decode(jsonFrame('{"code":0,"flag":1,"opaque":5}'))).toMatchObject({
      opaque: 5,
      version: 0,
    })
  })

  test('numbers and booleans in extFields become text, null fields are absent', () => {
    const command = decode(jsonFrame('{"code":1,"extFields":{"a":1,"b":true,"c":null,"d":"x"}}'))
    expect({ ...command.ext }).toEqual({ a: '1', b: 'true', d: 'x' })
  })

  test('a field named __proto__ is a field like any other', () => {
    const command = decode(jsonFrame('{"code":1,"extFields":{"__proto__":"x","constructor":"y"}}'))
    expect(Object.keys(command.ext)).toEqual(['__proto__', 'constructor'])
    expect(({} as Record<string, unknown>)['x']).toBeUndefined()
  })

  test('language may be a number', () => {
    expect(decode(jsonFrame('{"code":1,"language":9}')).language).toBe('GO')
  })
})

describe('round trips', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 40 })
  const commands = fc.record({
    code: fc.integer({ min: 0, max: 32767 }),
    opaque: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
    flag: fc.constantFrom(0, 1, 2),
    remark: fc.option(text.filter((value) => value.length > 0)),
    ext: fc.dictionary(
      fc.string({ minLength: 1, maxLength: 12 }),
      text.filter((value) => value.length > 0),
    ),
    body: fc.option(fc.uint8Array({ minLength: 1, maxLength: 600 })),
    type: fc.constantFrom(SerializeType.json, SerializeType.rocketmq),
  })

  test('decode gives back what encode got, in both header forms', () => {
    fc.assert(
      fc.property(commands, (value) => {
        const command = new Command(
          value.code,
          'NODE_JS',
          479,
          value.opaque,
          value.flag,
          value.remark,
          extFields(value.ext),
          value.body ? Buffer.from(value.body) : null,
          value.type,
        )
        expect(decode(encodeFrame(command))).toEqual(command)
      }),
    )
  })

  test('a response repeats opaque and serialisation of its request', () => {
    const asked = request(RequestCode.HEART_BEAT)
    asked.opaque = 77
    asked.serializeType = SerializeType.rocketmq
    const answer = respond(asked, 0, 'fine', { offset: 5 })
    expect(answer).toMatchObject({ opaque: 77, flag: 1, serializeType: 1, remark: 'fine' })
    expect(answer.ext['offset']).toBe('5')
  })
})

describe('bytes that are no frame', () => {
  test.each([
    ['zero length', 0],
    ['negative length', -1],
    ['three bytes', 3],
    ['2^31-1', 0x7fff_ffff],
    ['one above the limit', FRAME_BYTES_MAX - 3],
    ['"GET "', 0x4745_5420],
    ['a TLS hello', 0x1603_0102],
  ])('%s is refused by its first four bytes', (_name, length) => {
    expect(prefixProblem(length, 0)).toMatch(/frame length/)
  })

  test('a header longer than its frame is refused', () => {
    expect(prefixProblem(100, 97)).toMatch(/header of 97 bytes in a frame of 100/)
  })

  test('an unknown serialise type is refused', () => {
    expect(prefixProblem(100, 0x0200_0010)).toMatch(/serialise type 2/)
  })

  test('every truncation of a binary header is refused with a FrameError', () => {
    const whole = encodeFrame(
      new Command(1, 'JAVA', 1, 1, 0, 'remark', extFields({ key: 'value' }), null, 1),
    )
    for (let headerBytes = 0; headerBytes < whole.length - 8; headerBytes++) {
      const cut = Buffer.from(whole.subarray(0, 8 + headerBytes))
      cut.writeInt32BE(cut.length - 4, 0)
      cut.writeInt32BE(0x0100_0000 | headerBytes, 4)
      expect(() => decode(cut), `header of ${headerBytes} bytes`).toThrow(FrameError)
    }
  })

  test('any bytes give a command or a FrameError, nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, binary) => {
        const frame = Buffer.concat([Buffer.alloc(8), Buffer.from(bytes)])
        frame.writeInt32BE(frame.length - 4, 0)
        frame.writeInt32BE((binary ? 0x0100_0000 : 0) | bytes.length, 4)
        try {
          decode(frame)
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('a head that is put behind others', () => {
  /** What stands in a target with room for nothing at first, behind three bytes. */
  function put(command: Command, bodyBytes: number): Buffer {
    const out = {
      bytes: Buffer.from('xyz'),
      length: 3,
      reserve(count: number): number {
        const larger = Buffer.alloc(out.length + count, '#')
        out.bytes.copy(larger, 0, 0, out.length)
        out.bytes = larger
        return out.length
      },
    }
    putFrameHead(out, command, bodyBytes)
    expect(out.bytes.toString('latin1', 0, 3)).toBe('xyz')
    return out.bytes.subarray(3, out.length)
  }

  test('has the bytes that it has by itself, whatever letters are in it', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.constantFrom(SerializeType.json, SerializeType.rocketmq),
        fc.nat(5_000_000),
        (text, serializeType, bodyBytes) => {
          const command = request(RequestCode.SEND_MESSAGE_V2, { a: text, b: 'T' })
          Object.assign(command, { serializeType, remark: text })
          const head = encodeFrameHead(command, bodyBytes)
          expect(put(command, bodyBytes).equals(head)).toBe(true)
        },
      ),
    )
  })

  test('may be long', () => {
    const command = request(RequestCode.SEND_MESSAGE_V2, { i: 'Ü'.repeat(30_000) })
    expect(put(command, 7).equals(encodeFrameHead(command, 7))).toBe(true)
  })

  test('has the fields that were written as text', () => {
    const command = request(RequestCode.END_TRANSACTION)
    command.extText = '{"msgId":"7F","bname":"b"}'
    expect(decode(put(command, 0)).ext).toEqual({ msgId: '7F', bname: 'b' })
  })
})

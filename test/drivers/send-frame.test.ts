import { describe, expect, it } from 'vitest'
import { SendAnswer } from '../../src/drivers/send-answer.ts'
import { FIRST_OPAQUE, SendFrame } from '../../src/drivers/send-frame.ts'
import { RequestCode } from '../../src/protocol/codes.ts'
import { SerializeType, request, respond } from '../../src/protocol/command.ts'
import { decodeFrame, encodeFrame } from '../../src/protocol/frame.ts'
import { decodeUniqueId } from '../../src/protocol/message-id.ts'
import { SendRequest } from '../../src/protocol/send-request.ts'
import { OutBuffer } from '../../src/remoting/out-buffer.ts'

const fields = {
  group: 'G',
  topic: 'T1',
  broker: 'broker-a',
  queueId: 13,
  kind: { tag: 'blue', properties: {} },
  keyed: false,
  oneWay: false,
  idPrefix: '7F0000011234CAFEBABE',
}

function aFrame(
  changes: { opaque?: number; bornMs?: number; counter?: number; body?: string } = {},
) {
  const out = new OutBuffer()
  const body = Buffer.from(`xx${changes.body ?? 'hello'}yy`)
  new SendFrame(fields).write(
    out,
    changes.opaque ?? FIRST_OPAQUE,
    changes.bornMs ?? 1_795_217_880_029,
    123_456,
    changes.counter ?? 0xabcd,
    body,
    2,
    body.length - 2,
  )
  return out.filled()
}

describe('a send frame from the template', () => {
  it('decodes to what the official client sends', () => {
    const frame = aFrame({ opaque: FIRST_OPAQUE + 987_654_321 })
    const command = decodeFrame(frame, 0, frame.length)
    expect(command).toMatchObject({ code: 310, opaque: 1_987_654_321, flag: 0 })
    expect({ ...command.ext }).toEqual({
      a: 'G',
      b: 'T1',
      c: 'TBW102',
      d: '4',
      e: '13',
      f: '0',
      g: '1795217880029',
      h: '0',
      i: 'UNIQ_KEY\u00017F0000011234CAFEBABE0001E240ABCD\u0002WAIT\u0001true\u0002TAGS\u0001blue\u0002',
      j: '0',
      k: 'false',
      m: 'false',
      n: 'broker-a',
    })
    expect(command.body?.toString()).toBe('hello')
  })

  it('has a unique id with the layout that tools take apart', () => {
    const { ext } = decodeFrame(aFrame(), 0, aFrame().length)
    const id = /UNIQ_KEY\u0001(\w+)\u0002/.exec(ext['i'] ?? '')?.[1] ?? ''
    expect(decodeUniqueId(id)).toEqual({
      ip: '127.0.0.1',
      pid: 0x1234,
      sinceMonthMs: 123_456,
      counter: 0xabcd,
    })
  })

  it('is one that the broker reads as bytes, without JSON', () => {
    const frame = aFrame()
    const scanned = new SendRequest()
    expect(scanned.scan(frame, 0, frame.length)).toBe(true)
    expect([scanned.topic, scanned.queueId, scanned.opaque]).toEqual(['T1', 13, FIRST_OPAQUE])
  })

  it('leaves nothing of the last message behind in the next', () => {
    const out = new OutBuffer()
    const template = new SendFrame(fields)
    const bodies = ['a much longer body than the next', 'short']
    const ends: number[] = []
    for (const [index, text] of bodies.entries()) {
      const body = Buffer.from(text)
      template.write(
        out,
        FIRST_OPAQUE + index,
        1_795_217_880_029 + index,
        index,
        index,
        body,
        0,
        body.length,
      )
      ends.push(out.length)
    }
    const second = decodeFrame(out.filled(), ends[0] ?? 0, ends[1] ?? 0)
    expect(second).toMatchObject({ opaque: FIRST_OPAQUE + 1 })
    expect(second.body?.toString()).toBe('short')
    expect(second.ext['g']).toBe('1795217880030')
    expect(second.ext['i']).toContain('7F0000011234CAFEBABE000000010001')
  })
})

describe('an answer', () => {
  const opaque = FIRST_OPAQUE + 42

  function anAnswer(code: number, ext: Record<string, string> = { msgId: 'A', queueOffset: '7' }) {
    const to = request(RequestCode.SEND_MESSAGE_V2)
    to.opaque = opaque
    return respond(to, code, code === 0 ? null : 'because', ext)
  }

  function read(frame: Buffer, answer = new SendAnswer()) {
    return [answer.read(frame, 0, frame.length), answer.code, answer.opaque]
  }

  const header = (text: string) => {
    const bytes = Buffer.alloc(8 + Buffer.byteLength(text))
    bytes.writeInt32BE(bytes.length - 4, 0)
    bytes.writeInt32BE(Buffer.byteLength(text), 4)
    bytes.write(text, 8)
    return bytes
  }

  it.each([0, 2, 10, 205, 1500])('of code %i is read without decoding it', (code) => {
    expect(read(encodeFrame(anAnswer(code)))).toEqual([true, code, opaque])
  })

  it('in the binary header form is decoded', () => {
    const command = anAnswer(2)
    command.serializeType = SerializeType.rocketmq
    expect(read(encodeFrame(command))).toEqual([true, 2, opaque])
  })

  it.each([
    [
      'the order of Apache',
      `{"code":0,"extFields":{"a":"b"},"flag":1,"language":"JAVA","opaque":${opaque},"serializeTypeCurrentRPC":"JSON","version":479}`,
    ],
    ['the opaque at the end', `{"code":0,"flag":1,"opaque":${opaque}}`],
    ['the code behind', `{"flag":1,"opaque":${opaque},"code":0}`],
    ['white space', `{ "code" : 0, "flag" : 1, "opaque" : ${opaque} }`],
  ])('with %s is understood', (_, text) => {
    expect(read(header(text))).toEqual([true, 0, opaque])
  })

  it('is understood when the header changes its length from one answer to the next', () => {
    const answer = new SendAnswer()
    for (const ext of [{ msgId: 'A' }, { msgId: 'AAAAAAAA', queueOffset: '123456' }, {}]) {
      for (const code of [0, 2]) {
        expect(read(encodeFrame(anAnswer(code, ext)), answer)).toEqual([true, code, opaque])
      }
    }
  })

  it('is not a request of the broker’s', () => {
    const command = request(RequestCode.CHECK_TRANSACTION_STATE)
    command.opaque = 7
    const frame = encodeFrame(command)
    expect(new SendAnswer().read(frame, 0, frame.length)).toBe(false)
  })
})

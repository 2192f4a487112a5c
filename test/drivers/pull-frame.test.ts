import { describe, expect, it } from 'vitest'
import { PullAnswer, PullFrame } from '../../src/drivers/pull-frame.ts'
import { RequestCode } from '../../src/protocol/codes.ts'
import { SerializeType, request, respond } from '../../src/protocol/command.ts'
import { FrameError, decodeFrame, encodeFrame } from '../../src/protocol/frame.ts'
import { readPullHeader } from '../../src/protocol/pull-header.ts'
import { OutBuffer } from '../../src/remoting/out-buffer.ts'

const header = {
  consumerGroup: 'G',
  topic: 'T1',
  queueId: 3,
  maxMsgNums: 32,
  sysFlag: 7,
  suspendTimeoutMs: 15_000,
  subscription: '*',
  subVersion: 1_795_217_880_029,
  expressionType: 'TAG',
  maxMsgBytes: null,
}

describe('a pull from the template', () => {
  it.each([0, 7, 123_456_789_012])(
    'from offset %i decodes to the pull that was meant',
    (offset) => {
      const out = new OutBuffer()
      new PullFrame(header).write(out, 1_234_567_890, offset)
      const command = decodeFrame(out.filled(), 0, out.length)
      expect(command).toMatchObject({
        code: RequestCode.PULL_MESSAGE,
        opaque: 1_234_567_890,
        flag: 0,
      })
      expect(readPullHeader(command.ext)).toEqual({
        ...header,
        queueOffset: offset,
        commitOffset: offset,
      })
    },
  )

  it('is no longer and no shorter than the one before needs', () => {
    const out = new OutBuffer()
    const frame = new PullFrame(header)
    const ends = [9, 10_000, 3].map((offset) => {
      frame.write(out, 1_000_000_000, offset)
      return out.length
    })
    const offsets = ends.map((end, index) => {
      const command = decodeFrame(out.filled(), ends[index - 1] ?? 0, end)
      return command.ext['queueOffset']
    })
    expect(offsets).toEqual(['9', '10000', '3'])
  })
})

describe('the answer to a pull', () => {
  const fields = { suggestWhichBrokerId: 0, nextBeginOffset: 8, minOffset: 1, maxOffset: 9 }

  function anAnswer(serializeType: SerializeType) {
    const to = request(RequestCode.PULL_MESSAGE)
    to.opaque = 1_000_000_042
    const response = respond(to, 0, 'FOUND', fields, Buffer.from('records'))
    response.serializeType = serializeType
    return encodeFrame(response)
  }

  it.each([SerializeType.json, SerializeType.rocketmq])(
    'in serialisation %i gives its header and where its records are',
    (type) => {
      const frame = anAnswer(type)
      const answer = new PullAnswer()
      expect(answer.read(frame, 0, frame.length)).toBe(true)
      expect(answer).toMatchObject({ code: 0, opaque: 1_000_000_042, header: fields })
      expect(frame.toString('utf8', answer.bodyStart)).toBe('records')
    },
  )

  it('is told from a request of the broker’s', () => {
    const frame = encodeFrame(request(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED))
    expect(new PullAnswer().read(frame, 0, frame.length)).toBe(false)
  })

  it('without the fields of a pull has no header', () => {
    const to = request(RequestCode.PULL_MESSAGE)
    const frame = encodeFrame(respond(to, 17, 'no such topic'))
    const answer = new PullAnswer()
    answer.read(frame, 0, frame.length)
    expect([answer.code, answer.header]).toEqual([17, null])
  })

  it('that is no JSON is refused', () => {
    const frame = anAnswer(SerializeType.json)
    frame.write('x', 8)
    expect(() => new PullAnswer().read(frame, 0, frame.length)).toThrow(FrameError)
  })
})

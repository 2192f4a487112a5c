import { describe, expect, it } from 'vitest'
import { RequestCode } from '../../src/protocol/codes.ts'
import { extFields } from '../../src/protocol/command.ts'
import {
  PullHeaderError,
  PullSysFlag,
  pullFields,
  pullResponseFields,
  readPullHeader,
  readPullResponse,
} from '../../src/protocol/pull-header.ts'
import {
  SendHeaderError,
  type SendHeader,
  readSendHeader,
  readSendResponse,
  sendFieldsV1,
  sendFieldsV2,
} from '../../src/protocol/send-header.ts'

const header: SendHeader = {
  producerGroup: 'PG',
  topic: 'T1',
  defaultTopic: 'TBW102',
  defaultTopicQueueNums: 4,
  queueId: 0,
  sysFlag: 0,
  bornTimestamp: 1_700_000_000_000,
  flag: 0,
  properties: 'k\u0001v\u0002',
  reconsumeTimes: 0,
  unitMode: false,
  maxReconsumeTimes: null,
  batch: false,
  brokerName: null,
}

describe('the send header', () => {
  it("is written in letters as Apache's client writes it", () => {
    // Observed (SendMessageRequestHeaderV2, 5.3.x), with another bornTimestamp.
    expect({ ...sendFieldsV2(header) }).toEqual({
      a: 'PG',
      b: 'T1',
      c: 'TBW102',
      d: '4',
      e: '0',
      f: '0',
      g: '1700000000000',
      h: '0',
      i: 'k\u0001v\u0002',
      j: '0',
      k: 'false',
      m: 'false',
    })
  })

  it.each([
    ['long names', RequestCode.SEND_MESSAGE, sendFieldsV1],
    ['letters', RequestCode.SEND_MESSAGE_V2, sendFieldsV2],
    ['letters of a batch', RequestCode.SEND_BATCH_MESSAGE, sendFieldsV2],
  ])('reads what it wrote, in %s', (_, code, write) => {
    const full = {
      ...header,
      maxReconsumeTimes: 3,
      batch: true,
      brokerName: 'broker-a',
      unitMode: true,
    }
    expect(readSendHeader(code, write(full))).toEqual(full)
    expect(readSendHeader(code, write(header))).toEqual(header)
  })

  it('names the field that is missing or no integer', () => {
    const fields = sendFieldsV2(header)
    const without = extFields({ ...fields, e: undefined })
    expect(() => readSendHeader(310, without)).toThrow(SendHeaderError)
    expect(() => readSendHeader(310, without)).toThrow('the field e is missing')
    expect(() => readSendHeader(310, { ...fields, g: 'yesterday' })).toThrow(
      'no integer: yesterday',
    )
    expect(() => readSendHeader(310, { ...fields, g: '9223372036854775807' })).toThrow('no integer')
  })

  it('reads a response only when it is complete', () => {
    expect(readSendResponse(extFields({ msgId: 'A', queueId: 1, queueOffset: 5 }))).toEqual({
      msgId: 'A',
      queueId: 1,
      queueOffset: 5,
    })
    expect(readSendResponse(extFields({ msgId: 'A', queueId: 1 }))).toBeNull()
  })
})

describe('the pull header', () => {
  const pull = {
    consumerGroup: 'CG',
    topic: 'T1',
    queueId: 3,
    queueOffset: 9_007_199_254_740_991,
    maxMsgNums: 32,
    sysFlag: PullSysFlag.suspend | PullSysFlag.subscription,
    commitOffset: 0,
    suspendTimeoutMs: 15_000,
    subscription: '*',
    subVersion: 1,
    expressionType: null,
    maxMsgBytes: 262_144,
  }

  it('reads what it wrote', () => {
    expect(readPullHeader(pullFields(pull))).toEqual(pull)
  })

  it('names the field that is missing or no integer', () => {
    const fields = pullFields(pull)
    expect(() => readPullHeader({ ...fields, queueId: 'x' })).toThrow(PullHeaderError)
    expect(() => readPullHeader(extFields({ ...fields, subVersion: undefined }))).toThrow(
      'the field subVersion is missing',
    )
  })

  it('reads a response only when it is complete', () => {
    const response = { suggestWhichBrokerId: 0, nextBeginOffset: 5, minOffset: 0, maxOffset: 9 }
    expect(readPullResponse(pullResponseFields(response))).toEqual(response)
    expect(readPullResponse(extFields({ nextBeginOffset: 1 }))).toBeNull()
  })
})

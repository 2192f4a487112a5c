/**
 * The texts and bodies of POP consumption. The golden ones were written by the classes of Apache
 * RocketMQ 5.5.0 (ExtraInfoUtil, PopCheckPoint, AckMsg, BatchAckMsg, BatchAckMessageRequestBody,
 * QueryAssignment*Body, SetMessageRequestModeRequestBody, MessageRequestModeManager) with fastjson2.
 */
import { describe, expect, it } from 'vitest'
import { decodeBatchAck, encodeBatchAck } from '../../src/protocol/bodies/batch-ack.ts'
import {
  decodeAssignmentQuery,
  decodeAssignments,
  encodeAssignmentQuery,
  encodeAssignments,
} from '../../src/protocol/bodies/query-assignment.ts'
import {
  decodeRequestMode,
  decodeRequestModes,
  encodeRequestMode,
  encodeRequestModes,
} from '../../src/protocol/bodies/request-mode.ts'
import { extFields } from '../../src/protocol/command.ts'
import { faultOfGroup, faultOfTopic, remarkOnTopic } from '../../src/protocol/names.ts'
import {
  formatMessageOffsets,
  formatMessageTimes,
  formatPopHandle,
  formatQueueTimes,
  formatStartOffset,
  isOrderly,
  parseMessageOffsets,
  parsePopHandle,
  parseStartOffsets,
  parseTimes,
} from '../../src/protocol/pop-handle.ts'
import {
  invisibleAnswerFields,
  popAnswerFields,
  readInvisible,
  readPopAnswer,
} from '../../src/protocol/pop-header.ts'
import {
  isPopRetryTopicV2,
  plainTopicOf,
  popRetryTopicOf,
  retryFlagOf,
  reviveTopicOf,
  topicOfFlag,
} from '../../src/protocol/pop-names.ts'
import {
  ackKey,
  batchKey,
  checkpointKey,
  decodeAck,
  decodeCheckpoint,
  encodeAck,
  encodeCheckpoint,
  indexInCheckpoint,
  reviveMsOf,
} from '../../src/protocol/pop-records.ts'

const popMs = 1_700_000_000_123
const checkpoint = {
  topic: 'T1',
  group: 'CG',
  queueId: 2,
  startOffset: 7,
  popMs,
  invisibleMs: 60_000,
  brokerName: 'broker-a',
  distances: [0, 1, 4],
  acked: 0,
  putAgain: 0,
  suspended: false,
}
const golden = {
  checkpoint:
    '{"bm":0,"bn":"broker-a","c":"CG","d":[0,1,4],"it":60000,"n":3,"pt":1700000000123,"q":2,"reviveTime":1700000060123,"ro":0,"so":7,"sp":false,"t":"T1"}',
  ack: '{"ao":8,"bn":"broker-a","c":"CG","pt":1700000000123,"q":2,"so":7,"t":"T1"}',
  batchAck:
    '{"ao":-1,"aol":[7,11],"bn":"broker-a","c":"CG","pt":1700000000123,"q":2,"so":7,"t":"T1"}',
  oldAck:
    '{"ackOffset":8,"brokerName":"broker-a","consumerGroup":"CG","popTime":1700000000123,"queueId":2,"startOffset":7,"topic":"T1"}',
  batch:
    '{"acks":[{"b":"EQI=","c":"CG","it":60000,"pt":1700000000123,"q":2,"r":"0","rq":3,"so":7,"t":"T1"}],"brokerName":"broker-a"}',
  mode: '{"consumerGroup":"CG","mode":"POP","popShareQueueNum":2,"topic":"T1"}',
  modes:
    '{"messageRequestModeMap":{"T1":{"CG":{"consumerGroup":"CG","mode":"POP","popShareQueueNum":2,"topic":"T1"}}}}',
  query:
    '{"clientId":"c1","consumerGroup":"CG","messageModel":"CLUSTERING","strategyName":"AVG","topic":"T1"}',
  assignments:
    '{"messageQueueAssignments":[{"messageQueue":{"brokerName":"broker-a","queueId":-1,"topic":"T1"},"mode":"POP"}]}',
}
const bytes = (text: string) => Buffer.from(text)

describe('handles of messages that were taken by POP', () => {
  const handle = {
    startOffset: 7,
    popMs,
    invisibleMs: 60_000,
    reviveQueueId: 3,
    retryFlag: '0',
    brokerName: 'broker-a',
    queueId: 2,
    messageOffset: 8,
  } as const

  it.each([
    ['7 1700000000123 60000 3 0 broker-a 2 8', handle],
    ['7 1700000000123 60000 3 1 broker-a 0 8', { ...handle, retryFlag: '1', queueId: 0 }],
    [
      '7 1700000000123 60000 3 2 broker-a 0',
      { ...handle, retryFlag: '2', queueId: 0, messageOffset: null },
    ],
  ] as const)('%j is written and read as Apache does', (text, value) => {
    expect(formatPopHandle(value)).toBe(text)
    expect(parsePopHandle(text)).toEqual(value)
  })

  it.each([
    '',
    '7',
    '7 1700000000123 60000 3 0 broker-a',
    '7 1700000000123 60000 3 4 broker-a 2 8',
    '7 x 60000 3 0 broker-a 2 8',
    '7 1700000000123 60000 3 0  2 8',
    '7 1700000000123 60000 3 0 broker-a 2 8 x',
    '7 1700000000123 60000 3 0 broker-a 2 8 9 10',
    '99999999999999999999 1 1 1 0 broker-a 2 8',
  ])('%j is none', (text) => {
    expect(parsePopHandle(text)).toBeNull()
  })

  it('may have a physical offset behind it, as from a gRPC client through Apache’s proxy', () => {
    const text = '7 1700000000123 60000 3 0 broker-a 2 8'
    expect(parsePopHandle(`${text} 4096`)).toEqual(parsePopHandle(text))
  })

  it('with queue 999 of the revive topic the message was taken in order', () => {
    expect([isOrderly(handle), isOrderly({ ...handle, reviveQueueId: 999 })]).toEqual([false, true])
  })
})

describe('what an answer says of its messages', () => {
  it('start offsets are written and read as Apache does', () => {
    const parts = [formatStartOffset('T1', 2, 7), formatStartOffset('%RETRY%CG_T1', 0, 5)]
    expect(parts.join(';')).toBe('0 2 7;1 0 5')
    expect([...(parseStartOffsets('0 2 7;1 0 5') ?? [])]).toEqual([
      ['0@2', 7],
      ['1@0', 5],
    ])
  })

  it('message offsets are written and read as Apache does', () => {
    const parts = [
      formatMessageOffsets('T1', 2, [7, 8, 11]),
      formatMessageOffsets('%RETRY%CG+T1', 0, [5]),
    ]
    expect(parts.join(';')).toBe('0 2 7,8,11;2 0 5')
    expect([...(parseMessageOffsets('0 2 7,8,11;2 0 5') ?? [])]).toEqual([
      ['0@2', [7, 8, 11]],
      ['2@0', [5]],
    ])
  })

  it('times are written and read as Apache does', () => {
    const parts = [formatMessageTimes('T1', 2, 7, 1), formatQueueTimes('T1', 2, 0)]
    expect(parts.join(';')).toBe('0 qo2%7 1;0 2 0')
    expect([...(parseTimes('0 qo2%7 1;0 2 0') ?? [])]).toEqual([
      ['0@qo2%7', 1],
      ['0@2', 0],
    ])
  })

  it.each(['0 2', '0 2 7;0 2 8', '0 2 7 9', '0 2 x', ';'])('%j is refused', (text) => {
    expect(parseStartOffsets(text)).toBeNull()
    expect(parseMessageOffsets(text)).toBeNull()
  })

  it('nothing is nothing', () => {
    expect(parseStartOffsets('')?.size).toBe(0)
  })

  it('headers of answers come back as they were written; one without popTime is none', () => {
    const invisible = { popMs, invisibleMs: 5, reviveQueueId: 4 }
    const answer = {
      ...invisible,
      rest: 9,
      startOffsets: '0 2 7',
      messageOffsets: '0 2 7',
      times: null,
    }
    expect(readPopAnswer(extFields(popAnswerFields(answer)))).toEqual(answer)
    expect(readInvisible(extFields(invisibleAnswerFields(invisible)))).toEqual(invisible)
    expect(readPopAnswer(extFields({ invisibleTime: 1, reviveQid: 1, restNum: 0 }))).toBeNull()
  })
})

describe('names of POP consumption', () => {
  it('retry topics have an underscore, in their newer form a plus', () => {
    expect(popRetryTopicOf('CG', 'T1')).toBe('%RETRY%CG_T1')
    expect(popRetryTopicOf('CG', 'T1', true)).toBe('%RETRY%CG+T1')
    expect(['T1', '%RETRY%CG_T1', '%RETRY%CG+T1'].map(retryFlagOf)).toEqual(['0', '1', '2'])
    expect(['T1', '%RETRY%CG_T1', '%RETRY%CG+T1'].map(isPopRetryTopicV2)).toEqual([
      false,
      false,
      true,
    ])
    expect(['0', '1', '2', '3'].map((flag) => topicOfFlag(flag, 'T1', 'CG'))).toEqual([
      'T1',
      '%RETRY%CG_T1',
      '%RETRY%CG+T1',
      null,
    ])
    for (const topic of ['T1', '%RETRY%CG_T1', '%RETRY%CG+T1']) {
      expect(plainTopicOf(topic, 'CG')).toBe('T1')
    }
    expect(reviveTopicOf('DefaultCluster')).toBe('rmq_sys_REVIVE_LOG_DefaultCluster')
  })

  it('a plus is legal in retry topics alone, and nobody but a broker may make them', () => {
    expect(faultOfTopic('%RETRY%CG+T1')).toBeNull()
    expect(remarkOnTopic('%RETRY%CG+T1')).toContain('illegal characters')
    expect(faultOfTopic('T+1')).not.toBeNull()
    expect(faultOfGroup('%RETRY%CG+T1')).not.toBeNull()
  })
})

describe('records of the revive topic', () => {
  it('a checkpoint is written and read as Apache does', () => {
    expect(encodeCheckpoint(checkpoint).toString()).toBe(golden.checkpoint)
    expect(decodeCheckpoint(bytes(golden.checkpoint))).toEqual(checkpoint)
    expect(reviveMsOf(checkpoint)).toBe(popMs + 60_000)
    expect(checkpointKey(checkpoint)).toBe('T1@2@7@CG@1700000000123@broker-a@ck')
  })

  it('a checkpoint of an older broker names messages in a row', () => {
    const old =
      '{"bm":5,"bn":"b","c":"CG","it":1,"n":3,"pt":2,"q":0,"ro":0,"rp":"2","so":7,"t":"T1"}'
    expect(decodeCheckpoint(bytes(old))).toMatchObject({
      distances: [0, 1, 2],
      acked: 5,
      putAgain: 2,
    })
  })

  it('an acknowledgement is written and read as Apache does, of one message or of several', () => {
    const { topic, group, queueId, startOffset, brokerName } = checkpoint
    const batch = { topic, group, queueId, startOffset, popMs, brokerName }
    const one = { ...batch, offsets: [8], isBatch: false }
    const several = { ...batch, offsets: [7, 11], isBatch: true }
    expect(encodeAck(one).toString()).toBe(golden.ack)
    expect(encodeAck(several).toString()).toBe(golden.batchAck)
    expect(decodeAck(bytes(golden.ack))).toEqual(one)
    expect(decodeAck(bytes(golden.oldAck))).toEqual(one)
    expect(decodeAck(bytes(golden.batchAck))).toEqual(several)
    expect(ackKey(one)).toBe('T1@2@8@CG@1700000000123@broker-a@ack')
    expect(ackKey(several)).toBe('T1@2@-1@CG@1700000000123@broker-a@ack')
    expect(batchKey(one)).toBe(batchKey(checkpoint))
  })

  it('the place of a message in its checkpoint is found by its distance', () => {
    expect([7, 8, 9, 11].map((offset) => indexInCheckpoint(checkpoint, offset))).toEqual([
      0, 1, -1, 2,
    ])
  })

  it.each(['', '{', '[]', '{"t":"T1"}', '{"c":"CG","t":"T1","d":[-1]}'])(
    '%j is no checkpoint',
    (text) => {
      expect(decodeCheckpoint(bytes(text))).toBeNull()
    },
  )

  it('a checkpoint of more than 32 messages is none', () => {
    const d = Array.from(Array(33).keys())
    expect(decodeCheckpoint(bytes(JSON.stringify({ c: 'CG', t: 'T1', d })))).toBeNull()
  })
})

describe('bodies of POP consumption', () => {
  it('a batch of acknowledgements is written and read as Apache does', () => {
    const body = {
      brokerName: 'broker-a',
      acks: [
        {
          group: 'CG',
          topic: 'T1',
          retryFlag: '0',
          startOffset: 7,
          queueId: 2,
          reviveQueueId: 3,
          popMs,
          invisibleMs: 60_000,
          offsets: [7, 11, 16],
        },
      ],
    }
    expect(encodeBatchAck(body).toString()).toBe(golden.batch)
    expect(decodeBatchAck(bytes(golden.batch))).toEqual(body)
  })

  it('a request mode is written and read as Apache does, alone and in the file', () => {
    const row = { topic: 'T1', group: 'CG', mode: 'POP', popShareQueueNum: 2 } as const
    expect(encodeRequestMode(row).toString()).toBe(golden.mode)
    expect(decodeRequestMode(bytes(golden.mode))).toEqual(row)
    expect(encodeRequestModes([row]).toString()).toBe(golden.modes)
    expect(decodeRequestModes(bytes(golden.modes))).toEqual([row])
  })

  it('a question for queues and its answer are written and read as Apache does', () => {
    const query = {
      topic: 'T1',
      group: 'CG',
      clientId: 'c1',
      messageModel: 'CLUSTERING',
      strategyName: 'AVG',
    } as const
    const queue = { topic: 'T1', brokerName: 'broker-a', queueId: -1 }
    expect(encodeAssignmentQuery(query).toString()).toBe(golden.query)
    expect(decodeAssignmentQuery(bytes(golden.query))).toEqual(query)
    expect(encodeAssignments([{ queue, mode: 'POP' }]).toString()).toBe(golden.assignments)
    expect(decodeAssignments(bytes(golden.assignments))).toEqual([{ queue, mode: 'POP' }])
    expect(encodeAssignments(null).toString()).toBe('{}')
    expect(decodeAssignments(bytes('{}'))).toBeNull()
  })
})

import { expect, it } from 'vitest'
import { receivedMessages } from '../../src/client/received-message.ts'
import { encodeBatch } from '../../src/protocol/batch-body.ts'
import { encodeHost } from '../../src/protocol/host.ts'
import { encodeRecord, recordBytes, RecordParts } from '../../src/protocol/record.ts'

const host = encodeHost('127.0.0.1:10911') ?? Buffer.alloc(8)

function record(body: Buffer, sysFlag: number, queueOffset: number): Buffer {
  const parts = new RecordParts()
  parts.topic = Buffer.from('T')
  parts.bornHost = host
  parts.sysFlag = sysFlag
  parts.bornTimestamp = 1
  parts.body = body
  parts.bodyEnd = body.length
  parts.properties = Buffer.from('UNIQ_KEY\u0001whole\u0002')
  parts.propertiesEnd = parts.properties.length
  const bytes = Buffer.alloc(recordBytes(parts, host.length))
  encodeRecord(bytes, 0, parts, host, queueOffset, 100, 2)
  return bytes
}

const batch = encodeBatch(
  ['a', 'b'].map((body) => ({
    flag: 1,
    body: Buffer.from(body),
    properties: Buffer.from(`UNIQ_KEY\u0001id ${body}\u0002KEYS\u0001k${body}\u0002`),
  })),
)

function essences(body: Buffer): string[] {
  return receivedMessages('127.0.0.1:1', 'broker-a', body).map(
    (message) => `${message.queueOffset} ${message.messageId} ${message.keys}`,
  )
}

it('takes records of many messages apart, beside records of one', () => {
  const plain = record(Buffer.from('x'), 0, 7)
  expect(essences(Buffer.concat([plain, record(batch, 0xc0, 8)]))).toEqual([
    '7 whole ',
    '8 id a ka',
    '9 id b kb',
  ])
})

it.each([
  ['is not marked to be taken apart', batch, 0x80],
  ['is no batch', Buffer.from('no batch at all, but long enough'), 0xc0],
  ['is empty', Buffer.alloc(0), 0xc0],
])('hands out a record whole whose body %s', (_, body, sysFlag) => {
  expect(essences(record(body, sysFlag, 8))).toEqual(['8 whole '])
})

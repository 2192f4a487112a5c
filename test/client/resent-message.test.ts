import { expect, it } from 'vitest'
import { received } from '../../src/client/received-message.ts'
import { resentMessage } from '../../src/client/resent-message.ts'
import type { StoredMessage } from '../../src/protocol/record.ts'

function stored(topic: string, properties: Record<string, string>): StoredMessage {
  return {
    topic,
    properties,
    ...{ queueId: 0, queueOffset: 0, physicalOffset: 0, flag: 7, sysFlag: 0 },
    ...{ bornTimestamp: 1, bornHost: '127.0.0.1:1', storeTimestamp: 1 },
    ...{ storeHost: '127.0.0.1:2', reconsumeTimes: 0, preparedTransactionOffset: 0 },
    ...{ bodyCrc: 0, body: Buffer.from('x'), compression: 'none' },
    ...{ messageId: 'U1', offsetMessageId: 'O1', sizeBytes: 100 },
  }
}

it.each([
  ['TRANS_CHECK_MAX_TIME_TOPIC', { REAL_TOPIC: 'Paid', TRAN_PREPARED_QUEUE_OFFSET: '4' }, 'Paid'],
  ['%DLQ%G', { RETRY_TOPIC: 'Paid', '1ST_POP_TIME': '1', ORIGIN_GROUP: 'G' }, 'Paid'],
  ['Paid', { REAL_TOPIC: 'Paid', REAL_QID: '1', DELAY: '3' }, 'Paid'],
])('what stands in %s is sent again to its topic, as its sender wrote it', (from, way, to) => {
  const message = received('broker-a', stored(from, { ...way, own: 'kept' }))
  expect(resentMessage(message)).toMatchObject({ topic: to, flag: 7, messageId: 'U1' })
  expect(resentMessage(message).properties).toEqual({ own: 'kept' })
  expect(resentMessage(message, 'Other').topic).toBe('Other')
})

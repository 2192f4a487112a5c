import { expect, it } from 'vitest'
import { ConsumerGroup, type Member } from '../../src/broker/consumer-group.ts'
import type { ConsumerData } from '../../src/protocol/bodies/consumer-data.ts'
import { decodeConsumerList } from '../../src/protocol/bodies/name-lists.ts'
import type { Connection } from '../../src/remoting/connection.ts'

const data: ConsumerData = {
  groupName: 'G',
  consumeType: 'CONSUME_PASSIVELY',
  messageModel: 'CLUSTERING',
  consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
  subscriptions: [],
  unitMode: false,
}

/** Nothing is sent over them here. */
const aConnection = () => ({}) as Connection

function aMember(connection: Connection, clientId: string): Member {
  return { connection, clientId, language: 'JAVA', version: 1, lastSeenMs: 0, lastSeenWallMs: 0 }
}

it('a list of members is made once for all who ask, and again when one joins or leaves', () => {
  const group = new ConsumerGroup(data)
  const [a, b, again] = [aConnection(), aConnection(), aConnection()]
  const join = (connection: Connection, clientId: string) =>
    group.join(connection, aMember(connection, clientId), data)
  join(b, 'b')
  join(a, 'a')
  join(again, 'b')
  const { clientIds, idList } = group
  expect(clientIds).toEqual(['a', 'b'])
  expect(decodeConsumerList(idList)).toEqual(['a', 'b'])
  // Heart-beats change nothing.
  expect(join(a, 'a')).toBe(false)
  expect(group.clientIds).toBe(clientIds)
  expect(group.idList).toBe(idList)
  expect(group.leave(a)).toBe(true)
  expect(group.leave(a)).toBe(false)
  expect(group.clientIds).toEqual(['b'])
  expect(decodeConsumerList(group.idList)).toEqual(['b'])
  join(again, 'c')
  expect(decodeConsumerList(group.idList)).toEqual(['b', 'c'])
})

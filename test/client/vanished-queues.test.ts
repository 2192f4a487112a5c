import { expect, it } from 'vitest'
import type { TopicRoute } from '../../src/client/routes.ts'
import { VanishedQueues } from '../../src/client/vanished-queues.ts'
import { type MessageQueue, messageQueueKey } from '../../src/protocol/bodies/message-queue.ts'

const queue = (brokerName: string, queueId = 0): MessageQueue => ({
  topic: 'T',
  brokerName,
  queueId,
})
const shareOf = (...queues: MessageQueue[]) =>
  new Map(queues.map((one) => [messageQueueKey(one), one]))
const routeOver = (...names: string[]) =>
  ({ brokers: new Map(names.map((name) => [name, {}])) }) as unknown as TopicRoute
const unread = () => false

it('knows the brokers that went away with something to read, until they come back', () => {
  const vanished = new VanishedQueues()
  vanished.look('T', routeOver('a', 'b'), shareOf(queue('a'), queue('b')), unread)
  expect(vanished.brokers).toEqual([])
  vanished.look('T', routeOver('a'), shareOf(queue('a')), unread)
  vanished.look('T', routeOver('a'), shareOf(queue('a')), () => true)
  expect(vanished.brokers).toEqual(['b'])
  vanished.look('T', routeOver('a', 'b'), shareOf(queue('a')), unread)
  expect(vanished.brokers).toEqual([])
})

it('has nothing of queues that were at their end, are another member’s, or went with their topic', () => {
  const vanished = new VanishedQueues()
  const both = routeOver('a', 'b')
  vanished.look('T', both, shareOf(queue('a'), queue('b')), unread)
  vanished.look('T', routeOver('a'), shareOf(queue('a')), () => true)
  expect(vanished.brokers).toEqual([])
  vanished.look('T', both, shareOf(queue('a'), queue('a', 1)), unread)
  vanished.look('T', both, shareOf(queue('a')), unread)
  expect(vanished.brokers).toEqual([])
  vanished.look('T', routeOver('b'), shareOf(), unread)
  expect(vanished.brokers).toEqual(['a'])
  vanished.look('T', null, shareOf(), unread)
  expect(vanished.brokers).toEqual([])
})

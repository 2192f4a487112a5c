import { expect, it } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import type { MqClient } from '../../src/client/client.ts'
import type { ClusterView } from '../../src/client/cluster-view.ts'
import { MessageAdmin } from '../../src/client/message-admin.ts'
import type { QueueAccess } from '../../src/client/queue-access.ts'
import type { TopicAdmin } from '../../src/client/topic-admin.ts'
import { ResponseCode } from '../../src/protocol/codes.ts'

const id = 'C000020211DE0FC601CD6A58C2760000'

it('an id without a topic: a broker that does not answer is not asked about the other topics', async () => {
  const names = Array.from({ length: 40 }, (_, i) => `T${i}`)
  const asked: string[] = []
  const client = {
    ask: (address: string) => {
      asked.push(address)
      return Promise.reject(
        address === 'silent'
          ? new MqError('REQUEST_TIMEOUT', { address, request: 'QUERY_MESSAGE', timeoutMs: 1 })
          : new MqError('REFUSED', { address, responseCode: ResponseCode.QUERY_NOT_FOUND }),
      )
    },
  } as unknown as MqClient
  const brokers = new Map(
    ['silent', 'there'].map((name) => [
      name,
      { brokerName: name, brokerAddrs: new Map([[0, name]]) },
    ]),
  )
  const topics = {
    names: () => Promise.resolve(names),
    route: () => Promise.resolve({ brokers }),
  } as unknown as TopicAdmin
  const cluster = { brokers: () => Promise.resolve([]) } as unknown as ClusterView
  const messages = new MessageAdmin(client, cluster, topics, {} as QueueAccess)
  await expect(messages.get(id)).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT' })
  // Those that were asked about at the same time as the first.
  expect(asked.filter((address) => address === 'silent')).toHaveLength(16)
  expect(asked.filter((address) => address === 'there')).toHaveLength(40)
})

import { expect, it } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import type { Admin } from '../../src/client/admin.ts'
import { GroupReturn, type ReturnMode } from '../../src/client/group-return.ts'

interface Found {
  /** Topics that the connected members read; null: nobody is connected. */
  readonly reads?: readonly string[] | null
  /** Topics that there are beside T, with how far the group is in them. */
  readonly topics?: Readonly<Record<string, number>>
}

/** As much of a cluster as is asked, and the topics that were made in it. */
function aCluster({ reads = null, topics = {} }: Found): { admin: Admin; made: string[] } {
  const made: string[] = []
  const isThere = (topic: string) => topic === 'T' || Object.hasOwn(topics, topic)
  const check = (topic: string) => {
    if (!isThere(topic)) throw new MqError('TOPIC_NOT_FOUND', { topic })
  }
  const admin = {
    groups: {
      connections: () =>
        Promise.resolve(
          reads === null ? null : { subscriptions: reads.map((topic) => ({ topic })) },
        ),
      progress: async (_group: string, topic: string) => {
        check(topic)
        return Promise.resolve([{ consumerOffset: topics[topic] ?? 0 }])
      },
    },
    topics: {
      route: async (topic: string) => {
        check(topic)
        return Promise.resolve({ brokers: new Map([['broker-a', {}]]) })
      },
      create: async ({ topic }: { topic: string }) => {
        made.push(topic)
        return Promise.resolve([])
      },
    },
  } as unknown as Admin
  return { admin, made }
}

it.each<[string, Found, ReturnMode | null, string, string[]]>([
  ['without members', {}, null, '%RETRY%G', []],
  ['whose members pull', { reads: ['T', '%RETRY%G'] }, null, '%RETRY%G', []],
  ['whose members take by POP', { reads: ['T'] }, null, '%RETRY%G_T', ['%RETRY%G_T']],
  ['that took by POP before', { topics: { '%RETRY%G_T': 3 } }, null, '%RETRY%G_T', []],
  [
    'that took by POP and pulled before',
    { topics: { '%RETRY%G_T': 3, '%RETRY%G': 1 } },
    null,
    '%RETRY%G',
    [],
  ],
  ['that is said to take by POP', {}, 'pop', '%RETRY%G_T', ['%RETRY%G_T']],
  ['that is said to pull', { reads: ['T'] }, 'pull', '%RETRY%G', []],
])('a group %s gets messages through its own topic', async (_, found, mode, topic, wanted) => {
  const { admin, made } = aCluster(found)
  const back = await GroupReturn.open(admin, 'G', mode)
  expect(await back.topicFor('T', true)).toBe(topic)
  expect(made).toEqual(wanted)
})

it('a plan makes no topic', async () => {
  const { admin, made } = aCluster({})
  const back = await GroupReturn.open(admin, 'G', 'pop')
  expect([await back.topicFor('T', false), made]).toEqual(['%RETRY%G_T', []])
})

it('asks again after a look that failed', async () => {
  const { admin } = aCluster({ reads: ['T'], topics: { '%RETRY%G_T': 0 } })
  const { route } = admin.topics
  const failing = new MqError('BROKER_UNREACHABLE', { address: 'x', why: 'away' })
  admin.topics.route = () => Promise.reject(failing)
  const back = await GroupReturn.open(admin, 'G', null)
  await expect(back.topicFor('T', false)).rejects.toBe(failing)
  admin.topics.route = route
  expect(await back.topicFor('T', false)).toBe('%RETRY%G_T')
})

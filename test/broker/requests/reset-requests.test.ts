import { silentLogger } from '../../../src/base/logger.ts'
import { afterEach, describe, expect, it } from 'vitest'
import { decodeResetOffsetBody } from '../../../src/protocol/bodies/queue-offsets.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import type { ExtValues } from '../../../src/protocol/command.ts'
import { aBroker, closeAll } from '../a-broker.ts'

afterEach(closeAll)

async function aScene() {
  const { connect, broker, dir } = await aBroker()
  const client = connect()
  for (let i = 0; i < 5; i++) await client.send('T', `m${i}`)
  broker.context.groups.findOrCreate('G')
  broker.context.offsets.commit('G', 'T', 0, 4)
  const reset = (ext: ExtValues) =>
    client.ask(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, {
      topic: 'T',
      group: 'G',
      timestamp: 0,
      isForce: true,
      ...ext,
    })
  return { client, broker, dir, reset }
}

describe('resetting a group', () => {
  it('by time moves all queues, and the next pull hears of it', async () => {
    const { client, reset } = await aScene()
    const answer = await reset({ timestamp: 0 })
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    const rows = decodeResetOffsetBody(answer.body)
    expect(rows.map((row) => [row.queue.queueId, row.offset])).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
      [3, 0],
    ])
    const pulled = await client.pull('T', 'G', 4)
    expect([pulled.code, pulled.ext['nextBeginOffset']]).toEqual([
      ResponseCode.PULL_OFFSET_MOVED,
      '0',
    ])
    expect((await client.pull('T', 'G', 0)).code).toBe(ResponseCode.SUCCESS)
  })

  it('is heard by a pull that is held, at once', async () => {
    const { client, reset } = await aScene()
    const held = client.pull('T', 'G', 5, { sysFlag: 6, suspendTimeoutMillis: 20_000 })
    await reset({ queueId: 0, offset: 1 })
    const pulled = await held
    expect([pulled.code, pulled.ext['nextBeginOffset']]).toEqual([
      ResponseCode.PULL_OFFSET_MOVED,
      '1',
    ])
  })

  it('to the end skips what is there', async () => {
    const { client, reset } = await aScene()
    await reset({ timestamp: -1 })
    const fields = { consumerGroup: 'G', topic: 'T', queueId: 0 }
    const asked = await client.ask(RequestCode.QUERY_CONSUMER_OFFSET, fields)
    expect(asked.ext['offset']).toBe('5')
  })

  it('of one queue to one offset leaves the others', async () => {
    const { broker, reset } = await aScene()
    expect((await reset({ queueId: 0, offset: 2 })).code).toBe(ResponseCode.SUCCESS)
    expect([
      broker.context.offsets.get('G', 'T', 0),
      broker.context.offsets.get('G', 'T', 1),
    ]).toEqual([2, null])
  })

  it('is not undone by a report that comes late', async () => {
    const { client, broker, reset } = await aScene()
    await reset({ queueId: 0, offset: 2 })
    const report = { consumerGroup: 'G', topic: 'T', queueId: 0, commitOffset: 5 }
    const late = await client.ask(RequestCode.UPDATE_CONSUMER_OFFSET, report)
    expect(late.code).toBe(ResponseCode.SUCCESS)
    expect(broker.context.offsets.get('G', 'T', 0)).toBe(2)
    await client.pull('T', 'G', 5)
    await client.ask(RequestCode.UPDATE_CONSUMER_OFFSET, { ...report, commitOffset: 3 })
    expect(broker.context.offsets.get('G', 'T', 0)).toBe(3)
  })

  it('is on the disk when it is answered', async () => {
    const { broker, dir, reset } = await aScene()
    await reset({ queueId: 0, offset: 1 })
    const { ConfigFile } = await import('../../../src/store/config-file.ts')
    const file = new ConfigFile(broker.context.world.disk, dir, 'consumerOffset.json', silentLogger)
    expect((await file.load())?.toString()).toContain('"T@G":{0:1}')
  })

  it.each([
    ['an unknown topic', { topic: 'Unknown' }, ResponseCode.TOPIC_NOT_EXIST],
    ['an unknown group', { group: 'Unknown' }, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST],
    ['an illegal group', { group: '../g' }, ResponseCode.INVALID_PARAMETER],
    ['a queue that is not there', { queueId: 99, offset: 0 }, ResponseCode.INVALID_PARAMETER],
    ['an offset beyond the end', { queueId: 0, offset: 6 }, ResponseCode.SYSTEM_ERROR],
    ['a time that is none', { timestamp: 'yesterday' }, ResponseCode.INVALID_PARAMETER],
  ])('is refused for %s', async (_what, ext, code) => {
    const { broker, reset } = await aScene()
    expect((await reset(ext)).code).toBe(code)
    expect(broker.context.offsets.get('G', 'T', 0)).toBe(4)
  })
})

describe('cloning the progress of a group', () => {
  it('gives it to another group', async () => {
    const { client, broker } = await aScene()
    broker.context.groups.findOrCreate('H')
    const ext = { srcGroup: 'G', destGroup: 'H', offline: false }
    expect((await client.ask(RequestCode.CLONE_GROUP_OFFSET, ext)).code).toBe(ResponseCode.SUCCESS)
    expect(broker.context.offsets.get('H', 'T', 0)).toBe(4)
  })

  it('takes progress for enough, as of a group that never connected', async () => {
    const { client, broker } = await aScene()
    broker.context.offsets.commit('Reported', 'T', 0, 3)
    const ext = { srcGroup: 'Reported', destGroup: 'G', topic: 'T', offline: true }
    expect((await client.ask(RequestCode.CLONE_GROUP_OFFSET, ext)).code).toBe(ResponseCode.SUCCESS)
    expect(broker.context.offsets.get('G', 'T', 0)).toBe(3)
  })

  it('is refused for groups that are not known', async () => {
    const { client } = await aScene()
    for (const ext of [
      { srcGroup: 'G', destGroup: 'Unknown' },
      { srcGroup: 'Unknown', destGroup: 'G' },
    ]) {
      const answer = await client.ask(RequestCode.CLONE_GROUP_OFFSET, ext)
      expect(answer.code).toBe(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST)
    }
  })
})

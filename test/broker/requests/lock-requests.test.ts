import { afterEach, describe, expect, test } from 'vitest'
import { decodeLockedQueues, encodeLockBatch } from '../../../src/protocol/bodies/lock-batch.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import { aBroker, closeAll } from '../a-broker.ts'

afterEach(closeAll)

const queue = (queueId: number, topic = 'T') => ({ topic, brokerName: 'broker-a', queueId })

async function aLockingClient() {
  const { broker, connect } = await aBroker()
  const client = connect()
  const lock = async (clientId: string, queues = [queue(0)], group = 'G') =>
    client.ask(RequestCode.LOCK_BATCH_MQ, {}, encodeLockBatch({ group, clientId, queues }))
  const unlock = async (clientId: string, queues = [queue(0)], group = 'G') =>
    client.ask(RequestCode.UNLOCK_BATCH_MQ, {}, encodeLockBatch({ group, clientId, queues }))
  return { broker, client, lock, unlock }
}

describe('LOCK_BATCH_MQ and UNLOCK_BATCH_MQ', () => {
  test('answer the queues that the client has now', async () => {
    const { lock, unlock } = await aLockingClient()
    expect(decodeLockedQueues((await lock('first')).body)).toEqual([queue(0)])
    expect(decodeLockedQueues((await lock('second', [queue(0), queue(1)])).body)).toEqual([
      queue(1),
    ])
    expect(await unlock('first')).toMatchObject({ code: ResponseCode.SUCCESS })
    expect(decodeLockedQueues((await lock('second')).body)).toEqual([queue(0)])
  })

  test('read the body as a Java client writes it', async () => {
    const { client } = await aLockingClient()
    const body =
      '{"clientId":"10.0.0.1@4711","consumerGroup":"CG","mqSet":[{"brokerName":"broker-a",' +
      '"queueId":3,"topic":"%RETRY%CG"}],"onlyThisBroker":false}'
    const answer = await client.ask(RequestCode.LOCK_BATCH_MQ, {}, body)
    expect(answer.body?.toString()).toBe(
      '{"lockOKMQSet":[{"brokerName":"broker-a","queueId":3,"topic":"%RETRY%CG"}]}',
    )
  })

  test.each([
    ['a group that cannot be', 'a/b', 'c', [queue(0)]],
    ['no group', '', 'c', [queue(0)]],
    ['no client', 'G', '', [queue(0)]],
    ['a client id like a book', 'G', 'c'.repeat(2_000), [queue(0)]],
    ['a topic that cannot be', 'G', 'c', [queue(0, '../etc')]],
    ['a queue that cannot be', 'G', 'c', [queue(-1)]],
  ])('refuse %s and keep nothing of it', async (_name, group, clientId, queues) => {
    const { broker, lock } = await aLockingClient()
    const answer = await lock(clientId, queues, group)
    expect(answer.code).toBe(ResponseCode.INVALID_PARAMETER)
    expect(answer.remark).not.toBe('')
    expect(broker.context.locks.count).toBe(0)
  })

  test('refuse a body that is no JSON', async () => {
    const { client } = await aLockingClient()
    const answer = await client.ask(RequestCode.LOCK_BATCH_MQ, {}, '{"clientId":')
    expect(answer.code).toBe(ResponseCode.INVALID_PARAMETER)
  })
})

describe('what an orderly consumer sends to its retry topic after its last try', () => {
  const toRetry = (j: number) => ({
    a: 'CLIENT_INNER_PRODUCER',
    b: '%RETRY%G',
    c: 'TBW102',
    d: 4,
    e: 0,
    f: 0,
    g: 1_700_000_000_000,
    h: 0,
    i: 'RETRY_TOPIC\u0001T\u0002DELAY\u00015\u0002',
    j,
    k: false,
    l: 2,
    m: false,
  })

  test('is a dead letter at once while the group holds a lock, and waits for its turn otherwise', async () => {
    const { broker, client, lock, unlock } = await aLockingClient()
    await client.heartBeat('c', 'G', ['T'])
    const { store } = broker.context
    await client.ask(RequestCode.SEND_MESSAGE_V2, toRetry(2), Buffer.from('may come again'))
    expect(store.queue('%DLQ%G', 0).nextOffset).toBe(0)
    await lock('c')
    const unsaid = { ...toRetry(0), l: undefined }
    await client.ask(RequestCode.SEND_MESSAGE_V2, unsaid, Buffer.from('sent again by hand'))
    expect(store.queue('%DLQ%G', 0).nextOffset).toBe(0)
    await client.ask(RequestCode.SEND_MESSAGE_V2, toRetry(2), Buffer.from('had its tries'))
    expect(store.queue('%DLQ%G', 0).nextOffset).toBe(1)
    await unlock('c')
    await client.ask(RequestCode.SEND_MESSAGE_V2, toRetry(2), Buffer.from('may come again'))
    expect(store.queue('%DLQ%G', 0).nextOffset).toBe(1)
  })
})

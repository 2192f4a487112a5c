import { describe, expect, it } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { MqClient } from '../../src/client/client.ts'
import { OrderLocks } from '../../src/client/order-locks.ts'
import { decodeLockBatch, encodeLockedQueues } from '../../src/protocol/bodies/lock-batch.ts'
import { RequestCode } from '../../src/protocol/codes.ts'
import { ManualClock } from '../world/manual-clock.ts'

const queue = (queueId: number) => ({ topic: 'T', brokerName: 'b', queueId })

/** Locks at a broker that gives what is asked for, save the queues in `taken`, and can be silent. */
function aMember() {
  const clock = new ManualClock()
  const broker = { isSilent: false, taken: new Set<number>(), asked: [] as string[] }
  const client = {
    world: { clock },
    clientId: 'c',
    logger: silentLogger,
    masterOf: () => 'b:1',
    ask: (_address: string, code: number, _ext: unknown, body: Buffer) => {
      const { queues } = decodeLockBatch(body)
      const verb = code === RequestCode.LOCK_BATCH_MQ ? 'lock' : 'unlock'
      broker.asked.push(`${verb} ${queues.map(({ queueId }) => queueId).join(' ')}`)
      if (broker.isSilent) return Promise.reject(new MqError('REQUEST_TIMEOUT'))
      const owned = queues.filter(({ queueId }) => !broker.taken.has(queueId))
      return Promise.resolve({ body: encodeLockedQueues(owned) })
    },
  } as unknown as MqClient
  const lost: number[] = []
  let renewals = 0
  const locks = new OrderLocks(client, {
    group: 'G',
    onLost: (queues) => lost.push(...queues.map(({ queueId }) => queueId)),
    onRenewed: () => {
      renewals += 1
    },
  })
  const pass = async (ms: number) => {
    clock.advance(ms)
    for (let i = 0; i < 5; i++) await new Promise(setImmediate)
  }
  return { locks, broker, lost, pass, renewals: () => renewals }
}

describe('locks of queues', () => {
  it('are asked for in one request a broker, and only what it gives is taken', async () => {
    const { locks, broker } = aMember()
    broker.taken.add(2)
    expect(await locks.take([queue(1), queue(2), queue(3)])).toEqual([queue(1), queue(3)])
    expect(broker.asked).toEqual(['lock 1 2 3'])
    expect([1, 2, 3].map((id) => locks.has(queue(id)))).toEqual([true, false, true])
  })

  it('are renewed every 20 s for as long as they are kept', async () => {
    const { locks, broker, pass, renewals } = aMember()
    await locks.take([queue(1), queue(2)])
    locks.start()
    await pass(20_000)
    await locks.release([queue(2)])
    await pass(20_000)
    expect(broker.asked).toEqual(['lock 1 2', 'lock 1 2', 'unlock 2', 'lock 1'])
    expect([locks.has(queue(1)), locks.has(queue(2)), renewals()]).toEqual([true, false, 2])
    locks.stop()
    await pass(60_000)
    expect(broker.asked).toHaveLength(4)
  })

  it('are not believed in for more than 30 s while their broker is silent, and asked for each second then', async () => {
    const { locks, broker, pass, lost } = aMember()
    await locks.take([queue(1)])
    locks.start()
    broker.isSilent = true
    await pass(20_000)
    expect(locks.has(queue(1))).toBe(true)
    await pass(10_000)
    expect(locks.has(queue(1))).toBe(false)
    await pass(10_000)
    broker.isSilent = false
    await pass(1_000)
    expect([locks.has(queue(1)), lost]).toEqual([true, []])
    locks.stop()
  })

  it('that another member has got are lost', async () => {
    const { locks, broker, pass, lost } = aMember()
    await locks.take([queue(1), queue(2)])
    locks.start()
    broker.taken.add(1)
    await pass(20_000)
    expect(lost).toEqual([1])
    expect([locks.has(queue(1)), locks.has(queue(2))]).toEqual([false, true])
    locks.stop()
  })
})

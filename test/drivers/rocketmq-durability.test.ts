import { describe, expect, it } from 'vitest'
import { durabilityOf } from '../../src/drivers/rocketmq-durability.ts'

describe('what an acknowledgement stands for', () => {
  it.each([
    [{ flushDiskType: 'SYNC_FLUSH' }, 'fsync', 'fsync has returned'],
    [{ flushDiskType: 'ASYNC_FLUSH' }, 'page-cache', 'survives a crash of the broker, not of the'],
    [
      { flushDiskType: 'ASYNC_FLUSH', transientStorePoolEnable: 'true' },
      'memory',
      'lost when the broker crashes',
    ],
    [{ flushDiskType: 'ASYNC_FLUSH', brokerRole: 'SYNC_MASTER' }, 'page-cache', 'a replica has it'],
    [
      { flushDiskType: 'ASYNC_FLUSH', enableDLegerCommitLog: 'true' },
      'page-cache',
      'a majority of its group',
    ],
    [{}, 'unknown', 'did not say'],
  ])('%j is %s: … %s', (settings, profile, words) => {
    const { profile: found, acknowledged } = durabilityOf([settings])
    expect([found, acknowledged]).toEqual([profile, expect.stringContaining(words)])
  })

  it('is not ranked when brokers of one run differ, or when there are none', () => {
    const [sync, async] = [{ flushDiskType: 'SYNC_FLUSH' }, { flushDiskType: 'ASYNC_FLUSH' }]
    expect(durabilityOf([sync, async]).profile).toBe('unknown')
    expect(durabilityOf([sync, sync]).profile).toBe('fsync')
    expect(durabilityOf([]).profile).toBe('unknown')
  })

  it('says nothing of replicas that an asynchronous master does not wait for', () => {
    const plain = { flushDiskType: 'ASYNC_FLUSH' }
    expect(durabilityOf([{ ...plain, brokerRole: 'ASYNC_MASTER' }])).toEqual(durabilityOf([plain]))
  })
})

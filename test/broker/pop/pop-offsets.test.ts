import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../../src/base/logger.ts'
import { ConsumerOffsets } from '../../../src/broker/consumer-offsets.ts'
import { PopOffsets, positionKey } from '../../../src/broker/pop/pop-offsets.ts'
import type { PopSource } from '../../../src/broker/pop/taken.ts'
import { Topic } from '../../../src/broker/topic.ts'
import { topicConfig } from '../../../src/protocol/bodies/topic-config.ts'
import { nodeWorld } from '../../../src/world/node-world.ts'
import { MemoryFile } from '../memory-file.ts'

const GROUP = 'CG'

function aSource(): PopSource {
  const topic = new Topic(topicConfig('T'), () => {
    throw new Error('no queue is opened here')
  })
  return { topic, queueId: 0, isRetry: false }
}

async function positions() {
  const parts = { clock: nodeWorld.clock, file: new MemoryFile(), logger: silentLogger }
  const flushLog = () => Promise.resolve(true)
  const offsets = await ConsumerOffsets.load({ ...parts, flushMs: 1_000, flushLog })
  return { offsets, pops: new PopOffsets(offsets) }
}

describe('where groups are that take by POP', () => {
  it('what was under way in a deleted topic is no progress in a new one of its name', async () => {
    const { offsets, pops } = await positions()
    const old = aSource()
    const key = positionKey(GROUP, old)
    const late = pops.advance(key, old, 100)
    pops.acquire(key, old, 100)
    old.topic.deleted = true
    const anew = aSource()
    expect(pops.isBusy(key, anew)).toBe(false)
    expect(pops.nextOf(key, GROUP, anew)).toBeNull()
    const own = pops.advance(key, anew, 2)
    pops.settle(GROUP, late, true)
    pops.release(key, old)
    pops.skip(key, GROUP, old, 200)
    pops.reset(key, GROUP, old, 300)
    expect(offsets.get(GROUP, 'T', 0)).toBeNull()
    expect(pops.nextOf(key, GROUP, anew)).toBe(2)
    pops.settle(GROUP, own, true)
    expect(offsets.get(GROUP, 'T', 0)).toBe(2)
    expect(pops.count).toBe(0)
  })
})

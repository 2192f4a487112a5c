import { describe, expect, it } from 'vitest'
import { LongBody } from '../../src/broker/long-body.ts'
import { TurnBudget } from '../../src/broker/turn-budget.ts'
import { ConsumerOffsets } from '../../src/broker/consumer-offsets.ts'
import { decodeConsumerOffsetTable } from '../../src/protocol/bodies/queue-offsets.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { ManualClock } from '../world/manual-clock.ts'
import { MemoryFile } from './memory-file.ts'

/** A clock on which every look at the time takes a millisecond, and that counts the turns. */
class SlowClock extends ManualClock {
  turns = 0
  #ms = 0

  override monotonicMs(): number {
    return this.#ms++
  }

  override atEndOfTurn(run: () => void): void {
    this.turns++
    setImmediate(run)
  }
}

describe('a long body', () => {
  it.each([0, 1, 70_000, 400_000])('is what was added: %d characters', async (length) => {
    const body = new LongBody()
    const text = 'äbc…'.repeat(length / 4 + 1).slice(0, length)
    for (let at = 0; at < length; at += 999) body.add(text.slice(at, at + 999))
    const bytes = await body.end(new TurnBudget(new SlowClock()))
    expect(bytes.toString('utf8')).toBe(text)
  })

  it('of the progress of thousands of groups takes no turn for itself', async () => {
    const clock = new SlowClock()
    const file = new MemoryFile()
    const flushLog = () => Promise.resolve(true)
    const parts = { clock, file, logger: silentLogger, flushMs: 5_000, flushLog }
    const table = await ConsumerOffsets.load(parts)
    for (let n = 0; n < 3_000; n++) {
      for (let queueId = 0; queueId < 4; queueId++) table.commit(`G${n}`, `T${n % 7}`, queueId, n)
    }
    const body = await table.tableBody()
    const { offsets } = decodeConsumerOffsetTable(body)
    expect(offsets.size).toBe(3_000)
    expect([...(offsets.get('T2@G2')?.values() ?? [])]).toEqual([2, 2, 2, 2])
    // Five looks at the time a turn, one for each queue and one for each group.
    expect(clock.turns).toBeGreaterThan((3_000 * 5) / 6)
  })
})

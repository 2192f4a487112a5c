import { describe, expect, it } from 'vitest'
import { BrokerStats, StatName } from '../../src/broker/stats.ts'
import { Topic } from '../../src/broker/topic.ts'
import { topicConfig } from '../../src/protocol/bodies/topic-config.ts'
import { Queue } from '../../src/store/queue.ts'
import { ManualClock } from '../world/manual-clock.ts'

function aTopic(name: string): Topic {
  return new Topic(topicConfig(name), (topic, queueId) => new Queue(topic, queueId))
}

function someStats(wallMs?: number) {
  const clock = new ManualClock(wallMs)
  const stats = new BrokerStats(clock, 'C')
  stats.start()
  return { stats, clock }
}

describe('what a broker counts', () => {
  it('gives rates over the last 10, 60 and 600 seconds', () => {
    const { stats, clock } = someStats()
    const topic = aTopic('T')
    for (let second = 0; second < 20; second++) {
      stats.onPut(topic, second < 10 ? 0 : 50, 500)
      clock.advance(1_000)
    }
    expect([10, 60, 600].map((seconds) => Math.round(stats.rate('puts', seconds)))).toEqual([
      50, 25, 25,
    ])
  })

  it('keeps the last minute, hour and day of each topic', () => {
    const { stats, clock } = someStats()
    const topic = aTopic('T')
    stats.onPut(topic, 600, 60_000)
    clock.advance(30_000)
    const [minute, hour, day] = stats.windows(StatName.topicPutNums, 'T') ?? []
    expect([minute?.sum, hour?.sum, day?.sum]).toEqual([600, 600, 600])
    expect(stats.windows(StatName.topicPutSize, 'T')?.[0].sum).toBe(60_000)
    clock.advance(120_000)
    expect(stats.windows(StatName.topicPutNums, 'T')?.[0].sum).toBe(0)
    expect(stats.windows(StatName.topicPutNums, 'T')?.[1].sum).toBe(600)
  })

  it('keeps what each group got of each topic', () => {
    const { stats } = someStats()
    stats.countGet('T', 'G', 32, 16_000)
    expect(stats.windows(StatName.groupGetNums, 'T@G')?.[0]).toMatchObject({ sum: 32, avgpt: 32 })
    expect(stats.windows(StatName.brokerGetNums, 'C')?.[0].sum).toBe(32)
    expect(stats.windows(StatName.groupGetNums, 'T@H')).toBeNull()
  })

  it('forgets topics and groups that are deleted', () => {
    const { stats } = someStats()
    stats.countGet('T', 'G', 1, 1)
    stats.forget('G')
    expect(stats.windows(StatName.groupGetNums, 'T@G')).toBeNull()
  })

  it('notes the totals at midnight', () => {
    const lateEvening = new Date(2026, 5, 1, 23, 59, 30).getTime()
    const { stats, clock } = someStats(lateEvening)
    stats.onPut(aTopic('T'), 5, 1)
    clock.advance(60_000)
    stats.onPut(aTopic('T'), 2, 1)
    expect(stats.putTotals()).toEqual({ yesterdayMorning: 0, todayMorning: 5, now: 7 })
    clock.advance(24 * 3_600_000)
    expect(stats.putTotals()).toEqual({ yesterdayMorning: 5, todayMorning: 7, now: 7 })
  })

  it('tells latencies to about ten percent', () => {
    const { stats } = someStats()
    for (let i = 1; i <= 1000; i++) stats.recordPutMs(i / 10)
    expect(stats.putMsAt(0.5)).toBeGreaterThan(45)
    expect(stats.putMsAt(0.5)).toBeLessThan(56)
    expect(stats.putMsAt(0.99)).toBeGreaterThan(90)
    expect(stats.putMsAt(0.99)).toBeLessThan(112)
    expect(stats.putMsMax).toBe(100)
  })
})

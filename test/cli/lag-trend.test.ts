import { describe, expect, it } from 'vitest'
import { LagTrend } from '../../src/cli/lag-trend.ts'

const at = (brokerOffset: number, consumerOffset: number) => [
  {
    name: 'g',
    lag: brokerOffset - consumerOffset,
    lagSeconds: null,
    queues: [
      {
        ...{ topic: 't', broker: 'b', queueId: 0, brokerOffset, consumerOffset },
        ...{ lag: brokerOffset - consumerOffset, lagSeconds: null },
      },
    ],
  },
]

describe('the trend of a lag', () => {
  it('is not known at the first look, and then says when a group will have caught up', () => {
    const trend = new LagTrend()
    expect(trend.add(at(1_000, 0), 0)).toMatchObject([
      { lag: 1_000, storedPerSecond: null, processedPerSecond: null, catchUpSeconds: null },
    ])
    expect(trend.add(at(1_100, 300), 2_000)).toMatchObject([
      { lag: 800, storedPerSecond: 50, processedPerSecond: 150, catchUpSeconds: 8 },
    ])
  })

  it.each([
    ['as much comes as goes', at(1_100, 100), null],
    ['more comes than goes', at(1_500, 100), null],
    ['nothing is left', at(1_000, 1_000), 0],
    ['the group was set back', at(1_000, -1), null],
  ])('promises nothing when %s', (_, look, catchUpSeconds) => {
    const trend = new LagTrend()
    trend.add(at(1_000, 0), 0)
    expect(trend.add(look, 1_000)).toMatchObject([{ catchUpSeconds }])
  })
})

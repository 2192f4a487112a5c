import { describe, expect, it } from 'vitest'
import { type ReceiptInput, receiptChecks } from '../../src/bench/receipt-validity.ts'
import { readScenario } from '../../src/bench/scenario.ts'

const { scenario } = readScenario('version: 1\nname: x\n', 'x.yaml')

const queue = (id: number, changes = {}) => ({
  queue: `broker-a/${id}`,
  read: 500,
  remaining: 0,
  readInDrain: 10,
  ...changes,
})

function checked(changes: Partial<ReceiptInput> = {}) {
  const checks = receiptChecks({
    scenario,
    groups: [{ name: 'g', received: 1_000, queues: [queue(0), queue(1)] }],
    drainMs: 10_000,
    troubles: {},
    acked: 1_000,
    endToEndCount: 1_000,
    phases: [{ name: 'steady', sent: 1_000, acked: 1_000 }],
    oneWay: null,
    ...changes,
  })
  return checks.flatMap(({ check, severity, ok, text }) =>
    ok ? [] : [`${check} ${severity}: ${text}`],
  )
}

describe('a run with consumers', () => {
  it('is believed when they have received what there was', () => {
    expect(checked()).toEqual([])
  })

  it('is not believed when they received nothing, and says what was refused to them', () => {
    const queues = [0, 1].map((id) => queue(id, { read: 0, remaining: 500, readInDrain: 0 }))
    const groups = [{ name: 'g', received: 0, queues }]
    expect(checked({ groups, troubles: { NO_PERMISSION: 90 }, endToEndCount: 0 })).toEqual([
      'received error: group g received none of the 1000 messages in its queues; what failed: 90 × NO_PERMISSION',
    ])
  })

  it('is not believed when they passed over everything without a message', () => {
    const groups = [{ name: 'g', received: 0, queues: [queue(0), queue(1)] }]
    expect(checked({ groups })).toEqual([
      'received error: group g received none of the 1000 messages in its queues',
    ])
  })

  it('is not believed when one of them was silent, and names its queues', () => {
    const queues = [queue(0), queue(1, { read: 0, remaining: 400, readInDrain: 0 })]
    expect(checked({ groups: [{ name: 'g', received: 500, queues }] })).toEqual([
      'received error: group g read nothing from one queue with 400 messages (broker-a/1)',
    ])
  })

  it('is not believed when a queue was refused from some moment on', () => {
    const queues = [queue(0), queue(1, { read: 300, remaining: 200, readInDrain: 0 })]
    const groups = [{ name: 'g', received: 800, queues }]
    expect(checked({ groups, troubles: { NO_PERMISSION: 3 } })).toEqual([
      'received error: in the 10.0 s after the load group g read nothing from one queue with 200 messages (broker-a/1); what failed: 3 × NO_PERMISSION',
    ])
  })

  it('only warns of consumers that are slow: nothing is known of what they did not read', () => {
    const queues = [queue(0), queue(1, { read: 300, remaining: 200, readInDrain: 50 })]
    const groups = [{ name: 'g', received: 800, queues }]
    expect(checked({ groups })).toEqual([
      'received warning: group g received 800 of the 1000 messages in its queues; 200 were not read 10.0 s after the load (drain.timeout) and nothing is known of them',
    ])
  })

  it('does not take work on a batch for a stand-still', () => {
    const slow = readScenario(
      'version: 1\nname: x\nconsumers: {processingTime: 1s, prefetch: 32}\n',
      'x.yaml',
    )
    const queues = [queue(0, { read: 320, remaining: 200, readInDrain: 0 })]
    const groups = [{ name: 'g', received: 320, queues }]
    const found = checked({ scenario: slow.scenario, groups, troubles: { TIMEOUT: 1 } })
    expect(found).toEqual([expect.stringContaining('received warning')])
  })

  it('is not believed when they received a small part only, as much as the scenario says', () => {
    const queues = [queue(0, { read: 50, remaining: 950 })]
    const groups = [{ name: 'g', received: 50, queues }]
    expect(checked({ groups })).toEqual([expect.stringContaining('received error')])
    const { scenario: lax } = readScenario(
      'version: 1\nname: x\nvalidity: {minReceived: 1%}\n',
      'x.yaml',
    )
    expect(checked({ groups, scenario: lax })).toEqual([expect.stringContaining('warning')])
  })

  it.each(['processingTime: 10ms', 'failRate: 50%', 'startAt: beginning'])(
    'only warns, however little was read, of consumers with %s',
    (slowness) => {
      const text = `version: 1\nname: x\nconsumers: {${slowness}}\n`
      const { scenario: meant } = readScenario(text, 'x.yaml')
      const queues = [queue(0, { read: 50, remaining: 950 })]
      const groups = [{ name: 'g', received: 50, queues }]
      expect(checked({ scenario: meant, groups, endToEndCount: 0 })).toEqual([
        expect.stringContaining('received warning'),
        expect.stringContaining('end-to-end-samples warning'),
      ])
    },
  )

  it('is judged by the group that received the least', () => {
    const rest = [queue(0, { read: 10, remaining: 990 })]
    const groups = [
      { name: 'all', received: 1_000, queues: [queue(0), queue(1)] },
      { name: 'few', received: 10, queues: rest },
    ]
    expect(checked({ groups })).toEqual([expect.stringMatching(/^received error: group few /)])
  })

  it('is not believed when nothing of the window was received, whatever came before it', () => {
    expect(checked({ endToEndCount: 0 })).toEqual([
      'end-to-end-samples error: no message of the window was received, so there is no end-to-end latency',
    ])
  })
})

describe('a run of several phases', () => {
  it('is not believed when one of them has measured nothing', () => {
    const phases = [
      { name: 'low', sent: 900, acked: 900 },
      { name: 'high', sent: 50, acked: 0 },
      { name: 'off', sent: 0, acked: 0 },
    ]
    expect(checked({ phases })).toEqual([
      'phase-samples error: none of the 50 messages of phase high was acknowledged; nothing was sent in phase off',
    ])
  })
})

describe('a run of one-way messages', () => {
  it('is not believed when none came to a queue, and says how many did otherwise', () => {
    expect(checked({ groups: [], oneWay: { handed: 1_000, stored: 0 } })).toEqual([
      'one-way-stored error: none of the 1000 one-way messages that were handed to the network came to a queue',
    ])
    expect(checked({ groups: [], oneWay: { handed: 1_000, stored: 900 } })).toEqual([
      'one-way-stored warning: the queues grew by 900 for 1000 one-way messages that were handed to the network',
    ])
    expect(checked({ groups: [], oneWay: { handed: 1_000, stored: 1_000 } })).toEqual([])
  })
})

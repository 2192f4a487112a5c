import { describe, expect, it } from 'vitest'
import { type Told, storyOf } from '../../src/client/message-story.ts'
import type { TraceRecord } from '../../src/protocol/trace-record.ts'

const id = 'ID-1'
const region = 'DefaultRegion'
const told = (record: TraceRecord, clientHost = '10.0.0.1'): Told => ({ record, clientHost })

const pub: TraceRecord = {
  ...{ kind: 'Pub', timeMs: 1_000, region, group: 'sellers', topic: 'orders', messageId: id },
  ...{ tags: 'paid', keys: 'A-1', storeHost: '10.0.0.9:10911', bodyBytes: 5, tookMs: 3 },
  ...{ type: 'normal', offsetMessageId: 'OFFSET', ok: true, clientHost: '' },
}
const begin = (requestId: string, timeMs: number, tries = 0, group = 'billing'): TraceRecord => ({
  ...{ kind: 'SubBefore', timeMs, region, group, requestId, messageId: id, tries, keys: 'A-1' },
})
const end = (
  requestId: string,
  timeMs: number | null,
  more: Partial<Extract<TraceRecord, { kind: 'SubAfter' }>> = {},
): TraceRecord => ({
  ...{ kind: 'SubAfter', requestId, messageId: id, tookMs: 40, ok: true, keys: 'A-1' },
  ...{ result: 'success', timeMs, group: 'billing' },
  ...more,
})

describe('the story of a message', () => {
  it('is told in the order of time, each try from its begin to its end', () => {
    const story = storyOf(
      id,
      [
        told(end('r2', 2_040), '10.0.0.3'),
        told(end('r1', 1_140, { ok: false, result: 'exception' }), '10.0.0.2'),
        told(begin('r2', 2_000, 1), '10.0.0.3'),
        told(begin('r1', 1_100), '10.0.0.2'),
        told(pub),
      ],
      [],
    )
    expect(story).toMatchObject({ messageId: id, topic: 'orders', tags: 'paid', keys: 'A-1' })
    expect(story.events).toMatchObject([
      { kind: 'sent', atMs: 1_000, clientHost: '10.0.0.1', brokerAddress: '10.0.0.9:10911' },
      { kind: 'tried', atMs: 1_100, attempt: 1, endedAtMs: 1_140, result: 'exception', ok: false },
      { kind: 'tried', atMs: 2_000, attempt: 2, endedAtMs: 2_040, result: 'success', ok: true },
    ])
  })

  it('shows a try that began and has not ended', () => {
    const [event] = storyOf(id, [told(begin('r', 1_000))], []).events
    expect(event).toMatchObject({ result: 'unfinished', endedAtMs: null, tookMs: null, ok: false })
  })

  it('knows of a try whose begin was lost when it began, and not which try it was', () => {
    const [event] = storyOf(id, [told(end('r', 1_040))], []).events
    expect(event).toMatchObject({ atMs: 1_000, endedAtMs: 1_040, attempt: null, group: 'billing' })
  })

  it.each([
    ['an end without time and group, as clouds tell it', { timeMs: null, group: '' }, 1_040],
    ['an end that does not say why', { ok: false, result: null }, 1_040],
  ])('has the rest from the begin: %s', (_, more, endedAtMs) => {
    const events = storyOf(id, [told(begin('r', 1_000)), told(end('r', 1_040, more))], []).events
    const result = 'result' in more ? 'failed' : 'success'
    expect(events).toMatchObject([{ group: 'billing', endedAtMs, result, tookMs: 40 }])
  })

  it('tells once what was stored twice, and nothing of other messages', () => {
    const other = { ...pub, messageId: 'ID-2' }
    expect(storyOf(id, [told(pub), told(pub), told(other)], []).events).toHaveLength(1)
  })

  it('includes a batch of Java, which tells of all its messages at once', () => {
    const batch = { ...pub, messageId: `ID-0,${id},ID-2` }
    expect(storyOf(id, [told(batch)], []).events).toMatchObject([{ kind: 'sent' }])
    expect(storyOf('ID', [told(batch)], []).events).toEqual([])
  })

  it('has decisions on transactions and what was taken back', () => {
    const { events } = storyOf(
      id,
      [
        told({
          ...{ kind: 'Recall', timeMs: 1_300, region, group: 'g', topic: 'orders' },
          ...{ messageId: id, ok: false },
        }),
        told({
          ...{ kind: 'EndTransaction', timeMs: 1_200, region, group: 'g', topic: 'orders' },
          ...{ messageId: id, tags: '', keys: '', storeHost: 'h:1', type: 'transaction' },
          ...{ transactionId: id, decision: 'commit', asked: true },
        }),
      ],
      [],
    )
    expect(events).toMatchObject([
      { kind: 'decided', decision: 'commit', asked: true },
      { kind: 'recalled', ok: false },
    ])
  })
})

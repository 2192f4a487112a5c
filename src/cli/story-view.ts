/** The story of a message, for people and as JSON. */
import { formatBytes, formatDurationMs } from '../base/units.ts'
import type { MessageStory, StoryEvent } from '../client/message-story.ts'
import { type Cell, renderFacts, renderTable } from './table.ts'
import type { Terminal } from './terminal.ts'
import { isoTime } from './time.ts'

/** `at` is when it began, ISO 8601, by the clock of whoever told; null where the library has no time. */
export type StoryEventJson = { readonly at: string | null } & Omit<StoryEvent, 'atMs'>

export interface StoryJson {
  readonly messageId: string
  readonly topic: string | null
  readonly tags: string | null
  readonly keys: readonly string[]
  readonly events: readonly StoryEventJson[]
}

export function storyJson(story: MessageStory): StoryJson {
  const { messageId, topic, tags, keys, events } = story
  return {
    messageId,
    topic,
    tags: tags || null,
    keys: keys === '' ? [] : keys.split(' '),
    events: events.map(({ atMs, ...event }) => ({ at: isoTime(atMs), ...event })),
  }
}

export function storyText(story: MessageStory, terminal: Terminal): string {
  const facts = renderFacts(terminal, [
    ['message id', story.messageId],
    ['topic', story.topic],
    ['keys', story.keys || null],
    ['tag', story.tags || null],
  ])
  const table = renderTable(
    terminal,
    [
      { head: 'TIME' },
      { head: 'WHAT' },
      { head: 'GROUP' },
      { head: 'CLIENT' },
      { head: 'WHERE' },
      { head: 'TOOK', align: 'right' },
      { head: 'RESULT' },
    ],
    story.events.map((event) => [isoTime(event.atMs), ...cellsOf(event)]),
  )
  return `${facts}\n\n${table}`
}

function cellsOf(event: StoryEvent): Cell[] {
  switch (event.kind) {
    case 'sent': {
      const type = event.type === 'normal' ? '' : `, ${event.type}`
      return [
        `sent (${formatBytes(event.bodyBytes)}${type})`,
        ...[event.group, event.clientHost, event.brokerAddress],
        ...[formatDurationMs(event.tookMs), event.ok ? 'ok' : 'not known to be safe'],
      ]
    }
    case 'stored': {
      const { broker, queueId, queueOffset } = event
      return [
        'stored',
        null,
        null,
        `${broker}, queue ${queueId}, offset ${queueOffset}`,
        null,
        null,
      ]
    }
    case 'tried': {
      const { attempt, group, clientHost, tookMs, result } = event
      return [
        attempt === null || attempt === 1 ? 'processed' : `processed, try ${attempt}`,
        ...[group || null, clientHost, null],
        ...[tookMs === null ? null : formatDurationMs(tookMs), result],
      ]
    }
    case 'decided': {
      const { group, clientHost, brokerAddress, decision, asked } = event
      const what = asked ? 'asked by the broker' : 'decided'
      return [what, group, clientHost, brokerAddress, null, decision]
    }
    case 'recalled':
      return ['taken back', event.group, event.clientHost, null, null, event.ok ? 'ok' : 'refused']
  }
}

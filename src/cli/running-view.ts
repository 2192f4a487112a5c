/** What members of a group say of themselves, for people and for programs. */
import { formatDurationMs } from '../base/units.ts'
import type { ConsumerRunningInfo } from '../protocol/bodies/consumer-running-info.ts'
import { renderFacts, renderTable } from './table.ts'
import type { Terminal } from './terminal.ts'
import { isoTime } from './time.ts'

export interface RunningMember {
  readonly clientId: string
  readonly startedAt: string | null
  readonly orderly: boolean
  readonly concurrency: number | null
  readonly subscriptions: readonly { readonly topic: string; readonly expression: string }[]
  readonly queues: readonly RunningQueue[]
  readonly rates: ConsumerRunningInfo['statuses']
  /** Where its threads are, or what its handlers work on; null when that was not asked for. */
  readonly stack: string | null
}

export interface RunningQueue {
  readonly topic: string
  readonly broker: string
  readonly queueId: number
  /** The next offset that it will report as processed. */
  readonly offset: number
  /** Messages that were pulled and are not processed. */
  readonly waiting: number
  readonly locked: boolean
  readonly lastPullAt: string | null
  readonly lastHandledAt: string | null
  /** Messages wait, and none was processed for a minute. */
  readonly stuck: boolean
}

const STUCK_MS = 60_000

export function runningMember(
  clientId: string,
  info: ConsumerRunningInfo,
  nowMs: number,
): RunningMember {
  const { properties } = info
  const startedMs = Number(properties['PROP_CONSUMER_START_TIMESTAMP'] ?? 0)
  const size = Number(properties['PROP_THREADPOOL_CORE_SIZE'] ?? Number.NaN)
  return {
    clientId,
    startedAt: isoTime(startedMs),
    orderly: properties['PROP_CONSUMEORDERLY'] === 'true',
    concurrency: Number.isNaN(size) ? null : size,
    subscriptions: info.subscriptions.map(({ topic, subString }) => ({
      topic,
      expression: subString,
    })),
    queues: info.queues.map((row) => ({
      topic: row.queue.topic,
      broker: row.queue.brokerName,
      queueId: row.queue.queueId,
      offset: row.commitOffset,
      waiting: row.cachedMsgCount,
      locked: row.locked,
      lastPullAt: isoTime(row.lastPullTimestamp),
      lastHandledAt: isoTime(row.lastConsumeTimestamp),
      stuck:
        row.cachedMsgCount > 0 && nowMs - Math.max(row.lastConsumeTimestamp, startedMs) > STUCK_MS,
    })),
    rates: info.statuses,
    stack: info.jstack,
  }
}

/** Text without a final newline. */
export function runningText(
  members: readonly RunningMember[],
  nowMs: number,
  terminal: Terminal,
): string {
  return members.map((member) => memberText(member, nowMs, terminal)).join('\n\n')
}

function memberText(member: RunningMember, nowMs: number, terminal: Terminal): string {
  const { clientId, startedAt, orderly, concurrency, subscriptions, queues, rates, stack } = member
  const facts = renderFacts(terminal, [
    ['client', clientId],
    ['started', startedAt],
    ['order', orderly ? 'one message of a queue after the other' : 'none'],
    ['at once', concurrency],
    ['topics', subscriptions.map(({ topic, expression }) => `${topic} (${expression})`).join(', ')],
  ])
  const ago = (time: string | null) =>
    time === null ? null : `${formatDurationMs(Math.max(0, nowMs - Date.parse(time)))} ago`
  const queueTable = renderTable(
    terminal,
    [
      { head: 'TOPIC' },
      { head: 'BROKER' },
      { head: 'QUEUE', align: 'right' },
      { head: 'NEXT', align: 'right' },
      { head: 'WAITING', align: 'right' },
      { head: 'PULLED', align: 'right' },
      { head: 'PROCESSED', align: 'right' },
      { head: '' },
    ],
    queues.map((row) => [
      row.topic,
      row.broker,
      row.queueId,
      row.offset,
      row.waiting,
      ago(row.lastPullAt),
      ago(row.lastHandledAt),
      row.stuck ? 'STUCK' : '',
    ]),
  )
  const rateTable = renderTable(
    terminal,
    [
      { head: 'TOPIC' },
      { head: 'PULLED/S', align: 'right' },
      { head: 'PROCESSED/S', align: 'right' },
      { head: 'FAILED/S', align: 'right' },
      { head: 'TOOK', align: 'right' },
    ],
    rates.map((row) => [
      row.topic,
      row.pullTPS.toFixed(1),
      row.consumeOKTPS.toFixed(1),
      row.consumeFailedTPS.toFixed(1),
      `${row.consumeRT.toFixed(1)} ms`,
    ]),
  )
  return [
    facts,
    queues.length === 0 ? 'it has no queue' : queueTable,
    ...(rates.length === 0 ? [] : [rateTable]),
    ...(stack === null || stack === '' ? [] : [stack.trimEnd()]),
  ].join('\n\n')
}

/** One message, or a list of them, for people. */
import { isUtf8 } from 'node:buffer'
import { formatBytes } from '../base/units.ts'
import type { ReceivedMessage } from '../client/received-message.ts'
import { renderFacts, renderTable } from './table.ts'
import type { Terminal } from './terminal.ts'
import { isoTime } from './time.ts'

export const bodyViews = ['auto', 'utf8', 'hex', 'base64', 'json'] as const
export type BodyView = (typeof bodyViews)[number]

const PREVIEW_LENGTH = 60

export function messageText(message: ReceivedMessage, body: BodyView, terminal: Terminal): string {
  const own = Object.entries(message.properties).filter(([name]) => !shownApart.has(name))
  const facts = renderFacts(terminal, [
    ['message id', message.messageId],
    ['offset id', message.offsetMessageId],
    ['topic', message.topic],
    ['place', `${message.broker}, queue ${message.queueId}, offset ${message.queueOffset}`],
    ['log offset', message.physicalOffset],
    ['keys', message.keys || null],
    ['tag', message.tags || null],
    ['stored', isoTime(message.storeTimestamp)],
    ['stored by', message.storeHost],
    ['born', isoTime(message.bornTimestamp)],
    ['born at', message.bornHost],
    ['reconsumed', message.reconsumeTimes === 0 ? null : message.reconsumeTimes],
    ['body', `${formatBytes(message.body.length)}${compressionText(message)}`],
    ...own.map(([name, value]): [string, string] => [`  ${name}`, value]),
  ])
  return `${facts}\n\n${bodyText(message.body, body)}`
}

/** A table with the beginning of each body. */
export function messageList(messages: readonly ReceivedMessage[], terminal: Terminal): string {
  return renderTable(
    terminal,
    [
      { head: 'MESSAGE ID' },
      { head: 'STORED' },
      { head: 'BROKER' },
      { head: 'QUEUE', align: 'right' },
      { head: 'OFFSET', align: 'right' },
      { head: 'TAG' },
      { head: 'KEYS' },
      { head: 'BODY' },
    ],
    messages.map((message) => [
      message.messageId,
      isoTime(message.storeTimestamp),
      message.broker,
      message.queueId,
      message.queueOffset,
      message.tags || null,
      message.keys || null,
      preview(message.body),
    ]),
  )
}

const shownApart: ReadonlySet<string> = new Set(['KEYS', 'TAGS', 'UNIQ_KEY'])

function compressionText(message: ReceivedMessage): string {
  return message.compression === 'none' ? '' : `, compressed (${message.compression})`
}

function bodyText(body: Buffer, view: BodyView): string {
  switch (view) {
    case 'hex':
    case 'base64':
      return body.toString(view)
    case 'json':
      return prettyJson(body.toString())
    case 'utf8':
      return body.toString()
    case 'auto':
      return isUtf8(body) ? body.toString() : body.toString('base64')
  }
}

function prettyJson(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text) as unknown, null, 2)
  } catch {
    return text
  }
}

function preview(body: Buffer): string {
  if (!isUtf8(body)) return `${formatBytes(body.length)} binary`
  const text = body
    .subarray(0, PREVIEW_LENGTH * 4)
    .toString()
    .replaceAll(/\s+/g, ' ')
  return text.length > PREVIEW_LENGTH ? `${text.slice(0, PREVIEW_LENGTH)}…` : text
}

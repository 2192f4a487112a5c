/**
 * Where to start and stop in a topic. One small language for every command:
 *
 *     start  end  N  +N  -N  @TIME        a position
 *     N:M  @T1:T2  start:end  :end  N:    a span, from the first up to before the second
 *
 * N is a queue offset and is applied to every queue: `+N` counts from the first message that is
 * still there, `-N` from the end. TIME is anything that time.ts takes; a message belongs to the
 * time at which it was stored.
 */
import { MqError } from '../base/errors.ts'
import { tryTimeMs } from './time.ts'

export type Position =
  | { readonly kind: 'start' }
  | { readonly kind: 'end' }
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'afterStart'; readonly count: number }
  | { readonly kind: 'beforeEnd'; readonly count: number }
  | { readonly kind: 'time'; readonly ms: number }

/** `to` is null when the span is open: as far as messages come. */
export interface Span {
  readonly from: Position
  readonly to: Position | null
}

/** One position; throws VALUE_INVALID. */
export function parsePosition(text: string, nowMs: number): Position {
  const position = tryPosition(text.trim(), nowMs)
  if (position !== null) return position
  throw notAPosition(text)
}

/**
 * A position (then the span is open) or a span; the position `to`, when there is one, replaces its
 * end. Throws VALUE_INVALID, also for a span that ends before it begins.
 */
export function parseSpan(text: string, nowMs: number, to?: string): Span {
  const found = trySpan(text.trim(), nowMs)
  if (found === null) throw notAPosition(text)
  const span = to === undefined ? found : { from: found.from, to: parsePosition(to, nowMs) }
  if (isBackwards(span)) {
    throw new MqError('VALUE_INVALID', {
      what: `${JSON.stringify(to === undefined ? text : `${text} to ${to}`)} ends before it begins`,
      hint: 'a span goes from the first up to before the second; mqctl help time has more',
    })
  }
  return span
}

function trySpan(trimmed: string, nowMs: number): Span | null {
  const single = tryPosition(trimmed, nowMs)
  if (single !== null) return { from: single, to: null }
  // Times contain colons themselves: take the first colon that leaves sense on both sides.
  const timed = trimmed.startsWith('@')
  for (let colon = trimmed.indexOf(':'); colon !== -1; colon = trimmed.indexOf(':', colon + 1)) {
    const left = trimmed.slice(0, colon)
    const right = trimmed.slice(colon + 1)
    const from: Position | null = left === '' ? { kind: 'start' } : tryPosition(left, nowMs)
    if (from === null) continue
    if (right === '') return { from, to: null }
    const to = (timed ? tryPosition(`@${right}`, nowMs) : null) ?? tryPosition(right, nowMs) ?? null
    if (to !== null) return { from, to }
  }
  return null
}

/** Whether nothing can be in it, whatever the queues hold. What cannot be told is let pass. */
function isBackwards({ from, to }: Span): boolean {
  if (to === null) return false
  if (from.kind === 'end') return to.kind === 'start' || to.kind === 'beforeEnd'
  if (from.kind !== to.kind) return false
  if (from.kind === 'time') return to.kind === 'time' && to.ms < from.ms
  if (from.kind === 'offset') return to.kind === 'offset' && to.offset < from.offset
  if (from.kind === 'afterStart') return to.kind === 'afterStart' && to.count < from.count
  return from.kind === 'beforeEnd' && to.kind === 'beforeEnd' && to.count > from.count
}

/** The text that `parsePosition` reads back; times in milliseconds. */
export function formatPosition(position: Position): string {
  switch (position.kind) {
    case 'start':
    case 'end':
      return position.kind
    case 'offset':
      return String(position.offset)
    case 'afterStart':
      return `+${position.count}`
    case 'beforeEnd':
      return `-${position.count}`
    case 'time':
      return `@${position.ms}`
  }
}

function tryPosition(text: string, nowMs: number): Position | null {
  if (text === 'start' || text === 'end') return { kind: text }
  if (text.startsWith('@')) {
    const ms = tryTimeMs(text.slice(1), nowMs)
    return ms === null ? null : { kind: 'time', ms }
  }
  const match = /^([+-]?)(\d+)$/.exec(text)
  const count = Number(match?.[2])
  if (match === null || !Number.isSafeInteger(count)) return null
  switch (match[1]) {
    case '+':
      return { kind: 'afterStart', count }
    case '-':
      return { kind: 'beforeEnd', count }
    default:
      return { kind: 'offset', offset: count }
  }
}

function notAPosition(text: string): MqError {
  return new MqError('VALUE_INVALID', {
    what: `${JSON.stringify(text)} is not a position`,
    hint: 'write start, end, 1200, +10, -10, @-1h, @2026-11-20T08:00:00Z; mqctl help time has more',
  })
}

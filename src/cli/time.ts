/**
 * Points in time as people write them:
 *
 * - `now`, `-90m`, `+5s`: relative to the clock that is passed in
 * - `1763625600` (seconds since 1970) or `1763625600000` (milliseconds: from 100,000,000,000 on)
 * - `2026-11-20`, `2026-11-20T08:00`, `2026-11-20T08:00:00.250Z`, `…+02:00`; without a zone: UTC
 * - `2026-11-20#08:00:00:250`, as mqadmin writes it
 */
import { MqError } from '../base/errors.ts'
import { parseDurationMs } from '../base/units.ts'

const MILLISECONDS_FROM = 100_000_000_000

const iso =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T# ](\d\d):(\d\d)(?::(\d\d)(?:[.:](\d{1,3})\d*)?)?)?(Z|[+-]\d\d:?\d\d)?$/i

/** Milliseconds since 1970; throws VALUE_INVALID. */
export function parseTimeMs(text: string, nowMs: number): number {
  const ms = tryTimeMs(text, nowMs)
  if (ms !== null) return ms
  throw new MqError('VALUE_INVALID', {
    what: `${JSON.stringify(text)} is not a time`,
    hint: 'write now, -90m, 2026-11-20, 2026-11-20T08:00:00Z, or seconds or milliseconds since 1970',
  })
}

/** The same; null when it is not a time. */
export function tryTimeMs(text: string, nowMs: number): number | null {
  if (text === 'now') return nowMs
  if (/^\d+$/.test(text)) {
    const value = Number(text)
    const ms = value >= MILLISECONDS_FROM ? value : value * 1_000
    return Number.isSafeInteger(ms) ? ms : null
  }
  if (/^[+-]/.test(text)) return relativeMs(text, nowMs)
  return calendarMs(text)
}

function relativeMs(text: string, nowMs: number): number | null {
  try {
    const distanceMs = parseDurationMs(text.slice(1))
    return Math.round(text.startsWith('-') ? nowMs - distanceMs : nowMs + distanceMs)
  } catch {
    return null
  }
}

function calendarMs(text: string): number | null {
  const match = iso.exec(text)
  if (match === null) return null
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '0'] = match
  const date = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
    Number(fraction.padEnd(3, '0')),
  )
  // Date.UTC rolls 31 February over into March; that is not what was meant.
  const back = new Date(date)
  const same =
    back.getUTCMonth() === Number(month) - 1 &&
    back.getUTCDate() === Number(day) &&
    back.getUTCHours() === Number(hour) &&
    back.getUTCMinutes() === Number(minute)
  return same ? date - zoneMs(match[8]) : null
}

function zoneMs(zone: string | undefined): number {
  const match = /^([+-])(\d\d):?(\d\d)$/.exec(zone ?? '')
  if (match === null) return 0
  const ms = (Number(match[2]) * 60 + Number(match[3])) * 60_000
  return match[1] === '-' ? -ms : ms
}

/** `2026-11-20T08:00:00.250Z`; null for "never" (0 or less). */
export function isoTime(ms: number): string | null {
  return ms > 0 && ms <= 8.64e15 ? new Date(ms).toISOString() : null
}

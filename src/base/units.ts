/**
 * Durations, sizes and rates as people write them, to plain numbers with the unit in the name, and
 * back. Every parser throws VALUE_INVALID with an example of what it would have taken.
 *
 * - duration: `250ms`, `5s`, `10m`, `2h`, `1d`, `1h30m`; a unit is needed except for `0`
 * - size: `128` (bytes), `1k` or `1kB` = 1,000, `64KiB` or `64Ki` = 65,536, up to TB and TiB
 * - rate: `5000/s`, `20k/s`, `100/m`, `1/h`; a bare number means per second
 * - link: `1gbit`, `100mbit`, `2.5gbit/s`; bits a second
 * - throughput: `500MB/s`, `120MiB/s`; bytes a second, and `/s` is needed
 */
import { MqError } from './errors.ts'

const millisecondsOf: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

const bytesOf: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1_000,
  kb: 1_000,
  ki: 1_024,
  kib: 1_024,
  m: 1_000_000,
  mb: 1_000_000,
  mi: 1_048_576,
  mib: 1_048_576,
  g: 1_000_000_000,
  gb: 1_000_000_000,
  gi: 1_073_741_824,
  gib: 1_073_741_824,
  t: 1_000_000_000_000,
  tb: 1_000_000_000_000,
  ti: 1_099_511_627_776,
  tib: 1_099_511_627_776,
}

const timesOf: Readonly<Record<string, number>> = { '': 1, k: 1_000, m: 1_000_000 }

const secondsOf: Readonly<Record<string, number>> = { s: 1, m: 60, min: 60, h: 3_600 }

function invalid(what: string, hint: string): MqError {
  return new MqError('VALUE_INVALID', { what, hint })
}

/** Milliseconds, not negative; fractions are possible (`0.5ms`). */
export function parseDurationMs(text: string): number {
  const hint = 'write a number and a unit: 250ms, 5s, 10m, 2h, 1d'
  const trimmed = text.trim()
  if (trimmed === '0') return 0
  const part = /(\d+(?:\.\d+)?)(us|ms|min|s|m|h|d)/gy
  let totalMs = 0
  let end = 0
  for (const match of trimmed.matchAll(part)) {
    totalMs += Number(match[1]) * (millisecondsOf[match[2] ?? ''] ?? 0)
    end = match.index + match[0].length
  }
  if (end === 0 || end !== trimmed.length) {
    const bare = /^\d+(\.\d+)?$/.test(trimmed)
    throw invalid(bare ? `duration ${text} has no unit` : `${quote(text)} is not a duration`, hint)
  }
  return totalMs
}

/** Whole bytes, 0 or more. */
export function parseSizeBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text.trim())
  const factor = match === null ? undefined : bytesOf[(match[2] ?? '').toLowerCase()]
  const bytes = factor === undefined ? Number.NaN : Number(match?.[1]) * factor
  if (!Number.isSafeInteger(Math.round(bytes))) {
    throw invalid(
      `${quote(text)} is not a size`,
      'write bytes, or a number and a unit: 500, 1k (1,000), 64KiB (65,536), 1MB, 1GiB',
    )
  }
  return Math.round(bytes)
}

/** Events a second, above 0. The unit is never left out: 5000 may be meant by the minute. */
export function parseRateHz(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([km]?)\/(s|min|m|h)$/i.exec(text.trim())
  const times = timesOf[(match?.[2] ?? '').toLowerCase()] ?? Number.NaN
  const hz = (Number(match?.[1]) * times) / (secondsOf[match?.[3] ?? ''] ?? Number.NaN)
  if (!(hz > 0)) {
    throw invalid(`${quote(text)} is not a rate`, 'write 5000/s, 20k/s, 100/m or 1/h')
  }
  return hz
}

const bitsOf: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 }

/** Bits a second of a link, above 0. */
export function parseLinkBits(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgt]?)bit(?:\/s|ps)?$/i.exec(text.trim())
  const bits = Number(match?.[1]) * (bitsOf[(match?.[2] ?? '').toLowerCase()] ?? Number.NaN)
  if (!(bits > 0)) {
    throw invalid(`${quote(text)} is not the speed of a link`, 'write 1gbit, 100mbit or 2.5gbit')
  }
  return bits
}

/** Bytes a second, above 0. */
export function parseBytesPerSecond(text: string): number {
  const hint = 'write a size a second: 500MB/s, 120MiB/s'
  const [size, per, ...rest] = text.trim().split('/')
  if (per !== 's' || rest.length > 0) throw invalid(`${quote(text)} is not a throughput`, hint)
  const bytes = parseSizeBytes(size ?? '')
  if (!(bytes > 0)) throw invalid(`${quote(text)} is not a throughput`, hint)
  return bytes
}

/** A whole number; `1_000` and `1,000` are fine. */
export function parseWhole(text: string): number {
  const plain = text.trim().replace(/(?<=\d)[_,](?=\d)/g, '')
  const value = Number(plain)
  if (!/^[+-]?\d+$/.test(plain) || !Number.isSafeInteger(value)) {
    throw invalid(`${quote(text)} is not a whole number`, 'write digits, as in 1000')
  }
  return value
}

/** `true`, `yes`, `on`, `1` and their opposites. */
export function parseSwitch(text: string): boolean {
  const word = text.trim().toLowerCase()
  if (['true', 'yes', 'on', '1'].includes(word)) return true
  if (['false', 'no', 'off', '0'].includes(word)) return false
  throw invalid(`${quote(text)} is neither true nor false`, 'write true or false')
}

/** `1.5 MiB`: for people; JSON carries the bytes. */
export function formatBytes(bytes: number): string {
  return scaled(bytes, 1_024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'])
}

/** `12.3 k`: for people; JSON carries the number. */
export function formatCount(count: number): string {
  if (Math.abs(count) < 10_000) return String(Math.round(count * 100) / 100)
  return scaled(count, 1_000, ['', 'k', 'M', 'G', 'T'])
}

/** `850 µs`, `12.3 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`. */
export function formatDurationMs(ms: number): string {
  if (ms < 0) return `-${formatDurationMs(-ms)}`
  if (ms === 0) return '0 s'
  if (ms < 1) return `${significant(ms * 1_000)} µs`
  if (ms < 1_000) return `${significant(ms)} ms`
  const seconds = ms / 1_000
  if (seconds < 60) return `${significant(seconds)} s`
  const whole = Math.round(seconds)
  if (whole < 3_600) return pair(whole, 60, 'min', 1, 's')
  if (whole < 86_400) return pair(whole, 3_600, 'h', 60, 'min')
  return pair(whole, 86_400, 'd', 3_600, 'h')
}

function pair(seconds: number, big: number, bigName: string, small: number, smallName: string) {
  const rest = Math.floor((seconds % big) / small)
  const front = `${Math.floor(seconds / big)} ${bigName}`
  return rest === 0 ? front : `${front} ${rest} ${smallName}`
}

function scaled(value: number, base: number, units: readonly string[]): string {
  let rest = value
  let unit = 0
  while (Math.abs(rest) >= base && unit < units.length - 1) {
    rest /= base
    unit += 1
  }
  return `${significant(rest)} ${units[unit] ?? ''}`.trimEnd()
}

/** Three digits that matter, no trailing zeros. */
function significant(value: number): string {
  return String(Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3)))
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}

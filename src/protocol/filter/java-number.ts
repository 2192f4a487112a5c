/**
 * Texts read as numbers the way Java's `Integer.valueOf`, `Long.valueOf` and `Double.valueOf` read
 * them: properties are texts, and a filter turns them into the type of the constant they meet.
 * Source of the grammar: the Java API documentation of these methods.
 */

const INT_MIN = -0x8000_0000
const INT_MAX = 0x7fff_ffff
const LONG_MIN = -(2n ** 63n)
const LONG_MAX = 2n ** 63n - 1n
/** Decimal digits that a double holds exactly whatever they are. */
const SAFE_DIGITS = 15

/** Null when Java would throw. A sign and digits of any script, nothing else, within 32 bits. */
export function parseJavaInt(text: string): number | null {
  const value = parseJavaLong(text)
  return value !== null && value >= INT_MIN && value <= INT_MAX ? Number(value) : null
}

/** As above within 64 bits; a number when it is exact, else a bigint. */
export function parseJavaLong(text: string): number | bigint | null {
  const { length } = text
  let at = 0
  const first = text.charCodeAt(0)
  const negative = first === 0x2d
  if (negative || first === 0x2b) at = 1
  if (at === length) return null
  let value = 0
  const start = at
  for (; at < length; at += 1) {
    const digit = digitOf(text.charCodeAt(at))
    if (digit < 0) return null
    value = value * 10 + digit
  }
  if (length - start <= SAFE_DIGITS) return negative ? -value : value
  return longOf(text, start, negative)
}

function longOf(text: string, start: number, negative: boolean): bigint | null {
  let digits = ''
  for (let at = start; at < text.length; at += 1) digits += String(digitOf(text.charCodeAt(at)))
  const value = negative ? -BigInt(digits) : BigInt(digits)
  return value >= LONG_MIN && value <= LONG_MAX ? value : null
}

const decimalDigit = /\p{Nd}/u

/** The value of a decimal digit of any script in the first 65,536 characters; −1 for anything else. */
function digitOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  if (code < 0x660 || !decimalDigit.test(String.fromCharCode(code))) return -1
  // The ten digits of a script begin at …0 or at …6.
  const low = code & 0xf
  return decimalDigit.test(String.fromCharCode(code & ~0xf)) ? low : low - 6
}

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fFdD]?$/
const named = /^([+-]?)(NaN|Infinity)$/
const hexadecimal =
  /^([+-]?)0[xX](?:([0-9a-fA-F]+)\.?|([0-9a-fA-F]*)\.([0-9a-fA-F]+))[pP]([+-]?\d+)[fFdD]?$/

/** Null when Java would throw. Takes blanks around it, `5.`, `.5`, `1e3`, a trailing `f` or `d`, NaN, Infinity, `0x1p3`. */
export function parseJavaDouble(text: string): number | null {
  const trimmed = trimmedAsJava(text)
  if (decimal.test(trimmed)) {
    const last = trimmed.charCodeAt(trimmed.length - 1) | 0x20
    return Number(last === 0x66 || last === 0x64 ? trimmed.slice(0, -1) : trimmed)
  }
  const name = named.exec(trimmed)
  if (name !== null) {
    if (name[2] === 'NaN') return Number.NaN
    return name[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  }
  return hexadecimalDouble(trimmed)
}

function hexadecimalDouble(text: string): number | null {
  const [match, sign, whole, before = '', after = '', exponent = ''] = hexadecimal.exec(text) ?? []
  if (match === undefined) return null
  const digits = whole ?? before + after
  const shift = Number(exponent) - (whole === undefined ? after.length * 4 : 0)
  const half = Math.trunc(shift / 2)
  const value = Number(BigInt(`0x${digits}`)) * 2 ** half * 2 ** (shift - half)
  return sign === '-' ? -value : value
}

/** Java's trim takes every character up to the blank. */
function trimmedAsJava(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && text.charCodeAt(start) <= 0x20) start += 1
  while (end > start && text.charCodeAt(end - 1) <= 0x20) end -= 1
  return start === 0 && end === text.length ? text : text.slice(start, end)
}

/** −1, 0 or 1. */
export function compareLongs(left: number | bigint, right: number | bigint): number {
  return left < right ? -1 : left > right ? 1 : 0
}

/** As Java's Double.compareTo: −0.0 before 0.0, NaN equal to itself and behind everything. */
export function compareDoubles(left: number, right: number): number {
  if (left < right) return -1
  if (left > right) return 1
  if (left === right) return left !== 0 || Object.is(left, right) ? 0 : Object.is(left, -0) ? -1 : 1
  if (Number.isNaN(left)) return Number.isNaN(right) ? 0 : 1
  return -1
}

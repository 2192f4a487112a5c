/**
 * Reading the members of a JSON body as leniently as the Java side does: a missing member, null or a
 * value of another kind gives the default; numbers may come as text and the other way round.
 */
import {
  type JsonObject,
  type JsonValue,
  emptyJsonObject,
  isJsonObject,
  parseLenientJson,
} from '../lenient-json.ts'

type Member = JsonValue | undefined

/** The body as an object; an absent body, or one that is no object, is an empty one. Throws LenientJsonError. */
export function parseBody(body: Buffer | null): JsonObject {
  if (body === null || body.length === 0) return emptyJsonObject()
  const text = body.toString('utf8')
  return objectOf(parseStandardJson(text) ?? parseLenientJson(text))
}

/** What the engine's own parser would not read as it is meant: wide integers, references, a prototype. */
const needsLenience = /\d{16}|\$ref|__proto__/

/** Standard JSON with the engine's own parser, ten times as fast; undefined when that is not enough. */
function parseStandardJson(text: string): JsonValue | undefined {
  if (needsLenience.test(text)) return undefined
  try {
    return JSON.parse(text) as JsonValue
  } catch {
    return undefined
  }
}

export function objectOf(member: Member): JsonObject {
  return isJsonObject(member) ? member : emptyJsonObject()
}

export function listOf(member: Member): readonly JsonValue[] {
  return Array.isArray(member) ? member : []
}

export function textOf(member: Member, otherwise = ''): string {
  switch (typeof member) {
    case 'string':
      return member
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(member)
    default:
      return otherwise
  }
}

/** Null where Java leaves the member out. */
export function textOrNull(member: Member): string | null {
  return member === undefined || member === null ? null : textOf(member)
}

/** The nearest number: a Long.MAX_VALUE loses its last digits. */
export function numberOf(member: Member, otherwise = 0): number {
  if (typeof member === 'number') return member
  if (typeof member === 'bigint') return Number(member)
  if (typeof member !== 'string' || member.trim() === '') return otherwise
  const number = Number(member)
  return Number.isNaN(number) ? otherwise : number
}

export function integerOf(member: Member, otherwise = 0): number {
  const number = numberOf(member, otherwise)
  return Number.isFinite(number) ? Math.trunc(number) : otherwise
}

export function flagOf(member: Member, otherwise = false): boolean {
  if (typeof member === 'boolean') return member
  if (member === 'true' || member === 'false') return member === 'true'
  return otherwise
}

/** The texts of an array; elements of other kinds are left out. */
export function textsOf(member: Member): string[] {
  return listOf(member).filter((element) => typeof element === 'string')
}

/** An object of texts, without prototype. */
export function textTableOf(member: Member): Record<string, string> {
  const table = Object.create(null) as Record<string, string>
  for (const [key, value] of Object.entries(objectOf(member))) {
    if (value !== null) table[key] = textOf(value)
  }
  return table
}

/** One of the given words, or the default. */
export function wordOf<Word extends string>(
  member: Member,
  words: readonly Word[],
  otherwise: Word,
): Word {
  return words.find((word) => word === member) ?? otherwise
}

/**
 * Reading the header fields of a request. A field that is missing or cannot be is refused with
 * INVALID_PARAMETER and its name, before anything is done.
 */
import { parseBody } from '../../protocol/bodies/fields.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import type { Command } from '../../protocol/command.ts'
import { type JsonObject, LenientJsonError } from '../../protocol/lenient-json.ts'
import { remarkOnGroup, remarkOnTopic } from '../../protocol/names.ts'
import { Refusal } from '../refusal.ts'

/** Largest body of a request that is neither a send nor a pull. */
const BODY_BYTES_MAX = 1024 * 1024

const wholeNumber = /^-?\d{1,19}$/

function refused(what: string): Refusal {
  return new Refusal(ResponseCode.INVALID_PARAMETER, what)
}

export function textField(command: Command, name: string): string {
  const text = command.ext[name]
  if (text === undefined || text === '') throw refused(`the field ${name} is missing`)
  return text
}

/** Null when the field is absent or empty. */
export function optionalText(command: Command, name: string): string | null {
  const text = command.ext[name]
  return text === undefined || text === '' ? null : text
}

/** A whole number that is exact, in [min, max]. */
export function integerField(
  command: Command,
  name: string,
  min = 0,
  max = Number.MAX_SAFE_INTEGER,
): number {
  return checkedInteger(name, textField(command, name), min, max)
}

export function optionalInteger<Otherwise>(
  command: Command,
  name: string,
  otherwise: Otherwise,
  min = 0,
  max = Number.MAX_SAFE_INTEGER,
): number | Otherwise {
  const text = optionalText(command, name)
  return text === null ? otherwise : checkedInteger(name, text, min, max)
}

function checkedInteger(name: string, text: string, min: number, max: number): number {
  const value = wholeNumber.test(text.trim()) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw refused(`the field ${name} must be a whole number from ${min} to ${max}`)
}

/** Milliseconds since 1970, where a Long.MAX_VALUE means "for ever" and a negative one "from the first". */
export function timeField(command: Command, name: string, otherwise?: number): number {
  const text = optionalText(command, name)
  if (text === null) {
    if (otherwise !== undefined) return otherwise
    throw refused(`the field ${name} is missing`)
  }
  if (!wholeNumber.test(text.trim())) throw refused(`the field ${name} must be a time in ms`)
  return Math.min(Number(text), Number.MAX_SAFE_INTEGER)
}

export function flagField(command: Command, name: string, otherwise = false): boolean {
  const text = command.ext[name]
  return text === undefined ? otherwise : text.toLowerCase() === 'true'
}

/** A legal topic name. */
export function topicField(command: Command, name = 'topic'): string {
  const topic = textField(command, name)
  const remark = remarkOnTopic(topic)
  if (remark === null) return topic
  throw refused(remark)
}

/** A legal group name. */
export function groupField(command: Command, name = 'consumerGroup'): string {
  const group = textField(command, name)
  const remark = remarkOnGroup(group)
  if (remark === null) return group
  throw refused(remark)
}

/** The body, when it is not larger than what anybody could mean. */
export function boundedBody(command: Command): Buffer | null {
  const { body } = command
  if (body === null || body.length <= BODY_BYTES_MAX) return body
  throw refused(`the body of ${body.length} bytes is larger than ${BODY_BYTES_MAX}`)
}

/** The body as JSON, decoded by `decode`. */
export function jsonField<Value>(command: Command, decode: (body: Buffer | null) => Value): Value {
  const body = boundedBody(command)
  if (body === null) throw refused('the body is missing')
  try {
    return decode(body)
  } catch (error) {
    if (!(error instanceof LenientJsonError)) throw error
    throw refused(`the body is not JSON: ${error.message}`)
  }
}

/** The body as a JSON object. */
export function objectField(command: Command): JsonObject {
  return jsonField(command, parseBody)
}

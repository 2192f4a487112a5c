/** What a peer answered, as an error that a person can read when it was no success. */
import { MqError } from '../base/errors.ts'
import { ResponseCode, requestCodeName, responseCodeName } from '../protocol/codes.ts'
import type { Command } from '../protocol/command.ts'
import { LenientJsonError } from '../protocol/lenient-json.ts'
import { unknownGroup, unknownTopic } from './names.ts'

export interface AskedFor {
  readonly topic?: string
  readonly group?: string
}

/** The response when it is a success; throws the MqError of `refusalOf` otherwise. */
export function expectSuccess(
  address: string,
  requestCode: number,
  response: Command,
  asked: AskedFor = {},
): Command {
  if (response.code === ResponseCode.SUCCESS) return response
  throw refusalOf(address, requestCode, response, asked)
}

/** TOPIC_NOT_FOUND, GROUP_NOT_FOUND, NAME_ILLEGAL or REFUSED; `details.responseCode` is the code on the wire. */
export function refusalOf(
  address: string,
  requestCode: number,
  response: Command,
  asked: AskedFor = {},
): MqError {
  const details = {
    address,
    request: requestCodeName(requestCode),
    responseCode: response.code,
    code: responseCodeName(response.code),
    remark: firstLine(response.remark),
    hint: hints.get(response.code) ?? 'the log of that process may say more (mqctl logs)',
  }
  if (response.code === ResponseCode.TOPIC_NOT_EXIST && asked.topic !== undefined) {
    return unknownTopic(asked.topic, details)
  }
  if (response.code === ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST && asked.group !== undefined) {
    return unknownGroup(asked.group, details)
  }
  if (response.code === ResponseCode.INVALID_PARAMETER && asked.group !== undefined) {
    const why = unknownGroup(asked.group)
    if (why.code === 'NAME_ILLEGAL') return why
  }
  return new MqError('REFUSED', details)
}

/** Runs a body decoder; a body that cannot be read is the peer's fault and says so. */
export function decodeAnswer<Value>(
  address: string,
  response: Command,
  decode: (body: Buffer | null) => Value,
): Value {
  try {
    return decode(response.body)
  } catch (error) {
    if (!(error instanceof LenientJsonError)) throw error
    throw new MqError('FRAME_MALFORMED', { address, what: error.message }, { cause: error })
  }
}

/** The code that a peer refused with; null when the error is another one. */
export function responseCodeOf(error: unknown): number | null {
  if (!(error instanceof MqError)) return null
  const code = error.details['responseCode']
  return typeof code === 'number' ? code : null
}

const hints: ReadonlyMap<number, string> = new Map([
  [ResponseCode.SYSTEM_BUSY, 'it is overloaded: send more slowly, or try again'],
  [
    ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
    'the peer is older than this feature, or of another kind',
  ],
  [ResponseCode.MESSAGE_ILLEGAL, 'mqctl broker get shows the limits of the broker'],
  [ResponseCode.SERVICE_NOT_AVAILABLE, 'is its disk full? mqctl broker get shows it'],
  [ResponseCode.NO_PERMISSION, 'mqctl topic get and mqctl group get show what is permitted'],
])

/** Java puts whole stack traces and links into remarks; the first line says it. */
function firstLine(remark: string | null): string {
  return (remark ?? '').split(/[\r\n]/)[0]?.replace(/, ?BROKER: \S+$/, '') ?? ''
}

/**
 * A command: the decoded header and body of one frame. The same shape serves requests and
 * responses of both directions; bit 0 of `flag` tells them apart.
 * Source: apache/rocketmq remoting/…/protocol/RemotingCommand.java.
 */

/** Custom header fields. All values travel as text. What comes from the wire has no prototype. */
export type ExtFields = Record<string, string>

/** How the header is written: as JSON text or in the binary form. */
export const SerializeType = { json: 0, rocketmq: 1 } as const
export type SerializeType = (typeof SerializeType)[keyof typeof SerializeType]

export const CommandFlag = { response: 1, oneway: 2 } as const

/** The version that we report: MQVersion.V5_3_3. Peers enable features by it (SQL filters from 232 on). */
export const PROTOCOL_VERSION = 479

/** Language names and their numbers in the binary header. Source: LanguageCode.java. */
export const languageCodes: Readonly<Record<string, number>> = {
  JAVA: 0,
  CPP: 1,
  DOTNET: 2,
  PYTHON: 3,
  DELPHI: 4,
  ERLANG: 5,
  RUBY: 6,
  OTHER: 7,
  HTTP: 8,
  GO: 9,
  PHP: 10,
  OMS: 11,
  RUST: 12,
  NODE_JS: 13,
}

/** What we call ourselves. Every Apache version from 5.1 on knows it; older ones decode it as unknown. */
export const OUR_LANGUAGE = 'NODE_JS'

export class Command {
  code: number
  language: string
  version: number
  /** Request id, unique per sender; a response repeats it. */
  opaque: number
  flag: number
  remark: string | null
  ext: ExtFields
  body: Buffer | null
  serializeType: SerializeType
  /** The fields as JSON text, where who made a request wrote them so at once, and left `ext` empty; else null. */
  extText: string | null = null

  constructor(
    code: number,
    language: string,
    version: number,
    opaque: number,
    flag: number,
    remark: string | null,
    ext: ExtFields,
    body: Buffer | null,
    serializeType: SerializeType,
  ) {
    this.code = code
    this.language = language
    this.version = version
    this.opaque = opaque
    this.flag = flag
    this.remark = remark
    this.ext = ext
    this.body = body
    this.serializeType = serializeType
  }

  get isResponse(): boolean {
    return (this.flag & CommandFlag.response) !== 0
  }

  get isOneway(): boolean {
    return (this.flag & CommandFlag.oneway) !== 0
  }
}

/** Field values as callers have them; null and undefined fields are left out, the rest becomes text. */
export type ExtValues = Readonly<
  Record<string, string | number | bigint | boolean | null | undefined>
>

/** Text form of the fields. An ordinary object, since the names are ours: it is made and written in half the time. */
export function extFields(values: ExtValues = {}): ExtFields {
  const ext: ExtFields = {}
  for (const name of Object.keys(values)) {
    const value = values[name]
    if (value !== null && value !== undefined) ext[name] = String(value)
  }
  return ext
}

/** A request. `opaque` is filled in by the connection that sends it. */
export function request(code: number, ext: ExtValues = {}, body: Buffer | null = null): Command {
  return new Command(
    code,
    OUR_LANGUAGE,
    PROTOCOL_VERSION,
    0,
    0,
    null,
    extFields(ext),
    body,
    SerializeType.json,
  )
}

/** The response to a request, in the serialisation that the request came in. */
export function respond(
  to: Pick<Command, 'opaque' | 'serializeType'>,
  code: number,
  remark: string | null = null,
  ext: ExtValues = {},
  body: Buffer | null = null,
): Command {
  return new Command(
    code,
    OUR_LANGUAGE,
    PROTOCOL_VERSION,
    to.opaque,
    CommandFlag.response,
    remark,
    extFields(ext),
    body,
    to.serializeType,
  )
}

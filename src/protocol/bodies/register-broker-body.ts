/**
 * What a broker tells a name server about its topics, as JSON or in the compressed form:
 *
 *   zlib stream of
 *     i32 length + data version as JSON
 *     i32 number of topics, for each: i32 length + text `name read write perm FILTERTYPE {attributes}`
 *     i32 length + filter servers as JSON
 *     i32 number of static-topic mappings, for each: i32 length + JSON      (senders from 5.0.0 on)
 *
 * Source: apache/rocketmq remoting/…/body/RegisterBrokerBody.java, common/…/TopicConfig.java encode().
 */
import { crc32, deflateSync, inflateSync } from 'node:zlib'
import {
  LenientJsonError,
  emptyJsonObject,
  jsonBody,
  parseLenientJson,
  writeJson,
} from '../lenient-json.ts'
import { dataVersionFromJson, dataVersionToJson } from './data-version.ts'
import { objectOf, parseBody, textTableOf, textsOf } from './fields.ts'
import {
  type TopicConfig,
  type TopicConfigTable,
  topicConfigTableFromJson,
  topicConfigTableToJson,
} from './topic-config.ts'

export interface RegisterBrokerBody extends TopicConfigTable {
  readonly filterServers: readonly string[]
}

/** A registration larger than this when inflated is refused: about a hundred thousand topics. */
const INFLATED_BYTES_MAX = 64 * 1024 * 1024

/** CRC-32 & 0x7FFFFFFF, as the header's `bodyCrc32` carries it. Source: UtilAll.crc32. */
export function bodyCrc32(body: Buffer): number {
  return crc32(body) & 0x7fff_ffff
}

/** An absent body is an empty table of version 0. Throws LenientJsonError. */
export function decodeRegisterBrokerBody(
  body: Buffer | null,
  compressed: boolean,
): RegisterBrokerBody {
  if (body !== null && compressed) return decodeCompressed(body)
  const object = parseBody(body)
  return {
    ...topicConfigTableFromJson(object['topicConfigSerializeWrapper'] ?? object),
    filterServers: textsOf(object['filterServerList']),
  }
}

export function encodeRegisterBrokerBody(body: RegisterBrokerBody, compressed = false): Buffer {
  if (compressed) return encodeCompressed(body)
  return jsonBody({
    filterServerList: body.filterServers,
    topicConfigSerializeWrapper: topicConfigTableToJson(body),
  })
}

function decodeCompressed(body: Buffer): RegisterBrokerBody {
  let bytes: Buffer
  try {
    bytes = inflateSync(body, { maxOutputLength: INFLATED_BYTES_MAX })
  } catch {
    throw new LenientJsonError('the compressed registration does not inflate', 0)
  }
  const reader = new PartReader(bytes)
  const dataVersion = dataVersionFromJson(parseLenientJson(reader.part()))
  const topics: TopicConfig[] = []
  for (let left = reader.count(); left > 0; left--) topics.push(topicFromText(reader.part()))
  const filterServers = textsOf(parseLenientJson(reader.part() || '[]'))
  return { dataVersion, topics, filterServers }
}

function encodeCompressed(body: RegisterBrokerBody): Buffer {
  const parts = [
    part(writeJson(dataVersionToJson(body.dataVersion))),
    integer(body.topics.length),
    ...body.topics.map((topic) => part(topicToText(topic))),
    part(writeJson(body.filterServers)),
    integer(0),
  ]
  return deflateSync(Buffer.concat(parts))
}

function topicToText(topic: TopicConfig): string {
  const numbers = `${topic.readQueueNums} ${topic.writeQueueNums} ${topic.perm}`
  return `${topic.topicName} ${numbers} ${topic.topicFilterType} ${writeJson(topic.attributes)}`
}

function topicFromText(text: string): TopicConfig {
  const [name = '', read, write, perm, filterType, ...attributes] = text.split(' ')
  const attributesText = attributes.join(' ')
  return {
    topicName: name,
    readQueueNums: Number(read) || 0,
    writeQueueNums: Number(write) || 0,
    perm: Number(perm) || 0,
    topicFilterType: filterType ?? 'SINGLE_TAG',
    topicSysFlag: 0,
    order: false,
    attributes:
      attributesText === ''
        ? textTableOf(emptyJsonObject())
        : textTableOf(objectOf(parseLenientJson(attributesText))),
  }
}

class PartReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  count(): number {
    if (this.#at + 4 > this.#bytes.length) throw this.#cutOff()
    const count = this.#bytes.readInt32BE(this.#at)
    this.#at += 4
    // Each part that follows needs four bytes at least.
    if (count < 0 || count > (this.#bytes.length - this.#at) / 4) throw this.#cutOff()
    return count
  }

  part(): string {
    if (this.#at + 4 > this.#bytes.length) throw this.#cutOff()
    const start = this.#at + 4
    const end = start + this.#bytes.readInt32BE(this.#at)
    if (end < start || end > this.#bytes.length) throw this.#cutOff()
    this.#at = end
    return this.#bytes.toString('utf8', start, end)
  }

  #cutOff(): LenientJsonError {
    return new LenientJsonError('the compressed registration is cut off', this.#at)
  }
}

function integer(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value, 0)
  return bytes
}

function part(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  return Buffer.concat([integer(bytes.length), bytes])
}

/** A message as a consumer gets it. */
import { MqError } from '../base/errors.ts'
import { plainBytes } from '../protocol/compressed-body.ts'
import { type StoredMessage, decodeRecords } from '../protocol/record.ts'
import { SysFlag } from '../protocol/sys-flag.ts'
import { innerMessages } from './inner-batch.ts'

export interface ReceivedMessage extends StoredMessage {
  /** Name of the broker that served it. */
  readonly broker: string
  /** Empty when there is none. */
  readonly tags: string
  /** Separated by single blanks, as on the wire; empty when there are none. */
  readonly keys: string
}

/** The limit for a body that was compressed: four times the largest that brokers take by default. */
export const PLAIN_BYTES_MAX = 16 * 1024 * 1024

/**
 * The messages of a pull or query body, also those that are one record together, their bodies plain. What is damaged, too large or compressed in
 * an unknown way stays as it is and keeps its `compression`. Throws FRAME_MALFORMED when the bytes are no records.
 */
export function receivedMessages(
  address: string,
  brokerName: string,
  body: Buffer,
): ReceivedMessage[] {
  const { messages, fault } = decodeRecords(body, false)
  if (fault !== null) throw new MqError('FRAME_MALFORMED', { address, what: fault })
  return messages.flatMap(innerMessages).map((message) => received(brokerName, message))
}

export function received(brokerName: string, message: StoredMessage): ReceivedMessage {
  const plain =
    message.compression === 'none'
      ? null
      : plainBytes(message.body, message.compression, PLAIN_BYTES_MAX)
  const inflated =
    plain === null
      ? null
      : {
          body: plain,
          compression: 'none' as const,
          sysFlag: message.sysFlag & ~(SysFlag.compressed | SysFlag.compressionMask),
        }
  return {
    ...message,
    ...inflated,
    broker: brokerName,
    tags: message.properties['TAGS'] ?? '',
    keys: message.properties['KEYS'] ?? '',
  }
}

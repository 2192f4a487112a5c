/**
 * Messages of topics with `queue.type=BatchCQ`: what was sent together is one record, whose body is the
 * batch as it was sent. Message i of it has the record's queue offset + i, its own flag, properties and
 * body, and everything else of the record.
 * Source: apache/rocketmq common/…/message/MessageDecoder.java (decodeMessage),
 * client/…/consumer/PullAPIWrapper.java.
 */
import { BatchReader } from '../protocol/batch-body.ts'
import { parseProperties } from '../protocol/properties.ts'
import { bodyCrcOf, type StoredMessage } from '../protocol/record.ts'
import { SysFlag } from '../protocol/sys-flag.ts'

const INNER = SysFlag.innerBatch | SysFlag.needUnwrap

function isInnerBatch({ sysFlag }: StoredMessage): boolean {
  return (sysFlag & INNER) === INNER
}

/** The messages of the record; the record itself when it is none, or when its body is no batch. */
export function innerMessages(record: StoredMessage): StoredMessage[] {
  if (!isInnerBatch(record)) return [record]
  const { body } = record
  const reader = new BatchReader()
  const messages: StoredMessage[] = []
  for (reader.open(body, 0, body.length); reader.next();) {
    const { flag, bodyStart, bodyEnd, propertiesStart, propertiesEnd } = reader
    const properties = parseProperties(body.toString('utf8', propertiesStart, propertiesEnd))
    messages.push({
      ...record,
      queueOffset: record.queueOffset + messages.length,
      flag,
      sysFlag: record.sysFlag & ~INNER,
      properties,
      body: body.subarray(bodyStart, bodyEnd),
      bodyCrc: bodyCrcOf(body, bodyStart, bodyEnd),
      messageId: properties['UNIQ_KEY'] ?? record.offsetMessageId,
    })
  }
  return reader.fault === null && messages.length > 0 ? messages : [record]
}

/**
 * The SQL92 filters of consumer groups, as `config/consumerFilter.json` keeps them.
 * Source: apache/rocketmq broker/…/filter/{ConsumerFilterManager,ConsumerFilterData}.java.
 */
import { bloomPositions, FILTER_BITS } from '../filter/bloom-positions.ts'
import { type WritableJson } from '../lenient-json.ts'
import { integerOf, objectOf, parseBody, textOf } from './fields.ts'

/** What one group wants of one topic. Times are milliseconds since 1970. */
export interface ConsumerFilter {
  readonly topic: string
  readonly group: string
  readonly expression: string
  /** SQL92. */
  readonly expressionType: string
  readonly bornMs: number
  /** When the last member left, or subscribed to something else; 0: the group is there. */
  readonly deadMs: number
  /** The subscription's version. */
  readonly clientVersion: number
}

export function decodeConsumerFilters(content: Buffer): ConsumerFilter[] {
  const topics = objectOf(parseBody(content)['filterDataByTopic'])
  return Object.entries(topics).flatMap(([topic, ofTopic]) =>
    Object.entries(objectOf(objectOf(ofTopic)['groupFilterData'])).map(([group, value]) => {
      const row = objectOf(value)
      return {
        topic,
        group,
        expression: textOf(row['expression']),
        expressionType: textOf(row['expressionType']),
        bornMs: integerOf(row['bornTime']),
        deadMs: integerOf(row['deadTime']),
        clientVersion: integerOf(row['clientVersion']),
      }
    }),
  )
}

/** With the bits of the group in Apache's Bloom filter: without them Apache takes none of the file. */
export function consumerFilterToJson(filter: ConsumerFilter): WritableJson {
  const { topic, group, bornMs, deadMs } = filter
  return {
    bloomFilterData: { bitNum: FILTER_BITS, bitPos: bloomPositions(`${group}#${topic}`) },
    bornTime: bornMs,
    clientVersion: filter.clientVersion,
    consumerGroup: group,
    dead: deadMs >= bornMs,
    deadTime: deadMs,
    expression: filter.expression,
    expressionType: filter.expressionType,
    topic,
  }
}

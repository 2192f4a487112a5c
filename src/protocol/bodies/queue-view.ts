/**
 * A look into a consume queue.
 * Source: apache/rocketmq remoting/…/body/{QueryConsumeQueueResponseBody,ConsumeQueueData}.java.
 */
import { jsonBody } from '../lenient-json.ts'
import { flagOf, integerOf, listOf, objectOf, parseBody, textOrNull } from './fields.ts'

export interface QueueViewUnit {
  /** Bytes before the record in the commit log. */
  readonly physicOffset: number
  readonly physicSize: number
  /** All 64 bits, exact: the hash of the tag, or a delivery time. */
  readonly tagsCode: bigint
  readonly extendDataJson: string | null
  readonly bitMap: string | null
  /** Whether the asked group's filter lets it pass. */
  readonly eval: boolean
  readonly msg: string | null
}

/** Response of QUERY_CONSUME_QUEUE. */
export interface QueueView {
  readonly minQueueIndex: number
  readonly maxQueueIndex: number
  readonly units: readonly QueueViewUnit[]
  /** Why the asked group's filter is not known; null when it is. */
  readonly filterData: string | null
}

export function decodeQueueView(body: Buffer | null): QueueView {
  const object = parseBody(body)
  return {
    minQueueIndex: integerOf(object['minQueueIndex']),
    maxQueueIndex: integerOf(object['maxQueueIndex']),
    units: listOf(object['queueData']).map((value) => {
      const fields = objectOf(value)
      const tagsCode = fields['tagsCode']
      return {
        physicOffset: integerOf(fields['physicOffset']),
        physicSize: integerOf(fields['physicSize']),
        tagsCode: typeof tagsCode === 'bigint' ? tagsCode : BigInt(integerOf(tagsCode)),
        extendDataJson: textOrNull(fields['extendDataJson']),
        bitMap: textOrNull(fields['bitMap']),
        eval: flagOf(fields['eval']),
        msg: textOrNull(fields['msg']),
      }
    }),
    filterData: textOrNull(object['filterData']),
  }
}

export function encodeQueueView(view: QueueView): Buffer {
  return jsonBody({
    filterData: view.filterData ?? undefined,
    maxQueueIndex: view.maxQueueIndex,
    minQueueIndex: view.minQueueIndex,
    queueData: view.units.map((unit) => ({
      bitMap: unit.bitMap ?? undefined,
      eval: unit.eval,
      extendDataJson: unit.extendDataJson ?? undefined,
      msg: unit.msg ?? undefined,
      physicOffset: unit.physicOffset,
      physicSize: unit.physicSize,
      tagsCode: unit.tagsCode,
    })),
  })
}

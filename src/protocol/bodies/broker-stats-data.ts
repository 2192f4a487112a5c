/** Rates of one statistic. Source: apache/rocketmq remoting/…/body/{BrokerStatsData,BrokerStatsItem}.java. */
import { type JsonValue, jsonBody } from '../lenient-json.ts'
import { integerOf, numberOf, objectOf, parseBody } from './fields.ts'

export interface BrokerStatsItem {
  readonly sum: number
  /** Per second. */
  readonly tps: number
  /** Average value per call. */
  readonly avgpt: number
}

/** Response of VIEW_BROKER_STATS_DATA. */
export interface BrokerStatsData {
  readonly statsMinute: BrokerStatsItem
  readonly statsHour: BrokerStatsItem
  readonly statsDay: BrokerStatsItem
}

function itemFromJson(value: JsonValue | undefined): BrokerStatsItem {
  const object = objectOf(value)
  return {
    sum: integerOf(object['sum']),
    tps: numberOf(object['tps']),
    avgpt: numberOf(object['avgpt']),
  }
}

export function decodeBrokerStatsData(body: Buffer | null): BrokerStatsData {
  const object = parseBody(body)
  return {
    statsMinute: itemFromJson(object['statsMinute']),
    statsHour: itemFromJson(object['statsHour']),
    statsDay: itemFromJson(object['statsDay']),
  }
}

export function encodeBrokerStatsData(data: BrokerStatsData): Buffer {
  return jsonBody({
    statsDay: { ...data.statsDay },
    statsHour: { ...data.statsHour },
    statsMinute: { ...data.statsMinute },
  })
}

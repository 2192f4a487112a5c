/** A table of texts. Source: apache/rocketmq remoting/…/body/KVTable.java. */
import { jsonBody } from '../lenient-json.ts'
import { parseBody, textTableOf } from './fields.ts'

export type KvTable = Readonly<Record<string, string>>

export function decodeKvTable(body: Buffer | null): KvTable {
  return textTableOf(parseBody(body)['table'])
}

export function encodeKvTable(table: KvTable): Buffer {
  return jsonBody({ table })
}

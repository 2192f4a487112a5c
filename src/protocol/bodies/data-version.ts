/**
 * How new a table is. A broker bumps it on each change of its topics or groups.
 * Source: apache/rocketmq remoting/…/protocol/DataVersion.java.
 */
import { type JsonValue, type WritableJson, jsonBody } from '../lenient-json.ts'
import { integerOf, objectOf, parseBody } from './fields.ts'

export interface DataVersion {
  readonly stateVersion: number
  /** Milliseconds since 1970 of the last change. */
  readonly timestamp: number
  readonly counter: number
}

export const initialDataVersion: DataVersion = { stateVersion: 0, timestamp: 0, counter: 0 }

export function nextDataVersion(version: DataVersion, nowMs: number): DataVersion {
  return { stateVersion: version.stateVersion, timestamp: nowMs, counter: version.counter + 1 }
}

export function sameDataVersion(a: DataVersion, b: DataVersion): boolean {
  return a.stateVersion === b.stateVersion && a.timestamp === b.timestamp && a.counter === b.counter
}

/** Negative when `a` is older: by state version, then counter, then timestamp. */
export function compareDataVersions(a: DataVersion, b: DataVersion): number {
  return a.stateVersion - b.stateVersion || a.counter - b.counter || a.timestamp - b.timestamp
}

export function dataVersionFromJson(value: JsonValue | undefined): DataVersion {
  const object = objectOf(value)
  return {
    stateVersion: integerOf(object['stateVersion']),
    timestamp: integerOf(object['timestamp']),
    counter: integerOf(object['counter']),
  }
}

export function dataVersionToJson(version: DataVersion): WritableJson {
  return {
    counter: version.counter,
    stateVersion: version.stateVersion,
    timestamp: version.timestamp,
  }
}

export function decodeDataVersion(body: Buffer | null): DataVersion {
  return dataVersionFromJson(parseBody(body))
}

export function encodeDataVersion(version: DataVersion): Buffer {
  return jsonBody(dataVersionToJson(version))
}

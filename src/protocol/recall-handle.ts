/**
 * What a sender gets with the acknowledgement of a message that waits for its time, to take it back
 * with: `v1 topic brokerName time uniqueKey`, in URL-safe base64.
 * Source: apache/rocketmq common/…/producer/RecallMessageHandle.java.
 */
export interface RecallHandle {
  readonly topic: string
  readonly brokerName: string
  /** Any time in the second in which the message is due, ms since 1970. */
  readonly timeMs: number
  readonly uniqueKey: string
}

const VERSION = 'v1'
const LENGTH_MAX = 4_096

export function encodeRecallHandle(handle: RecallHandle): string {
  const { topic, brokerName, timeMs, uniqueKey } = handle
  const text = [VERSION, topic, brokerName, timeMs, uniqueKey].join(' ')
  // Java's encoder for URLs pads.
  return Buffer.from(text).toString('base64').replaceAll('+', '-').replaceAll('/', '_')
}

/** Null when the text is no handle. */
export function decodeRecallHandle(text: string): RecallHandle | null {
  if (text.length > LENGTH_MAX || !/^[A-Za-z0-9_-]+={0,2}$/.test(text)) return null
  const parts = Buffer.from(text, 'base64url').toString('utf8').split(' ')
  const [version, topic, brokerName, time, uniqueKey] = parts
  if (parts.length !== 5 || version !== VERSION || !topic || !brokerName || !uniqueKey) return null
  if (time === undefined || !/^\d{1,15}$/.test(time)) return null
  return { topic, brokerName, timeMs: Number(time), uniqueKey }
}

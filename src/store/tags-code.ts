/** The third field of a unit: what a reader may choose messages by without reading them. */
import { javaHashOfBytes } from '../protocol/java-hash.ts'
import type { PropertyScan } from '../protocol/properties.ts'
import type { Queue } from './queue.ts'

/**
 * Java hash of the tag of the properties that were scanned in `bytes`, 0 without one; in the queue of
 * a delay level, the time of delivery in ms since 1970.
 * Source: apache/rocketmq store/…/CommitLog.java (checkMessageAndReturnSize).
 */
export function tagsCodeOf(
  queue: Queue,
  bytes: Buffer,
  scan: PropertyScan,
  storeTimestamp: number,
): number {
  if (queue.delayMs > 0) return storeTimestamp + queue.delayMs
  return scan.tagsStart < 0 ? 0 : javaHashOfBytes(bytes, scan.tagsStart, scan.tagsEnd)
}

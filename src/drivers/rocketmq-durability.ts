/**
 * What a RocketMQ broker's acknowledgement stands for, from the settings that it told: pure.
 * Source: apache/rocketmq store/.../config/MessageStoreConfig.java, CommitLog.java (handleDiskFlushAndHA).
 */
import type { Durability } from './driver.ts'

type Settings = Readonly<Record<string, string>>

/** Of all brokers of the run together; unknown when they differ. */
export function durabilityOf(brokers: readonly Settings[]): Durability {
  const [first, ...others] = brokers.map(ofOne)
  const isOne = others.every((other) => other?.acknowledged === first?.acknowledged)
  if (first !== undefined && first !== null && isOne) return first
  return {
    profile: 'unknown',
    acknowledged: 'the brokers did not say how they flush, or differ in it',
    verifiedBy: 'declared',
  }
}

/** Null when the broker did not say how it flushes. */
function ofOne(settings: Settings): Durability | null {
  const replicas = replicaText(settings)
  switch (settings['flushDiskType']) {
    case 'SYNC_FLUSH':
      return {
        profile: 'fsync',
        acknowledged: `the message is on the disk of the broker (SYNC_FLUSH: fsync has returned)${replicas}`,
        verifiedBy: 'broker',
      }
    case 'ASYNC_FLUSH':
      // The pool is memory of the process: what lies there has not been handed to the system yet.
      if (settings['transientStorePoolEnable'] === 'true') {
        return {
          profile: 'memory',
          acknowledged: `the message is in the broker’s own memory (ASYNC_FLUSH with transientStorePoolEnable): it is lost when the broker crashes${replicas}`,
          verifiedBy: 'broker',
        }
      }
      return {
        profile: 'page-cache',
        acknowledged: `the message is in the memory of the broker’s operating system (ASYNC_FLUSH): it survives a crash of the broker, not of the machine${replicas}`,
        verifiedBy: 'broker',
      }
    default:
      return null
  }
}

/** An asynchronous master answers without its replicas, so there is nothing to say of them. */
function replicaText(settings: Settings): string {
  if (settings['enableDLegerCommitLog'] === 'true') {
    return '; a majority of its group has it in memory as well (DLedger)'
  }
  return settings['brokerRole'] === 'SYNC_MASTER'
    ? '; a replica has it as well (SYNC_MASTER), or the answer is SLAVE_NOT_AVAILABLE'
    : ''
}

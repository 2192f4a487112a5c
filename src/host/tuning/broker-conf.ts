/**
 * The keys of a RocketMQ `broker.conf` that are judged. Everything else, credentials above all, is
 * not kept.
 */
import type { BrokerConf } from './facts.ts'

/** Keys whose values a rule reads. Source: apache/rocketmq BrokerConfig.java, MessageStoreConfig.java. */
export const judgedKeys = [
  'sendMessageThreadPoolNums',
  'pullMessageThreadPoolNums',
  'useReentrantLockWhenPutMessage',
  'flushDiskType',
  'brokerRole',
  'brokerId',
  'enableDLegerCommitLog',
  'enableControllerMode',
  'inSyncReplicas',
  'minInSyncReplicas',
  'fileReservedTime',
  'deleteWhen',
  'diskMaxUsedSpaceRatio',
  'cleanFileForciblyEnable',
  'storePathRootDir',
  'storePathCommitLog',
  'transientStorePoolEnable',
  'transientStorePoolSize',
  'warmMapedFileEnable',
  'mapedFileSizeCommitLog',
  'mappedFileSizeCommitLog',
  'serverSocketBacklog',
  'brokerIP1',
  'brokerIP2',
  'listenPort',
] as const

const kept = new Set<string>(judgedKeys)

/** Java properties as RocketMQ reads them: `key=value` or `key: value`, `#` and `!` comments. */
export function parseBrokerConf(text: string, source: string, told = false): BrokerConf {
  const values: Record<string, { value: string; line: number | null }> = {}
  const keys: string[] = []
  text.split(/\r?\n/).forEach((line, index) => {
    if (/^\s*([#!]|$)/.test(line)) return
    const match = /^\s*([\w.-]+)\s*(?:[=:]\s*|\s+)(.*?)\s*$/.exec(line)
    const key = match?.[1]
    if (key === undefined) return
    keys.push(key)
    if (kept.has(key)) values[key] = { value: match?.[2] ?? '', line: told ? null : index + 1 }
  })
  return { source, told, values, keys }
}

export function confNumber(conf: BrokerConf | null, key: string): number | null {
  const text = conf?.values[key]?.value
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null
}

export function confText(conf: BrokerConf | null, key: string): string | null {
  return conf?.values[key]?.value ?? null
}

export function confSwitch(conf: BrokerConf | null, key: string): boolean | null {
  const text = conf?.values[key]?.value.toLowerCase()
  return text === 'true' ? true : text === 'false' ? false : null
}

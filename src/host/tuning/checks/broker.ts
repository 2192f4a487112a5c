/**
 * The configuration of a RocketMQ broker against its machine and against itself.
 * Source: apache/rocketmq BrokerConfig.java, MessageStoreConfig.java, BrokerStartup.java.
 */
import { editDistance } from '../../../base/nearest.ts'
import { formatBytes } from '../../../base/units.ts'
import { confNumber, confSwitch, confText } from '../broker-conf.ts'
import {
  fail,
  measured,
  pass,
  skip,
  verdict,
  type Check,
  type Evidence,
  type Finding,
  type Severity,
} from '../check.ts'
import type { BrokerConf, HostFacts } from '../facts.ts'
import { capacityBytes } from '../host-files.ts'

/** A broker.conf that is there and that this user may not find or read; null when there is none. */
export function hiddenConf({ broker, target }: HostFacts): Finding | null {
  if (broker !== null) return null
  if (target.how === 'port' && target.pid === null) {
    return skip('needs-root', target.why ?? 'the target is not visible')
  }
  return target.denied.includes('broker.conf')
    ? skip('needs-root', 'the broker.conf of the process may not be read by this user')
    : null
}

function confOf(facts: HostFacts): BrokerConf | Finding {
  return (
    facts.broker ??
    hiddenConf(facts) ??
    skip('not-applicable', 'no broker.conf: --broker-conf names one, --broker asks a broker')
  )
}

function lines(conf: BrokerConf, keys: readonly string[]): Evidence[] {
  return keys.flatMap((key) => {
    const entry = conf.values[key]
    if (entry === undefined) return []
    const where = entry.line === null ? conf.source : `${conf.source}:${entry.line}`
    return [{ source: where, value: `${key}=${entry.value}` }]
  })
}

function isFinding(value: BrokerConf | Finding): value is Finding {
  return 'status' in value
}

const sendThreads: Check = {
  id: 'broker.send-threads',
  category: 'broker',
  title: 'Send threads against cores',
  weight: 'I/-/-',
  scope: 'broker',
  judge(facts) {
    const conf = confOf(facts)
    if (isFinding(conf)) return conf
    const cores = Math.max(1, Math.round(facts.group.cpuCores ?? facts.cpu.count))
    const threads = confNumber(conf, 'sendMessageThreadPoolNums')
    const sync =
      confText(conf, 'flushDiskType') === 'SYNC_FLUSH' ||
      confText(conf, 'brokerRole') === 'SYNC_MASTER'
    const most = sync ? Math.max(64, 4 * cores) : Math.max(4, cores)
    return verdict(threads === null || (threads >= 1 && threads <= most), {
      actual: measured(
        threads ?? Math.min(cores, 4),
        'threads',
        threads === null
          ? `${Math.min(cores, 4)} (default: min(cores, 4))`
          : `${threads} on ${cores} cores`,
      ),
      expected: sync
        ? `≤ ${most} (each waits for disk or replica)`
        : `≤ ${most} (appends take turns)`,
      evidence: lines(conf, ['sendMessageThreadPoolNums', 'flushDiskType', 'brokerRole']),
      text: 'since 4.7 synchronous sends do not hold a thread any more; more threads mostly add contention',
      remedy: {
        summary: 'remove sendMessageThreadPoolNums, or set it to the number of cores',
        restart: true,
      },
    })
  },
}

const pullThreads: Check = {
  id: 'broker.pull-threads',
  category: 'broker',
  title: 'Pull threads against cores',
  weight: 'I/-/-',
  scope: 'broker',
  judge(facts) {
    const conf = confOf(facts)
    if (isFinding(conf)) return conf
    const cores = Math.max(1, Math.round(facts.group.cpuCores ?? facts.cpu.count))
    const threads = confNumber(conf, 'pullMessageThreadPoolNums')
    const most = 16 + 8 * cores
    return verdict(threads === null || (threads >= cores && threads <= most), {
      actual: measured(
        threads ?? 16 + 2 * cores,
        'threads',
        threads === null
          ? `${16 + 2 * cores} (default: 16 + 2 × cores)`
          : `${threads} on ${cores} cores`,
      ),
      expected: `${cores}..${most}`,
      evidence: lines(conf, ['pullMessageThreadPoolNums']),
      text: 'a pull of old messages holds its thread while the disk reads',
      remedy: { summary: 'remove pullMessageThreadPoolNums', restart: true },
    })
  },
}

interface Conflict {
  readonly severity: Severity
  readonly keys: readonly string[]
  readonly text: string
  readonly cure: string
}

function conflictsOf(conf: BrokerConf): Conflict[] {
  const flush = confText(conf, 'flushDiskType') ?? 'ASYNC_FLUSH'
  const role = confText(conf, 'brokerRole') ?? 'ASYNC_MASTER'
  const id = confNumber(conf, 'brokerId') ?? 0
  const pool = confSwitch(conf, 'transientStorePoolEnable') === true
  const group =
    confSwitch(conf, 'enableDLegerCommitLog') === true ||
    confSwitch(conf, 'enableControllerMode') === true
  const found: Conflict[] = []
  if (!['ASYNC_FLUSH', 'SYNC_FLUSH'].includes(flush)) {
    found.push({
      severity: 'critical',
      keys: ['flushDiskType'],
      text: `flushDiskType=${flush} does not exist: the broker does not start`,
      cure: 'ASYNC_FLUSH or SYNC_FLUSH',
    })
  }
  if (!['ASYNC_MASTER', 'SYNC_MASTER', 'SLAVE'].includes(role)) {
    found.push({
      severity: 'critical',
      keys: ['brokerRole'],
      text: `brokerRole=${role} does not exist: the broker does not start`,
      cure: 'ASYNC_MASTER, SYNC_MASTER or SLAVE',
    })
  }
  if (role === 'SLAVE' && id === 0 && !group) {
    found.push({
      severity: 'critical',
      keys: ['brokerRole', 'brokerId'],
      text: 'a slave needs a brokerId above 0: the broker does not start',
      cure: 'brokerId=1',
    })
  }
  if (role !== 'SLAVE' && id > 0 && !group) {
    found.push({
      severity: 'warning',
      keys: ['brokerRole', 'brokerId'],
      text: 'a brokerId above 0 makes it a slave to everybody else, while its role says master',
      cure: 'brokerId=0, or brokerRole=SLAVE',
    })
  }
  if (pool && flush === 'SYNC_FLUSH') {
    found.push({
      severity: 'warning',
      keys: ['flushDiskType', 'transientStorePoolEnable'],
      text: 'the store pool has no effect with SYNC_FLUSH',
      cure: 'transientStorePoolEnable=false',
    })
  }
  if (pool && flush === 'ASYNC_FLUSH') {
    found.push({
      severity: 'warning',
      keys: ['transientStorePoolEnable'],
      text: 'acknowledged messages lie in the memory of the process for up to 200 ms: a kill of the broker loses them',
      cure: 'transientStorePoolEnable=false, unless that is accepted',
    })
  }
  if (role === 'SYNC_MASTER' && confNumber(conf, 'inSyncReplicas') === 1) {
    found.push({
      severity: 'warning',
      keys: ['brokerRole', 'inSyncReplicas'],
      text: 'since 5.0 inSyncReplicas=1 means the master alone: SYNC_MASTER then waits for nobody',
      cure: 'inSyncReplicas=2',
    })
  }
  if (flush === 'SYNC_FLUSH' && role === 'ASYNC_MASTER') {
    found.push({
      severity: 'info',
      keys: ['flushDiskType', 'brokerRole'],
      text: 'every message waits for the disk and is still lost with it: SYNC_MASTER with ASYNC_FLUSH usually costs less and keeps more',
      cure: 'brokerRole=SYNC_MASTER when there is a slave',
    })
  }
  return found
}

const order: readonly Severity[] = ['critical', 'warning', 'info']

const flushMode: Check = {
  id: 'broker.flush-mode',
  category: 'broker',
  title: 'Flush and replication fit together',
  weight: 'W/-/-',
  scope: 'broker',
  judge(facts) {
    const conf = confOf(facts)
    if (isFinding(conf)) return conf
    const conflicts = conflictsOf(conf)
    const flush = confText(conf, 'flushDiskType') ?? 'ASYNC_FLUSH (default)'
    const role = confText(conf, 'brokerRole') ?? 'ASYNC_MASTER (default)'
    const basis = {
      actual: measured(`${flush}, ${role}`),
      expected: 'no contradiction',
      evidence: lines(conf, [
        'flushDiskType',
        'brokerRole',
        'brokerId',
        'inSyncReplicas',
        'transientStorePoolEnable',
      ]),
    }
    if (conflicts.length === 0) return pass(basis)
    return fail({
      ...basis,
      severity:
        order.find((severity) => conflicts.some((one) => one.severity === severity)) ?? 'info',
      text: conflicts.map(({ text }) => text).join('; '),
      remedy: { summary: conflicts.map(({ cure }) => cure).join('; '), restart: true },
    })
  },
}

/** Hours that RocketMQ keeps messages by default. */
const RESERVED_HOURS = 72

const retention: Check = {
  id: 'broker.retention',
  category: 'broker',
  title: 'Retention against the disk',
  weight: 'W/-/-',
  scope: 'broker',
  judge(facts) {
    const conf = confOf(facts)
    if (isFinding(conf)) return conf
    const hours = confNumber(conf, 'fileReservedTime') ?? RESERVED_HOURS
    const ratio = confNumber(conf, 'diskMaxUsedSpaceRatio') ?? 75
    const forced = confSwitch(conf, 'cleanFileForciblyEnable') ?? true
    const evidence = lines(conf, [
      'fileReservedTime',
      'diskMaxUsedSpaceRatio',
      'cleanFileForciblyEnable',
      'deleteWhen',
    ])
    const faults: string[] = []
    if (ratio < 10 || ratio > 95)
      faults.push(`diskMaxUsedSpaceRatio=${ratio} is outside of 10..95 and is not used`)
    else if (ratio >= 90)
      faults.push(`at ${ratio} % the broker has stopped taking messages (90 %) before it cleans`)
    if (!forced) faults.push('without forced cleaning a full disk stops the broker')
    const contradictions = faults.length
    const { space } = facts.disk
    const total = space === null ? null : capacityBytes(space)
    let actual = measured(hours, 'h')
    if (total !== null && hours > 0) {
      const bytesPerSecond = (total * (ratio / 100)) / (hours * 3_600)
      actual = measured(
        hours,
        'h',
        `${hours} h: ${formatBytes(bytesPerSecond)}/s on average fill the disk to ${ratio} %`,
      )
      if (bytesPerSecond < 1_000_000)
        faults.push(
          `${formatBytes(total)} hold ${hours} h only below ${formatBytes(bytesPerSecond)}/s`,
        )
    }
    return verdict(faults.length === 0, {
      actual,
      expected: 'the disk holds the wanted time at the expected rate',
      evidence,
      // Nobody said at which rate messages come: a small disk alone is worth knowing, not more.
      ...(contradictions === 0 ? { severity: 'info' as const } : {}),
      text: faults.join('; ') || 'above that rate messages are deleted before their time',
      remedy: {
        summary: 'a larger disk, a shorter fileReservedTime, diskMaxUsedSpaceRatio=75',
        restart: true,
      },
    })
  },
}

const renamed: Readonly<Record<string, string>> = {
  mapedFileSizeCommitLog: 'mappedFileSizeCommitLog (since 4.5)',
  mapedFileSizeConsumeQueue: 'mappedFileSizeConsumeQueue (since 4.5)',
  aclEnable: 'authenticationEnabled and authorizationEnabled (ACL 2.0, since 5.3)',
  enableDLegerCommitLog:
    'enableControllerMode (since 5.0; DLedger stores cannot be read without it)',
  enableConsumeQueueExt: 'nothing: filter by SQL92 uses properties',
  longPollingEnable: 'nothing: it is always on',
  rmqAddressServerDomain: 'namesrvDomain',
  rmqAddressServerSubGroup: 'namesrvDomainSubgroup',
}

/** Keys that are often written; a key close to one of them and not among them is a typing error. */
const usual = [
  'brokerClusterName',
  'brokerName',
  'brokerId',
  'brokerRole',
  'brokerIP1',
  'brokerIP2',
  'listenPort',
  'namesrvAddr',
  'deleteWhen',
  'fileReservedTime',
  'flushDiskType',
  'storePathRootDir',
  'storePathCommitLog',
  'storePathConsumeQueue',
  'storePathIndex',
  'storeCheckpoint',
  'abortFile',
  'maxMessageSize',
  'autoCreateTopicEnable',
  'autoCreateSubscriptionGroup',
  'defaultTopicQueueNums',
  'sendMessageThreadPoolNums',
  'pullMessageThreadPoolNums',
  'queryMessageThreadPoolNums',
  'diskMaxUsedSpaceRatio',
  'cleanFileForciblyEnable',
  'transientStorePoolEnable',
  'transientStorePoolSize',
  'warmMapedFileEnable',
  'mappedFileSizeCommitLog',
  'mappedFileSizeConsumeQueue',
  'useReentrantLockWhenPutMessage',
  'enablePropertyFilter',
  'waitTimeMillsInSendQueue',
  'osPageCacheBusyTimeOutMills',
  'haListenPort',
  'traceTopicEnable',
  'messageDelayLevel',
  'slaveReadEnable',
  'inSyncReplicas',
  'minInSyncReplicas',
  'enableControllerMode',
  'controllerAddr',
  'serverSocketBacklog',
  'flushIntervalCommitLog',
  'brokerPermission',
  'flushCommitLogLeastPages',
  'flushConsumeQueueLeastPages',
]

const deprecated: Check = {
  id: 'broker.keys',
  category: 'broker',
  title: 'Keys are current and spelled right',
  weight: 'I/-/-',
  scope: 'broker',
  judge(facts) {
    const conf = confOf(facts)
    if (isFinding(conf)) return conf
    if (conf.told) {
      return skip(
        'not-applicable',
        'a broker tells every key that it knows, set or not: --broker-conf shows what was written',
      )
    }
    const old = conf.keys.filter((key) => renamed[key] !== undefined)
    const typos = conf.keys.flatMap((key) => {
      if (usual.includes(key) || renamed[key] !== undefined) return []
      const near = usual.find(
        (one) => one.length > 6 && editDistance(key.toLowerCase(), one.toLowerCase()) <= 2,
      )
      return near === undefined ? [] : [{ key, near }]
    })
    const twice = conf.keys.filter((key, index) => conf.keys.indexOf(key) !== index)
    const faults = [
      ...old.map((key) => ({ source: key, value: `now ${renamed[key]}` })),
      ...typos.map(({ key, near }) => ({
        source: key,
        value: `did you mean ${near}? unknown keys are ignored silently`,
      })),
      ...twice.map((key) => ({ source: key, value: 'is there twice: the last one counts' })),
    ]
    return verdict(faults.length === 0, {
      actual: measured(faults.length, 'keys', `${faults.length} of ${conf.keys.length} keys`),
      expected: 'none that is out of date, misspelled or doubled',
      evidence:
        faults.length === 0 ? [{ source: conf.source, value: `${conf.keys.length} keys` }] : faults,
      ...(typos.length > 0 ? { severity: 'warning' as const } : {}),
      remedy: { summary: 'rename or remove them', restart: true },
    })
  },
}

const address: Check = {
  id: 'broker.address',
  category: 'broker',
  title: 'Clients can reach the address that the broker tells',
  weight: 'W/-/-',
  scope: 'broker',
  judge(facts) {
    const conf = confOf(facts)
    if (isFinding(conf)) return conf
    const host = confText(conf, 'brokerIP1')
    if (host === null) {
      return skip(
        'not-applicable',
        'brokerIP1 is not set: the broker takes its first address; mqctl doctor asks which',
      )
    }
    const loopback = /^(127\.|localhost$|::1$|\[::1\]$)/.test(host)
    const any = host === '0.0.0.0' || host === '::' || host === ''
    const bridge = /^172\.17\.0\./.test(host)
    return verdict(!loopback && !any && !bridge, {
      actual: measured(host),
      expected: 'an address that clients can reach',
      evidence: lines(conf, ['brokerIP1']),
      text: loopback
        ? 'clients on other machines connect to themselves'
        : bridge
          ? 'the bridge of Docker exists on this machine only'
          : any
            ? 'nobody can connect to a wildcard address'
            : '',
      remedy: { summary: 'set brokerIP1 to an address that clients can reach', restart: true },
    })
  },
}

export const brokerChecks: readonly Check[] = [
  sendThreads,
  pullThreads,
  flushMode,
  retention,
  deprecated,
  address,
]

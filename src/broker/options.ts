/**
 * The broker's options, a row each. What the store needs for itself stands in `store/options.ts`.
 */
import { MqError } from '../base/errors.ts'
import {
  type OptionValues,
  choice,
  duration,
  optionTable,
  resolveOptions,
  text,
  toggle,
  whole,
} from '../base/options.ts'
import { faultOfTopic } from '../protocol/names.ts'
import { type StoreSettings, storeOptions } from '../store/options.ts'

const addressPattern = /^(?:\[[^\]]+\]|[^:;\s]+):\d{1,5}$/
const namesrvPattern = /^(?:(?:\[[^\]]+\]|[^:;\s]+):\d{1,5}(?:;|$))*$/
const namePattern = /^[%|a-zA-Z0-9_-]{1,100}$/
const nameText = '1 to 100 letters, digits, % | - and _'

export const brokerOptions = optionTable({
  host: text({ default: '127.0.0.1', summary: 'address to listen on' }),
  port: whole({
    default: 10_911,
    max: 65_535,
    rocketmq: 'listenPort',
    summary: 'port for clients; 0 lets the system choose',
  }),
  fastPort: toggle({
    default: true,
    summary: 'also listen on port - 2, where clients with the VIP channel send',
  }),
  advertise: text({
    default: '',
    pattern: /^[a-zA-Z0-9_.:-]{0,253}$/,
    patternText: 'a host name or an IP address',
    rocketmq: 'brokerIP1',
    summary: 'host that clients are told to connect to; empty means the one listened on',
  }),
  namesrv: text({
    default: '',
    pattern: namesrvPattern,
    patternText: 'HOST:PORT;HOST:PORT …',
    rocketmq: 'namesrvAddr',
    summary: 'name servers to register with',
  }),
  clusterName: text({
    default: 'DefaultCluster',
    pattern: namePattern,
    patternText: nameText,
    rocketmq: 'brokerClusterName',
    summary: 'cluster that the broker belongs to',
  }),
  brokerName: text({
    default: 'broker-a',
    pattern: namePattern,
    patternText: nameText,
    rocketmq: 'brokerName',
    summary: 'name of the broker within its cluster',
  }),
  brokerId: whole({
    default: 0,
    max: 0,
    rocketmq: 'brokerId',
    summary: '0 is the leader; followers are not available yet',
  }),
  regionId: text({
    default: 'DefaultRegion',
    pattern: namePattern,
    patternText: nameText,
    rocketmq: 'regionId',
    summary: 'region that is noted on every message',
  }),
  traceOn: toggle({
    default: true,
    rocketmq: 'traceOn',
    summary: 'tells clients that they may trace messages',
  }),
  traceTopicEnable: toggle({
    default: false,
    rocketmq: 'traceTopicEnable',
    summary: 'has the topic of message traces from the start; else the first trace makes it',
  }),
  brokerPermission: whole({
    default: 6,
    min: 0,
    max: 6,
    rocketmq: 'brokerPermission',
    mutable: true,
    summary: 'what clients may do here: 2 write, 4 read, 6 both',
  }),
  autoCreateTopic: toggle({
    default: true,
    rocketmq: 'autoCreateTopicEnable',
    mutable: true,
    summary: 'makes a topic when the first message for it arrives',
  }),
  autoCreateTopicsMax: whole({
    default: 10_000,
    max: 100_000,
    mutable: true,
    summary: 'topics beyond this are not made by themselves; those of groups do not count',
    cost: 'about 2 KiB of memory and 4 consume-queue directories a topic',
  }),
  defaultTopicQueueNums: whole({
    default: 8,
    min: 1,
    max: 1_024,
    rocketmq: 'defaultTopicQueueNums',
    summary: 'queues of a topic that is made by itself, at most',
  }),
  topicQueuesMax: whole({
    default: 4_096,
    min: 1,
    max: 65_536,
    summary: 'queues that one topic may have',
  }),
  topicsMax: whole({
    default: 100_000,
    min: 100,
    summary: 'topics that this broker may have, however they are made',
  }),
  autoCreateGroup: toggle({
    default: true,
    rocketmq: 'autoCreateSubscriptionGroup',
    mutable: true,
    summary: 'makes a consumer group when its first member connects',
  }),
  autoCreateGroupsMax: whole({
    default: 10_000,
    max: 100_000,
    mutable: true,
    summary: 'consumer groups beyond this are not made by themselves',
  }),
  storeReplyMessageEnable: toggle({
    default: true,
    rocketmq: 'storeReplyMessageEnable',
    mutable: true,
    summary: 'keeps the answers of request-reply in the cluster’s reply topic',
  }),
  enablePropertyFilter: toggle({
    default: true,
    rocketmq: 'enablePropertyFilter',
    mutable: true,
    summary: 'lets consumers filter by SQL92; RocketMQ’s own default is false',
  }),
  filterSupportRetry: toggle({
    default: false,
    rocketmq: 'filterSupportRetry',
    mutable: true,
    summary:
      'filters what comes again by the SQL92 filter that its group has in the topic of origin',
    cost: 'each message of a retry topic is looked into when it is pulled',
  }),
  flushConsumerOffsetMs: duration({
    default: 5_000,
    min: 100,
    max: 60_000,
    rocketmq: 'flushConsumerOffsetInterval',
    summary: 'how often the progress of consumer groups is written',
  }),
  flushDelayOffsetMs: duration({
    default: 2_000,
    min: 100,
    max: 60_000,
    rocketmq: 'flushDelayOffsetInterval',
    summary: 'how often the progress of the delay levels is written',
    cost: 'what was delivered since is delivered again after a crash',
  }),
  registerPeriodMs: duration({
    default: 30_000,
    min: 100,
    max: 60_000,
    rocketmq: 'registerNameServerPeriod',
    summary: 'how often the broker says to its name servers that it lives',
  }),
  registerTimeoutMs: duration({
    default: 6_000,
    min: 100,
    max: 60_000,
    rocketmq: 'registerBrokerTimeoutMills',
    summary: 'how long a name server may take to answer',
  }),
  clientExpiryMs: duration({
    default: 120_000,
    min: 1_000,
    rocketmq: 'channelExpiredTimeout',
    summary: 'a client that sends no heart-beat for this long is forgotten',
  }),
  clientScanMs: duration({
    default: 10_000,
    min: 100,
    max: 60_000,
    summary: 'how often silent clients are looked for',
  }),
  transactionTimeOut: duration({
    default: 6_000,
    min: 100,
    max: 86_400_000,
    rocketmq: 'transactionTimeOut',
    mutable: true,
    summary: 'nobody is asked about a half message that is younger than this',
  }),
  transactionCheckInterval: duration({
    default: 30_000,
    min: 100,
    max: 3_600_000,
    rocketmq: 'transactionCheckInterval',
    mutable: true,
    summary: 'how often producers are asked about half messages that nobody ended',
  }),
  transactionCheckMax: whole({
    default: 15,
    min: 1,
    max: 1_000_000,
    rocketmq: 'transactionCheckMax',
    mutable: true,
    summary: 'checks after which a half message is put aside in TRANS_CHECK_MAX_TIME_TOPIC',
  }),
  rejectTransactionMessage: toggle({
    default: false,
    rocketmq: 'rejectTransactionMessage',
    mutable: true,
    summary: 'takes no transactions',
  }),
  timerWheelEnable: toggle({
    default: true,
    rocketmq: 'timerWheelEnable',
    mutable: true,
    summary: 'takes messages with a delivery time of their own',
  }),
  timerMaxDelaySec: whole({
    default: 259_200,
    min: 1,
    max: 259_200,
    rocketmq: 'timerMaxDelaySec',
    mutable: true,
    summary: 'how far ahead a delivery time may lie, seconds',
    cost: 'messages that wait are kept as long as all others: see the retention',
  }),
  recallMessageEnable: toggle({
    default: true,
    rocketmq: 'recallMessageEnable',
    mutable: true,
    summary: 'lets senders take back messages that wait; RocketMQ’s own default is false',
  }),
  enableRetryTopicV2: toggle({
    default: false,
    rocketmq: 'enableRetryTopicV2',
    mutable: true,
    summary:
      'retry topics of POP consumption are named %RETRY%GROUP+TOPIC instead of %RETRY%GROUP_TOPIC',
  }),
  useSeparateRetryQueue: toggle({
    default: false,
    rocketmq: 'useSeparateRetryQueue',
    mutable: true,
    summary:
      'retry topics of POP consumption have the queues of their topic, and each message stays in its own',
  }),
  popFromRetryProbability: whole({
    default: 20,
    max: 100,
    rocketmq: 'popFromRetryProbability',
    mutable: true,
    summary: 'of 100 takes by POP, how many look at the retry topic first',
  }),
  popFromRetryProbabilityForPriority: whole({
    default: 0,
    max: 100,
    rocketmq: 'popFromRetryProbabilityForPriority',
    mutable: true,
    summary: 'the same in topics of type PRIORITY; otherwise what comes again comes last there',
  }),
  priorityOrderAsc: toggle({
    default: true,
    rocketmq: 'priorityOrderAsc',
    mutable: true,
    summary: 'in topics of type PRIORITY the largest number comes first',
  }),
  defaultMessageRequestMode: choice({
    values: ['PULL', 'POP'],
    default: 'PULL',
    rocketmq: 'defaultMessageRequestMode',
    summary: 'how groups get messages for which nobody has set it, when they let the broker divide',
  }),
  defaultPopShareQueueNum: whole({
    default: -1,
    min: -1,
    max: 100_000,
    rocketmq: 'defaultPopShareQueueNum',
    summary: 'with how many other members one shares its queues in POP mode; -1 or 0: with all',
  }),
  lockLiveMs: duration({
    default: 60_000,
    min: 1_000,
    max: 3_600_000,
    mutable: true,
    summary: 'a consumer that keeps order and is silent for this long loses its queues to others',
    cost: 'how long a queue stands still after its consumer died; below 30 s two may have one queue',
  }),
  forwardTimeoutMs: duration({
    default: 10_000,
    min: 100,
    max: 60_000,
    summary:
      'how long a client may take to answer what an administrator asks it through the broker',
  }),
})

export type BrokerOptionValues = OptionValues<typeof brokerOptions>
export type StoreOptionValues = OptionValues<typeof storeOptions>

/** What a broker is started with; everything else has a default. */
export interface BrokerOptions extends Partial<BrokerOptionValues> {
  /** The store's root directory, made when missing, and its options. */
  readonly store?: { readonly dir?: string } & Partial<StoreOptionValues>
}

/**
 * The checked values, and what follows from them. Sealed rather than frozen: `changeSettings` below
 * is the only writer, and only of rows that are marked mutable.
 */
export interface BrokerSettings extends BrokerOptionValues {
  /** `host:port` that clients are told; exact once the port is bound. */
  readonly advertisedAddress: string
  /** Where a follower would connect; told to name servers, not listened on yet. */
  readonly haAddress: string
  readonly namesrvAddresses: readonly string[]
  /** The highest delay level. */
  readonly delayLevelMax: number
  /** Longest body of a message, from the store's options. */
  readonly maxMessageSizeBytes: number
  readonly store: StoreSettings
}

const wildcards: ReadonlySet<string> = new Set(['0.0.0.0', '::', ''])

/**
 * Checks the options. `boundPort` is the port that was really bound, for port 0. Throws MqError
 * CONFIG_INVALID.
 */
export function brokerSettings(options: BrokerOptions, boundPort?: number): BrokerSettings {
  const { store: { dir = '', ...storeOwn } = {}, ...own } = options
  const values = resolveOptions(brokerOptions, own, 'broker')
  const fault = faultOfTopic(values.brokerName) ?? faultOfTopic(values.clusterName)
  if (fault !== null) throw invalid('brokerName', fault, nameText)
  const advertised = values.advertise === '' ? values.host : values.advertise
  if (wildcards.has(advertised)) {
    throw invalid(
      'advertise',
      `clients cannot connect to ${advertised || 'nowhere'}`,
      'say with --advertise HOST which address clients should use',
    )
  }
  const host = advertised.includes(':') ? `[${advertised}]` : advertised
  const port = boundPort ?? values.port
  const advertisedAddress = `${host}:${port}`
  const storeValues = resolveOptions(storeOptions, storeOwn, 'store')
  return Object.seal({
    ...values,
    advertisedAddress,
    haAddress: `${host}:${port + 1}`,
    namesrvAddresses: splitAddresses(values.namesrv),
    delayLevelMax: storeValues.delayLevels.split(' ').length,
    maxMessageSizeBytes: storeValues.messageBytesMax,
    store: Object.freeze({
      ...storeValues,
      dir,
      storeHost: advertisedAddress,
    }),
  })
}

type Writable<Values> = { -readonly [Name in keyof Values]: Values[Name] }

/** Writes values that `parseOption` has checked. Rows that are not mutable are left alone. */
export function changeSettings(
  settings: BrokerSettings,
  changes: Partial<BrokerOptionValues>,
): void {
  const target: Writable<BrokerSettings> = settings
  for (const [name, value] of Object.entries(changes)) {
    const row = brokerOptions[name as keyof typeof brokerOptions]
    if (row.mutable === true) Object.assign(target, { [name]: value })
  }
}

function splitAddresses(list: string): string[] {
  return [...new Set(list.split(';').filter((address) => addressPattern.test(address)))]
}

function invalid(option: string, what: string, hint: string): MqError {
  return new MqError('CONFIG_INVALID', { where: `broker ${option}`, what, hint })
}

/** What a name server can be told. RocketMQ's own names are those of NamesrvConfig.java and NettyServerConfig.java. */
import { type OptionValues, duration, optionTable, text, toggle, whole } from '../base/options.ts'

export const nameServerOptions = optionTable({
  host: text({ default: '127.0.0.1', summary: 'address to listen on' }),
  port: whole({
    default: 9876,
    max: 65_535,
    rocketmq: 'listenPort',
    summary: 'port to listen on; 0 lets the system choose',
  }),
  scanPeriodMs: duration({
    default: 10_000,
    min: 100,
    max: 600_000,
    rocketmq: 'scanNotActiveBrokerInterval',
    summary: 'how often brokers are checked for signs of life',
  }),
  brokerExpiryMs: duration({
    default: 120_000,
    min: 1_000,
    max: 3_600_000,
    summary:
      'a broker that is silent for this long is removed, unless it registered a time of its own',
  }),
  orderMessageEnable: toggle({
    default: false,
    rocketmq: 'orderMessageEnable',
    mutable: true,
    summary: 'whether routes carry the order configuration of their topic',
  }),
  returnOrderTopicConfigToBroker: toggle({
    default: true,
    rocketmq: 'returnOrderTopicConfigToBroker',
    mutable: true,
    summary: 'whether a registration is answered with the order configuration of all topics',
  }),
  enableAllTopicList: toggle({
    default: true,
    rocketmq: 'enableAllTopicList',
    mutable: true,
    summary: 'whether all topics may be listed',
  }),
  enableTopicList: toggle({
    default: true,
    rocketmq: 'enableTopicList',
    mutable: true,
    summary: 'whether topics may be listed by cluster and kind',
  }),
  deleteTopicWithBrokerRegistration: toggle({
    default: false,
    rocketmq: 'deleteTopicWithBrokerRegistration',
    mutable: true,
    summary:
      'whether a topic that a registration does not name any more is forgotten for its broker',
    cost: 'a registration of changed topics only, as brokers send them, then forgets all others',
  }),
  kvConfigPath: text({
    default: '',
    rocketmq: 'kvConfigPath',
    summary: 'file that keeps the key-value configuration over restarts; empty: memory only',
  }),
  connectionsMax: whole({
    default: 20_000,
    min: 1,
    max: 1_000_000,
    summary: 'connections beyond this are turned away',
  }),
  topicsMax: whole({
    default: 100_000,
    min: 1,
    max: 10_000_000,
    summary: 'pairs of topic and broker that are kept',
    cost: 'some 300 bytes each',
  }),
  brokersMax: whole({ default: 2_000, min: 1, max: 100_000, summary: 'broker addresses kept' }),
  kvEntriesMax: whole({
    default: 10_000,
    min: 0,
    max: 1_000_000,
    summary: 'entries of the key-value configuration',
  }),
})

export type NameServerOptions = OptionValues<typeof nameServerOptions>

/** The parts of an explanation. Plain sentences; one paragraph each. */
export interface Explanation {
  /** What it is. */
  readonly what: string
  /** One sentence for reports. */
  readonly why: string
  /** What it means for a JVM broker, a broker on Node, and a load generator. */
  readonly jvm: string
  readonly node: string
  readonly load: string
  /** Who recommends what, and where they disagree. */
  readonly who: string
  /** How to read it by hand. */
  readonly read: string
  /** What the origin advice said, and whether it still holds. */
  readonly origin: string
  readonly refs: readonly string[]
}

export const docs = {
  vm: 'https://docs.kernel.org/admin-guide/sysctl/vm.html',
  net: 'https://docs.kernel.org/admin-guide/sysctl/net.html',
  fs: 'https://docs.kernel.org/admin-guide/sysctl/fs.html',
  ip: 'https://docs.kernel.org/networking/ip-sysctl.html',
  cgroup: 'https://docs.kernel.org/admin-guide/cgroup-v2.html',
  thp: 'https://docs.kernel.org/admin-guide/mm/transhuge.html',
  overcommit: 'https://docs.kernel.org/mm/overcommit-accounting.html',
  proc: 'https://man7.org/linux/man-pages/man5/proc.5.html',
  sysctlD: 'https://man7.org/linux/man-pages/man5/sysctl.d.5.html',
  exec: 'https://man7.org/linux/man-pages/man5/systemd.exec.5.html',
  osSh: 'https://github.com/apache/rocketmq/blob/develop/distribution/bin/os.sh',
  runbroker: 'https://github.com/apache/rocketmq/blob/develop/distribution/bin/runbroker.sh',
  kafkaOs: 'https://kafka.apache.org/documentation/#os',
  g1: 'https://docs.oracle.com/en/java/javase/17/gctuning/garbage-first-garbage-collector-tuning.html',
  java: 'https://docs.oracle.com/en/java/javase/17/docs/specs/man/java.html',
  libuv: 'https://docs.libuv.org/en/v1.x/threadpool.html',
  nodeRelease: 'https://github.com/nodejs/release#release-schedule',
  storeConfig:
    'https://github.com/apache/rocketmq/blob/develop/store/src/main/java/org/apache/rocketmq/store/config/MessageStoreConfig.java',
  brokerConfig:
    'https://github.com/apache/rocketmq/blob/develop/common/src/main/java/org/apache/rocketmq/common/BrokerConfig.java',
} as const

/** For checks that the notes have nothing on. */
export const noOrigin = 'The origin notes do not mention it.'

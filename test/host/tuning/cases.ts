/**
 * For each check a host on which it passes, one on which it fails, and one where what it looks at is
 * not there. Hosts are captured trees, changed where a case needs it; a few cases change facts that
 * no tree can hold (a probe that was run).
 */
import type { Profile } from '../../../src/host/tuning/check.ts'
import type { CollectOptions } from '../../../src/host/tuning/collect.ts'
import type { HostFacts } from '../../../src/host/tuning/facts.ts'
import { MemoryHost } from './memory-files.ts'

export interface Case {
  readonly host: MemoryHost
  readonly options?: Partial<CollectOptions>
  readonly facts?: (facts: HostFacts) => HostFacts
  readonly profile?: Profile
}

export interface Cases {
  readonly pass: () => Case
  readonly fail: () => Case
  readonly absent: () => Case
}

const BROKER = 710
const broker = { pid: BROKER }
const data = '/data/rocketmq'

const bare = () => MemoryHost.fixture('bare-metal-nvme')
const kvm = () => MemoryHost.fixture('kvm-virtio')
const docker = () => MemoryHost.fixture('container-cgroup-v1')
const pod = () => MemoryHost.fixture('container-cgroup-v2')
const arm = () => MemoryHost.fixture('arm')
const old = () => MemoryHost.fixture('old-kernel')

const on = (host: MemoryHost, options: Partial<CollectOptions> = {}): Case => ({ host, options })
const sys = (key: string) => `/proc/sys/${key.replaceAll('.', '/')}`

/** A value of the tuned host, a wrong one, and a kernel without it. */
function value(key: string, wrong: string, profile?: Profile): Cases {
  const extra = profile === undefined ? {} : { profile }
  return {
    pass: () => ({ host: bare(), ...extra }),
    fail: () => ({ host: bare().set(sys(key), `${wrong}\n`), ...extra }),
    absent: () => ({ host: bare().without(sys(key)), ...extra }),
  }
}

/** Flags of the JVM: of the good broker, others, and no JVM at all. */
function jvm(wrong: string, jdk = '17'): Cases {
  return {
    pass: () => on(bare(), broker),
    fail: () => on(bare(), { jvmFlags: { text: wrong, jdk } }),
    absent: () => on(bare()),
  }
}

/** The good broker.conf, lines in place of it, and none. */
function conf(wrong: string): Cases {
  return {
    pass: () => on(bare(), broker),
    fail: () =>
      on(bare().set('/srv/broker.conf', wrong), {
        dataDir: data,
        brokerConf: { path: '/srv/broker.conf' },
      }),
    absent: () => on(bare()),
  }
}

/** A directory on the good disk, on another, and none. */
function disk(fail: () => Case, profile?: Profile): Cases {
  const extra = profile === undefined ? {} : { profile }
  return {
    pass: () => ({ host: bare(), options: { dataDir: data }, ...extra }),
    fail,
    absent: () => ({ host: bare(), ...extra }),
  }
}

const spaceOf = (host: MemoryHost, change: object) => {
  const space = host.spaces.get(data)
  if (space === undefined) throw new Error('no space')
  host.spaces.set(data, { ...space, ...change })
  return host
}

const limitsPath = (pid: number) => `/proc/${pid}/limits`
const withLimit = (host: MemoryHost, name: string, limit: string) => {
  const text = host.read(limitsPath(BROKER)).text ?? ''
  const line = `${name.padEnd(26)}${limit.padEnd(21)}${limit.padEnd(21)}files`
  return host.set(limitsPath(BROKER), text.replace(new RegExp(`^${name}.*$`, 'm'), line))
}
const withoutLimits = () => bare().without(limitsPath(BROKER))

const probed =
  (p99Ms: number) =>
  (facts: HostFacts): HostFacts => ({
    ...facts,
    probes: {
      asked: true,
      fsync: { samples: 200, p50Ms: 0.2, p99Ms, maxMs: p99Ms * 2 },
      fsyncWhy: null,
      clockKernelShare: 0.05,
    },
  })

const mountinfo = '/proc/self/mountinfo'
const remounted = (host: MemoryHost, from: string, to: string) =>
  host.set(mountinfo, (host.read(mountinfo).text ?? '').replace(from, to))

export const cases: Readonly<Record<string, Cases>> = {
  'platform.linux': {
    pass: () => on(bare()),
    fail: () => ({
      host: bare(),
      facts: (facts) => ({ ...facts, platform: { ...facts.platform, linux: false } }),
    }),
    absent: () => ({
      host: bare(),
      facts: (facts) => ({ ...facts, platform: { ...facts.platform, procReadable: false } }),
    }),
  },
  'platform.kernel': {
    pass: () => on(bare()),
    fail: () => on(old()),
    absent: () => on(bare().without('/proc/sys/kernel/osrelease')),
  },
  'platform.container': {
    pass: () => on(pod()),
    fail: () => on(remounted(pod(), '- cgroup2 cgroup rw', '- tmpfs none rw')),
    absent: () => on(bare().without(mountinfo)),
  },
  'mem.heap-fit': {
    pass: () => on(bare(), broker),
    fail: () => on(docker(), { pid: 1 }),
    absent: () => on(bare().without('/proc/meminfo'), broker),
  },
  'mem.broker-swapped': {
    pass: () => on(bare(), broker),
    fail: () => on(old(), { pid: 2000 }),
    absent: () => on(bare().deny('/proc/710/status'), broker),
  },
  'vm.swappiness': value('vm.swappiness', '60'),
  'vm.overcommit': value('vm.overcommit_memory', '2'),
  'vm.max-map-count': value('vm.max_map_count', '65530'),
  'vm.dirty-background': {
    ...value('vm.dirty_background_bytes', '34359738368'),
    fail: () => on(old()),
  },
  'vm.dirty-limit': { ...value('vm.dirty_bytes', '1'), fail: () => on(old()) },
  'vm.writeback-interval': value('vm.dirty_writeback_centisecs', '360000'),
  'vm.min-free': value('vm.min_free_kbytes', '4096'),
  'vm.zone-reclaim': value('vm.zone_reclaim_mode', '1'),
  'vm.thp': {
    pass: () => on(bare()),
    fail: () => on(kvm()),
    absent: () => on(bare().without('/sys/kernel/mm')),
  },
  'limit.nofile': {
    pass: () => on(bare(), broker),
    fail: () => on(old(), { pid: 2000 }),
    absent: () => on(withoutLimits(), broker),
  },
  'limit.nofile-huge': {
    pass: () => on(bare(), broker),
    fail: () => on(pod(), { pid: 7 }),
    absent: () => on(withoutLimits(), broker),
  },
  'limit.nproc': {
    pass: () => on(bare(), broker),
    fail: () => on(withLimit(bare(), 'Max processes', '1024'), broker),
    absent: () => on(withoutLimits(), broker),
  },
  'limit.memlock': {
    pass: () =>
      on(withLimit(bare(), 'Max locked memory', 'unlimited'), {
        ...broker,
        brokerConf: { text: 'transientStorePoolEnable=true', source: 'broker.conf' },
      }),
    fail: () =>
      on(bare(), {
        ...broker,
        brokerConf: { text: 'warmMapedFileEnable=true', source: 'broker.conf' },
      }),
    absent: () => on(bare()),
  },
  'fs.nr-open': value('fs.nr_open', '65536'),
  'disk.data-dir': disk(() => on(bare(), { dataDir: '/nowhere/at/all' })),
  'disk.free': disk(() =>
    on(spaceOf(bare(), { availableBytes: 1e11, freeBytes: 1e11 }), { dataDir: data }),
  ),
  'disk.inodes': disk(() => on(spaceOf(bare(), { inodesFree: 1000 }), { dataDir: data })),
  'disk.fs-type': disk(() => on(remounted(bare(), '- xfs', '- nfs4'), { dataDir: data })),
  'disk.mount-opts': disk(() => on(remounted(bare(), 'rw,noatime', 'rw,sync'), { dataDir: data })),
  'disk.shared': disk(() => on(kvm(), { dataDir: '/home/mq/data' })),
  'disk.scheduler': disk(() => on(old(), { dataDir: data })),
  'disk.read-ahead': disk(() => on(old(), { dataDir: data })),
  'disk.fsync': {
    pass: () => ({ ...on(bare(), { dataDir: data }), facts: probed(0.5) }),
    fail: () => ({ ...on(bare(), { dataDir: data }), facts: probed(35) }),
    absent: () => on(bare(), { dataDir: data }),
  },
  'net.somaxconn': value('net.core.somaxconn', '128'),
  'net.syn-backlog': value('net.ipv4.tcp_max_syn_backlog', '512'),
  'net.port-range': value('net.ipv4.ip_local_port_range', '50000\t60999', 'loadgen'),
  'net.tw-reuse': value('net.ipv4.tcp_tw_reuse', '0', 'loadgen'),
  'net.buffers': {
    pass: () => on(bare(), { rttMs: 1, expectGbps: 10 }),
    fail: () => on(bare(), { rttMs: 100, expectGbps: 10 }),
    absent: () => on(bare().without(sys('net.ipv4.tcp_rmem')), { rttMs: 1 }),
  },
  'net.drops': {
    pass: () => on(bare()),
    fail: () => on(old()),
    absent: () => on(bare().without('/proc/net')),
  },
  'nic.speed': {
    pass: () => on(bare()),
    fail: () => on(old()),
    absent: () => on(kvm()),
  },
  'nic.irq': {
    pass: () => on(bare()),
    fail: () => {
      const host = bare()
      for (const irq of [40, 41, 42, 43]) host.set(`/proc/irq/${irq}/smp_affinity_list`, '0\n')
      return on(host)
    },
    absent: () => on(arm()),
  },
  'cpu.governor': {
    pass: () => on(bare()),
    fail: () => on(arm()),
    absent: () => on(kvm()),
  },
  'cpu.steal': {
    pass: () => on(bare()),
    fail: () => on(kvm()),
    absent: () => on(bare().without('/proc/stat')),
  },
  'cpu.quota': {
    pass: () => on(pod(), { pid: 7 }),
    fail: () => on(docker(), { pid: 1 }),
    absent: () => on(bare().without(mountinfo)),
  },
  'time.clocksource': {
    pass: () => on(arm()),
    fail: () => on(old()),
    absent: () => on(bare().without('/sys/devices/system/clocksource')),
  },
  'time.sync': {
    pass: () => on(kvm()),
    fail: () => on(bare().without('/run/systemd/timesync')),
    absent: () => on(docker()),
  },
  'jvm.version': jvm('-Xmx1g', '14'),
  'jvm.flags': jvm('-XX:+PrintGCDateStamps'),
  'jvm.heap-equal': jvm('-Xms4g -Xmx8g'),
  'jvm.young-fixed': jvm('-XX:+UseG1GC -Xmn4g'),
  'jvm.gc': jvm('-XX:+UseSerialGC'),
  'jvm.gc-log': jvm('-Xlog:gc*:file=/dev/shm/gc.log'),
  'jvm.oom-exit': jvm('-Xmx1g'),
  'jvm.g1-ihop': jvm('-XX:InitiatingHeapOccupancyPercent=5'),
  'jvm.g1-reserve': jvm('-XX:G1ReservePercent=50'),
  'jvm.g1-region': jvm('-Xmx1g -XX:G1HeapRegionSize=32m'),
  'jvm.soft-ref': jvm('-XX:SoftRefLRUPolicyMSPerMB=0'),
  'jvm.pre-touch': jvm('-Xmx1g'),
  'jvm.direct-memory': jvm('-Xmx200g -XX:MaxDirectMemorySize=100g'),
  'node.version': {
    pass: () => ({ ...on(kvm(), { pid: 1200 }), profile: 'node-broker' }),
    fail: () => ({
      ...on(kvm().symlink('/proc/1200/exe', '/opt/node-v18.2.0-linux-x64/bin/node'), { pid: 1200 }),
      profile: 'node-broker',
    }),
    absent: () => ({
      ...on(kvm().symlink('/proc/1200/exe', '/usr/bin/node'), { pid: 1200 }),
      profile: 'node-broker',
    }),
  },
  'node.threadpool': {
    pass: () => ({ ...on(kvm(), { pid: 1200 }), profile: 'node-broker' }),
    fail: () => ({ ...on(pod(), { pid: 7 }), profile: 'node-broker' }),
    absent: () => ({
      ...on(kvm().deny('/proc/1200/environ'), { pid: 1200 }),
      profile: 'node-broker',
    }),
  },
  'node.heap': {
    pass: () => ({ ...on(kvm(), { pid: 1200 }), profile: 'node-broker' }),
    fail: () => ({ ...on(pod(), { pid: 7 }), profile: 'node-broker' }),
    absent: () => ({ ...on(bare(), broker), profile: 'node-broker' }),
  },
  'broker.send-threads': conf('sendMessageThreadPoolNums=128'),
  'broker.pull-threads': conf('pullMessageThreadPoolNums=2'),
  'broker.flush-mode': conf('brokerRole=SLAVE\nbrokerId=0'),
  'broker.retention': conf('fileReservedTime=720\ndiskMaxUsedSpaceRatio=95'),
  'broker.keys': conf('flushDiskTyp=SYNC_FLUSH'),
  'broker.address': conf('brokerIP1=127.0.0.1'),
  'persist.drift': {
    pass: () => on(bare()),
    fail: () => on(bare().without('/etc/sysctl.d/50-broker.conf')),
    absent: () => on(docker()),
  },
  'persist.duplicates': {
    pass: () => on(bare()),
    fail: () => on(old()),
    absent: () => on(pod()),
  },
  'persist.manager': {
    pass: () => on(bare()),
    fail: () => on(old()),
    absent: () => on(pod()),
  },
}

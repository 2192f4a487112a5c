/** The data directory and the disks below it. */
import { formatBytes } from '../../../base/units.ts'
import { confText } from '../broker-conf.ts'
import { fail, measured, pass, skip, verdict, type Check, type Finding } from '../check.ts'
import type { DiskFacts, HostFacts } from '../facts.ts'
import { capacityBytes } from '../host-files.ts'
import { hiddenConf } from './broker.ts'

/** RocketMQ cleans at 75 %, cleans by force at 85 % and takes no message at 90 %. */
const USED_SHARE_WARN = 0.75
const USED_SHARE_FULL = 0.9

/** A skip when there is no directory to look at. */
function noDirectory(facts: HostFacts): Finding | null {
  if (facts.disk.path !== null) return null
  return hiddenConf(facts) ?? skip('not-applicable', 'no data directory: --data-dir names it')
}

function at(disk: DiskFacts): string {
  return disk.exists
    ? (disk.path ?? '')
    : `${disk.nearest ?? '/'} (where ${disk.path ?? ''} would be)`
}

const dataDir: Check = {
  id: 'disk.data-dir',
  category: 'disk',
  title: 'Data directory exists and can be written',
  weight: 'C/C/-',
  scope: 'process',
  cannotStart: true,
  judge(facts) {
    const { disk, target } = facts
    const none = noDirectory(facts)
    if (none !== null) return none
    const path = disk.path ?? ''
    const who = target.uid === null ? 'this user' : `uid ${target.uid}`
    const expected = disk.mustExist ? `exists, writable by ${who}` : `can be made by ${who}`
    const evidence = [{ source: disk.pathFrom ?? path, value: path }]
    if (!disk.exists && disk.mustExist) {
      return fail({
        actual: measured('missing'),
        expected,
        evidence,
        text: 'it is not made by a check',
        remedy: { summary: `mkdir -p ${path} and chown it to the user of the broker` },
      })
    }
    if (disk.writable === null) {
      return skip('unknown', `whether ${who} may write to ${at(disk)} depends on its groups`, {
        expected,
        evidence,
      })
    }
    return verdict(disk.writable, {
      actual: measured(disk.exists ? 'exists' : 'not yet there', null),
      expected,
      evidence: [...evidence, { source: disk.nearest ?? path, value: disk.owner ?? '?' }],
      text: disk.writable ? '' : `${who} may not write to ${at(disk)}`,
      remedy: { summary: `chown it to the user of the broker: ${at(disk)}` },
    })
  },
}

const free: Check = {
  id: 'disk.free',
  category: 'disk',
  title: 'Free space',
  weight: 'C/C/-',
  scope: 'process',
  cannotStart: true,
  judge(facts) {
    const { disk } = facts
    const none = noDirectory(facts)
    if (none !== null) return none
    const { space } = disk
    if (space === null || space.totalBytes === 0) {
      return skip('absent', `the file system of ${at(disk)} tells no size`)
    }
    const used = 1 - space.availableBytes / capacityBytes(space)
    const full = used >= USED_SHARE_FULL
    return verdict(used < USED_SHARE_WARN, {
      actual: measured(Math.round(used * 1000) / 10, '% used'),
      expected: '< 75 % used',
      evidence: [
        {
          source: `statfs ${at(disk)}`,
          value: `${formatBytes(space.availableBytes)} available of ${formatBytes(space.totalBytes)}`,
        },
      ],
      severity: full ? 'critical' : 'warning',
      text: full
        ? 'a broker takes no messages at 90 %'
        : 'a broker begins to delete early at 75 %, by force at 85 %, and takes no messages at 90 %',
      remedy: { summary: 'free space, shorten retention, or use a larger disk' },
    })
  },
}

const inodes: Check = {
  id: 'disk.inodes',
  category: 'disk',
  title: 'Free inodes',
  weight: 'W/W/-',
  scope: 'process',
  judge(facts) {
    const { disk } = facts
    const none = noDirectory(facts)
    if (none !== null) return none
    const { space } = disk
    if (space === null || space.inodes === 0) {
      return skip('not-applicable', `the file system of ${at(disk)} has no fixed number of inodes`)
    }
    const share = space.inodesFree / space.inodes
    return verdict(share >= 0.1, {
      actual: measured(Math.round(share * 1000) / 10, '% free'),
      expected: '≥ 10 % free',
      evidence: [
        { source: `statfs ${at(disk)}`, value: `${space.inodesFree} of ${space.inodes} free` },
      ],
      text: 'every queue and every index is a file of its own',
      remedy: { summary: 'delete what fills them, or make the file system with more inodes' },
    })
  },
}

const goodTypes = new Set(['xfs', 'ext4'])
const hopeless = new Set([
  'nfs',
  'nfs4',
  'cifs',
  'smb3',
  'ceph',
  '9p',
  'overlay',
  'aufs',
  'tmpfs',
  'ramfs',
  'devtmpfs',
  'glusterfs',
  'virtiofs',
])

const fileSystem: Check = {
  id: 'disk.fs-type',
  category: 'disk',
  title: 'File system of the data directory',
  weight: 'W/W/-',
  scope: 'process',
  judge(facts) {
    const { disk } = facts
    const none = noDirectory(facts)
    if (none !== null) return none
    const type = disk.fileSystem
    if (type === null) return skip('absent', '/proc/self/mountinfo does not name it')
    const bad = hopeless.has(type) || type.startsWith('fuse')
    return verdict(goodTypes.has(type), {
      actual: measured(type),
      expected: 'xfs or ext4',
      evidence: [{ source: '/proc/self/mountinfo', value: `${disk.mountPoint ?? '?'} ${type}` }],
      severity: bad ? 'critical' : 'warning',
      text:
        type === 'overlay'
          ? 'the writable layer of a container goes away with it, and is slow'
          : type === 'tmpfs' || type === 'ramfs'
            ? 'memory: nothing survives a reboot'
            : bad
              ? 'fsync and memory maps do not mean over the network what a broker needs them to mean'
              : 'works; xfs and ext4 are what brokers are tested on',
      remedy: {
        summary: 'mount a volume with xfs or ext4 there',
        risk: 'medium',
      },
    })
  },
}

const mountOptions: Check = {
  id: 'disk.mount-opts',
  category: 'disk',
  title: 'Mount options',
  weight: 'W/W/-',
  scope: 'host',
  judge(facts) {
    const { disk } = facts
    const none = noDirectory(facts)
    if (none !== null) return none
    if (disk.mountPoint === null) return skip('absent', '/proc/self/mountinfo does not name it')
    const has = (option: string) => disk.mountOptions.includes(option)
    const wrong = [
      'sync',
      'dirsync',
      'data=writeback',
      'nobarrier',
      'barrier=0',
      'strictatime',
      'ro',
    ].filter(has)
    const quiet = has('noatime')
    const basis = {
      actual: measured(disk.mountOptions.join(',')),
      expected: 'noatime; not sync, data=writeback, nobarrier',
      evidence: [
        {
          source: '/proc/self/mountinfo',
          value: `${disk.mountPoint} ${disk.mountOptions.join(',')}`,
        },
      ],
    }
    if (wrong.length === 0 && quiet) return pass(basis)
    return fail({
      ...basis,
      severity: wrong.length === 0 ? 'info' : 'warning',
      text:
        wrong.length === 0
          ? 'relatime writes an access time once a day: little, and for nothing'
          : `${wrong.join(', ')}: costs throughput or safety`,
      remedy: {
        summary: `mount -o remount,noatime ${disk.mountPoint}, and the same in /etc/fstab`,
        runtime: [`mount -o remount,noatime ${disk.mountPoint}`],
      },
    })
  },
}

const shared: Check = {
  id: 'disk.shared',
  category: 'disk',
  title: 'A disk of its own',
  weight: 'I/I/-',
  scope: 'host',
  judge(facts) {
    const { disk } = facts
    const none = noDirectory(facts)
    if (none !== null) return none
    if (disk.onRootDevice === null) return skip('absent', '/proc/self/mountinfo does not tell')
    return verdict(!disk.onRootDevice, {
      actual: measured(disk.onRootDevice ? 'shared with /' : 'separate'),
      expected: 'not the file system of /',
      evidence: [{ source: '/proc/self/mountinfo', value: disk.mountPoint ?? '?' }],
      text: 'logs and packages of the system compete for the same disk, and fill it',
      remedy: { summary: 'give the data directory a disk of its own' },
    })
  },
}

/** Rules about the disks below; a skip where there is none to look at. */
function noLegs(facts: HostFacts): Finding | null {
  const { disk } = facts
  const none = noDirectory(facts)
  if (none !== null) return none
  return disk.legs.length === 0
    ? skip('absent', `${disk.fileSystem ?? 'this file system'} shows no disk below it`)
    : null
}

const goodSchedulers = new Set(['none', 'mq-deadline', 'kyber', 'noop', 'deadline'])

const scheduler: Check = {
  id: 'disk.scheduler',
  category: 'disk',
  title: 'I/O scheduler',
  weight: 'I/I/-',
  scope: 'host',
  judge(facts) {
    const { disk } = facts
    const none = noLegs(facts)
    if (none !== null) return none
    const known = disk.legs.filter((leg) => leg.scheduler !== null)
    if (known.length === 0) return skip('absent', 'the disk tells no scheduler')
    const wrong = known.filter((leg) => !goodSchedulers.has(leg.scheduler ?? ''))
    return verdict(wrong.length === 0, {
      actual: measured(known.map((leg) => `${leg.name} ${leg.scheduler}`).join(', ')),
      expected: 'none, mq-deadline or kyber',
      evidence: known.map((leg) => ({
        source: `/sys/block/${leg.name}/queue/scheduler`,
        value: leg.scheduler ?? '',
      })),
      text: 'bfq shares fairly between desktop programs; a broker writes one stream',
      remedy: {
        summary: 'none for NVMe, mq-deadline else, by a udev rule',
        changes: wrong.map((leg) => ({
          kind: 'disk',
          disk: leg.name,
          attribute: 'scheduler',
          value:
            leg.name.startsWith('nvme') || !leg.schedulers.includes('mq-deadline')
              ? 'none'
              : 'mq-deadline',
        })),
      },
    })
  },
}

const readAhead: Check = {
  id: 'disk.read-ahead',
  category: 'disk',
  title: 'Read-ahead',
  weight: 'I/I/-',
  scope: 'host',
  judge(facts) {
    const { disk } = facts
    const none = noLegs(facts)
    if (none !== null) return none
    const known = disk.legs.filter((leg) => leg.readAheadKib !== null)
    if (known.length === 0) return skip('absent', 'the disk tells no read-ahead')
    const wrong = known.filter(
      ({ readAheadKib }) => (readAheadKib ?? 0) < 64 || (readAheadKib ?? 0) > 4_096,
    )
    const first = known[0]?.readAheadKib ?? null
    return verdict(wrong.length === 0, {
      actual: measured(
        first,
        'KiB',
        known.map((leg) => `${leg.name} ${leg.readAheadKib} KiB`).join(', '),
      ),
      expected: '64..4096 KiB',
      evidence: known.map((leg) => ({
        source: `/sys/block/${leg.name}/queue/read_ahead_kb`,
        value: String(leg.readAheadKib),
      })),
      text: 'consumers that lag read at random: a huge read-ahead throws their pages out again',
      remedy: {
        summary: 'set it to 128..1024 KiB by a udev rule',
        changes: wrong.map((leg) => ({
          kind: 'disk',
          disk: leg.name,
          attribute: 'read_ahead_kb',
          value: '512',
        })),
      },
    })
  },
}

const fsync: Check = {
  id: 'disk.fsync',
  category: 'disk',
  title: 'Latency of fdatasync',
  weight: 'W/W/-',
  scope: 'host',
  judge(facts: HostFacts) {
    const { probes, disk } = facts
    if (!probes.asked)
      return skip('needs-probe', 'only with --probe: it writes to the data directory')
    if (probes.fsync === null) {
      return skip('not-applicable', probes.fsyncWhy ?? 'the probe did not run')
    }
    const { p99Ms, p50Ms, maxMs, samples } = probes.fsync
    const sync = confText(facts.broker, 'flushDiskType') === 'SYNC_FLUSH'
    return verdict(p99Ms <= 10, {
      actual: measured(p99Ms, 'ms', `p99 ${p99Ms} ms`),
      expected: 'p99 ≤ 10 ms',
      evidence: [
        {
          source: `probe in ${disk.path ?? '?'}`,
          value: `${samples} × 4 KiB + fdatasync: p50 ${p50Ms}, p99 ${p99Ms}, max ${maxMs} ms`,
        },
      ],
      severity: sync && p99Ms > 20 ? 'critical' : 'warning',
      text: 'with synchronous flush every acknowledgement waits for this',
      remedy: { summary: 'a faster disk, or asynchronous flush with a synchronous replica' },
    })
  },
}

export const diskChecks: readonly Check[] = [
  dataDir,
  free,
  inodes,
  fileSystem,
  mountOptions,
  shared,
  scheduler,
  readAhead,
  fsync,
]

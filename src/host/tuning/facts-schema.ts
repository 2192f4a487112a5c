/**
 * The shape of a facts file, for those that come from elsewhere: edited, cut short, or written by
 * something else. Held to `HostFacts` by the compiler. Loaded only with `--facts`.
 */
import { z } from 'zod'
import { FACTS_SCHEMA, type HostFacts } from './facts.ts'

const textOrNull = z.string().nullable()
const numberOrNull = z.number().nullable()
const reading = z.object({
  source: z.string(),
  text: textOrNull,
  missing: z.enum(['absent', 'denied', 'gone', 'failed']).nullable(),
})
const definition = z.object({
  key: z.string(),
  value: z.string(),
  file: z.string(),
  line: z.number(),
  ignored: textOrNull,
})

const platform = z.object({
  linux: z.boolean(),
  kernel: reading,
  arch: z.string(),
  uid: z.number(),
  privileged: z.boolean(),
  procReadable: z.boolean(),
  systemd: z.boolean(),
})

const jvm = z.object({
  source: z.string(),
  flags: z.array(z.string()),
  mainClass: textOrNull,
  version: textOrNull,
  versionSource: textOrNull,
  gcLogFreeBytes: numberOrNull,
  gcLogInMemory: z.boolean(),
})

const node = z.object({
  version: textOrNull,
  versionSource: textOrNull,
  threadPool: numberOrNull,
  threadPoolKnown: z.boolean(),
  maxOldSpaceMb: numberOrNull,
})

const target = z.object({
  how: z.enum(['pid', 'unit', 'port', 'none']),
  asked: textOrNull,
  pid: numberOrNull,
  why: textOrNull,
  kind: z.enum(['java', 'node', 'other']).nullable(),
  uid: numberOrNull,
  limits: reading,
  limitsOf: z.enum(['target', 'parent']),
  openFiles: numberOrNull,
  maps: numberOrNull,
  threads: numberOrNull,
  swappedBytes: numberOrNull,
  residentBytes: numberOrNull,
  denied: z.array(z.string()),
  jvm: jvm.nullable(),
  node: node.nullable(),
})

const disk = z.object({
  path: textOrNull,
  pathFrom: textOrNull,
  mustExist: z.boolean(),
  exists: z.boolean(),
  nearest: textOrNull,
  writable: z.boolean().nullable(),
  owner: textOrNull,
  space: z
    .object({
      totalBytes: z.number(),
      availableBytes: z.number(),
      freeBytes: z.number(),
      inodes: z.number(),
      inodesFree: z.number(),
    })
    .nullable(),
  fileSystem: textOrNull,
  mountPoint: textOrNull,
  mountOptions: z.array(z.string()),
  onRootDevice: z.boolean().nullable(),
  legs: z.array(
    z.object({
      name: z.string(),
      scheduler: textOrNull,
      schedulers: z.array(z.string()),
      readAheadKib: numberOrNull,
      rotational: z.boolean().nullable(),
    }),
  ),
})

const link = z.object({
  name: z.string(),
  physical: z.boolean(),
  up: z.boolean(),
  speedMbps: numberOrNull,
  duplex: textOrNull,
  driver: textOrNull,
  receiveQueues: z.number(),
  irqCpus: numberOrNull,
})

export const factsSchema: z.ZodType<HostFacts> = z.object({
  schema: z.literal(FACTS_SCHEMA),
  version: z.number(),
  tool: z.string(),
  collectedAt: z.string(),
  platform,
  container: z.object({
    kind: z.enum(['none', 'docker', 'podman', 'k8s', 'lxc', 'container']),
    evidence: textOrNull,
  }),
  memory: z.object({
    totalBytes: numberOrNull,
    availableBytes: numberOrNull,
    swapTotalBytes: numberOrNull,
    source: z.string(),
  }),
  cpu: z.object({
    count: z.number(),
    governors: z.array(z.string()),
    governorSource: z.string(),
  }),
  sysctl: z.record(z.string(), reading),
  thp: z.object({ enabled: reading, defrag: reading }),
  numaNodes: numberOrNull,
  clock: z.object({
    source: reading,
    available: reading,
    timesyncd: z.boolean(),
    daemons: z.array(z.string()),
    drift: z.object({ source: z.string(), ageSeconds: z.number() }).nullable(),
  }),
  counters: z.object({
    windowMs: numberOrNull,
    uptimeSeconds: numberOrNull,
    steal: numberOrNull,
    iowait: numberOrNull,
    drops: z.record(z.string(), z.number()),
    packets: numberOrNull,
    throttledPeriods: numberOrNull,
    periods: numberOrNull,
  }),
  network: z.object({ links: z.array(link) }),
  target,
  unit: z
    .object({
      name: z.string(),
      found: z.boolean(),
      settings: z.record(
        z.string(),
        z.object({ value: z.string(), file: z.string(), line: z.number() }),
      ),
      files: z.array(z.string()),
    })
    .nullable(),
  group: z.object({
    version: z.union([z.literal(1), z.literal(2)]).nullable(),
    memoryMaxBytes: numberOrNull,
    memorySource: textOrNull,
    cpuCores: numberOrNull,
    cpuSource: textOrNull,
    pidsMax: numberOrNull,
    pidsCurrent: numberOrNull,
    pidsSource: textOrNull,
  }),
  disk,
  persisted: z.object({
    definitions: z.array(definition),
    unreadable: z.array(z.string()),
    thp: z.array(definition),
    managers: z.array(
      z.object({
        name: z.string(),
        profile: textOrNull,
        keys: z.array(z.string()),
        source: z.string(),
      }),
    ),
    limits: z.array(definition),
  }),
  broker: z
    .object({
      source: z.string(),
      told: z.boolean(),
      values: z.record(z.string(), z.object({ value: z.string(), line: numberOrNull })),
      keys: z.array(z.string()),
    })
    .nullable(),
  probes: z.object({
    asked: z.boolean(),
    fsync: z
      .object({
        samples: z.number(),
        p50Ms: z.number(),
        p99Ms: z.number(),
        maxMs: z.number(),
      })
      .nullable(),
    fsyncWhy: textOrNull,
    clockKernelShare: numberOrNull,
  }),
  plans: z.object({
    connections: z.number(),
    expectGbps: z.number(),
    rttMs: numberOrNull,
    fileBytes: numberOrNull,
  }),
})

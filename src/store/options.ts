/**
 * The options of the store, as rows. Sizes of files are part of the on-disk format: a directory
 * keeps the ones it was made with, and other ones are refused at opening.
 */
import { choice, duration, optionTable, size, text, toggle, whole } from '../base/options.ts'
import type { OptionValues } from '../base/options.ts'
import { DEFAULT_DELAY_LEVELS } from '../protocol/delay-levels.ts'

const KIB = 1024
const MIB = 1024 * KIB
/** Longest body that any limit allows; a log may hold such ones from a time with another limit. */
export const MESSAGE_BYTES_MAX = 64 * MIB
/** Longest record that is ever read: what claims to be longer is none. */
export const RECORD_BYTES_MAX = MESSAGE_BYTES_MAX + 128 * KIB

export const storeOptions = optionTable({
  flush: choice({
    values: ['async', 'sync'],
    default: 'async',
    rocketmq: 'flushDiskType',
    summary: 'when a message counts as stored: handed to the kernel, or on the disk',
    cost: 'sync waits for the disk; many senders at once share one wait',
  }),
  segmentBytes: size({
    default: 1024 * MIB,
    min: 1024,
    max: 2048 * MIB - 1,
    rocketmq: 'mappedFileSizeCommitLog',
    summary: 'size of one file of the commit log',
  }),
  queueFileBytes: size({
    default: 6_000_000,
    min: 20,
    max: 2_000_000_000,
    rocketmq: 'mappedFileSizeConsumeQueue',
    summary: 'size of one file of a consume queue; rounded up to a multiple of 20',
  }),
  batchQueueFileBytes: size({
    default: 13_800_000,
    min: 46,
    max: 2_000_000_000,
    rocketmq: 'mapperFileSizeBatchConsumeQueue',
    summary: 'size of one file of a batch queue; rounded up to a multiple of 46',
  }),
  index: toggle({
    default: true,
    rocketmq: 'messageIndexEnable',
    summary: 'index messages by key',
    cost: 'about 20 bytes of disk a key, and 20 MB of memory',
  }),
  indexSlots: whole({
    default: 5_000_000,
    min: 1,
    max: 100_000_000,
    rocketmq: 'maxHashSlotNum',
    summary: 'hash slots of one index file',
  }),
  indexUnits: whole({
    default: 20_000_000,
    min: 2,
    max: 100_000_000,
    rocketmq: 'maxIndexNum',
    summary: 'keys of one index file',
  }),
  messageBytesMax: size({
    default: 4 * MIB,
    min: 1,
    max: MESSAGE_BYTES_MAX,
    rocketmq: 'maxMessageSize',
    summary: 'longest body; a whole record may have 64 KiB more',
  }),
  delayLevels: text({
    default: DEFAULT_DELAY_LEVELS,
    pattern: /^(?:[1-9]\d{0,5}[smhd](?: (?=\d)|$)){1,64}$/,
    patternText: '1 to 64 times with a blank between them, as in 1s 5s 10s 1m 2h',
    rocketmq: 'messageDelayLevel',
    summary: 'how long messages of delay level 1, 2 … wait',
    cost: 'retries take level 3 and up, and clients know the default only',
  }),
  tailBytes: size({
    default: 32 * MIB,
    min: 4 * KIB,
    max: 1024 * MIB,
    summary: 'newest part of the log that is kept in memory for consumers that keep up',
    cost: 'memory',
  }),
  chunkBytes: size({
    default: MIB,
    min: KIB,
    max: 64 * MIB,
    summary: 'one piece of that memory, and the longest single write',
  }),
  stagedBytesMax: size({
    default: 16 * MIB,
    min: KIB,
    max: 1024 * MIB,
    summary: 'bytes that may wait for the disk; beyond it senders are told to slow down',
    cost: 'memory, and time that a message may wait',
  }),
  pendingRecordsMax: whole({
    default: 262_144,
    min: 16,
    max: 4_194_304,
    summary: 'records that may wait to become visible; beyond it senders are told to slow down',
    cost: 'about 60 bytes each',
  }),
  flushIntervalMs: duration({
    default: 500,
    min: 1,
    max: 60_000,
    rocketmq: 'flushIntervalCommitLog',
    summary: 'async flush: how often the log is put on the disk in the background',
  }),
  flushPagesMin: whole({
    default: 4,
    max: 65_536,
    rocketmq: 'flushCommitLogLeastPages',
    summary: 'async flush: pages of 4 KiB below which it waits for the thorough flush',
  }),
  flushThoroughMs: duration({
    default: 10_000,
    min: 1,
    max: 600_000,
    rocketmq: 'flushCommitLogThoroughInterval',
    summary: 'async flush: longest time until anything is put on the disk',
  }),
  checkpointIntervalMs: duration({
    default: 5_000,
    min: 10,
    max: 600_000,
    summary: 'how often queues and index are made durable up to one position of the log',
    cost: 'recovery reads the log from the last such position on',
  }),
  queueFlushIntervalMs: duration({
    default: 1_000,
    min: 1,
    max: 60_000,
    rocketmq: 'flushIntervalConsumeQueue',
    summary: 'longest time until units of consume queues are written',
  }),
  queuePagesBytes: size({
    default: 16 * MIB,
    min: 0,
    max: 1024 * MIB,
    summary: 'newest units of consume queues that are kept in memory after they were written',
    cost: 'memory',
  }),
  openFilesMax: whole({
    default: 512,
    min: 4,
    max: 100_000,
    summary: 'files that are kept open for reading and for consume queues',
  }),
  cacheBytes: size({
    default: 32 * MIB,
    min: 64 * KIB,
    max: 8192 * MIB,
    summary: 'older log that was read for consumers and is kept in memory',
    cost: 'memory',
  }),
  coldReadsMax: whole({
    default: 8,
    min: 1,
    max: 128,
    summary: 'reads of older data at one time',
    cost: 'each takes one of the threads that also write and flush',
  }),
  filterUnitsMax: whole({
    default: 16_000,
    min: 1,
    max: 100_000,
    summary:
      'units of a consume queue that one pull by tags goes through; 800 by an expression, as at Apache',
    cost: 'some 2 ns each, in which the broker does nothing else',
  }),
  indexQueryMax: whole({
    default: 64,
    min: 1,
    max: 10_000,
    rocketmq: 'maxMsgsNumBatch',
    summary: 'messages that one query by key returns at most',
  }),
  probeIntervalMs: duration({
    default: 1_000,
    min: 1,
    max: 60_000,
    summary: 'after a failed write: how often to try whether the disk takes bytes again',
  }),
  fileReservedHours: whole({
    default: 72,
    min: 0,
    max: 1_000_000,
    rocketmq: 'fileReservedTime',
    summary: 'hours after which a full file of the log may be deleted',
  }),
  deleteWhen: text({
    default: '04',
    pattern: /^([01]\d|2[0-3])(;([01]\d|2[0-3]))*$/,
    patternText: 'hours of the day, as in 04 or 04;16',
    rocketmq: 'deleteWhen',
    summary: 'hours of the day, local time, in which expired files are deleted',
  }),
  diskMaxUsedPercent: whole({
    default: 75,
    min: 10,
    max: 95,
    rocketmq: 'diskMaxUsedSpaceRatio',
    summary: 'disk use from which expired files are deleted at any hour',
  }),
  diskCleanForciblyPercent: whole({
    default: 85,
    min: 10,
    max: 99,
    rocketmq: 'diskSpaceCleanForciblyRatio',
    summary: 'disk use from which the oldest files are deleted before they expire',
  }),
  diskRefusePercent: whole({
    default: 90,
    min: 10,
    max: 100,
    rocketmq: 'diskSpaceWarningLevelRatio',
    summary: 'disk use from which messages are refused, until it falls below the mark before',
  }),
  cleanForcibly: toggle({
    default: true,
    rocketmq: 'cleanFileForciblyEnable',
    summary: 'delete files before they expire when the disk is nearly full',
  }),
  cleanIntervalMs: duration({
    default: 10_000,
    min: 10,
    max: 3_600_000,
    rocketmq: 'cleanResourceInterval',
    summary: 'how often the disk and the age of files are looked at',
  }),
  deleteFilesMax: whole({
    default: 10,
    min: 1,
    max: 10_000,
    rocketmq: 'deleteFileBatchMax',
    summary: 'files of the log that one look deletes at most',
  }),
})

/** What a store is opened with: where it lies, whose messages it keeps, and the checked options. */
export interface StorePlace {
  /** Root directory; made when missing. */
  readonly dir: string
  /** `ip:port` under which clients reach the broker; part of every offset message id. */
  readonly storeHost: string
}

export type StoreSettings = Readonly<OptionValues<typeof storeOptions>> & StorePlace

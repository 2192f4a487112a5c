/**
 * The bits of a message's `sysFlag`, as they stand in a send request and in the stored record.
 * Source: apache/rocketmq common/…/sysflag/MessageSysFlag.java, …/compression/CompressionType.java.
 */
export const SysFlag = {
  compressed: 0x1,
  multiTags: 0x2,
  /** Both transaction bits: none, prepared, commit or rollback. */
  transactionMask: 0xc,
  transactionPrepared: 0x4,
  transactionCommit: 0x8,
  transactionRollback: 0xc,
  /** The born host is 16 + 4 bytes instead of 4 + 4. */
  bornHostV6: 0x10,
  /** The store host is 16 + 4 bytes instead of 4 + 4. */
  storeHostV6: 0x20,
  needUnwrap: 0x40,
  innerBatch: 0x80,
  compressionMask: 0x700,
  compressionLz4: 0x100,
  compressionZstd: 0x200,
  compressionZlib: 0x300,
} as const

export type Compression = 'none' | 'zlib' | 'lz4' | 'zstd' | 'unknown'

/** How the body is compressed. Type 0 with the compressed bit set is zlib, as old clients send it. */
export function compressionOf(sysFlag: number): Compression {
  if ((sysFlag & SysFlag.compressed) === 0) return 'none'
  switch (sysFlag & SysFlag.compressionMask) {
    case 0:
    case SysFlag.compressionZlib:
      return 'zlib'
    case SysFlag.compressionLz4:
      return 'lz4'
    case SysFlag.compressionZstd:
      return 'zstd'
    default:
      return 'unknown'
  }
}

/**
 * Whether a record with this flag gets a place in its consume queue: plain and committed messages
 * do, prepared and rolled-back ones do not, and an inner batch does only in a batch queue.
 */
export function isQueued(sysFlag: number, isBatchQueue: boolean): boolean {
  if ((sysFlag & SysFlag.innerBatch) !== 0 && !isBatchQueue) return false
  const type = sysFlag & SysFlag.transactionMask
  return type === 0 || type === SysFlag.transactionCommit
}

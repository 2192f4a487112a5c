/**
 * How a producer compresses bodies. Which kinds consumers understand: all of these in clients of
 * RocketMQ 5, zlib alone in older ones.
 * Source: apache/rocketmq common/…/compression/{CompressionType,CompressorFactory}.java.
 */
import { deflateSync } from 'node:zlib'
import { lz4Compress } from '../protocol/lz4.ts'
import { SysFlag } from '../protocol/sys-flag.ts'

export const compressionKinds = ['zlib', 'lz4', 'zstd'] as const
export type CompressionKind = (typeof compressionKinds)[number]

export interface BodyCompressor {
  readonly kind: CompressionKind
  /** What a message's sysFlag says about it. */
  readonly sysFlag: number
  compress(body: Buffer): Buffer
}

/** Levels that are about as fast as sending is; Apache's client has 5 for zlib. */
const ZLIB_LEVEL = 5
const ZSTD_LEVEL = 3

export const zlibCompressor: BodyCompressor = {
  kind: 'zlib',
  sysFlag: SysFlag.compressed | SysFlag.compressionZlib,
  compress: (body) => deflateSync(body, { level: ZLIB_LEVEL }),
}

const lz4Compressor: BodyCompressor = {
  kind: 'lz4',
  sysFlag: SysFlag.compressed | SysFlag.compressionLz4,
  compress: lz4Compress,
}

/** Loads what the kind needs. */
export async function bodyCompressor(kind: CompressionKind): Promise<BodyCompressor> {
  switch (kind) {
    case 'zlib':
      return zlibCompressor
    case 'lz4':
      return lz4Compressor
    case 'zstd': {
      const { Zstd } = await import('@hpcc-js/wasm-zstd')
      const zstd = await Zstd.load()
      return {
        kind,
        sysFlag: SysFlag.compressed | SysFlag.compressionZstd,
        compress: (body) => {
          const packed = zstd.compress(body, ZSTD_LEVEL)
          return Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength)
        },
      }
    }
  }
}

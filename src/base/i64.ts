/**
 * 64-bit integers of the wire and the log as plain numbers: exact to 2^53, which is 8 PiB of log.
 * Tag codes and Java's Long.MAX_VALUE sentinels do not fit; read those as BigInt.
 */
import { assert } from './assert.ts'
import { readI32, writeI32 } from './bytes.ts'

const TWO_32 = 0x1_0000_0000

/** Writes a whole number in [-2^53, 2^53] big-endian at `offset`; returns the next offset. */
export function writeI64(target: Buffer, value: number, offset: number): number {
  const high = Math.floor(value / TWO_32)
  writeI32(target, high, offset)
  return writeI32(target, value - high * TWO_32, offset + 4)
}

/**
 * Reads a big-endian i64; throws a BugError outside ±2^53, so check untrusted bytes with `fitsI64`
 * first. Bytes that are not there count as 0.
 */
export function readI64(source: Buffer, offset: number): number {
  const value = readI32(source, offset) * TWO_32 + (readI32(source, offset + 4) >>> 0)
  assert(Number.isSafeInteger(value), 'a 64-bit integer fits a number')
  return value
}

/** Whether the i64 at `offset` is exact as a number. */
export function fitsI64(source: Buffer, offset: number): boolean {
  const high = readI32(source, offset)
  return high >= -0x20_0000 && high < 0x20_0000
}

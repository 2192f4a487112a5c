/**
 * One file of the key index, as Apache lays it out. Big-endian.
 *
 *    0 i64 beginTimestamp   16 i64 beginPhysicalOffset   32 i32 slots in use
 *    8 i64 endTimestamp     24 i64 endPhysicalOffset     36 i32 unitCount: number of the next unit, starts at 1
 *   40 slots × i32: number of the newest unit of the slot's chain, 0 for none
 *      units × 20 bytes: keyHash i32, physicalOffset i64, seconds since beginTimestamp i32, previous unit i32
 *
 * Source: apache/rocketmq store/…/index/{IndexFile,IndexHeader}.java. The name is the local time at
 * which the file was made, 17 digits.
 */
import { fitsI64, readI64, writeI64 } from '../base/i64.ts'

export const INDEX_HEADER_BYTES = 40
export const INDEX_UNIT_BYTES = 20
export const SLOT_BYTES = 4

/** Sizes that all files of an index share. */
export interface IndexShape {
  readonly slots: number
  readonly units: number
}

export function slotsEnd(shape: IndexShape): number {
  return INDEX_HEADER_BYTES + shape.slots * SLOT_BYTES
}

export function indexFileBytes(shape: IndexShape): number {
  return slotsEnd(shape) + shape.units * INDEX_UNIT_BYTES
}

export function unitPosition(shape: IndexShape, unit: number): number {
  return slotsEnd(shape) + unit * INDEX_UNIT_BYTES
}

/** The hash that units carry: never negative. */
export function keyHashOf(javaHash: number): number {
  const hash = Math.abs(javaHash)
  return hash === 0x8000_0000 ? 0 : hash
}

export class IndexHeader {
  beginTimestamp = 0
  endTimestamp = 0
  beginPhysicalOffset = 0
  endPhysicalOffset = 0
  slotCount = 0
  unitCount = 1

  encode(): Buffer {
    const bytes = Buffer.alloc(INDEX_HEADER_BYTES)
    writeI64(bytes, this.beginTimestamp, 0)
    writeI64(bytes, this.endTimestamp, 8)
    writeI64(bytes, this.beginPhysicalOffset, 16)
    writeI64(bytes, this.endPhysicalOffset, 24)
    bytes.writeInt32BE(this.slotCount, 32)
    bytes.writeInt32BE(this.unitCount, 36)
    return bytes
  }

  /** False when the bytes are no header that anyone could have written. */
  decode(bytes: Buffer, shape: IndexShape): boolean {
    if (bytes.length < INDEX_HEADER_BYTES) return false
    for (let at = 0; at < 32; at += 8) {
      if (!fitsI64(bytes, at) || readI64(bytes, at) < 0) return false
    }
    this.beginTimestamp = readI64(bytes, 0)
    this.endTimestamp = readI64(bytes, 8)
    this.beginPhysicalOffset = readI64(bytes, 16)
    this.endPhysicalOffset = readI64(bytes, 24)
    this.slotCount = bytes.readInt32BE(32)
    this.unitCount = Math.max(1, bytes.readInt32BE(36))
    return this.unitCount <= shape.units
  }
}

function digits(value: number, count: number): string {
  return String(value).padStart(count, '0')
}

/** yyyyMMddHHmmssSSS of a time, local. */
export function indexFileName(ms: number): string {
  const date = new Date(ms)
  return (
    digits(date.getFullYear(), 4) +
    digits(date.getMonth() + 1, 2) +
    digits(date.getDate(), 2) +
    digits(date.getHours(), 2) +
    digits(date.getMinutes(), 2) +
    digits(date.getSeconds(), 2) +
    digits(date.getMilliseconds(), 3)
  )
}

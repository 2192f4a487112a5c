/**
 * What each benchmark message carries, so that its receiver can tell everything that may go wrong.
 * Big-endian, at the start of the body; the rest is payload.
 *
 *    0 u32 magic     0x4d514231 "MQB1"        12 u32 sequence  of its producer, 0, 1, 2 …
 *    4 u32 runId     tells runs apart         16 f64 sentNs    monotonic clock of the sending host
 *    8 u16 producer                           24 u16 lane      where it was sent to
 *   10 u16 sender    slot of the producer     26 u16 0
 *                                             28 u32 checksum  CRC-32 of the payload, then of bytes 0 … 27
 *
 * The checksum runs over the payload first: its CRC is known from the pool, so that a sender only
 * has to add 28 bytes.
 */
import { crc32 } from 'node:zlib'

export const MAGIC = 0x4d51_4231
export const HEADER_BYTES = 32
const SUMMED_BYTES = 28
export const SEQUENCE_MAX = 0xffff_ffff

const crcTable = new Int32Array(256)
for (let index = 0; index < 256; index += 1) {
  let crc = index
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1
  crcTable[index] = crc
}

/** CRC-32 of bytes [start, end), continued from `seed`; for a few bytes cheaper than a call out of JavaScript. */
function crcOfFew(bytes: Buffer, start: number, end: number, seed: number): number {
  let crc = ~seed
  for (let at = start; at < end; at += 1) {
    crc = (crcTable[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8)
  }
  return ~crc >>> 0
}

/** Writes the header at `start`; the checksum is left 0. */
export function writeHeader(
  target: Buffer,
  start: number,
  runId: number,
  producer: number,
  sender: number,
  sequence: number,
  sentNs: number,
  lane: number,
): void {
  target.writeUInt32BE(MAGIC, start)
  target.writeUInt32BE(runId, start + 4)
  target.writeUInt16BE(producer, start + 8)
  target.writeUInt16BE(sender, start + 10)
  target.writeUInt32BE(sequence, start + 12)
  target.writeDoubleBE(sentNs, start + 16)
  target.writeUInt32BE(lane * 0x1_0000, start + 24)
  target.writeUInt32BE(0, start + 28)
}

/** Adds the checksum; `payloadCrc` is the CRC-32 of everything behind the header. */
export function seal(target: Buffer, start: number, payloadCrc: number): void {
  const crc = crcOfFew(target, start, start + SUMMED_BYTES, payloadCrc)
  target.writeUInt32BE(crc, start + SUMMED_BYTES)
}

/** Whether the checksum of the message in bytes [start, end) is right. */
export function isIntact(bytes: Buffer, start: number, end: number): boolean {
  const payloadCrc = crc32(bytes.subarray(start + HEADER_BYTES, end))
  const crc = crcOfFew(bytes, start, start + SUMMED_BYTES, payloadCrc)
  return crc === bytes.readUInt32BE(start + SUMMED_BYTES)
}

/**
 * The two ids of a message, both upper-case hex of 16 bytes (IPv4) or 28 (IPv6).
 *
 * Offset id, made by the broker:      ip 4|16 · port i32 · physicalOffset i64
 * Unique id, made by the producer:    ip 4|16 · pid i16 · loader i32 · ms since month start i32 · counter i16
 *
 * Source: apache/rocketmq common/…/message/{MessageDecoder,MessageClientIDSetter}.java.
 */
import { fitsI64, readI64, writeI64 } from '../base/i64.ts'
import { decodeHost, decodeIp } from './host.ts'

export interface OffsetId {
  /** `ip:port` of the broker that stored the message. */
  readonly storeHost: string
  readonly physicalOffset: number
}

const scratch = Buffer.allocUnsafeSlow(28)

/** The id of the record at `physicalOffset` on the broker whose host bytes (8 or 20) are given. */
export function encodeOffsetId(storeHost: Buffer, physicalOffset: number): string {
  storeHost.copy(scratch)
  const end = writeI64(scratch, physicalOffset, storeHost.length)
  return scratch.toString('hex', 0, end).toUpperCase()
}

const hexId = /^([0-9a-fA-F]{32}|[0-9a-fA-F]{56})$/

/** Null when the text is not an offset id. */
export function decodeOffsetId(id: string): OffsetId | null {
  if (!hexId.test(id)) return null
  const bytes = Buffer.from(id, 'hex')
  const hostBytes = bytes.length - 8
  if (!fitsI64(bytes, hostBytes)) return null
  const physicalOffset = readI64(bytes, hostBytes)
  if (physicalOffset < 0 || bytes.readInt32BE(hostBytes - 4) < 0) return null
  return { storeHost: decodeHost(bytes, 0, hostBytes), physicalOffset }
}

/** The position in an offset id; −1 when the text is none. */
export function physicalOffsetIn(id: string): number {
  if (!hexId.test(id)) return -1
  const value = parseInt(id.slice(-16), 16)
  return Number.isSafeInteger(value) ? value : -1
}

export interface UniqueId {
  readonly ip: string
  /** The low 16 bits of the producer's process id. */
  readonly pid: number
  /** Milliseconds since the start of the month in which it was made, in the producer's time zone. */
  readonly sinceMonthMs: number
  readonly counter: number
}

/** The parts of a unique id; null when it has another shape (any string of a character or more is legal). */
export function decodeUniqueId(id: string): UniqueId | null {
  if (!hexId.test(id)) return null
  const bytes = Buffer.from(id, 'hex')
  const ipBytes = bytes.length - 12
  return {
    ip: decodeIp(bytes, 0, ipBytes),
    pid: bytes.readUInt16BE(ipBytes),
    sinceMonthMs: bytes.readUInt32BE(ipBytes + 6),
    counter: bytes.readUInt16BE(ipBytes + 10),
  }
}

/**
 * When a unique id was made, ms since 1970, if that is not longer than about a month ago: in this month, or in
 * the last one where this month's moment lies in the future (a minute for clocks that differ). Months begin by
 * the local time zone, which may not be the sender's.
 */
export function momentOfUniqueId({ sinceMonthMs }: UniqueId, nowMs: number): number {
  const now = new Date(nowMs)
  const thisMonth = new Date(now.getFullYear(), now.getMonth(), 1).getTime() + sinceMonthMs
  if (thisMonth <= nowMs + 60_000) return thisMonth
  return new Date(now.getFullYear(), now.getMonth() - 1, 1).getTime() + sinceMonthMs
}

/** Makes unique ids: no two alike from one maker within a month, 65,536 a millisecond at most. */
export class UniqueIdMaker {
  readonly #prefix: string
  #counter = 0
  #monthStartMs = 0
  #monthEndMs = 0

  /** @param ip 4 or 16 bytes @param loader any number that tells two makers of one process apart */
  constructor(ip: Buffer, pid: number, loader: number) {
    const prefix = Buffer.alloc(ip.length + 6)
    ip.copy(prefix)
    prefix.writeUInt16BE(pid & 0xffff, ip.length)
    prefix.writeInt32BE(loader | 0, ip.length + 2)
    this.#prefix = prefix.toString('hex').toUpperCase()
  }

  next(nowMs: number): string {
    if (nowMs < this.#monthStartMs || nowMs >= this.#monthEndMs) {
      const now = new Date(nowMs)
      this.#monthStartMs = new Date(now.getFullYear(), now.getMonth(), 1).getTime()
      this.#monthEndMs = new Date(now.getFullYear(), now.getMonth() + 1, 1).getTime()
    }
    const counter = this.#counter
    this.#counter = (counter + 1) & 0xffff
    scratch.writeUInt32BE(Math.floor(nowMs - this.#monthStartMs) >>> 0, 0)
    scratch.writeUInt16BE(counter, 4)
    return this.#prefix + scratch.toString('hex', 0, 6).toUpperCase()
  }
}

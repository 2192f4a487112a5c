/**
 * From bytes that programs write to bytes on a link: TCP cuts them into segments, and each carries
 * its headers. Counters of interfaces see the Ethernet header and what is in it; a link also spends
 * time on preamble, checksum and the gap between two frames.
 *
 * Source: IEEE 802.3 (preamble and start 8, header 14, checksum 4, gap 12 bytes), RFC 9293 and
 * RFC 7323 (20 bytes of IPv4, 20 of TCP, 12 of timestamps, which Linux sends by default).
 */

export interface Framing {
  /** Bytes of a stream that one segment carries at most. */
  readonly segmentBytes: number
  /** Headers of a segment, as counters of interfaces see them. */
  readonly headBytes: number
  /** Time on the link beyond that, in bytes. */
  readonly gapBytes: number
}

const IP_AND_TCP_BYTES = 20 + 20 + 12
const ETHERNET_BYTES = 14

/** Ethernet with the usual MTU. */
export const ethernet: Framing = {
  segmentBytes: 1_500 - IP_AND_TCP_BYTES,
  headBytes: IP_AND_TCP_BYTES + ETHERNET_BYTES,
  gapBytes: 8 + 4 + 12,
}

/** Linux's loopback: segments of up to 64 KiB, and nothing below the Ethernet header. */
export const loopback: Framing = {
  segmentBytes: 65_536 - IP_AND_TCP_BYTES,
  headBytes: IP_AND_TCP_BYTES + ETHERNET_BYTES,
  gapBytes: 0,
}

/** What goes one way for one message. */
export interface Way {
  /** Bytes of the protocol. */
  readonly payloadBytes: number
  /** Segments, those that only acknowledge included. */
  readonly segments: number
}

/** Both ways, as the broker sees them. */
export interface Traffic {
  readonly out: Way
  readonly in: Way
}

/**
 * Segments of one write. A write longer than a segment ends with a part of one, half on average:
 * nothing waits to fill it (Nagle is off on all sides).
 */
function segmentsOfWrite(bytes: number, { segmentBytes }: Framing): number {
  if (bytes === 0) return 0
  return bytes <= segmentBytes ? 1 : bytes / segmentBytes + 0.5
}

/**
 * The traffic of requests and answers of which `perWrite` go in one write each way. Every second
 * segment is acknowledged; an acknowledgement rides on data that goes the other way when there is some.
 */
export function trafficOf(
  framing: Framing,
  toBroker: { readonly bytes: number; readonly perWrite: number },
  fromBroker: { readonly bytes: number; readonly perWrite: number },
): Traffic {
  const segmentsOf = ({ bytes, perWrite }: typeof toBroker) =>
    segmentsOfWrite(bytes * perWrite, framing) / perWrite
  const inSegments = segmentsOf(toBroker)
  const outSegments = segmentsOf(fromBroker)
  return {
    in: {
      payloadBytes: toBroker.bytes,
      segments: inSegments + Math.max(0, outSegments / 2 - inSegments),
    },
    out: {
      payloadBytes: fromBroker.bytes,
      segments: outSegments + Math.max(0, inSegments / 2 - outSegments),
    },
  }
}

/** As counters of an interface show it. */
export function countedBytes({ payloadBytes, segments }: Way, { headBytes }: Framing): number {
  return payloadBytes + segments * headBytes
}

/** As time on the link, in bytes. */
export function linkBytes(way: Way, framing: Framing): number {
  return countedBytes(way, framing) + way.segments * framing.gapBytes
}

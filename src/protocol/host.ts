/**
 * A host as it lies in records and offset message ids: 4 or 16 address bytes, then the port as i32.
 * Source: apache/rocketmq common/…/message/MessageExt.java (socketAddress2ByteBuffer).
 */
export const HOST_V4_BYTES = 8
export const HOST_V6_BYTES = 20

function parseV4(text: string): number[] | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (!match) return null
  const bytes = match.slice(1).map(Number)
  return bytes.every((byte) => byte <= 255) ? bytes : null
}

function parseGroups(text: string): number[] | null {
  if (text === '') return []
  const bytes: number[] = []
  const groups = text.split(':')
  for (const [i, group] of groups.entries()) {
    const v4 = i === groups.length - 1 ? parseV4(group) : null
    if (v4) bytes.push(...v4)
    else if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = parseInt(group, 16)
      bytes.push(value >> 8, value & 0xff)
    } else return null
  }
  return bytes
}

function parseV6(text: string): number[] | null {
  const halves = (text.split('%')[0] ?? '').split('::')
  if (halves.length > 2) return null
  const head = parseGroups(halves[0] ?? '')
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '') : []
  if (!head || !tail) return null
  const missing = 16 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 2) return null
  return [...head, ...new Array<number>(missing).fill(0), ...tail]
}

/** Address bytes of an IP address without port, 4 or 16 of them; null when it is not one. */
export function encodeIp(ip: string): Buffer | null {
  const bytes = parseV4(ip) ?? parseV6(ip)
  return bytes && Buffer.from(bytes)
}

/** The text of 4 or 16 address bytes; IPv6 in eight plain groups. */
export function decodeIp(bytes: Buffer, start: number, lengthBytes: number): string {
  const parts: string[] = []
  if (lengthBytes === 4) {
    for (let i = 0; i < 4; i++) parts.push(String(bytes.readUInt8(start + i)))
    return parts.join('.')
  }
  for (let i = 0; i < 16; i += 2) parts.push(bytes.readUInt16BE(start + i).toString(16))
  return parts.join(':')
}

/** `ip:port` or `[ipv6]:port` → 8 or 20 bytes; null when it is neither. */
export function encodeHost(address: string): Buffer | null {
  const match = /^\[([^\]]+)\]:(\d{1,5})$/.exec(address) ?? /^([^:]+):(\d{1,5})$/.exec(address)
  const ip = match?.[1] === undefined ? null : encodeIp(match[1])
  const port = Number(match?.[2])
  if (!ip || !(port <= 0xffff)) return null
  const host = Buffer.alloc(ip.length + 4)
  ip.copy(host)
  host.writeInt32BE(port, ip.length)
  return host
}

/** 8 or 20 bytes at `start` → `ip:port` or `[ipv6]:port`. */
export function decodeHost(bytes: Buffer, start: number, lengthBytes: number): string {
  const ip = decodeIp(bytes, start, lengthBytes - 4)
  const port = bytes.readInt32BE(start + lengthBytes - 4)
  return lengthBytes === HOST_V6_BYTES ? `[${ip}]:${port}` : `${ip}:${port}`
}

/**
 * Java's `String.hashCode`: h = 31·h + c over UTF-16 code units, as a signed 32-bit number. Tag
 * codes, index keys and queue selection all stand on it.
 */
export function javaHash(text: string, seed = 0): number {
  let hash = seed
  for (let i = 0; i < text.length; i++) hash = (Math.imul(31, hash) + text.charCodeAt(i)) | 0
  return hash
}

/**
 * The same hash over UTF-8 bytes [start, end). ASCII, the common case, makes no string; anything
 * else is decoded first. `seed` is the hash of what stands before, so that `hash(a + b)` is
 * `javaHashOfBytes(b, …, hash(a))`.
 */
export function javaHashOfBytes(bytes: Buffer, start: number, end: number, seed = 0): number {
  let hash = seed
  let i = start
  // Four bytes a step: 31⁴·h does not wait for the bytes.
  for (; i + 4 <= end; i += 4) {
    const a = bytes[i] ?? 0
    const b = bytes[i + 1] ?? 0
    const c = bytes[i + 2] ?? 0
    const d = bytes[i + 3] ?? 0
    if ((a | b | c | d) > 0x7f) return javaHash(bytes.toString('utf8', start, end), seed)
    hash =
      (Math.imul(923_521, hash) + Math.imul(29_791, a) + Math.imul(961, b) + Math.imul(31, c) + d) |
      0
  }
  for (; i < end; i++) {
    const byte = bytes[i]
    if (byte === undefined || byte > 0x7f) return javaHash(bytes.toString('utf8', start, end), seed)
    hash = (Math.imul(31, hash) + byte) | 0
  }
  return hash
}

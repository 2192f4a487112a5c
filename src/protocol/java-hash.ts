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
  for (let i = start; i < end; i++) {
    const byte = bytes[i]
    if (byte === undefined || byte > 0x7f) return javaHash(bytes.toString('utf8', start, end), seed)
    hash = (Math.imul(31, hash) + byte) | 0
  }
  return hash
}

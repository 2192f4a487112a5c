/**
 * Decisions that follow from a seed and a message's name alone: whoever asks, also in another process
 * or after a restart, is told the same.
 */

/** A number in [0, 1) for a message and a question. */
export function lot(seed: number, value: string, question: string): number {
  let hash = 2_166_136_261 ^ seed
  for (const character of `${question}:${value}`) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16_777_619)
  }
  // Names that differ in their last digit only must not be told alike.
  hash = Math.imul(hash ^ (hash >>> 15), 2_246_822_507)
  hash = Math.imul(hash ^ (hash >>> 13), 3_266_489_909)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

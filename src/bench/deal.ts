/** Dealing out by weight: as exactly as the number of places allows, in an order that a seed decides. */

/**
 * Indices of the weights, `count` of them, each as often as its weight says.
 *
 * @param weights not negative, at least one above 0
 * @param random 32-bit numbers
 */
export function deal(weights: readonly number[], count: number, random: () => number): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const dealt: number[] = []
  let sum = 0
  for (const [index, weight] of weights.entries()) {
    sum += weight
    while (dealt.length < Math.round((sum / total) * count)) dealt.push(index)
  }
  for (let last = dealt.length - 1; last > 0 && weights.length > 1; last -= 1) {
    const other = random() % (last + 1)
    const kept = dealt[last] ?? 0
    dealt[last] = dealt[other] ?? 0
    dealt[other] = kept
  }
  return dealt
}

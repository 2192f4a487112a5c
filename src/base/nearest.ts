/**
 * The candidate closest to `text` by edit distance, for "did you mean …"; null when none is close
 * enough to be worth saying (more than a third of the letters differ, at least two).
 */
export function nearest(text: string, candidates: Iterable<string>): string | null {
  const wanted = text.toLowerCase()
  const distanceMax = Math.max(2, Math.floor(wanted.length / 3))
  let best: string | null = null
  let bestDistance = distanceMax + 1
  for (const candidate of candidates) {
    const distance = editDistance(wanted, candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** The `count` candidates with the most letters in common with `text`, the closest first. */
export function closest(text: string, candidates: Iterable<string>, count: number): string[] {
  const wanted = text.toLowerCase()
  return [...candidates]
    .map((name) => ({ name, distance: editDistance(wanted, name.toLowerCase()) }))
    .sort((one, other) => one.distance - other.distance)
    .slice(0, count)
    .map(({ name }) => name)
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
export function editDistance(from: string, to: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1]
      let distance = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      )
      const swapped =
        row > 1 &&
        column > 1 &&
        from[row - 1] === to[column - 2] &&
        from[row - 2] === to[column - 1]
      if (swapped) distance = Math.min(distance, (beforeLast[column - 2] ?? 0) + 1)
      current.push(distance)
    }
    beforeLast = last
    last = current
  }
  return last[to.length] ?? 0
}

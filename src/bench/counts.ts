/** Messages of a producer by what became of them: one list for what is counted, sent and summed. */
export class Counts {
  /** Became due by the schedule; 0 in a closed load. */
  scheduled = 0
  sent = 0
  sentBytes = 0
  acked = 0
  failed = 0
  /** One-way messages that were handed to the network: of these nobody says more. */
  unanswered = 0
  /** Due, and never sent: the phase was over before a sender was free. */
  unsent = 0
  /** Sent late because no sender was free. */
  blocked = 0
}

const names = Object.keys(new Counts()) as (keyof Counts)[]

export function addCounts(to: Counts, from: Readonly<Counts>): void {
  for (const name of names) to[name] += from[name]
}

export function resetCounts(counts: Counts): void {
  for (const name of names) counts[name] = 0
}

/** The counts alone, of something that has more. */
export function copyOfCounts(counts: Readonly<Counts>): Counts {
  const copy = new Counts()
  addCounts(copy, counts)
  return copy
}

export function isNothing(counts: Readonly<Counts>): boolean {
  return names.every((name) => counts[name] === 0)
}

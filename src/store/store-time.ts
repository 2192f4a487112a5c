/** Which store time a record gets, whatever the wall clock does. */

/** Longest step back of the clock that store times hide, milliseconds. */
const HELD_BACK_MS = 3_000

/**
 * Store time of a record behind one of `lastMs` when the clock says `nowMs`. A small step back is held
 * until the clock has caught up, so that times follow each other. A large one is followed, as Apache's
 * broker follows each: or else one moment of a clock that ran ahead would be the time of all that comes.
 */
export function nextStoreTime(lastMs: number, nowMs: number): number {
  return nowMs > lastMs || lastMs - nowMs > HELD_BACK_MS ? nowMs : lastMs
}

/** Why a member of a group does not get what is there for it, so that nobody takes that for the end. */
export interface Hindrance {
  /** Attempts in a row that failed for this reason; 0: none has ended. */
  readonly passes: number
  /** When the first of them ended (monotonic ms). */
  readonly sinceMs: number
  /** What the last one met; null: nothing, but others have the queues still. */
  readonly error: unknown
}

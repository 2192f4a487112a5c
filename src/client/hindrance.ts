import { MqError } from '../base/errors.ts'

/** Why a member of a group does not get what is there for it, so that nobody takes that for the end. */
export interface Hindrance {
  /** Attempts in a row that failed for this reason; 0: none has ended. */
  readonly passes: number
  /** When the first of them ended (monotonic ms). */
  readonly sinceMs: number
  /** What the last one met; null: nothing, but others have the queues still. */
  readonly error: unknown
}

/**
 * What to say of brokers that were there when this member began, and that no name server knows any more:
 * what is left in them nobody can tell.
 */
export function brokersGone(group: string, brokers: readonly string[]): MqError {
  const why = `broker ${brokers.join(', ')} went away before it was read to its end`
  return new MqError('NOT_AT_END', { group, why })
}

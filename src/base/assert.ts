/** A bug in mqctl: something that the code itself promised does not hold. Never for bad input. */
export class BugError extends Error {
  override readonly name = 'BugError'
}

/** Throws a BugError when a promise of the code itself is broken. */
export function assert(condition: boolean, promise: string): asserts condition {
  if (!condition) throw new BugError(`broken promise: ${promise}`)
}

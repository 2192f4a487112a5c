/** Waiting that a signal cuts short. */

/**
 * What the promise comes to, or null once the signal is raised. Unlike a race against a promise of
 * the signal, which keeps the outcome of every race it ever lost until the signal is raised, this
 * leaves nothing behind.
 */
export function orAborted<Value>(
  promise: Promise<Value>,
  signal: AbortSignal,
): Promise<Value | null> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      resolve(null)
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', onAbort)
    })
  })
}

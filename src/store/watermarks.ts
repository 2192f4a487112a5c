/**
 * How far the log has come, as byte positions (ends). They only grow, save that `appended` falls
 * back to `written` when a write failed.
 *
 *   appended ≥ written ≥ flushed        encoded in memory, in the kernel, on the disk
 *   appended ≥ confirmed ≥ dispatched   counts by the policy, visible to consumers
 */
export class Watermarks {
  appended = 0
  written = 0
  flushed = 0
  confirmed = 0
  dispatched = 0

  /** A log that ends at `end` and has nothing pending. */
  startAt(end: number): void {
    this.appended = this.written = this.flushed = this.confirmed = this.dispatched = end
  }
}

/** Says how much of the log counts as stored. It must not go back; the store caps it at `appended`. */
export type ConfirmPolicy = (watermarks: Readonly<Watermarks>) => number

/** ASYNC_FLUSH on a single broker: what the kernel has survives the death of this process. */
export const confirmWritten: ConfirmPolicy = (watermarks) => watermarks.written

/** SYNC_FLUSH on a single broker: what is on the disk survives the death of the machine. */
export const confirmFlushed: ConfirmPolicy = (watermarks) => watermarks.flushed

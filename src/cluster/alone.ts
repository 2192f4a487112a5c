/**
 * What makes an append count as confirmed on a broker without replicas. The room `cluster/` holds
 * one such policy a topology: it looks at the store's watermarks (and, with replicas, at theirs) and
 * names the position up to which records are acknowledged and consumers may see them.
 */
import { type ConfirmPolicy, confirmFlushed, confirmWritten } from '../store/watermarks.ts'

/**
 * ASYNC_FLUSH: what the kernel has survives the death of the process. SYNC_FLUSH: what the disk has
 * survives the death of the machine.
 */
export function aloneConfirm(flush: 'sync' | 'async'): ConfirmPolicy {
  return flush === 'sync' ? confirmFlushed : confirmWritten
}

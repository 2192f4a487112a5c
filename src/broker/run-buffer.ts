/** Messages that the broker reads for itself, some at once, out of one of its own queues. */
import type { ReplyBuffer } from '../store/log-reader.ts'

/** Where a run is read to; grows with what it has to hold and shrinks again. */
export class RunBuffer implements ReplyBuffer {
  bytes: Buffer = Buffer.alloc(0)
  length = 0

  reserve(count: number): number {
    if (this.length + count > this.bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(16_384, (this.length + count) * 2))
      this.bytes.copy(larger, 0, 0, this.length)
      this.bytes = larger
    }
    return this.length
  }

  reuse(keptBytesMax: number): void {
    this.length = 0
    if (this.bytes.length > keptBytesMax) this.bytes = Buffer.alloc(0)
  }
}

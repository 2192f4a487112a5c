/**
 * `produce --batch`: gathers messages and sends so many at once. A batch that is not full goes out when
 * nothing more came for a moment, so that a slow source waits for nobody.
 */
import type { OutgoingMessage } from '../client/outgoing-message.ts'
import { BODY_BYTES_MAX } from '../client/outgoing-message.ts'
import type { Producer, SendReceipt } from '../client/producer.ts'
import type { Clock, Stop } from '../world/clock.ts'

/** How long a message waits for others. */
const LINGER_MS = 5
/** Room for what stands around a body: lengths, the unique id, the flags' keys and tags. */
const AROUND_BODY_BYTES = 1_024

export interface BatchingOptions {
  readonly clock: Clock
  /** Messages of a full batch. */
  readonly size: number
  /** A batch is sent when the one before is answered. */
  readonly ordered: boolean
}

interface Gathered {
  readonly message: OutgoingMessage
  readonly resolve: (receipt: SendReceipt) => void
  readonly reject: (error: unknown) => void
}

export class BatchingSender {
  readonly #producer: Pick<Producer, 'sendBatch'>
  readonly #options: BatchingOptions
  #gathered: Gathered[] = []
  #bytes = 0
  #stopTimer: Stop = () => undefined
  #last: Promise<void> = Promise.resolve()

  constructor(producer: Pick<Producer, 'sendBatch'>, options: BatchingOptions) {
    this.#producer = producer
    this.#options = options
  }

  /** Resolves or rejects with the batch that the message is part of. */
  send(message: OutgoingMessage): Promise<SendReceipt> {
    const bytes = bytesOf(message)
    if (this.#bytes + bytes > BODY_BYTES_MAX) this.#flush()
    return new Promise((resolve, reject) => {
      this.#gathered.push({ message, resolve, reject })
      this.#bytes += bytes
      if (this.#gathered.length >= this.#options.size) this.#flush()
      else if (this.#gathered.length === 1) {
        this.#stopTimer = this.#options.clock.after(LINGER_MS, () => {
          this.#flush()
        })
      }
    })
  }

  #flush(): void {
    this.#stopTimer()
    const batch = this.#gathered
    this.#gathered = []
    this.#bytes = 0
    if (batch.length === 0) return
    const before = this.#options.ordered ? this.#last : Promise.resolve()
    this.#last = before.then(() => this.#sendBatch(batch))
  }

  /** Never rejects. */
  async #sendBatch(batch: readonly Gathered[]): Promise<void> {
    try {
      const receipts = await this.#producer.sendBatch(batch.map(({ message }) => message))
      batch.forEach(({ resolve, reject }, index) => {
        const receipt = receipts[index]
        if (receipt === undefined) reject(new Error('a batch was answered in part'))
        else resolve(receipt)
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }
}

function bytesOf({ body, properties = {} }: OutgoingMessage): number {
  let bytes = AROUND_BODY_BYTES + Buffer.byteLength(body)
  for (const [name, value] of Object.entries(properties)) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 2
  }
  return bytes
}

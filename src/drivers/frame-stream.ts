/**
 * One connection of a line: frames in, one output buffer out. Everything that arrives in one chunk
 * is one turn; what was staged during the turn leaves in one write at its end.
 */
import { MqError, messageOf } from '../base/errors.ts'
import { FrameError } from '../protocol/frame.ts'
import { splitAddress } from '../remoting/client.ts'
import { FrameReader, type FrameSink } from '../remoting/frame-reader.ts'
import { OutBuffer } from '../remoting/out-buffer.ts'
import type { ByteStream } from '../world/net.ts'
import type { World } from '../world/world.ts'

export interface FrameStreamEvents {
  onTurn(): void
  onFrame: FrameSink
  onTurnEnd(): void
  onClose(why: string): void
}

const CONNECT_TIMEOUT_MS = 3_000

export class FrameStream {
  readonly address: string
  readonly out = new OutBuffer()
  sentBytes = 0
  receivedBytes = 0
  readonly #stream: ByteStream
  #closed = false

  /** Rejects with MqError BROKER_UNREACHABLE. */
  static async open(
    world: World,
    address: string,
    events: FrameStreamEvents,
  ): Promise<FrameStream> {
    const { host, port } = splitAddress(address)
    try {
      return new FrameStream(
        await world.net.connect(host, port, CONNECT_TIMEOUT_MS),
        address,
        events,
      )
    } catch (error) {
      throw new MqError('BROKER_UNREACHABLE', { address, why: messageOf(error) }, { cause: error })
    }
  }

  private constructor(stream: ByteStream, address: string, events: FrameStreamEvents) {
    this.#stream = stream
    this.address = address
    const reader = new FrameReader(events.onFrame)
    let fault: string | null = null
    stream.onData = (chunk) => {
      this.receivedBytes += chunk.length
      events.onTurn()
      try {
        reader.push(chunk)
      } catch (error) {
        if (!(error instanceof FrameError)) throw error
        fault = `malformed frame: ${error.message}`
        stream.destroy()
      }
      events.onTurnEnd()
    }
    stream.onClose = (error) => {
      if (this.#closed) return
      this.#closed = true
      events.onClose(fault ?? (error === null ? 'closed by the broker' : messageOf(error)))
    }
  }

  /** Bytes that wait for the kernel to take them. */
  get pendingBytes(): number {
    return this.#closed ? 0 : this.#stream.pendingBytes()
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** One write of all that is staged. */
  flush(): void {
    const { out } = this
    if (out.length === 0) return
    if (this.#closed) {
      out.reuse()
      return
    }
    this.sentBytes += out.length
    this.#stream.write(out.filled())
    // The kernel nearly always takes all at once; then the memory is free for the next turn.
    if (this.#stream.pendingBytes() === 0) out.reuse()
    else out.replace()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#stream.destroy()
  }
}

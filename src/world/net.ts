/**
 * Byte streams between processes. The owner of a stream sets its three callbacks before it returns
 * to the event loop. Data arrives in chunks that may be split anywhere; a chunk is valid during the
 * call only, because its memory serves the next read.
 */
export interface ByteStream {
  /** `ip:port` of the other side; IPv4-mapped addresses appear as plain IPv4. */
  readonly remoteAddress: string
  /** `ip:port` of this side. */
  readonly localAddress: string
  onData: (chunk: Buffer) => void
  /** The outgoing buffer is empty again after `write` returned false. */
  onDrain: () => void
  /** Called once, whatever ended the stream; nothing is called after it. */
  onClose: (error: Error | null) => void
  /** False when the bytes wait in memory and the writer should pause until `onDrain`. The buffer belongs to the stream until `done`. */
  write(bytes: Buffer, done?: () => void): boolean
  /** Bytes that were accepted by `write` and have not reached the kernel. */
  pendingBytes(): number
  pause(): void
  resume(): void
  /** Sends what is pending, then closes. */
  end(): void
  /** Closes at once and drops what is pending. */
  destroy(): void
}

export interface Listener {
  /** The port that was bound; useful when 0 was asked for. */
  readonly port: number
  /** Stops accepting; streams that are open stay open. */
  close(): Promise<void>
}

export interface Net {
  /** Rejects with Node's system error (ECONNREFUSED …), or ETIMEDOUT after `timeoutMs`. */
  connect(host: string, port: number, timeoutMs: number): Promise<ByteStream>
  /** Rejects with EADDRINUSE, EACCES … */
  listen(host: string, port: number, accept: (stream: ByteStream) => void): Promise<Listener>
}

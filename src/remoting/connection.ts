/**
 * One connection that carries frames in both directions, on either side of it. Requests of both
 * directions share the stream; each side numbers its own (`opaque`), and bit 0 of the flag tells a
 * response from a request. Output is collected and handed to the socket once a turn.
 *
 * Backpressure: while the peer does not read what we wrote, a server does not read what it sends, and gives
 * up one that never does. A client reads on: its requests wait here until the server has taken those before
 * them. Were both to stop, each would wait for the other.
 */
import { MqError, messageOf } from '../base/errors.ts'
import { requestCodeName } from '../protocol/codes.ts'
import type { Command } from '../protocol/command.ts'
import { CommandFlag } from '../protocol/command.ts'
import { FrameError, decodeFrame, putFrameHead } from '../protocol/frame.ts'
import { encodeHost, HOST_V4_BYTES } from '../protocol/host.ts'
import { readSuccess } from '../protocol/send-answer.ts'
import type { Clock } from '../world/clock.ts'
import type { ByteStream } from '../world/net.ts'
import { FrameReader } from './frame-reader.ts'
import { OutBuffer } from './out-buffer.ts'

export interface ConnectionHandler {
  /**
   * Sees each whole frame as bytes [start, end) before it is decoded; true when it took care of it.
   * For hot paths only. The bytes are valid during the call.
   */
  onFrame?(connection: Connection, bytes: Buffer, start: number, end: number): boolean
  /** A request of the peer; it belongs to the receiver. */
  onCommand(connection: Connection, command: Command): void
  /** The connection is gone; called once. */
  onClose(connection: Connection, reason: string): void
}

interface InFlight {
  readonly code: number
  readonly timeoutMs: number
  readonly deadlineMs: number
  /** With the response; of a one-way request with the request, once it is handed on. */
  readonly resolve: (command: Command) => void
  readonly reject: (error: MqError) => void
}

/** Which side of the connection this is. */
type Side = 'client' | 'server'

/** Unsent bytes above which a server gives up a peer that does not read. */
const UNSENT_BYTES_MAX = 64 * 1024 * 1024
/** Unsent bytes above which large answers (`whenRoom`) and a client's requests wait. */
const CLOGGED_BYTES = 8 * 1024 * 1024
/** Collected bytes that go to the socket before the turn ends: one chunk may hold a thousand requests. */
const EARLY_FLUSH_BYTES = 1024 * 1024
/** A frame must be whole within this time, or arrive at a decent rate. */
const FRAME_DEADLINE_MS = 10_000
const FRAME_RATE_MIN_BYTES_PER_MS = 64

export class Connection {
  readonly remoteAddress: string
  readonly localAddress: string
  readonly out = new OutBuffer()
  readonly #stream: ByteStream
  readonly #clock: Clock
  readonly #handler: ConnectionHandler
  readonly #reader: FrameReader
  readonly #inFlight = new Map<number, InFlight>()
  /** Shared by all connections of one owner: who has output to flush at the end of the turn. */
  readonly #flushList: FlushList
  readonly #side: Side
  #nextOpaque = 1
  readonly #waitingForRoom: (() => void)[] = []
  /** By number, in order: requests in flight that are written once those before them are sent. */
  readonly #waitingToSend = new Map<number, Command>()
  #flushing = false
  /** Nothing goes out or is looked at any more; the socket may still be on its way down. */
  #closing = false
  #closed = false
  #closeReason = 'closed by the peer'
  /** Reasons to leave the socket unread: the peer does not read, or the owner is out of room. */
  #peerIsSlow = false
  #heldByOwner = false
  #lastReadMs: number
  #unfinishedSinceMs = -1
  #remoteHost: Buffer | null = null

  constructor(
    stream: ByteStream,
    clock: Clock,
    handler: ConnectionHandler,
    flushList: FlushList = new FlushList(clock),
    side: Side = 'server',
  ) {
    this.#stream = stream
    this.#clock = clock
    this.#handler = handler
    this.#flushList = flushList
    this.#side = side
    this.remoteAddress = stream.remoteAddress
    this.localAddress = stream.localAddress
    this.#lastReadMs = clock.monotonicMs()
    this.#reader = new FrameReader((bytes, start, end) => {
      this.#onFrame(bytes, start, end)
    })
    stream.onData = (chunk) => {
      this.#onData(chunk)
    }
    stream.onDrain = () => {
      this.#peerIsSlow = false
      this.#updateReading()
      for (const go of this.#waitingForRoom.splice(0)) go()
      this.#sendWaiting()
    }
    stream.onClose = (error) => {
      this.#onClose(error)
    }
  }

  /** The peer's address in the form that records carry: 8 bytes, or 20 for IPv6. */
  get remoteHost(): Buffer {
    this.#remoteHost ??= encodeHost(this.remoteAddress) ?? Buffer.alloc(HOST_V4_BYTES)
    return this.#remoteHost
  }

  get isClosed(): boolean {
    return this.#closing || this.#closed
  }

  /** Bytes that are collected, or that the socket has not taken yet. */
  get unsentBytes(): number {
    return this.out.length + this.#stream.pendingBytes()
  }

  /** Whether the peer is so far behind with reading that a large answer should wait. */
  get isClogged(): boolean {
    return this.#peerIsSlow && this.#stream.pendingBytes() > CLOGGED_BYTES
  }

  /** Runs `go` once the peer has read what was sent; never when it goes away before. */
  whenRoom(go: () => void): void {
    this.#waitingForRoom.push(go)
  }

  get #isFull(): boolean {
    return this.#side === 'client' && this.unsentBytes > CLOGGED_BYTES
  }

  /** Requests of ours that wait for their response, or to be written. */
  get inFlightCount(): number {
    return this.#inFlight.size
  }

  /** Milliseconds since anything arrived. */
  idleMs(nowMs: number): number {
    return nowMs - this.#lastReadMs
  }

  /** Sends a response or any other command as it is, its body by copy. Dropped when the connection is gone. */
  reply(response: Command): void {
    if (this.isClosed) return
    const { body } = response
    putFrameHead(this.out, response, body?.length ?? 0)
    if (body !== null) this.out.append(body)
    this.touch()
  }

  /** Sends the bytes of whole frames. */
  write(frames: Buffer): void {
    if (this.isClosed) return
    this.out.append(frames)
    this.touch()
  }

  /** Says that `out` was filled directly: it is flushed at the end of the turn, or now when it is much. */
  touch(): void {
    if (this.out.length >= EARLY_FLUSH_BYTES) {
      this.flush()
      return
    }
    if (this.#flushing) return
    this.#flushing = true
    this.#flushList.add(this)
  }

  /** The next request number of this side; never one that is in flight. */
  takeOpaque(): number {
    const opaque = this.#nextOpaque
    this.#nextOpaque = opaque >= 0x7fff_ffff ? 1 : opaque + 1
    return opaque
  }

  /** Sends a request; resolves with its response whatever its code. Rejects with MqError on time-out or close. */
  invoke(command: Command, timeoutMs: number): Promise<Command> {
    command.flag &= ~(CommandFlag.response | CommandFlag.oneway)
    return this.#inTurn(command, timeoutMs)
  }

  /** Sends a request that gets no answer; at once, however much is unsent. */
  oneway(command: Command): void {
    command.opaque = this.takeOpaque()
    command.flag = (command.flag | CommandFlag.oneway) & ~CommandFlag.response
    this.reply(command)
  }

  /**
   * The same when those before it are sent but for a few MiB, however long that takes. Rejects with
   * CONNECTION_LOST.
   */
  async onewayInTurn(command: Command): Promise<void> {
    command.flag = (command.flag | CommandFlag.oneway) & ~CommandFlag.response
    await this.#inTurn(command, Number.POSITIVE_INFINITY)
  }

  #inTurn(command: Command, timeoutMs: number): Promise<Command> {
    return new Promise((resolve, reject) => {
      if (this.isClosed) {
        reject(this.#lostError())
        return
      }
      command.opaque = this.takeOpaque()
      this.#inFlight.set(command.opaque, {
        code: command.code,
        timeoutMs,
        deadlineMs: this.#clock.monotonicMs() + timeoutMs,
        resolve,
        reject,
      })
      if (this.#waitingToSend.size === 0 && !this.#isFull) this.#sendInFlight(command)
      else this.#waitingToSend.set(command.opaque, command)
    })
  }

  #sendWaiting(): void {
    for (const [opaque, command] of this.#waitingToSend) {
      if (this.#isFull || this.isClosed) return
      this.#waitingToSend.delete(opaque)
      this.#sendInFlight(command)
    }
  }

  #sendInFlight(command: Command): void {
    this.reply(command)
    if (!command.isOneway) return
    this.#inFlight.get(command.opaque)?.resolve(command)
    this.#inFlight.delete(command.opaque)
  }

  /** Hands what is collected to the socket. */
  flush(): void {
    this.#flushing = false
    const { out } = this
    if (out.length === 0 || this.isClosed) {
      out.length = 0
      return
    }
    const flowing = this.#stream.write(out.filled())
    const unsentBytes = this.#stream.pendingBytes()
    if (unsentBytes === 0) out.reuse()
    else out.replace()
    // A client bounds what it has unsent itself, and reads on.
    if (this.#side === 'client') return
    if (unsentBytes > UNSENT_BYTES_MAX) {
      this.close(`${unsentBytes} bytes of answers were not read`)
    } else if (!flowing) {
      this.#peerIsSlow = true
      this.#updateReading()
    }
  }

  /** Stops or resumes reading for a reason of the owner's, such as a full staging buffer. */
  hold(held: boolean): void {
    this.#heldByOwner = held
    this.#updateReading()
  }

  /** Time-outs and dead-lines; the owner calls it on its coarse tick. */
  tick(nowMs: number, idleMsMax: number): void {
    for (const [opaque, waiting] of this.#inFlight) {
      if (waiting.deadlineMs > nowMs) continue
      this.#inFlight.delete(opaque)
      this.#waitingToSend.delete(opaque)
      waiting.reject(
        new MqError('REQUEST_TIMEOUT', {
          address: this.remoteAddress,
          request: requestCodeName(waiting.code),
          timeoutMs: waiting.timeoutMs,
        }),
      )
    }
    if (this.idleMs(nowMs) > idleMsMax) this.close(`idle for ${idleMsMax} ms`)
    const unfinishedMs = nowMs - this.#unfinishedSinceMs
    if (
      this.#unfinishedSinceMs >= 0 &&
      unfinishedMs > FRAME_DEADLINE_MS &&
      this.#reader.unfinishedBytes < unfinishedMs * FRAME_RATE_MIN_BYTES_PER_MS
    ) {
      this.close(`a frame took longer than ${FRAME_DEADLINE_MS} ms`)
    }
  }

  /** Closes at once; what is unsent is dropped. */
  close(reason: string): void {
    if (this.isClosed) return
    this.#closing = true
    this.#closeReason = reason
    this.#stream.destroy()
  }

  /** Sends what is collected, then closes. */
  end(reason: string): void {
    if (this.isClosed) return
    this.#closeReason = reason
    this.flush()
    this.#stream.end()
  }

  #onData(chunk: Buffer): void {
    this.#lastReadMs = this.#clock.monotonicMs()
    try {
      this.#reader.push(chunk)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.close(`malformed frame: ${error.message}`)
      return
    }
    if (this.#reader.unfinishedBytes === 0) this.#unfinishedSinceMs = -1
    else if (this.#unfinishedSinceMs < 0) this.#unfinishedSinceMs = this.#lastReadMs
  }

  #onFrame(bytes: Buffer, start: number, end: number): void {
    // Frames behind one that made us close are not looked at.
    if (this.isClosed) return
    this.#unfinishedSinceMs = -1
    if (this.#handler.onFrame?.(this, bytes, start, end) === true) return
    const command = readSuccess(bytes, start, end) ?? decodeFrame(bytes, start, end)
    if (!command.isResponse) {
      this.#handler.onCommand(this, command)
      return
    }
    const waiting = this.#inFlight.get(command.opaque)
    // A response that nobody waits for came after its time-out.
    if (waiting === undefined) return
    this.#inFlight.delete(command.opaque)
    waiting.resolve(command)
  }

  #updateReading(): void {
    if (this.isClosed) return
    if (this.#peerIsSlow || this.#heldByOwner) this.#stream.pause()
    else this.#stream.resume()
  }

  #onClose(error: Error | null): void {
    if (this.#closed) return
    this.#closed = true
    this.#waitingForRoom.length = 0
    if (error !== null) this.#closeReason = messageOf(error)
    for (const waiting of this.#inFlight.values()) waiting.reject(this.#lostError())
    this.#inFlight.clear()
    this.#waitingToSend.clear()
    this.#handler.onClose(this, this.#closeReason)
  }

  #lostError(): MqError {
    return new MqError('CONNECTION_LOST', { address: this.remoteAddress, why: this.#closeReason })
  }
}

/** The connections with collected output; flushed once at the end of the turn, or earlier when the owner asks. */
export class FlushList {
  readonly #clock: Clock
  #waiting: Connection[] = []
  #armed = false
  readonly #flushAll = () => {
    this.#armed = false
    this.flush()
  }

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(connection: Connection): void {
    this.#waiting.push(connection)
    if (this.#armed) return
    this.#armed = true
    this.#clock.atEndOfTurn(this.#flushAll)
  }

  /** Flushes now, for an owner that has just answered a batch. */
  flush(): void {
    const connections = this.#waiting
    if (connections.length === 0) return
    this.#waiting = []
    for (const connection of connections) connection.flush()
  }
}

/** What plain and secure connections have in common: Node's sockets and servers as streams and listeners. */
import type * as net from 'node:net'
import type { ByteStream, Listener } from './net.ts'

const ignore = () => undefined

/** A socket as a stream. Whoever makes it takes care of the reads and hands them to `onData`. */
export class SocketStream implements ByteStream {
  readonly remoteAddress: string
  readonly localAddress: string
  onData: (chunk: Buffer) => void = ignore
  onDrain: () => void = ignore
  onClose: (error: Error | null) => void = ignore
  readonly #socket: net.Socket
  #error: Error | null = null

  constructor(socket: net.Socket) {
    this.#socket = socket
    this.remoteAddress = plainAddress(socket.remoteAddress, socket.remotePort)
    this.localAddress = plainAddress(socket.localAddress, socket.localPort)
    socket.setNoDelay(true)
    socket.on('drain', () => {
      this.onDrain()
    })
    socket.on('error', (error) => {
      this.#error = error
    })
    socket.on('close', () => {
      this.onClose(this.#error)
    })
  }

  write(bytes: Buffer, done?: () => void): boolean {
    return this.#socket.write(bytes, done)
  }

  pendingBytes(): number {
    return this.#socket.writableLength
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

function plainAddress(address: string | undefined, port: number | undefined): string {
  const host = address?.startsWith('::ffff:') ? address.slice(7) : (address ?? '?')
  return host.includes(':') ? `[${host}]:${port ?? 0}` : `${host}:${port ?? 0}`
}

/** Where a socket is being connected to, and when that is given up. */
interface Target {
  readonly host: string
  readonly port: number
  readonly timeoutMs: number
}

/**
 * Resolves with the stream of a socket when `event` says that it may be used. Rejects with Node's
 * error, or with ETIMEDOUT.
 */
export function connected(
  socket: net.Socket,
  event: 'connect' | 'secureConnect',
  { host, port, timeoutMs }: Target,
  streamOf: () => ByteStream,
): Promise<ByteStream> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const error: NodeJS.ErrnoException = new Error(
        `connect to ${host}:${port} timed out after ${timeoutMs} ms`,
      )
      error.code = 'ETIMEDOUT'
      socket.destroy()
      reject(error)
    }, timeoutMs)
    socket.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    socket.once(event, () => {
      clearTimeout(timer)
      socket.removeAllListeners('error')
      resolve(streamOf())
    })
  })
}

/** Resolves when the server listens. Rejects with EADDRINUSE, EACCES … */
export function listening(server: net.Server, options: net.ListenOptions): Promise<Listener> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, () => {
      server.removeAllListeners('error')
      // A failing accept (out of file descriptors) must not end the process.
      server.on('error', ignore)
      const address = server.address() as net.AddressInfo
      resolve({
        port: address.port,
        close: () =>
          new Promise<void>((closed) => {
            // Node's callback waits for every open connection; the listening socket is gone at once.
            server.close()
            closed()
          }),
      })
    })
  })
}

import * as net from 'node:net'
import * as tls from 'node:tls'
import type { ByteStream, Listener } from './net.ts'
import { plainAddress } from './node-net.ts'
import type { SecureNet } from './secure-net.ts'

const ignore = () => undefined

/** A handshake that takes longer is given up. */
const HANDSHAKE_TIMEOUT_MS = 5_000
/** Connections at once, those in their handshake included; more are closed unanswered. */
const CONNECTIONS_MAX = 32

class SecureStream implements ByteStream {
  readonly remoteAddress: string
  readonly localAddress: string
  onData: (chunk: Buffer) => void = ignore
  onDrain: () => void = ignore
  onClose: (error: Error | null) => void = ignore
  readonly #socket: tls.TLSSocket
  #error: Error | null = null

  constructor(socket: tls.TLSSocket) {
    this.#socket = socket
    this.remoteAddress = plainAddress(socket.remoteAddress, socket.remotePort)
    this.localAddress = plainAddress(socket.localAddress, socket.localPort)
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      this.onData(chunk)
    })
    socket.on('drain', () => {
      this.onDrain()
    })
    socket.on('error', (error: Error) => {
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

/** TLS over the network of this machine. */
export const nodeSecureNet: SecureNet = {
  connect(host, port, timeoutMs, authority) {
    return new Promise<ByteStream>((resolve, reject) => {
      const socket = tls.connect({
        host,
        port,
        minVersion: 'TLSv1.3',
        // An address is checked against the certificate as well, but is no name to ask for.
        ...(net.isIP(host) === 0 ? { servername: host } : {}),
        ...(authority === null ? {} : { ca: authority }),
      })
      const timer = setTimeout(() => {
        const error: NodeJS.ErrnoException = new Error(
          `connect to ${host}:${port} timed out after ${timeoutMs} ms`,
        )
        error.code = 'ETIMEDOUT'
        socket.destroy()
        reject(error)
      }, timeoutMs)
      socket.once('error', (error: Error) => {
        clearTimeout(timer)
        reject(error)
      })
      socket.once('secureConnect', () => {
        clearTimeout(timer)
        socket.removeAllListeners('error')
        resolve(new SecureStream(socket))
      })
    })
  },
  listen(host, port, { certificate, key }, accept) {
    return new Promise<Listener>((resolve, reject) => {
      const server = tls.createServer(
        {
          cert: certificate,
          key,
          minVersion: 'TLSv1.3',
          handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
        },
        (socket) => {
          accept(new SecureStream(socket))
        },
      )
      server.maxConnections = CONNECTIONS_MAX
      // Whoever does not speak TLS is gone already.
      server.on('tlsClientError', ignore)
      server.once('error', reject)
      server.listen({ host, port }, () => {
        server.removeAllListeners('error')
        server.on('error', ignore)
        const address = server.address() as net.AddressInfo
        resolve({
          port: address.port,
          close: () =>
            new Promise<void>((closed) => {
              server.close()
              closed()
            }),
        })
      })
    })
  },
}

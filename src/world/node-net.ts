import * as net from 'node:net'
import type { ByteStream, Listener, Net } from './net.ts'

function plainAddress(address: string | undefined, port: number | undefined): string {
  const host = address?.startsWith('::ffff:') ? address.slice(7) : (address ?? '?')
  return host.includes(':') ? `[${host}]:${port ?? 0}` : `${host}:${port ?? 0}`
}

const ignore = () => undefined

class NodeStream implements ByteStream {
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
    socket.on('data', (chunk: Buffer) => {
      this.onData(chunk)
    })
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

/** The network of this machine, over TCP. */
export const nodeNet: Net = {
  connect(host, port, timeoutMs) {
    return new Promise<ByteStream>((resolve, reject) => {
      const socket = net.connect({ host, port })
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
      socket.once('connect', () => {
        clearTimeout(timer)
        socket.removeAllListeners('error')
        resolve(new NodeStream(socket))
      })
    })
  },
  listen(host, port, accept) {
    return new Promise<Listener>((resolve, reject) => {
      const server = net.createServer((socket) => {
        accept(new NodeStream(socket))
      })
      server.once('error', reject)
      server.listen({ host, port, backlog: 1024 }, () => {
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
  },
}

import * as net from 'node:net'
import type { Net } from './net.ts'
import { connected, listening, SocketStream } from './socket-stream.ts'

/**
 * All sockets of the process are read into this one piece of memory, a read at a time: nothing is
 * allocated a read, and one read takes all that 80 senders have on their way. Against Node's own
 * 64 KiB a read: 4.0 µs of CPU a message instead of 5.2 on the produce path of a broker.
 */
const READ_BYTES = 256 * 1024
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES)

/** Reads go to the stream that is made right after its socket. */
class ReadTarget implements net.OnReadOpts {
  #stream: SocketStream | null = null
  readonly buffer = readBuffer
  readonly callback = (bytesRead: number) => {
    this.#stream?.onData(readBuffer.subarray(0, bytesRead))
    return true
  }

  streamOf(socket: net.Socket): SocketStream {
    this.#stream = new SocketStream(socket)
    return this.#stream
  }
}

/**
 * The same connection as a socket that reads into our memory. Node offers that (`onread`) for
 * sockets that are made, not for those that a server accepts; so the accepted one hands its handle
 * over, as Node itself does when it sends a socket to another process.
 */
function withOwnMemory(accepted: net.Socket, target: ReadTarget): net.Socket {
  const owner = accepted as unknown as { _handle: unknown }
  const handle = owner._handle
  owner._handle = null
  accepted.destroy()
  return new net.Socket({ handle, onread: target } as unknown as net.SocketConstructorOpts)
}

/** The network of this machine, over TCP. */
export const nodeNet: Net = {
  async connect(host, port, timeoutMs) {
    const target = new ReadTarget()
    const socket = net.connect({ host, port, onread: target })
    return connected(socket, 'connect', { host, port, timeoutMs }, () => target.streamOf(socket))
  },
  async listen(host, port, accept) {
    const server = net.createServer({ pauseOnConnect: true }, (accepted) => {
      const target = new ReadTarget()
      accept(target.streamOf(withOwnMemory(accepted, target)))
    })
    return listening(server, { host, port, backlog: 1024 })
  },
}

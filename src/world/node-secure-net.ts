import * as net from 'node:net'
import * as tls from 'node:tls'
import type { SecureNet } from './secure-net.ts'
import { connected, listening, SocketStream } from './socket-stream.ts'

/** A handshake that takes longer is given up. */
const HANDSHAKE_TIMEOUT_MS = 5_000
/** Connections at once, those in their handshake included; more are closed unanswered. */
const CONNECTIONS_MAX = 32

function streamOf(socket: tls.TLSSocket): SocketStream {
  const stream = new SocketStream(socket)
  socket.on('data', (chunk: Buffer) => {
    stream.onData(chunk)
  })
  return stream
}

/** TLS over the network of this machine. */
export const nodeSecureNet: SecureNet = {
  async connect(host, port, timeoutMs, authority) {
    const socket = tls.connect({
      host,
      port,
      minVersion: 'TLSv1.3',
      // An address is checked against the certificate as well, but is no name to ask for.
      ...(net.isIP(host) === 0 ? { servername: host } : {}),
      ...(authority === null ? {} : { ca: authority }),
    })
    return connected(socket, 'secureConnect', { host, port, timeoutMs }, () => streamOf(socket))
  },
  async listen(host, port, { certificate, key }, accept) {
    const server = tls.createServer(
      {
        cert: certificate,
        key,
        minVersion: 'TLSv1.3',
        handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      },
      (socket) => {
        accept(streamOf(socket))
      },
    )
    server.maxConnections = CONNECTIONS_MAX
    // Whoever does not speak TLS is gone already.
    server.on('tlsClientError', () => undefined)
    return listening(server, { host, port })
  },
}

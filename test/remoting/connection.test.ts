import * as net from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import type { MqError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { type Command, request, respond } from '../../src/protocol/command.ts'
import { RemotingClient } from '../../src/remoting/client.ts'
import { Connection, type ConnectionHandler } from '../../src/remoting/connection.ts'
import { RemotingServer } from '../../src/remoting/server.ts'
import type { ByteStream } from '../../src/world/net.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { ManualClock } from '../world/manual-clock.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function aServer(handler: Partial<ConnectionHandler>, options = {}) {
  const server = await RemotingServer.listen(
    nodeWorld,
    { host: '127.0.0.1', port: 0, ...options },
    { onCommand: () => undefined, onClose: () => undefined, ...handler },
    silentLogger,
  )
  cleanups.push(() => server.close())
  return { server, address: `127.0.0.1:${server.port}` }
}

function aClient(options: ConstructorParameters<typeof RemotingClient>[1] = {}) {
  const client = new RemotingClient(nodeWorld, options)
  cleanups.push(() => {
    client.close()
  })
  return client
}

const echo = (connection: Connection, command: Command) => {
  if (!command.isOneway) connection.reply(respond(command, 0, null, command.ext, command.body))
}

/** A raw socket, for what no honest client sends. Resolves with all bytes that came back when the peer closes. */
function rawSocket(address: string, send: Buffer | null): Promise<Buffer> {
  const [host, port] = address.split(':')
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = net.connect({ host: host ?? '', port: Number(port) }, () => {
      if (send) socket.write(send)
    })
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('close', () => {
      resolve(Buffer.concat(chunks))
    })
    socket.on('error', reject)
    cleanups.push(() => socket.destroy())
  })
}

describe('requests', () => {
  test('many at once over one connection each get their own answer', async () => {
    const { address, server } = await aServer({ onCommand: echo })
    const client = aClient()
    const answers = await Promise.all(
      Array.from({ length: 500 }, (_, i) => client.invoke(address, request(34, { i }), 5000)),
    )
    expect(answers.map((answer) => answer.ext['i'])).toEqual(
      Array.from({ length: 500 }, (_, i) => String(i)),
    )
    expect(server.connections.size).toBe(1)
  })

  test('go out in the order in which they were made, whether the connection was there or not', async () => {
    const seen: string[] = []
    const { address } = await aServer({
      onCommand: (connection, command) => {
        seen.push(command.ext['i'] ?? '')
        echo(connection, command)
      },
    })
    const client = aClient()
    const sent: Promise<unknown>[] = []
    const send = (i: number) => {
      const command = request(34, { i })
      sent.push(
        i % 3 === 1 ? client.oneway(address, command) : client.invoke(address, command, 5000),
      )
    }
    for (let i = 0; i < 5; i++) send(i)
    await client.connect(address)
    for (let i = 5; i < 10; i++) send(i)
    await Promise.all(sent)
    for (let i = 10; i < 16; i++) send(i)
    await Promise.all(sent)
    expect(seen).toEqual(Array.from({ length: 16 }, (_, i) => String(i)))
  })

  test('a body of 15 MiB arrives whole', async () => {
    const { address } = await aServer({ onCommand: echo })
    const body = Buffer.alloc(15 * 1024 * 1024, 7)
    const answer = await aClient().invoke(address, request(10, {}, body), 10_000)
    expect(answer.body?.equals(body)).toBe(true)
  })

  test('one that is never answered ends with REQUEST_TIMEOUT, naming request and time', async () => {
    const { address } = await aServer({})
    await expect(aClient().invoke(address, request(34), 150)).rejects.toMatchObject({
      code: 'REQUEST_TIMEOUT',
      message: expect.stringMatching(/HEART_BEAT within 150 ms/) as string,
    })
  })

  test('those in flight end with CONNECTION_LOST when the peer goes, and the next one reconnects', async () => {
    let first = true
    const { address } = await aServer({
      onCommand: (connection, command) => {
        if (first) connection.close('test')
        else echo(connection, command)
        first = false
      },
    })
    const client = aClient()
    await expect(client.invoke(address, request(34), 5000)).rejects.toMatchObject({
      code: 'CONNECTION_LOST',
    })
    expect((await client.invoke(address, request(34), 5000)).code).toBe(0)
  })

  test('a port where nobody listens ends with BROKER_UNREACHABLE', async () => {
    const { address, server } = await aServer({})
    await server.close()
    await expect(aClient().invoke(address, request(34), 1000)).rejects.toMatchObject({
      code: 'BROKER_UNREACHABLE',
    })
  })

  test('the server can ask the client, with numbers of its own', async () => {
    const asked = new Promise<Command>((resolve) => {
      void aServer({
        onCommand: (connection, command) => {
          echo(connection, command)
          void connection.invoke(request(307, { who: 'you' }), 5000).then(resolve)
        },
      }).then(({ address }) =>
        aClient({
          onRequest: (connection, command) => {
            connection.reply(respond(command, 0, null, { seen: command.ext['who'] }))
          },
        }).invoke(address, request(34), 5000),
      )
    })
    expect((await asked).ext['seen']).toBe('you')
  })
})

describe('hostile peers', () => {
  test.each([
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['a TLS hello', Buffer.from('16030100c8010000c40303', 'hex')],
    ['a frame length of 0', Buffer.from('0000000000000000', 'hex')],
    ['a frame length of -1', Buffer.from('ffffffff', 'hex')],
    ['a frame length of 2^31-1', Buffer.from('7fffffff', 'hex')],
    ['a header that is not JSON', Buffer.from('00000008000000047b7b7b7b', 'hex')],
  ])('%s closes that connection and no other', async (_name, bytes) => {
    const { address } = await aServer({ onCommand: echo })
    const client = aClient()
    await client.invoke(address, request(34), 5000)
    expect(await rawSocket(address, bytes)).toEqual(Buffer.alloc(0))
    expect((await client.invoke(address, request(34), 5000)).code).toBe(0)
  })

  test('connections above the limit are turned away', async () => {
    const { address, server } = await aServer({ onCommand: echo }, { connectionsMax: 1 })
    await aClient().invoke(address, request(34), 5000)
    expect(await rawSocket(address, null)).toEqual(Buffer.alloc(0))
    expect(server.refusedCount).toBe(1)
  })

  test('a silent connection is closed after its idle time', async () => {
    const { address } = await aServer({}, { idleMsMax: 100 })
    expect(await rawSocket(address, null)).toEqual(Buffer.alloc(0))
  })

  test('a peer that never reads is not read from any more, so memory stays flat', async () => {
    let seen = 0
    const { address } = await aServer({
      onCommand: (connection, command) => {
        seen++
        connection.reply(respond(command, 0, null, {}, Buffer.alloc(1024 * 1024)))
      },
    })
    const [host, port] = address.split(':')
    const socket = net.connect({ host: host ?? '', port: Number(port) })
    cleanups.push(() => socket.destroy())
    socket.pause()
    const small = aFrameOf(200)
    for (let i = 0; i < 5000; i++) socket.write(small)
    await new Promise((resolve) => setTimeout(resolve, 500))
    const seenThen = seen
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(seen).toBe(seenThen)
    expect(seen).toBeLessThan(5000)
  })
})

describe('answers to many requests of one chunk', () => {
  test('go to the socket before the turn ends, and end with the connection of a peer that does not read', () => {
    let served = 0
    let unsent = 0
    let largest = 0
    const { stream, closed } = aConnection((connection, command) => {
      served++
      connection.reply(respond(command, 0, null, {}, Buffer.alloc(512 * 1024)))
    })
    stream.write = (bytes) => {
      unsent += bytes.length
      largest = Math.max(largest, bytes.length)
      return false
    }
    stream.pendingBytes = () => unsent
    stream.destroy = () => undefined
    const frame = aFrameOf(34)
    stream.onData(Buffer.concat(new Array<Buffer>(1_000).fill(frame)))
    expect(largest).toBeLessThan(2 * 1024 * 1024)
    expect(unsent).toBeLessThan(70 * 1024 * 1024)
    expect(served).toBeLessThan(140)
    stream.onClose(null)
    expect(closed).toEqual([expect.stringContaining('bytes of answers were not read')])
  })

  test('wait for room when their owner says so', () => {
    const { stream, connection } = aConnection()
    stream.write = () => false
    stream.pendingBytes = () => 9 * 1024 * 1024
    connection.write(Buffer.alloc(2 * 1024 * 1024))
    expect(connection.isClogged).toBe(true)
    const went: string[] = []
    connection.whenRoom(() => went.push('went'))
    expect(went).toEqual([])
    stream.pendingBytes = () => 0
    stream.onDrain()
    expect(connection.isClogged).toBe(false)
    expect(went).toEqual(['went'])
  })
})

describe('a client whose server does not read', () => {
  /** A stream that takes nothing until it drains. */
  function stuck() {
    const parts = aConnection(undefined, 'client')
    let unsent = 0
    const paused: string[] = []
    parts.stream.write = (bytes) => {
      unsent += bytes.length
      return false
    }
    parts.stream.pendingBytes = () => unsent
    parts.stream.pause = () => paused.push('paused')
    const drain = () => {
      unsent = 0
      parts.stream.onDrain()
    }
    return { ...parts, paused, drain, unsentMiB: () => Math.floor(unsent / 1024 / 1024) }
  }

  const aRequest = () => request(10, {}, Buffer.alloc(3 * 1024 * 1024))

  test('reads on, and its requests wait for those before them', async () => {
    const { connection, closed, paused, drain, unsentMiB } = stuck()
    const lost: unknown[] = []
    for (let i = 0; i < 32; i++) connection.invoke(aRequest(), 5_000).catch((e) => lost.push(e))
    expect([paused, closed, connection.inFlightCount, unsentMiB()]).toEqual([[], [], 32, 9])
    drain()
    expect(unsentMiB()).toBe(9)
    connection.close('test')
    await expect.poll(() => lost.length).toBe(32)
  })

  test('takes no more one-way requests than it has room for, and says which are lost', async () => {
    const { connection, drain } = stuck()
    const ends: string[] = []
    for (let i = 0; i < 7; i++) {
      connection.onewayInTurn(aRequest()).then(
        () => ends.push('sent'),
        (error: unknown) => ends.push((error as MqError).code),
      )
    }
    await expect.poll(() => ends).toEqual(['sent', 'sent', 'sent'])
    drain()
    await expect.poll(() => ends.length).toBe(6)
    connection.close('test')
    await expect.poll(() => ends.at(-1)).toBe('CONNECTION_LOST')
    await expect(connection.onewayInTurn(aRequest())).rejects.toMatchObject({
      code: 'CONNECTION_LOST',
    })
  })

  test('gives up those that had no room in time, and writes only what still waits', async () => {
    const { connection, clock, drain, unsentMiB } = stuck()
    const ends: string[] = []
    const ask = (timeoutMs: number) => {
      connection.invoke(aRequest(), timeoutMs).catch((error: unknown) => {
        ends.push((error as MqError).code)
      })
    }
    for (const timeoutMs of [9_000, 9_000, 9_000, 1_000, 1_000, 9_000]) ask(timeoutMs)
    clock.advance(2_000)
    connection.tick(clock.monotonicMs(), 120_000)
    await expect.poll(() => ends).toEqual(['REQUEST_TIMEOUT', 'REQUEST_TIMEOUT'])
    drain()
    connection.flush()
    expect(unsentMiB()).toBe(3)
  })

  test('has sent all that was one way when it is told to wait for that', async () => {
    let seen = 0
    const { address } = await aServer({
      onCommand: (_connection, command) => {
        seen += command.body?.length ?? 0
      },
    })
    const client = aClient()
    for (let i = 0; i < 4; i++) await client.oneway(address, aRequest())
    expect(await client.drained(10_000)).toBe(true)
    client.close()
    await expect.poll(() => seen).toBe(12 * 1024 * 1024)
  })
})

describe('a frame that does not come to its end', () => {
  const half = aFrameOf(34).subarray(0, 1000)

  test('closes its connection after ten seconds', () => {
    const { clock, stream, connection, closed } = aConnection()
    stream.onData(half)
    clock.advance(9_000)
    connection.tick(clock.monotonicMs(), 120_000)
    expect(closed).toEqual([])
    clock.advance(2_000)
    connection.tick(clock.monotonicMs(), 120_000)
    expect(closed).toEqual(['a frame took longer than 10000 ms'])
  })

  test('has longer when much of it keeps coming: a large message over a slow line', () => {
    const { clock, stream, connection, closed } = aConnection()
    const head = Buffer.alloc(8)
    head.writeInt32BE(15 * 1024 * 1024, 0)
    head.writeInt32BE(2, 4)
    stream.onData(head)
    for (let second = 0; second < 20; second++) {
      stream.onData(Buffer.alloc(200 * 1024, 0x20))
      clock.advance(1_000)
      connection.tick(clock.monotonicMs(), 120_000)
    }
    expect(closed).toEqual([])
  })
})

/** A connection over a stream of which the test is the other side. */
function aConnection(
  onCommand: (connection: Connection, command: Command) => void = () => undefined,
  side: 'client' | 'server' = 'server',
) {
  const clock = new ManualClock()
  const closed: string[] = []
  const stream: ByteStream = {
    remoteAddress: '127.0.0.1:1',
    localAddress: '127.0.0.1:2',
    onData: () => undefined,
    onDrain: () => undefined,
    onClose: () => undefined,
    write: () => true,
    pendingBytes: () => 0,
    pause: () => undefined,
    resume: () => undefined,
    end: () => undefined,
    destroy: () => {
      stream.onClose(null)
    },
  }
  const connection = new Connection(
    stream,
    clock,
    { onCommand, onClose: (_connection, reason) => closed.push(reason) },
    undefined,
    side,
  )
  return { clock, stream, connection, closed }
}

function aFrameOf(code: number): Buffer {
  const header = Buffer.from(JSON.stringify({ code, flag: 0, opaque: 1, pad: 'x'.repeat(2000) }))
  const frame = Buffer.alloc(8 + header.length)
  frame.writeInt32BE(4 + header.length, 0)
  frame.writeInt32BE(header.length, 4)
  header.copy(frame, 8)
  return frame
}

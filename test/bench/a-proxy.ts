/**
 * A proxy between clients and a broker that knows frames, for planted faults: it can hold the
 * stream, swallow a send and acknowledge it itself, or pass a send on twice. Routes that pass
 * through it from a name server lead to the proxy.
 */
import { decodeFrame, encodeFrame } from '../../src/protocol/frame.ts'
import { RequestCode } from '../../src/protocol/codes.ts'
import { respond } from '../../src/protocol/command.ts'
import { FrameReader } from '../../src/remoting/frame-reader.ts'
import type { ByteStream } from '../../src/world/net.ts'
import { nodeWorld } from '../../src/world/node-world.ts'

/** What happens to the send with this number, from 1. */
export type Fault = 'pass' | 'swallow' | 'twice'

export interface ProxyFaults {
  readonly onSend?: (number: number) => Fault
  /** Every answer is passed on twice. */
  readonly answersTwice?: boolean
  /** Texts to replace in what the target answers, such as addresses in routes. */
  readonly rewrite?: (text: string) => string
}

export class Proxy {
  readonly address: string
  sends = 0
  #heldUntil: Promise<void> | null = null
  readonly #cut: () => void
  readonly #close: () => void

  static async open(target: string, faults: ProxyFaults = {}): Promise<Proxy> {
    const streams: ByteStream[] = []
    const [host = '', port = ''] = target.split(':')
    // eslint-disable-next-line prefer-const -- known once the listener has its port
    let proxy: Proxy
    const listener = await nodeWorld.net.listen('127.0.0.1', 0, (client) => {
      streams.push(client)
      const waiting: Buffer[] = []
      let server: ByteStream | null = null
      const toServer = (bytes: Buffer) => {
        if (server === null) waiting.push(bytes)
        else server.write(bytes)
      }
      const requests = new FrameReader((bytes, start, end) => {
        const frame = Buffer.from(bytes.subarray(start, end))
        const command = decodeFrame(frame, 0, frame.length)
        const isSend = !command.isResponse && command.code === RequestCode.SEND_MESSAGE_V2
        if (isSend) proxy.sends += 1
        const fault = isSend ? (faults.onSend?.(proxy.sends) ?? 'pass') : 'pass'
        if (fault === 'swallow') {
          client.write(encodeFrame(respond(command, 0)))
          return
        }
        proxy.#later(() => {
          toServer(frame)
          if (fault === 'twice') toServer(Buffer.from(frame))
        })
      })
      const answers = new FrameReader((bytes, start, end) => {
        const frame = Buffer.from(bytes.subarray(start, end))
        const { rewrite } = faults
        if (rewrite === undefined) {
          proxy.#later(() => {
            client.write(frame)
            if (faults.answersTwice === true) client.write(Buffer.from(frame))
          })
          return
        }
        const command = decodeFrame(frame, 0, frame.length)
        if (command.body !== null) command.body = Buffer.from(rewrite(command.body.toString()))
        client.write(encodeFrame(command))
      })
      client.onData = (chunk) => {
        requests.push(chunk)
      }
      client.onClose = () => server?.destroy()
      void nodeWorld.net.connect(host, Number(port), 3000).then((stream) => {
        streams.push(stream)
        server = stream
        stream.onData = (chunk) => {
          answers.push(chunk)
        }
        stream.onClose = () => {
          client.destroy()
        }
        for (const bytes of waiting.splice(0)) stream.write(bytes)
      })
    })
    const cut = () => {
      for (const stream of streams.splice(0)) stream.destroy()
    }
    proxy = new Proxy(`127.0.0.1:${listener.port}`, cut, () => {
      cut()
      void listener.close()
    })
    return proxy
  }

  private constructor(address: string, cut: () => void, close: () => void) {
    this.address = address
    this.#cut = cut
    this.#close = close
  }

  /** Lets nothing through for a while; it comes in order afterwards. */
  stall(ms: number): void {
    this.#heldUntil = new Promise((resolve) => {
      nodeWorld.clock.after(ms, () => {
        this.#heldUntil = null
        resolve()
      })
    })
  }

  /** Cuts every connection; new ones are taken. */
  cut(): void {
    this.#cut()
  }

  close(): void {
    this.#close()
  }

  #later(work: () => void): void {
    if (this.#heldUntil === null) work()
    else void this.#heldUntil.then(work)
  }
}

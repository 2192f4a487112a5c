/**
 * A listener that acknowledges every send frame and keeps nothing: one read and one write a turn.
 * Its answer is the text that Apache's broker sends, with the opaque patched in.
 */
import { FRAME_PREFIX_BYTES } from '../protocol/frame.ts'
import { FrameReader } from '../remoting/frame-reader.ts'
import { OutBuffer } from '../remoting/out-buffer.ts'
import type { ByteStream, Listener } from '../world/net.ts'
import type { World } from '../world/world.ts'
import { SendAnswer } from './send-answer.ts'

const OPAQUE_HOLE = 1_000_000_000

const header = Buffer.from(
  JSON.stringify({
    code: 0,
    extFields: {
      queueId: '0',
      TRACE_ON: 'true',
      MSG_REGION: 'DefaultRegion',
      msgId: '7F00000100002A9F0000000000000000',
      queueOffset: '0',
    },
    flag: 1,
    language: 'JAVA',
    opaque: OPAQUE_HOLE,
    serializeTypeCurrentRPC: 'JSON',
    version: 479,
  }),
)

const answer = Buffer.alloc(FRAME_PREFIX_BYTES + header.length)
answer.writeInt32BE(4 + header.length, 0)
answer.writeInt32BE(header.length, 4)
header.copy(answer, FRAME_PREFIX_BYTES)
const opaqueAt = answer.indexOf(String(OPAQUE_HOLE))

/** Listens on a free port of the loopback. */
export function startNullTarget(world: World): Promise<Listener> {
  return world.net.listen('127.0.0.1', 0, acknowledge)
}

function acknowledge(stream: ByteStream): void {
  const out = new OutBuffer()
  const request = new SendAnswer()
  const reader = new FrameReader((bytes, start, end) => {
    request.read(bytes, start, end)
    if (request.isOneWay) return
    const at = out.reserve(answer.length)
    answer.copy(out.bytes, at)
    let rest = request.opaque
    for (let digit = at + opaqueAt + 9; digit >= at + opaqueAt; digit -= 1) {
      const shorter = Math.floor(rest / 10)
      out.bytes[digit] = 0x30 + rest - shorter * 10
      rest = shorter
    }
    out.length = at + answer.length
  })
  stream.onData = (chunk) => {
    try {
      reader.push(chunk)
    } catch {
      stream.destroy()
      return
    }
    if (out.length === 0) return
    stream.write(out.filled())
    if (stream.pendingBytes() === 0) out.reuse()
    else out.replace()
  }
}

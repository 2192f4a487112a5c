/**
 * The head of the answer to a pull that found messages, written as bytes: the same JSON header for
 * every answer but for five numbers. The body, the records as they lie in the log, stands behind it.
 * The same bytes as `encodeFrameHead` writes for `pullResponseFields`.
 */
import { copyBytes, writeI32 } from '../base/bytes.ts'
import { CommandFlag, OUR_LANGUAGE, PROTOCOL_VERSION } from './command.ts'
import { FRAME_PREFIX_BYTES } from './frame.ts'
import { writeDecimal } from './send-answer.ts'

const start = Buffer.from('{"code":0,"extFields":{"suggestWhichBrokerId":"0","nextBeginOffset":"')
const minOffsetName = Buffer.from('","minOffset":"')
const maxOffsetName = Buffer.from('","maxOffset":"')
const opaqueName = Buffer.from(
  `"},"flag":${CommandFlag.response},"language":"${OUR_LANGUAGE}","opaque":`,
)
const stop = Buffer.from(
  `,"remark":"FOUND","serializeTypeCurrentRPC":"JSON","version":${PROTOCOL_VERSION}}`,
)
const fixedBytes =
  FRAME_PREFIX_BYTES +
  start.length +
  minOffsetName.length +
  maxOffsetName.length +
  opaqueName.length +
  stop.length

/** Digits of a whole number in [0, 2^53). */
function digitsOf(value: number): number {
  let digits = 1
  for (let bound = 10; value >= bound; bound *= 10) digits++
  return digits
}

/** Bytes of the head with these numbers. Offsets are whole numbers in [0, 2^53), `opaque` is any i32. */
export function pullAnswerHeadBytes(
  opaque: number,
  nextBeginOffset: number,
  minOffset: number,
  maxOffset: number,
): number {
  return (
    fixedBytes +
    digitsOf(nextBeginOffset) +
    digitsOf(minOffset) +
    digitsOf(maxOffset) +
    (opaque < 0 ? 1 + digitsOf(-opaque) : digitsOf(opaque))
  )
}

/** Writes the head of a frame with `bodyBytes` behind it at `at` of `target`; returns its end. */
export function writePullAnswerHead(
  target: Buffer,
  at: number,
  opaque: number,
  nextBeginOffset: number,
  minOffset: number,
  maxOffset: number,
  bodyBytes: number,
): number {
  const headerStart = at + FRAME_PREFIX_BYTES
  let to = copyBytes(start, 0, start.length, target, headerStart)
  to = writeDecimal(target, nextBeginOffset, to)
  to = copyBytes(minOffsetName, 0, minOffsetName.length, target, to)
  to = writeDecimal(target, minOffset, to)
  to = copyBytes(maxOffsetName, 0, maxOffsetName.length, target, to)
  to = writeDecimal(target, maxOffset, to)
  to = copyBytes(opaqueName, 0, opaqueName.length, target, to)
  if (opaque < 0) {
    target[to++] = 0x2d
    to = writeDecimal(target, -opaque, to)
  } else to = writeDecimal(target, opaque, to)
  to = copyBytes(stop, 0, stop.length, target, to)
  const headerBytes = to - headerStart
  writeI32(target, 4 + headerBytes + bodyBytes, at)
  writeI32(target, headerBytes, at + 4)
  return to
}

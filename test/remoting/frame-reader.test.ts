import fc from 'fast-check'
import { expect, test } from 'vitest'
import { request } from '../../src/protocol/command.ts'
import { FrameError, encodeFrame } from '../../src/protocol/frame.ts'
import { FrameReader } from '../../src/remoting/frame-reader.ts'

function collector() {
  const frames: Buffer[] = []
  const reader = new FrameReader((bytes, start, end) =>
    frames.push(Buffer.from(bytes.subarray(start, end))),
  )
  return { frames, reader }
}

const aFrame = (size: number) =>
  encodeFrame(request(10, { size }, size > 0 ? Buffer.alloc(size, size) : null))

test('frames come out whole and in order however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 60 }),
      (sizes, cuts) => {
        const frames = sizes.map(aFrame)
        const stream = Buffer.concat(frames)
        const { frames: found, reader } = collector()
        let at = 0
        for (let i = 0; at < stream.length; i++) {
          const next = Math.min(stream.length, at + (cuts[i % cuts.length] ?? 1))
          reader.push(stream.subarray(at, next))
          at = next
        }
        expect(found).toEqual(frames)
        expect(reader.unfinishedBytes).toBe(0)
      },
    ),
  )
})

test('single bytes are put together without a growing list', () => {
  const frame = aFrame(5000)
  const { frames, reader } = collector()
  for (const byte of frame) reader.push(Buffer.from([byte]))
  expect(frames).toEqual([frame])
})

test('a bad length is refused with its fourth byte, before the rest arrives', () => {
  const { reader } = collector()
  reader.push(Buffer.from([0x7f, 0xff]))
  expect(() => {
    reader.push(Buffer.from([0xff, 0xff]))
  }).toThrow(FrameError)
})

test('a header longer than its frame is refused with the eighth byte', () => {
  const { reader } = collector()
  reader.push(Buffer.from([0, 0, 0, 100]))
  expect(() => {
    reader.push(Buffer.from([0, 0, 1, 0]))
  }).toThrow(/header of 256 bytes in a frame of 100/)
})

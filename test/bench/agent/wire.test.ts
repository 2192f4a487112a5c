import { describe, expect, it } from 'vitest'
import { orderSchema } from '../../../src/bench/agent/order-schema.ts'
import { FrameFault, FrameReader, encodeFrame } from '../../../src/bench/agent/wire.ts'

const LIMIT = 1_000

function read(bytes: Buffer, chunkBytes: number, limit = LIMIT): unknown[] {
  const values: unknown[] = []
  const reader = new FrameReader(limit, (value) => values.push(value))
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    reader.push(bytes.subarray(at, at + chunkBytes))
  }
  return values
}

describe('frames between a bench and its agents', () => {
  const said = [
    { kind: 'ping', id: 1 },
    { words: new Uint32Array([0, 1, 0xffff_ffff]), endNs: Number.POSITIVE_INFINITY },
    { text: 'é\u{1f600}' },
  ]
  const bytes = Buffer.concat(said.map((value) => encodeFrame(value, LIMIT)))

  it.each([1, 2, 3, 5, 7, 64, 10_000])('come whole out of chunks of %i bytes', (chunkBytes) => {
    expect(read(bytes, chunkBytes)).toEqual(said)
  })

  it('are refused by their length before anything of them is waited for', () => {
    for (const head of ['000003e9', '7fffffff', 'ffffffff', '16030100', '47455420']) {
      expect(() => read(Buffer.from(head, 'hex'), 4), head).toThrow(FrameFault)
    }
  })

  it('may carry moments of a host that has been up for years', () => {
    const gridNs = 3 * 365 * 86_400e9 + 0.5
    const order = { kind: 'start', gridNs, segments: [] }
    expect(orderSchema.safeParse(order)).toMatchObject({ success: true })
  })

  it('are refused when they hold no JSON', () => {
    const length = Buffer.from([0, 0, 0, 3])
    for (const text of ['{"a', '   ', '\xff\xfe\xfd']) {
      expect(() => read(Buffer.concat([length, Buffer.from(text, 'latin1')]), 100)).toThrow(
        FrameFault,
      )
    }
  })

  it('are not made longer than the limit', () => {
    expect(() => encodeFrame('x'.repeat(LIMIT), LIMIT)).toThrow(FrameFault)
  })
})

import { describe, expect, it } from 'vitest'
import { decodeHost, encodeHost, encodeIp } from '../../src/protocol/host.ts'
import {
  decodeOffsetId,
  decodeUniqueId,
  encodeOffsetId,
  momentOfUniqueId,
  physicalOffsetIn,
  UniqueIdMaker,
} from '../../src/protocol/message-id.ts'

const v4 = encodeHost('10.1.2.3:10911') ?? Buffer.alloc(0)

describe('hosts', () => {
  it('are 8 bytes for IPv4 and 20 for IPv6', () => {
    expect(v4.toString('hex')).toBe('0a01020300002a9f')
    expect(encodeHost('[fe80::1:2]:80')?.toString('hex')).toBe(
      'fe80000000000000' + '0000000000010002' + '00000050',
    )
    expect(encodeHost('[::ffff:1.2.3.4]:80')?.toString('hex', 10, 16)).toBe('ffff01020304')
    expect(encodeHost('[1:2:3:4:5:6:7:8]:1')?.length).toBe(20)
  })

  it('are refused when they are neither', () => {
    for (const text of [
      'localhost:1',
      '1.2.3:1',
      '1.2.3.256:1',
      '1.2.3.4:65536',
      '1.2.3.4',
      '[1:2]:3',
      '[1::2::3]:4',
      '[1:2:3:4:5:6:7:8:9]:1',
      '',
    ]) {
      expect([text, encodeHost(text)]).toEqual([text, null])
    }
  })

  it('read back as text', () => {
    expect(decodeHost(v4, 0, 8)).toBe('10.1.2.3:10911')
    const v6 = encodeHost('[fe80::1]:80') ?? Buffer.alloc(0)
    expect(decodeHost(v6, 0, 20)).toBe('[fe80:0:0:0:0:0:0:1]:80')
    expect(encodeHost(decodeHost(v6, 0, 20))).toEqual(v6)
  })
})

describe('the offset id', () => {
  it('is the store host and the physical offset in upper-case hex', () => {
    const id = encodeOffsetId(v4, 0x1_0000_00ab)
    expect(id).toBe('0A01020300002A9F00000001000000AB')
    expect(physicalOffsetIn(id)).toBe(0x1_0000_00ab)
    expect(decodeOffsetId(id)).toEqual({
      storeHost: '10.1.2.3:10911',
      physicalOffset: 0x1_0000_00ab,
    })
  })

  it('has 56 characters for IPv6', () => {
    const id = encodeOffsetId(encodeHost('[::1]:1') ?? Buffer.alloc(0), 5)
    expect(id).toHaveLength(56)
    expect(decodeOffsetId(id)?.physicalOffset).toBe(5)
    expect(physicalOffsetIn(id)).toBe(5)
  })

  it('is null for any other text', () => {
    const negative = '0A01020300002A9F' + 'F'.repeat(16)
    const huge = '0A01020300002A9F' + '7' + 'F'.repeat(15)
    for (const text of ['', 'xyz', '0A'.repeat(15), 'G'.repeat(32), negative, huge]) {
      expect([text, decodeOffsetId(text)]).toEqual([text, null])
      expect([text, physicalOffsetIn(text)]).toEqual([text, -1])
    }
  })
})

describe('the unique id', () => {
  const ip = encodeIp('10.1.2.3') ?? Buffer.alloc(0)

  it('carries address, process, time in the month and a counter', () => {
    const maker = new UniqueIdMaker(ip, 0x12345, -1)
    const now = new Date(2026, 4, 3, 2, 0, 0, 5).getTime()
    const first = maker.next(now)
    expect(first.slice(0, 20)).toBe('0A010203' + '2345' + 'FFFFFFFF')
    expect(decodeUniqueId(first)).toEqual({
      ip: '10.1.2.3',
      pid: 0x2345,
      sinceMonthMs: now - new Date(2026, 4, 1).getTime(),
      counter: 0,
    })
    expect(decodeUniqueId(maker.next(now))?.counter).toBe(1)
  })

  it('never repeats within 65,536 of one millisecond, nor when the month turns', () => {
    const maker = new UniqueIdMaker(ip, 1, 2)
    const ids = new Set<string>()
    const end = new Date(2026, 5, 1).getTime()
    for (let i = 0; i < 65_536; i++) ids.add(maker.next(end - 1))
    expect(ids.size).toBe(65_536)
    expect(decodeUniqueId(maker.next(end))?.sinceMonthMs).toBe(0)
  })

  it('tell when they were made, up to a month later', () => {
    const madeMs = new Date(2026, 4, 30, 13, 14).getTime()
    const unique = decodeUniqueId(new UniqueIdMaker(ip, 1, 2).next(madeMs))
    if (unique === null) throw new Error('no unique id')
    for (const later of [0, 3_600_000, 20 * 86_400_000]) {
      expect(momentOfUniqueId(unique, madeMs + later)).toBe(madeMs)
    }
    // A sender's clock may be a little ahead.
    expect(momentOfUniqueId(unique, madeMs - 30_000)).toBe(madeMs)
  })
})

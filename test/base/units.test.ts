import { describe, expect, it } from 'vitest'
import {
  formatBytes,
  formatCount,
  formatDurationMs,
  parseDurationMs,
  parseBytesPerSecond,
  parseLinkBits,
  parseRateHz,
  parseSizeBytes,
  parseSwitch,
  parseWhole,
} from '../../src/base/units.ts'

describe('durations', () => {
  it.each([
    ['250ms', 250],
    ['5s', 5_000],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['1h30m', 5_400_000],
    ['0.5s', 500],
    ['0', 0],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms)
  })

  it.each(['', '5', 'ms', '5 s', '-5s', '5x', '5s!', '1.s'])('%j is refused', (text) => {
    expect(() => parseDurationMs(text)).toThrow(/duration/)
  })

  it('says what is missing when only the unit is', () => {
    expect(() => parseDurationMs('30')).toThrow('duration 30 has no unit')
  })

  it.each([
    [0, '0 s'],
    [0.25, '250 µs'],
    [12.34, '12.3 ms'],
    [4_210, '4.21 s'],
    [185_000, '3 min 5 s'],
    [7_800_000, '2 h 10 min'],
    [273_600_000, '3 d 4 h'],
  ])('%d ms reads as %s', (ms, text) => {
    expect(formatDurationMs(ms)).toBe(text)
  })
})

describe('sizes', () => {
  it.each([
    ['128', 128],
    ['1k', 1_000],
    ['1kB', 1_000],
    ['64KiB', 65_536],
    ['1MB', 1_000_000],
    ['1.5GiB', 1_610_612_736],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSizeBytes(text)).toBe(bytes)
  })

  it.each(['', 'k', '-1', '1kk', '1e3', '99999999999TiB'])('%j is refused', (text) => {
    expect(() => parseSizeBytes(text)).toThrow(/is not a size/)
  })

  it.each([
    [0, '0 B'],
    [1_023, '1023 B'],
    [1_536, '1.5 KiB'],
    [262_144_000, '250 MiB'],
  ])('%d bytes read as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })
})

describe('rates and counts', () => {
  it.each([
    ['5000/s', 5_000],
    ['20k/s', 20_000],
    ['120/m', 2],
    ['1/h', 1 / 3_600],
  ])('%s is %d a second', (text, hz) => {
    expect(parseRateHz(text)).toBe(hz)
  })

  it.each(['0/s', 'fast', '5/d', '-1/s', '5000', '20k'])('%j is refused as a rate', (text) => {
    expect(() => parseRateHz(text)).toThrow(/is not a rate/)
  })

  it('takes whole numbers with separators and nothing else', () => {
    expect(parseWhole('1_000')).toBe(1_000)
    expect(parseWhole('-3')).toBe(-3)
    expect(() => parseWhole('1.5')).toThrow(/whole number/)
    expect(() => parseWhole('9007199254740993')).toThrow(/whole number/)
  })

  it('takes the usual words for a switch', () => {
    expect([parseSwitch('yes'), parseSwitch('OFF')]).toEqual([true, false])
    expect(() => parseSwitch('maybe')).toThrow(/true/)
  })

  it('shortens large counts', () => {
    expect([formatCount(950), formatCount(12_345), formatCount(7_000_000)]).toEqual([
      '950',
      '12.3 k',
      '7 M',
    ])
  })
})

describe('links and disks', () => {
  it.each([
    ['1gbit', 1e9],
    ['100mbit', 1e8],
    ['2.5Gbit/s', 2.5e9],
    ['10 Gbit', 1e10],
    ['64kbit', 64_000],
  ])('%j is the speed of a link', (text, bits) => {
    expect(parseLinkBits(text)).toBe(bits)
  })

  it.each(['1g', '1GB/s', '0mbit', 'fast', '1000'])('%j is refused as a link', (text) => {
    expect(() => parseLinkBits(text)).toThrow(/is not the speed of a link/)
  })

  it('takes bytes a second with their unit, and nothing else', () => {
    expect([parseBytesPerSecond('500MB/s'), parseBytesPerSecond('1 MiB/s')]).toEqual([
      500e6, 1_048_576,
    ])
    for (const text of ['500MB', '500MB/m', '0MB/s', '/s']) {
      expect(() => parseBytesPerSecond(text)).toThrow(/is not a (throughput|size)/)
    }
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatPosition, parsePosition, parseSpan, type Position } from '../../src/cli/position.ts'
import { parseTimeMs } from '../../src/cli/time.ts'

const nowMs = Date.UTC(2026, 10, 20, 12)

describe('times', () => {
  it.each([
    ['now', nowMs],
    ['-90m', nowMs - 5_400_000],
    ['+5s', nowMs + 5_000],
    ['1763625600', 1_763_625_600_000],
    ['1763625600123', 1_763_625_600_123],
    ['2026-11-20', Date.UTC(2026, 10, 20)],
    ['2026-11-20T08:00', Date.UTC(2026, 10, 20, 8)],
    ['2026-11-20T08:00:01.25Z', Date.UTC(2026, 10, 20, 8, 0, 1, 250)],
    ['2026-11-20T08:00:00+02:00', Date.UTC(2026, 10, 20, 6)],
    ['2026-11-20#08:00:00:007', Date.UTC(2026, 10, 20, 8, 0, 0, 7)],
  ])('%s is read', (text, ms) => {
    expect(parseTimeMs(text, nowMs)).toBe(ms)
  })

  it.each(['', 'yesterday', '2026-02-31', '2026-13-01', '-5', '2026-11-20T25:00', '1e9'])(
    '%j is not a time',
    (text) => {
      expect(() => parseTimeMs(text, nowMs)).toThrow(/is not a time/)
    },
  )
})

describe('positions', () => {
  it.each<[string, Position]>([
    ['start', { kind: 'start' }],
    ['end', { kind: 'end' }],
    ['1200', { kind: 'offset', offset: 1_200 }],
    ['+10', { kind: 'afterStart', count: 10 }],
    ['-10', { kind: 'beforeEnd', count: 10 }],
    ['@-1h', { kind: 'time', ms: nowMs - 3_600_000 }],
    ['@2026-11-20T08:00:00Z', { kind: 'time', ms: Date.UTC(2026, 10, 20, 8) }],
  ])('%s is a position', (text, position) => {
    expect(parsePosition(text, nowMs)).toEqual(position)
  })

  it('reads back what it writes, whatever the position', () => {
    const count = fc.nat()
    const positions = fc.oneof(
      fc.constant<Position>({ kind: 'start' }),
      fc.constant<Position>({ kind: 'end' }),
      count.map((offset): Position => ({ kind: 'offset', offset })),
      count.map((n): Position => ({ kind: 'afterStart', count: n })),
      count.map((n): Position => ({ kind: 'beforeEnd', count: n })),
      fc.integer({ min: 1e11, max: 8e15 }).map((ms): Position => ({ kind: 'time', ms })),
    )
    fc.assert(
      fc.property(positions, (position) => {
        expect(parsePosition(formatPosition(position), nowMs)).toEqual(position)
      }),
    )
  })

  it.each(['', 'middle', '1.5', '--3', '@', '@soon', '99999999999999999999'])(
    '%j is refused with examples',
    (text) => {
      expect(() => parsePosition(text, nowMs)).toThrow(/is not a position/)
    },
  )
})

describe('spans', () => {
  const at8 = { kind: 'time', ms: Date.UTC(2026, 10, 20, 8) }
  const at9 = { kind: 'time', ms: Date.UTC(2026, 10, 20, 9) }

  it.each([
    ['100:200', { kind: 'offset', offset: 100 }, { kind: 'offset', offset: 200 }],
    ['start:end', { kind: 'start' }, { kind: 'end' }],
    [':end', { kind: 'start' }, { kind: 'end' }],
    ['50:', { kind: 'offset', offset: 50 }, null],
    ['-10', { kind: 'beforeEnd', count: 10 }, null],
    ['@2026-11-20T08:00:00:2026-11-20T09:00:00', at8, at9],
    ['@2026-11-20T08:00:00Z:@2026-11-20T09:00:00Z', at8, at9],
    ['@-4h:-3h', at8, at9],
    ['@-4h:end', at8, { kind: 'end' }],
  ])('%s', (text, from, to) => {
    expect(parseSpan(text, nowMs)).toEqual({ from, to })
  })

  it('never takes a time of day for two halves', () => {
    expect(parseSpan('@2026-11-20T08:00:00', nowMs)).toEqual({ from: at8, to: null })
  })

  it.each(['', ':middle', 'a:b', '1:2:3'])('%j is refused', (text) => {
    expect(() => parseSpan(text, nowMs)).toThrow(/is not a position/)
  })

  it.each([
    ['5:3', undefined],
    ['@-1h:-2h', undefined],
    ['-3:-10', undefined],
    ['end:start', undefined],
    ['9', '8'],
  ])('%s to %s is refused: it ends before it begins', (text, to) => {
    expect(() => parseSpan(text, nowMs, to)).toThrow(/ends before it begins/)
  })

  it.each(['5:5', '5:+1', '-3:end', '+3:-3', 'start:start'])(
    '%s may hold something, or is empty, and is let pass',
    (text) => {
      expect(parseSpan(text, nowMs).to).not.toBeNull()
    },
  )

  it('ends where it is told apart from the text', () => {
    expect(parseSpan('5:7', nowMs, 'end').to).toEqual({ kind: 'end' })
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  encodeProperties,
  faultOfProperty,
  parseProperties,
  PropertyScan,
} from '../../src/protocol/properties.ts'

function scanned(text: string): PropertyScan {
  const bytes = Buffer.from(`__${text}__`)
  const scan = new PropertyScan()
  scan.scan(bytes, 2, bytes.length - 2)
  return scan
}

describe('properties', () => {
  it('are parsed as Java parses them', () => {
    const parse = (text: string) => ({ ...parseProperties(text) })
    expect(parse('A\x01b\x02C\x01d\x02')).toEqual({ A: 'b', C: 'd' })
    expect(parse('A\x01b\x02C\x01d')).toEqual({ A: 'b', C: 'd' })
    expect(parse('A\x01\x02\x01x\x02ab\x02A\x01b')).toEqual({ A: 'b' })
    expect(parse('A\x01b\x01c\x02')).toEqual({ A: 'b\x01c' })
    expect(parse('A\x01first\x02A\x01last\x02')).toEqual({ A: 'last' })
    expect(parse('__proto__\x01x\x02')).toEqual({ ['__proto__']: 'x' })
    expect(parse('')).toEqual({})
  })

  it('survive a round trip', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.stringMatching(/^[^\x01\x02]{1,20}$/),
          fc.stringMatching(/^[^\x01\x02]{1,20}$/),
        ),
        (properties) => {
          expect({ ...parseProperties(encodeProperties(properties)) }).toEqual({ ...properties })
        },
      ),
    )
  })

  it('refuse separators and emptiness, naming the property', () => {
    expect(() => encodeProperties({ 'a\x02': 'b' })).toThrow('illegal property a\x02')
    expect(faultOfProperty('a', 'b\x01')).toContain('value contains a separator')
    expect(faultOfProperty('', 'b')).toContain('empty')
    expect(faultOfProperty('a', '')).toContain('empty')
    expect(faultOfProperty('a', 'b')).toBeNull()
  })
})

describe('the scanner', () => {
  it('finds the ranges that matter', () => {
    const text =
      'KEYS\x01k1 k2\x02WAIT\x01false\x02TAGS\x01red\x02UNIQ_KEY\x01ABC\x02DELAY\x013\x02'
    const bytes = Buffer.from(text)
    const scan = new PropertyScan()
    scan.scan(bytes, 0, bytes.length)
    expect(bytes.toString('utf8', scan.keysStart, scan.keysEnd)).toBe('k1 k2')
    expect(bytes.toString('utf8', scan.tagsStart, scan.tagsEnd)).toBe('red')
    expect(bytes.toString('utf8', scan.uniqKeyStart, scan.uniqKeyEnd)).toBe('ABC')
    expect(bytes.toString('utf8', scan.delayStart, scan.delayEnd)).toBe('3')
    expect([scan.wait, scan.transaction, scan.timer, scan.closed]).toEqual([
      false,
      false,
      false,
      true,
    ])
  })

  it('sees transactions, timers and pop checks', () => {
    expect(scanned('TRAN_MSG\x01true\x02').transaction).toBe(true)
    expect(scanned('TRAN_MSG\x01TRUE').transaction).toBe(true)
    expect(scanned('TRAN_MSG\x01false\x02').transaction).toBe(false)
    expect(scanned('TIMER_DELAY_SEC\x015\x02').timer).toBe(true)
    expect(scanned('TIMER_DELAY_MS\x015\x02').timer).toBe(true)
    expect(scanned('TIMER_DELIVER_MS\x015\x02').timer).toBe(true)
    expect(scanned('POP_CK\x01x\x02').popCheck).toBe(true)
    expect(scanned('WAIT\x01true\x02').wait).toBe(true)
    expect(scanned('A\x01b').closed).toBe(false)
  })

  it('forgets what the message before had', () => {
    const scan = scanned('TAGS\x01a\x02TRAN_MSG\x01true\x02WAIT\x01false')
    scan.scan(Buffer.from(''), 0, 0)
    expect(scan).toMatchObject({ tagsStart: -1, transaction: false, wait: true, closed: true })
  })

  it('agrees with the parser on every text', () => {
    const piece = fc.constantFrom('TAGS', 'KEYS', 'UNIQ_KEY', 'DELAY', '\x01', '\x02', 'x', ' ', '')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const text = pieces.join('')
        const bytes = Buffer.from(`__${text}__`)
        const scan = scanned(text)
        const at = (start: number, end: number) =>
          start < 0 ? undefined : bytes.toString('utf8', start, end)
        const parsed = parseProperties(text)
        expect(at(scan.tagsStart, scan.tagsEnd)).toBe(parsed['TAGS'])
        expect(at(scan.keysStart, scan.keysEnd)).toBe(parsed['KEYS'])
        expect(at(scan.uniqKeyStart, scan.uniqKeyEnd)).toBe(parsed['UNIQ_KEY'])
        expect(at(scan.delayStart, scan.delayEnd)).toBe(parsed['DELAY'])
      }),
      { numRuns: 500 },
    )
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  LenientJsonError,
  isJsonObject,
  parseLenientJson,
  writeJson,
  type JsonValue,
} from '../../src/protocol/lenient-json.ts'

function plain(value: JsonValue): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, member: unknown) =>
      typeof member === 'bigint' ? member.toString() : member,
    ),
  )
}

function faultOf(text: string): LenientJsonError {
  try {
    parseLenientJson(text)
  } catch (error) {
    if (error instanceof LenientJsonError) return error
    throw error
  }
  throw new Error(`${text} was accepted`)
}

describe("fastjson's dialect", () => {
  it('reads integer keys without quotes', () => {
    const route = parseLenientJson('{"brokerAddrs":{0:"127.0.0.1:10911",1:"127.0.0.1:10921"}}')
    expect(plain(route)).toEqual({
      brokerAddrs: { '0': '127.0.0.1:10911', '1': '127.0.0.1:10921' },
    })
  })

  it('reads an object that is used as a key as the text it was written with', () => {
    const key = '{"brokerName":"broker-a","queueId":0,"topic":"T1"}'
    expect(plain(parseLenientJson(`{"offsetTable":{${key}:5}}`))).toEqual({
      offsetTable: { [key]: 5 },
    })
  })

  it('reads a string key that holds the same text alike', () => {
    const key = '{"brokerName":"broker-a","queueId":0,"topic":"T1"}'
    expect(plain(parseLenientJson(`{${JSON.stringify(key)}:5}`))).toEqual({ [key]: 5 })
  })

  it('follows $ref to a value that came before', () => {
    const text =
      '{"statsHour":{"tps":1.5},"statsMinute":{"$ref":"$.statsHour"},"list":[{"a":1}],"b":{"$ref":"$.list[0].a"}}'
    expect(plain(parseLenientJson(text))).toEqual({
      statsHour: { tps: 1.5 },
      statsMinute: { tps: 1.5 },
      list: [{ a: 1 }],
      b: 1,
    })
  })

  it('follows $ref through the object that is being read', () => {
    expect(plain(parseLenientJson('{"a":{"b":{"c":1},"d":{"$ref":"$.a.b"}}}'))).toEqual({
      a: { b: { c: 1 }, d: { c: 1 } },
    })
  })

  it('follows $ref whose names carry escaped separators', () => {
    const text = '{"a.b":{"c":1},"d":{"$ref":"$.a\\\\.b"},"e":{"$ref":"$[\\"a.b\\"]"}}'
    expect(plain(parseLenientJson(text))).toEqual({ 'a.b': { c: 1 }, d: { c: 1 }, e: { c: 1 } })
  })

  it.each(['$', '..', '@', '$.a', '$.later', '$.nothing.there', 'nonsense', '$['])(
    'reads $ref %s to an enclosing or unknown value as null, never as a cycle',
    (path) => {
      const text = `{"a":{"self":{"$ref":${JSON.stringify(path)}}},"later":{}}`
      expect(plain(parseLenientJson(text))).toEqual({ a: { self: null }, later: {} })
    },
  )

  it('keeps integers beyond 2^53 exact', () => {
    const text = '[9223372036854775807,-9223372036854775808,9007199254740991]'
    expect(parseLenientJson(text)).toEqual([
      9223372036854775807n,
      -9223372036854775808n,
      9007199254740991,
    ])
    expect(parseLenientJson(text, { wideIntegers: 'string' })).toEqual([
      '9223372036854775807',
      '-9223372036854775808',
      9007199254740991,
    ])
  })

  it('reads single quotes, bare identifiers, escapes of fastjson and commas too many', () => {
    expect(plain(parseLenientJson("{a:'it\\'s',,'b':\"\\x41\\u0042\\v\\0\",}"))).toEqual({
      a: "it's",
      b: 'AB\v\0',
    })
  })

  it('reads NaN as null', () => {
    expect(parseLenientJson('NaN')).toBeNull()
  })
})

describe('hostile text', () => {
  it('treats __proto__ as a key like any other', () => {
    const value = parseLenientJson('{"__proto__":{"polluted":true},"constructor":1}')
    expect(isJsonObject(value) && Object.keys(value)).toEqual(['__proto__', 'constructor'])
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  it('refuses what is nested deeper than the limit, also in keys', () => {
    expect(faultOf('['.repeat(100_000)).message).toContain('deeper than 64 levels')
    expect(faultOf('{'.repeat(100_000)).message).toContain('deeper than 64 levels')
  })

  it.each([
    ['', 0],
    ['{', 1],
    ['{"a"', 4],
    ['{"a":', 5],
    ['{"a":1', 6],
    ['{"a" 1}', 5],
    ['[1 2]', 3],
    ['"abc', 0],
    ['"\\u12"', 1],
    ['"\\q"', 1],
    ['12abc', 0],
    ['{} x', 3],
    ['nope', 0],
    ['#', 0],
    [`[${'9'.repeat(1000)}]`, 1],
  ])('refuses %j and says where', (text, position) => {
    expect(faultOf(text).position).toBe(position)
  })

  it('reads what JSON.parse reads, alike', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(plain(parseLenientJson(text, { wideIntegers: 'number' }))).toEqual(
          plain(JSON.parse(text) as JsonValue),
        )
      }),
    )
  })

  it('never throws anything but its own error, whatever the text', () => {
    const fragments = [
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"',
      "'",
      '\\',
      '$ref',
      '"$.a"',
      '0',
      '-',
      'e',
      ' ',
      'null',
      '\ud800',
    ]
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...fragments), fc.string())), (parts) => {
        try {
          parseLenientJson(parts.join(''))
        } catch (error) {
          expect(error).toBeInstanceOf(LenientJsonError)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('refuses every truncation of a text', () => {
    const text = '{"a":[1,{2:"x"}],{"k":1}:{"b":true}}'
    for (let end = 0; end < text.length; end++) {
      expect(faultOf(text.slice(0, end)).position).toBeLessThanOrEqual(end)
    }
  })
})

describe('writing', () => {
  it('gives standard JSON that reads back the same', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const written = writeJson(value)
        expect(JSON.parse(written)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it('leaves out members that are undefined and keeps bigints exact', () => {
    expect(writeJson({ a: undefined, b: 9223372036854775807n, c: null })).toBe(
      '{"b":9223372036854775807,"c":null}',
    )
  })

  it('writes keys that are objects bare when asked, and reads them back', () => {
    const table = { offsetTable: { '{"queueId":0}': 5 } }
    const written = writeJson(table, { bareObjectKeys: true })
    expect(written).toBe('{"offsetTable":{{"queueId":0}:5}}')
    expect(plain(parseLenientJson(written))).toEqual(table)
  })

  it('writes integer keys bare and non-ASCII escaped when asked', () => {
    expect(writeJson({ '0': 'é', x: '😀' }, { bareIntegerKeys: true, asciiOnly: true })).toBe(
      '{0:"\\u00e9","x":"\\ud83d\\ude00"}',
    )
  })
})

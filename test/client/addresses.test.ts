import { describe, expect, it } from 'vitest'
import { parseNameServers } from '../../src/client/addresses.ts'

describe('a list of name servers', () => {
  it.each([
    ['a:9876', ['a:9876']],
    ['a:1;b:2', ['a:1', 'b:2']],
    ['a:1, b:2\n', ['a:1', 'b:2']],
    ['a;a:9876', ['a:9876']],
    ['[::1]:99', ['[::1]:99']],
    ['[::1]', ['[::1]:9876']],
    [
      ['a:1;b:2', 'c'],
      ['a:1', 'b:2', 'c:9876'],
    ],
  ])('%j names %j', (text, addresses) => {
    expect(parseNameServers(text)).toEqual(addresses)
  })

  it.each(['', ' ; ', 'a:0', 'a:65536', 'http://a:1', 'a:b', '::1'])('refuses %j', (text) => {
    expect(() => parseNameServers(text)).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })
})

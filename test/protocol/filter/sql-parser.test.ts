import { describe, expect, test } from 'vitest'
import { parseSql, SQL_CHARS_MAX, SQL_DEPTH_MAX } from '../../../src/protocol/filter/sql-parser.ts'
import { SqlError } from '../../../src/protocol/filter/sql-token.ts'
import { outlineOf, outlineText } from '../../../src/protocol/filter/sql-tree.ts'

const treeOf = (expression: string) => outlineText(outlineOf(parseSql(expression).root))

function errorOf(expression: string): SqlError {
  try {
    parseSql(expression)
  } catch (error) {
    if (error instanceof SqlError) return error
    throw error
  }
  throw new Error(`${expression} was parsed`)
}

describe('the tree of an expression', () => {
  test('follows the precedence of the grammar', () => {
    expect(treeOf("price > 10 and region = 'eu' or TAGS is null")).toBe(
      [
        'OR',
        '├─ AND',
        '│  ├─ >',
        '│  │  ├─ property price',
        '│  │  └─ int 10',
        '│  └─ =',
        '│     ├─ property region',
        "│     └─ text 'eu'",
        '└─ IS NULL',
        '   └─ property TAGS',
      ].join('\n'),
    )
  })

  test('binds NOT tighter than a comparison, as RocketMQ does', () => {
    expect(treeOf('NOT a = 1')).toBe(
      ['=', '├─ NOT', '│  └─ is true', '│     └─ property a', '└─ int 1'].join('\n'),
    )
  })

  test.each([
    ['a = 2147483648', 'long 2147483648'],
    ['a = 9223372036854775807l', 'long 9223372036854775807'],
    ['a = 5.', 'double 5'],
    ['a = .5E1', 'double 5'],
    ["a = 'it''s'", "text 'it''s'"],
    ['a = 007', 'int 0'],
    ['a = true', 'boolean TRUE'],
  ])('%s has the constant %s', (expression, constant) => {
    expect(treeOf(expression)).toContain(constant)
  })

  test('skips comments; two signs without an end of line are no comment', () => {
    expect(treeOf('a /* price */ > -- more\n 5')).toBe(treeOf('a > 5'))
    expect(treeOf('a > --5')).toContain('-\n')
  })

  test('ends where the expression is complete', () => {
    expect(parseSql("a > 1 LIKE 'x'").end).toBe(5)
    expect(parseSql('a > 1 ').end).toBe(5)
  })
})

describe('an expression is refused with the place', () => {
  test.each([
    ['', 0],
    ['a >', 3],
    ['a = ', 4],
    ['a', -1],
    ['5', 0],
    ["'x'", 0],
    ['-a', 0],
    ['a > TRUE', 4],
    ["a > '5'", 4],
    ['a = NULL', 4],
    ['a != 5', 2],
    ['a = "x"', 4],
    ["a = 'x", 4],
    ['a BETWEEN 5 AND 1', 10],
    ['a BETWEEN 5', 11],
    ['a IN ()', 6],
    ['a IN (1, 2)', 6],
    ['5 IN (1)', 6],
    ["5 IN ('5')", 0],
    ['a NOT 5', 6],
    ['a IS TRUE', 5],
    ['(a = 1', 6],
    ['a = 9223372036854775808', 4],
    ['a = 0.0', 4],
    ['a = 1e999', 4],
    ['TRUE = 1', 7],
    ['a CONTAINS b', 11],
    ['a = 1 #', 6],
    ['/* x', 0],
  ])('%s', (expression, at) => {
    if (at < 0) expect(() => parseSql(expression)).not.toThrow()
    else expect(errorOf(expression).at).toBe(at)
  })

  test('when it is too long or too deep, and whatever its depth nothing breaks', () => {
    expect(errorOf(`a = '${'x'.repeat(SQL_CHARS_MAX)}'`).at).toBe(SQL_CHARS_MAX)
    const deep = (depth: number) => `${'('.repeat(depth)}a = 1${')'.repeat(depth)}`
    expect(() => parseSql(deep(SQL_DEPTH_MAX - 1))).not.toThrow()
    expect(errorOf(deep(SQL_DEPTH_MAX + 1)).message).toContain('nested')
    for (const link of ['NOT ', '- ', '+ ', '(']) {
      expect(() => parseSql(link.repeat(10_000))).toThrow(SqlError)
    }
    for (const link of [' = 1', ' IS NULL', " CONTAINS 'x'"]) {
      expect(() => parseSql(`a${link.repeat(2_000)}`)).toThrow(SqlError)
    }
    expect(() => parseSql(`a = 1${' OR a = 1'.repeat(3_000)}`)).not.toThrow()
  })
})

import { expect, it } from 'vitest'
import { RepliesUnderWay } from '../../src/broker/replies-under-way.ts'

const MIB = 1024 * 1024

it('replies to one client leave room for those to others, until they are done', () => {
  const replies = new RepliesUnderWay()
  for (let i = 0; i < 2_500; i++) expect(replies.enter('a', 1)).toBe(true)
  expect(replies.enter('a', 1)).toBe(false)
  expect(replies.enter('b', 1)).toBe(true)
  replies.leave('a', 1)
  expect(replies.enter('a', 1)).toBe(true)
  expect(replies.count).toBe(2_501)
})

it('no more bytes are kept than there is room for, of one client and of all', () => {
  const replies = new RepliesUnderWay()
  for (let n = 0; n < 16; n++) expect(replies.enter(`c${n % 4}`, 4 * MIB)).toBe(true)
  expect(replies.enter('c0', 1)).toBe(false)
  expect(replies.enter('c9', 1)).toBe(false)
  for (let n = 0; n < 16; n++) replies.leave(`c${n % 4}`, 4 * MIB)
  expect(replies.count).toBe(0)
  expect(replies.enter('c0', 100 * MIB)).toBe(true)
})

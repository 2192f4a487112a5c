import { expect, it } from 'vitest'
import { bloomPositions } from '../../../src/protocol/filter/bloom-positions.ts'

// Printed by Apache RocketMQ 5.5's BloomFilter.createByFn(20, 32).calcBitPositions.
it.each([
  ['', [0, 0, 0]],
  ['a', [94, 99, 7]],
  ['01234567', [23, 3, 1]],
  ['012345678', [84, 28, 2]],
  ['0123456789abcdef', [11, 47, 60]],
  ['0123456789abcdef0123456789abcdef', [63, 52, 102]],
  ['consumer_group#some-long-topic-name-with-more-than-thirty-two-bytes', [29, 65, 48]],
  ['Grüße#十', [102, 36, 80]],
])('the bits of %j are where Apache has them', (text, bits) => {
  expect(bloomPositions(text)).toEqual(bits)
})

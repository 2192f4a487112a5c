import { expect, test } from 'vitest'
import { ColdReads } from '../../src/broker/cold-reads.ts'
import type { Connection } from '../../src/remoting/connection.ts'

const MIB = 1024 * 1024

test('reads of one connection wait when their answers may come to too much, others do not', async () => {
  const reads = new ColdReads()
  const one = {} as Connection
  const other = {} as Connection
  const ends: (() => void)[] = []
  const begun: string[] = []
  const read = (name: string) => () => {
    begun.push(name)
    return new Promise<void>((resolve) => ends.push(resolve))
  }
  for (const name of ['a', 'b', 'c']) reads.run(one, 8 * MIB, read(name))
  reads.run(one, 100 * MIB, read('d'))
  reads.run(other, 100 * MIB, read('e'))
  expect(begun).toEqual(['a', 'b', 'e'])
  ends[0]?.()
  await expect.poll(() => begun).toEqual(['a', 'b', 'e', 'c'])
  ends[1]?.()
  ends[3]?.()
  await expect.poll(() => begun).toEqual(['a', 'b', 'e', 'c', 'd'])
})

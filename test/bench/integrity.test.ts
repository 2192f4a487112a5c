import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { judgeGroups, judgeIntegrity, type IntegrityInput } from '../../src/bench/integrity.ts'
import { Ledger } from '../../src/bench/ledger.ts'
import { HEADER_BYTES, isIntact, seal, writeHeader } from '../../src/bench/message.ts'
import { PayloadPool } from '../../src/bench/payload.ts'
import { ReceiptCheck } from '../../src/bench/receipt-check.ts'
import { SeenSet } from '../../src/bench/seen-set.ts'

const RUN = 4711

interface Message {
  producer?: number
  sender?: number
  sequence: number
  lane?: number
  runId?: number
}

function aBody({ producer = 0, sender = 0, sequence, lane = 0, runId = RUN }: Message): Buffer {
  const body = Buffer.alloc(100, sequence)
  writeHeader(body, 0, runId, producer, sender, sequence, 12_345.5, lane)
  seal(body, 0, crc32(body.subarray(HEADER_BYTES)))
  return body
}

function aCheck(): ReceiptCheck {
  return new ReceiptCheck({ runId: RUN, producers: 2, sendersOfEach: 3, lanes: 2, checksum: true })
}

function receive(check: ReceiptCheck, body: Buffer, lane = 0): boolean {
  return check.onMessage(lane, body, 0, body.length)
}

describe('a message', () => {
  it('is intact until any one bit of it flips', () => {
    const body = aBody({ sequence: 7 })
    expect(isIntact(body, 0, body.length)).toBe(true)
    for (let bit = 0; bit < body.length * 8; bit += 1) {
      const broken = Buffer.from(body)
      broken[bit >> 3] = (broken[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(isIntact(broken, 0, broken.length)).toBe(false)
    }
  })

  it('carries its time without loss', () => {
    const check = aCheck()
    receive(check, aBody({ sequence: 0 }))
    expect(check.sentNs).toBe(12_345.5)
  })
})

describe('the payload pool', () => {
  it('is the same for the same seed and another for another', () => {
    const make = (seed: number) =>
      new PayloadPool({
        sizes: [{ sizeBytes: 100, weight: 1 }],
        count: 3,
        entropy: 1,
        seed,
      }).bytes.toString('hex')
    expect(make(1)).toBe(make(1))
    expect(make(1)).not.toBe(make(2))
  })

  it('knows how well it compresses', () => {
    const ratio = (entropy: number) =>
      new PayloadPool({
        sizes: [{ sizeBytes: 500, weight: 1 }],
        count: 20,
        entropy,
        seed: 1,
      }).compressRatio()
    expect(ratio(1)).toBeGreaterThan(0.95)
    expect(ratio(0)).toBeLessThan(0.05)
    expect(ratio(0.5)).toBeGreaterThan(0.4)
  })
})

describe('the receipt check', () => {
  it('finds nothing where nothing is wrong', () => {
    const check = aCheck()
    for (let sequence = 0; sequence < 300; sequence += 1) {
      const message = { sequence, sender: sequence % 3, lane: sequence % 2 }
      expect(receive(check, aBody(message), sequence % 2)).toBe(true)
    }
    const { received, duplicated, reordered, corrupted, foreign, misplaced } = check.receipts()
    expect([received, duplicated, reordered, corrupted, foreign, misplaced]).toEqual([
      300, 0, 0, 0, 0, 0,
    ])
  })

  it('finds a message that came twice', () => {
    const check = aCheck()
    receive(check, aBody({ sequence: 1 }))
    receive(check, aBody({ sequence: 1 }))
    expect(check.duplicated).toBe(1)
  })

  it('finds a message of one sender that came behind a later one', () => {
    const check = aCheck()
    receive(check, aBody({ sequence: 5 }))
    receive(check, aBody({ sequence: 3 }))
    expect(check.reordered).toBe(1)
  })

  it('does not ask for an order between senders, producers or queues', () => {
    const check = aCheck()
    receive(check, aBody({ sequence: 5, sender: 0 }))
    receive(check, aBody({ sequence: 3, sender: 1 }))
    receive(check, aBody({ sequence: 1, sender: 0, producer: 1 }))
    receive(check, aBody({ sequence: 2, sender: 0, lane: 1 }), 1)
    expect(check.reordered).toBe(0)
  })

  it('finds a corrupted one and does not believe what it says', () => {
    const check = aCheck()
    const body = aBody({ sequence: 5 })
    body[60] = (body[60] ?? 0) ^ 1
    expect(receive(check, body)).toBe(false)
    expect([check.corrupted, check.sentNs]).toEqual([1, 0])
  })

  it('finds messages of others, short ones and those of another run', () => {
    const check = aCheck()
    receive(check, Buffer.from('hello'))
    receive(check, Buffer.alloc(200))
    receive(check, aBody({ sequence: 1, runId: 1 }))
    expect(check.foreign).toBe(3)
  })

  it('takes messages that an earlier run sent without a checksum for foreign, not for corrupted', () => {
    const check = aCheck()
    const unsealed = Buffer.alloc(100, 1)
    writeHeader(unsealed, 0, RUN - 1, 0, 0, 1, 12_345.5, 0)
    expect(receive(check, unsealed)).toBe(false)
    expect([check.foreign, check.corrupted, check.receipts().damaged]).toEqual([1, 0, []])
    writeHeader(unsealed, 0, RUN, 0, 0, 1, 12_345.5, 0)
    expect(receive(check, unsealed)).toBe(false)
    expect([check.foreign, check.corrupted]).toEqual([1, 1])
  })

  it('finds a message in another queue than it was sent to', () => {
    const check = aCheck()
    receive(check, aBody({ sequence: 1, lane: 1 }), 0)
    expect(check.misplaced).toBe(1)
  })
})

describe('the seen set', () => {
  it('agrees with a plain set, across pages and after merging', () => {
    const one = new SeenSet()
    const two = new SeenSet()
    const plain = [new Set<number>(), new Set<number>()] as const
    let state = 1
    for (let index = 0; index < 5_000; index += 1) {
      state = (state * 48_271) % 2_147_483_647
      const sequence = state % 200_000
      const [set, oracle] = index % 2 === 0 ? [one, plain[0]] : [two, plain[1]]
      expect(set.add(sequence)).toBe(!oracle.has(sequence))
      oracle.add(sequence)
    }
    const union = new Set([...plain[0], ...plain[1]])
    one.merge(two.pack())
    expect(one.size).toBe(union.size)
    const missing = one.missingBelow(200_000, () => false, 1_000_000)
    expect(missing.count).toBe(200_000 - union.size)
  })

  it('tells missing sequences as ranges', () => {
    const seen = new SeenSet()
    for (let sequence = 0; sequence < 100; sequence += 1) {
      if (sequence !== 10 && sequence !== 11 && sequence !== 40 && sequence !== 77)
        seen.add(sequence)
    }
    expect(seen.missingBelow(100, (sequence) => sequence === 77, 10)).toEqual({
      count: 3,
      ranges: [
        { from: 10, to: 11 },
        { from: 40, to: 40 },
      ],
    })
  })

  it('counts what two sets have in common', () => {
    const one = new SeenSet()
    const two = new SeenSet()
    for (const sequence of [1, 2, 70_000]) one.add(sequence)
    for (const sequence of [2, 3, 70_000]) two.add(sequence)
    expect(one.merge(two.pack())).toBe(2)
  })
})

describe('the verdict on integrity', () => {
  /** Messages 0 … sent−1 of one producer over two consumers, lane by parity. */
  function aRun(
    sent: number,
    options: { lose?: number[]; twice?: number[]; unacknowledged?: number[] },
  ) {
    const checks = [aCheck(), aCheck()]
    for (let sequence = 0; sequence < sent; sequence += 1) {
      if (options.lose?.includes(sequence) === true) continue
      const lane = sequence % 2
      const check = checks[lane]
      if (check !== undefined) receive(check, aBody({ sequence, lane }), lane)
    }
    for (const sequence of options.twice ?? []) {
      const other = checks[1 - (sequence % 2)]
      if (other !== undefined)
        receive(other, aBody({ sequence, lane: 1 - (sequence % 2) }), 1 - (sequence % 2))
    }
    const ledger = new Ledger()
    for (const sequence of options.unacknowledged ?? []) ledger.add(sequence)
    const failed = options.unacknowledged?.length ?? 0
    const input: IntegrityInput = {
      ledgers: [ledger.pack(sent), new Ledger().pack(0)],
      acked: sent - failed,
      failed,
      pending: 0,
      receipts: checks.map((check) => check.receipts()),
      sequenced: true,
      stored: sent,
      exclusive: true,
      drained: true,
    }
    return input
  }

  it('is clean for a clean run', () => {
    const verdict = judgeIntegrity(aRun(1000, {}))
    expect([verdict.lost, verdict.violations]).toEqual([0, []])
    expect(verdict.conservation).toMatchObject({ balanced: true, storedExplained: true })
  })

  it('names exactly the acknowledged messages that nobody received', () => {
    const verdict = judgeIntegrity(aRun(1000, { lose: [17, 18, 500] }))
    expect(verdict.lost).toBe(3)
    expect(verdict.lostRanges).toEqual([
      { producer: 0, from: 17, to: 18 },
      { producer: 0, from: 500, to: 500 },
    ])
    expect(verdict.violations).toEqual(['3 acknowledged messages were never received'])
  })

  it('does not call a message lost that was never acknowledged', () => {
    const verdict = judgeIntegrity(aRun(1000, { lose: [17], unacknowledged: [17] }))
    expect([verdict.lost, verdict.unconfirmedStored]).toEqual([0, 0])
  })

  it('counts messages without acknowledgement that were stored all the same', () => {
    const verdict = judgeIntegrity(aRun(1000, { unacknowledged: [3, 4] }))
    expect([verdict.lost, verdict.unconfirmedStored, verdict.violations]).toEqual([0, 2, []])
  })

  it('finds a message that two consumers received', () => {
    const verdict = judgeIntegrity(aRun(1000, { twice: [40] }))
    expect(verdict.duplicated).toBe(1)
  })

  it('judges no loss when the consumers were stopped early, and says so', () => {
    const verdict = judgeIntegrity({ ...aRun(1000, { lose: [999] }), drained: false })
    expect([verdict.lost, verdict.unverified]).toEqual([null, 1])
    expect(verdict.violations).toEqual([])
    expect(verdict.why).toContain('stopped before')
  })

  it('judges no loss when a producer died, and counts what it had told as open', () => {
    const verdict = judgeIntegrity({ ...aRun(1000, {}), stored: null, untold: 300, drained: false })
    expect([verdict.lost, verdict.unverified, verdict.violations]).toEqual([null, 300, []])
    expect(verdict.why).toContain('without its last report')
  })

  it('finds acknowledged messages that the broker did not store', () => {
    const verdict = judgeIntegrity({ ...aRun(1000, {}), stored: 999 })
    expect(verdict.violations[0]).toContain('grew by 999, less than the 1000')
  })

  it('finds messages in the queues that nobody sent, when the topic is its own', () => {
    const run = aRun(1000, {})
    expect(judgeIntegrity({ ...run, stored: 1001 }).violations).toHaveLength(1)
    expect(judgeIntegrity({ ...run, stored: 1001, exclusive: false }).violations).toEqual([])
  })

  it('finds a sum that does not add up', () => {
    const verdict = judgeIntegrity({ ...aRun(1000, {}), acked: 990, stored: 1000 })
    expect(verdict.conservation.balanced).toBe(false)
  })

  it('calls no one-way message lost or out of order, and says how many did not arrive', () => {
    const input = { ...aRun(1000, { lose: [4, 5] }), acked: 0, unanswered: 1000, stored: 998 }
    const verdict = judgeIntegrity({ ...input, oneWay: true })
    expect([verdict.lost, verdict.unreceived, verdict.violations]).toEqual([null, 2, []])
    expect(verdict.why).toContain('never acknowledged')
    expect(verdict.conservation).toMatchObject({ balanced: true, storedExplained: true })
    const early = judgeIntegrity({ ...input, oneWay: true, drained: false })
    expect(early.unreceived).toBeNull()
  })

  it('still finds a one-way message that came twice', () => {
    const input = { ...aRun(1000, { twice: [7] }), acked: 0, unanswered: 1000, oneWay: true }
    expect(judgeIntegrity(input).violations).toEqual(['1 messages were received more than once'])
  })

  it('judges each group by itself: each must have received everything', () => {
    const { receipts: whole, ...input } = aRun(100, {})
    const { receipts: short } = aRun(100, { lose: [42] })
    const verdict = judgeGroups(input, [
      { name: 'one', receipts: whole },
      { name: 'two', receipts: short },
    ])
    expect([verdict.lost, verdict.violations]).toEqual([
      1,
      ['group two: 1 acknowledged messages were never received'],
    ])
    expect(verdict.groups.map(({ name, received, lost }) => [name, received, lost])).toEqual([
      ['one', 100, 0],
      ['two', 99, 1],
    ])
  })

  it('says that it cannot tell when nobody consumed', () => {
    const verdict = judgeIntegrity({ ...aRun(10, {}), receipts: [] })
    expect([verdict.lost, verdict.why]).toEqual([null, 'nobody consumed'])
  })

  it('finds neither something nor nothing where nobody looked', () => {
    const { receipts, ...input } = aRun(10, {})
    const of = (changes: Partial<IntegrityInput>) => {
      const { duplicated, reordered, corrupted, foreign, misplaced } = judgeIntegrity({
        ...input,
        receipts,
        ...changes,
      })
      return [duplicated, reordered, corrupted, foreign, misplaced]
    }
    const nothing = [null, null, null, null, null]
    expect(of({ receipts: [] })).toEqual(nothing)
    expect(of({ sequenced: false })).toEqual(nothing)
    expect(of({ sealed: false })).toEqual([0, 0, null, 0, 0])
    expect(of({})).toEqual([0, 0, 0, 0, 0])
    const groups = [
      { name: 'one', receipts },
      { name: 'two', receipts },
    ]
    const each = judgeGroups({ ...input, sealed: false }, groups)
    expect([each.corrupted, each.duplicated, each.groups[0]?.corrupted]).toEqual([null, 0, null])
  })
})

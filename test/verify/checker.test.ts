/**
 * The checker against histories of a broker that keeps its promises, and against the same histories with
 * one fault planted: each kind is found, and nothing else is.
 */
import { describe, expect, it } from 'vitest'
import { Checker } from '../../src/verify/checker.ts'
import { type Feature, features } from '../../src/verify/history.ts'
import { type Verdict, type ViolationKind, violationTexts } from '../../src/verify/verdict.ts'
import { type AHistory, type Timed, aHistory, numbered } from './a-history.ts'

function judge({ head, events }: AHistory): Verdict {
  const checker = new Checker(head)
  for (const event of numbered(events)) checker.add(event)
  return checker.finish()
}

const kindsOf = (verdict: Verdict) => verdict.violations.map(({ kind }) => kind)

type Event<F extends Timed['f']> = Extract<Timed, { f: F }>

/** Changes a history in place; false when this one has nothing that fits. */
type Plant = (events: Timed[]) => boolean

interface Planted {
  readonly kind: ViolationKind
  readonly what: string
  readonly feature: Feature
  readonly plant: Plant
}

const all = <F extends Timed['f']>(events: readonly Timed[], f: F) =>
  events.filter((event): event is Event<F> => event.f === f)

const valueOf = (event: Timed) => ('v' in event ? event.v : null)

function remove(events: Timed[], unwanted: (event: Timed) => boolean): void {
  events.splice(0, events.length, ...events.filter((event) => !unwanted(event)))
}

function insert(events: Timed[], at: Timed, event: Timed, where: 'before' | 'after'): void {
  events.splice(events.indexOf(at) + (where === 'after' ? 1 : 0), 0, event)
}

const isAcknowledged = (events: readonly Timed[], value: string | null) =>
  events.some((event) => event.f === 'send' && event.e === 'ok' && event.v === value)

/** The delivery of an acknowledged message that was processed. */
function processed(events: readonly Timed[]): Event<'deliver'> | undefined {
  const acked = new Set(all(events, 'ack').map(({ v, g }) => `${v} ${g}`))
  const tries = (v: string | null) => all(events, 'deliver').filter((one) => one.v === v).length
  return all(events, 'deliver').find(
    ({ v, g }) => acked.has(`${v} ${g}`) && isAcknowledged(events, v) && tries(v) === 1,
  )
}

/** Two messages that stand side by side in a queue, the second sent after the first was acknowledged. */
function neighbours(events: readonly Timed[]): readonly [string, string] | null {
  const reads = all(events, 'read')
  for (const one of reads) {
    const two = reads.find(({ q, o }) => q === one.q && o === one.o + 1)
    if (two === undefined || one.v === null || two.v === null) continue
    const okAt = events.find((event) => event.f === 'send' && event.e === 'ok' && event.v === one.v)
    const sentAt = events.find(
      (event) => event.f === 'send' && event.e === 'invoke' && event.v === two.v,
    )
    if (okAt === undefined || sentAt === undefined || okAt.t > sentAt.t) continue
    if (isAcknowledged(events, two.v)) return [one.v, two.v]
  }
  return null
}

const planted: readonly Planted[] = [
  {
    kind: 'lost',
    what: 'an acknowledged message that is nowhere',
    feature: 'broadcast',
    plant: (events) => {
      const reads = all(events, 'read')
      // The last of its queue, so that no gap remains.
      const last = reads.find(
        ({ q, o, v }) =>
          isAcknowledged(events, v) && !reads.some((other) => other.q === q && other.o > o),
      )
      remove(events, (event) => event.f !== 'send' && valueOf(event) === last?.v)
      return last !== undefined
    },
  },
  {
    kind: 'undelivered',
    what: 'a message that one of two members never gets',
    feature: 'broadcast',
    plant: (events) => {
      const one =
        processed(events) ?? all(events, 'deliver').find(({ v }) => isAcknowledged(events, v))
      remove(
        events,
        (event) =>
          one !== undefined &&
          (event.f === 'deliver' || event.f === 'ack') &&
          event.v === one.v &&
          event.g === one.g,
      )
      return one !== undefined
    },
  },
  {
    kind: 'undelivered',
    what: 'a committed message that stays away',
    feature: 'txn',
    plant: (events) => {
      const one = processed(events)
      remove(events, (event) => ['deliver', 'ack'].includes(event.f) && valueOf(event) === one?.v)
      return one !== undefined
    },
  },
  {
    kind: 'unfinished',
    what: 'a message that fails and never comes again',
    feature: 'retry',
    plant: (events) => {
      const one = all(events, 'dead').find(({ v }) => isAcknowledged(events, v))
      remove(events, (event) => event.f === 'dead' && event.v === one?.v)
      return one !== undefined
    },
  },
  {
    kind: 'twoPlaces',
    what: 'a dead letter that was processed',
    feature: 'retry',
    plant: (events) => {
      const one = all(events, 'ack')[0]
      const end = all(events, 'drain')[0]
      if (one === undefined || end === undefined) return false
      const dead = { f: 'dead', v: one.v, g: one.g, q: 'g/b/dead/0', o: 1_000, t: end.t } as const
      insert(events, end, dead, 'before')
      return true
    },
  },
  {
    kind: 'phantom',
    what: 'a message that nobody sent',
    feature: 'delay',
    plant: (events) => {
      const one = all(events, 'deliver')[0]
      if (one === undefined) return false
      insert(events, one, { ...one, v: '77-0', q: 'b/9' }, 'after')
      return true
    },
  },
  {
    kind: 'phantom',
    what: 'a message whose send was refused',
    feature: 'broadcast',
    plant: (events) => {
      const refused = all(events, 'send').find(({ e }) => e === 'fail')
      const end = all(events, 'drain')[0]
      if (refused === undefined || end === undefined) return false
      insert(events, end, { f: 'read', v: refused.v, q: 'b/9', o: 0, t: end.t }, 'before')
      return true
    },
  },
  {
    kind: 'corrupted',
    what: 'a body that differs in a byte',
    feature: 'filter',
    plant: (events) => {
      const one = processed(events)
      if (one !== undefined) Object.assign(one, { bad: 'checksum' })
      return one !== undefined
    },
  },
  {
    kind: 'corrupted',
    what: 'a stored message without its properties',
    feature: 'order',
    plant: (events) => {
      const one = all(events, 'read').find(({ v }) => !isAcknowledged(events, v))
      if (one !== undefined) Object.assign(one, { bad: 'attributes' })
      return one !== undefined
    },
  },
  {
    kind: 'divergent',
    what: 'two messages at one place',
    feature: 'retry',
    plant: (events) => {
      const [one, two] = all(events, 'deliver').filter(({ n }) => n === 0)
      if (one === undefined || two === undefined) return false
      insert(events, two, { ...one, q: two.q, o: two.o, t: two.t }, 'after')
      return true
    },
  },
  {
    kind: 'gap',
    what: 'a queue with a hole',
    feature: 'delay',
    plant: (events) => {
      const reads = all(events, 'read')
      const last = reads.find(({ q, o }) => !reads.some((other) => other.q === q && other.o > o))
      if (last === undefined || last.o === 0) return false
      const { q, o } = last
      for (const event of events) {
        if ('q' in event && event.q === q && event.o === o) Object.assign(event, { o: o + 1 })
      }
      return true
    },
  },
  {
    kind: 'reorderedLog',
    what: 'a message stored before one that was acknowledged first',
    feature: 'broadcast',
    plant: (events) => {
      const [one, two] = neighbours(events) ?? []
      if (one === undefined || two === undefined) return false
      const place = (value: string) => all(events, 'read').find(({ v }) => v === value)
      const [first, second] = [place(one)?.o, place(two)?.o]
      for (const event of events) {
        if (!('o' in event)) continue
        if (event.v === one) Object.assign(event, { o: second })
        else if (event.v === two) Object.assign(event, { o: first })
      }
      return true
    },
  },
  {
    kind: 'reordered',
    what: 'a queue that hands out two messages the wrong way round',
    feature: 'order',
    plant: (events) => {
      const deliveries = all(events, 'deliver')
      const clean = (v: string | null) => deliveries.filter((one) => one.v === v).length === 1
      const ends = all(events, 'ack')
      for (const one of deliveries) {
        const two = deliveries.find(({ q, o }) => q === one.q && o === one.o + 1)
        if (two === undefined || !clean(one.v) || !clean(two.v)) continue
        // What is handed out first has to be there by then.
        const sent = all(events, 'send').find(({ v }) => v === two.v)
        if (sent === undefined || sent.t > one.t) continue
        const [oneEnd, twoEnd] = [one, two].map(({ v }) => ends.find((end) => end.v === v))
        if (oneEnd === undefined || twoEnd === undefined) continue
        const slots = [one, oneEnd, two, twoEnd].map((event) => ({
          at: events.indexOf(event),
          t: event.t,
        }))
        for (const [index, event] of [two, twoEnd, one, oneEnd].entries()) {
          const slot = slots[index]
          if (slot !== undefined) events[slot.at] = { ...event, t: slot.t }
        }
        return true
      }
      return false
    },
  },
  {
    kind: 'overtaken',
    what: 'two messages of a queue at once',
    feature: 'order',
    plant: (events) => {
      for (const one of all(events, 'ack')) {
        const next = all(events, 'deliver').find(({ q, o }) => q === one.q && o === one.o + 1)
        if (next === undefined || next.t < one.t) continue
        remove(events, (event) => event === one)
        insert(events, next, { ...one, t: next.t }, 'after')
        return true
      }
      return false
    },
  },
  {
    kind: 'overtaken',
    what: 'a message that passes one that failed',
    feature: 'order',
    plant: (events) => {
      const failed = all(events, 'nack')[0]
      if (failed === undefined) return false
      const again = all(events, 'deliver').find(({ v, t }) => v === failed.v && t > failed.t)
      const later = all(events, 'read').find(({ q, o }) => q === failed.q && o === failed.o + 1)
      if (again === undefined || later?.v === undefined || later.v === null) return false
      // Sent before it is delivered, at least.
      const sent = all(events, 'send').find(({ v }) => v === later.v)
      if (sent === undefined || sent.t > again.t) return false
      const who = { v: later.v, g: again.g, p: 0, q: later.q, o: later.o, t: again.t }
      insert(events, again, { f: 'deliver', ...who, n: 0 }, 'before')
      insert(events, again, { f: 'ack', ...who }, 'before')
      return true
    },
  },
  {
    kind: 'early',
    what: 'a message before its time',
    feature: 'delay',
    plant: (events) => {
      const delayed = all(events, 'send').find(
        (event) =>
          event.e === 'invoke' &&
          event.d !== undefined &&
          all(events, 'deliver').some(({ v }) => v === event.v),
      )
      if (delayed?.e !== 'invoke') return false
      Object.assign(delayed, { d: 1e7 })
      return true
    },
  },
  {
    kind: 'early',
    what: 'a retry before its time',
    feature: 'retry',
    plant: (events) => {
      const failed = all(events, 'nack').find(({ v, n }) =>
        all(events, 'deliver').some((one) => one.v === v && one.n === n + 1),
      )
      if (failed === undefined) return false
      Object.assign(failed, { d: 1e7 })
      return true
    },
  },
  {
    kind: 'halfVisible',
    what: 'a message before its commit',
    feature: 'txn',
    plant: (events) => {
      const end = all(events, 'end').find(({ e, is }) => e === 'invoke' && is === 'commit')
      if (end === undefined) return false
      const who = { v: end.v, g: 'g', p: 0, q: 'b/9', o: 0, t: end.t }
      insert(events, end, { f: 'deliver', ...who, n: 0 }, 'before')
      return true
    },
  },
  {
    kind: 'rolledBackVisible',
    what: 'a message that was rolled back',
    feature: 'txn',
    plant: (events) => {
      const end = all(events, 'end').find(({ e, is }) => e === 'invoke' && is === 'rollback')
      if (end === undefined) return false
      const who = { v: end.v, g: 'g', p: 0, q: 'b/9', o: 0, t: end.t }
      insert(events, end, { f: 'deliver', ...who, n: 0 }, 'after')
      return true
    },
  },
  {
    kind: 'unresolved',
    what: 'a half message that everybody forgot',
    feature: 'txn',
    plant: (events) => {
      const asked = all(events, 'check').find(
        ({ v, is }) => is === 'rollback' && isAcknowledged(events, v),
      )
      remove(events, (event) => event === asked)
      return asked !== undefined
    },
  },
  {
    kind: 'excluded',
    what: 'a message that a filter excludes',
    feature: 'filter',
    plant: (events) => {
      const sent = all(events, 'send').find(
        (event) => event.e === 'invoke' && event.to?.includes('some') === false,
      )
      const one = all(events, 'deliver').find(({ v }) => v === sent?.v)
      if (one === undefined) return false
      insert(events, one, { ...one, g: 'some' }, 'after')
      return true
    },
  },
  {
    kind: 'attempts',
    what: 'a try more than the group allows',
    feature: 'retry',
    plant: (events) => {
      const dead = all(events, 'dead')[0]
      const last = all(events, 'deliver').findLast(({ v }) => v === dead?.v)
      if (last === undefined) return false
      insert(events, last, { ...last, n: 3, q: 'b/retry/1', o: 0 }, 'after')
      return true
    },
  },
]

const seeds = Array.from({ length: 25 }, (_, index) => index + 1)

describe('a history in which every promise was kept', () => {
  it.each(features)('is called valid: %s', (feature) => {
    for (const seed of seeds) {
      const { verdict, violations, reasons } = judge(aHistory(feature, seed))
      expect({ seed, verdict, violations, reasons }).toEqual({
        ...{ seed, verdict: 'valid', violations: [], reasons: [] },
      })
    }
  })
})

it('lets a queue go on past a message that was done, came again, and failed then', () => {
  const history = aHistory('order', 2)
  const { events } = history
  const end = all(events, 'drain')[0]
  const lastOf = all(events, 'read').at(-1)
  const done = all(events, 'ack').find(({ q, o }) => q === lastOf?.q && o === 0)
  if (end === undefined || done === undefined || lastOf === undefined) throw new Error('no such')
  const { v, g, p, q, o } = done
  const again = { v, g, p, q, o, n: 0, t: end.t } as const
  insert(events, end, { f: 'deliver', ...again }, 'before')
  insert(events, end, { f: 'nack', ...again }, 'before')
  insert(events, end, { f: 'deliver', ...again, v: lastOf.v, o: lastOf.o }, 'before')
  expect(kindsOf(judge(history))).toEqual([])
})

describe('a planted fault', () => {
  it('is there for each kind that the checker knows', () => {
    const kinds = new Set(planted.map(({ kind }) => kind))
    expect([...kinds].sort()).toEqual(Object.keys(violationTexts).sort())
  })

  it.each(planted)('is found, and nothing else: $kind, $what', ({ kind, feature, plant }) => {
    let tried = 0
    for (const seed of seeds) {
      const history = aHistory(feature, seed)
      if (!plant(history.events)) continue
      tried += 1
      const verdict = judge(history)
      expect({ seed, kinds: kindsOf(verdict), code: verdict.exitCode }).toEqual({
        ...{ seed, kinds: [kind], code: 12 },
      })
      expect(verdict.violations[0]?.witnesses[0]?.value).toMatch(/./)
    }
    expect(tried).toBeGreaterThan(10)
  })
})

describe('open transactions', () => {
  const unasked = (foreign: boolean) => {
    const { head, events } = aHistory('txn', 3)
    const plant = planted.find(({ kind }) => kind === 'unresolved')?.plant
    expect(plant?.(events)).toBe(true)
    return { head: { ...head, plan: { ...head.plan, foreign } }, events }
  }

  it('are owed until they are ended or a broker asked about them', () => {
    const { head, events } = unasked(false)
    const checker = new Checker(head)
    for (const event of numbered(events)) checker.add(event)
    expect(checker.owed).toBe(1)
  })

  it('that a broker with settings of its own did not ask about in time accuse nobody', () => {
    expect(judge(unasked(true))).toMatchObject({
      exitCode: 14,
      violations: [],
      reasons: [expect.stringMatching(/^1 open transaction not asked about in time/)],
    })
  })
})

describe('a history that says too little', () => {
  const reasonsWithout = (feature: Feature, change: Plant) => {
    const history = aHistory(feature, 3)
    change(history.events)
    const { verdict, exitCode, reasons, violations } = judge(history)
    return { verdict, exitCode, reasons, violations }
  }

  it.each<[string, Feature, Plant, RegExp]>([
    ['the run was cut off', 'order', (events) => events.splice(-1).length > 0, /no end/],
    [
      'a kill that was planned did not happen',
      'broadcast',
      (events) => {
        remove(events, ({ f }) => f === 'fault')
        return true
      },
      /1 kills were planned, 0 took place/,
    ],
    [
      'the topic could not be read',
      'broadcast',
      (events) => {
        const drain = all(events, 'drain')[0]
        Object.assign(drain ?? {}, { e: 'info', why: 'no answer' })
        return true
      },
      /no answer/,
    ],
    [
      'no broker asked',
      'txn',
      (events) => {
        const asked = new Set(all(events, 'check').map(({ v }) => v))
        for (const event of all(events, 'check')) {
          events.splice(events.indexOf(event), 1, { ...event, f: 'end', e: 'invoke' })
        }
        return asked.size > 0
      },
      /no broker asked/,
    ],
  ])('is called unknown: %s', (_, feature, change, why) => {
    expect(reasonsWithout(feature, change)).toEqual({
      verdict: 'unknown',
      exitCode: 14,
      reasons: [expect.stringMatching(why)],
      violations: [],
    })
  })

  it('does not judge delays when the clock of the machine was moved', () => {
    const history = aHistory('delay', 5)
    for (const event of all(history.events, 'send')) {
      if (event.e === 'invoke' && event.d !== undefined) Object.assign(event, { d: 1e7 })
    }
    Object.assign(history.events.at(-1) ?? {}, { wallMs: 1e9 })
    expect(judge(history)).toMatchObject({ verdict: 'unknown', violations: [] })
  })
})

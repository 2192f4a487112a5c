/**
 * Every disk call of the workload is in turn the last one before a crash. Kill −9: the kernel keeps
 * what it has, the write under way arrives not at all, in part, or whole. Power cut: of up to six
 * unsynced sectors, sizes and names every legal subset is kept, torn or lost; what is unsynced beyond
 * six (the oldest) is all kept, or all lost.
 *
 * `npm test` takes a sample of those subsets, the same one each time: MQCTL_SIM_SUBSETS a moment (3 by
 * default; nothing kept and the newest kept are always among them). MQCTL_SIM_SUBSETS=1458 takes all
 * of them and takes a quarter of an hour of CPU.
 */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { cutImage, type Fate, type Image, imageKey, killImage, pendingOf } from './crash-image.ts'
import type { Snapshot } from './sim-inode.ts'
import { randomFrom } from './sim-clock.ts'
import { type Flush, type History, type Mark, runWorkload } from './store-harness.ts'
import { type CrashKind, inspect, judge, type Recovered } from './store-judgement.ts'

const SEED = 23
const FREE_MAX = 6
const SUBSETS_MAX = Number(process.env['MQCTL_SIM_SUBSETS'] ?? 3)
const random = randomFrom(SEED)

interface Moment {
  readonly snapshot: Snapshot
  readonly mark: Mark
}

async function recorded(flush: Flush): Promise<{ moments: Moment[]; history: History }> {
  const moments: Moment[] = []
  const { history, stopped } = await runWorkload({
    flush,
    seed: SEED,
    onStep: (disk, soFar, what, inFlight) => {
      moments.push({ snapshot: disk.snapshot(what, inFlight), mark: soFar.mark() })
    },
  })
  expect(stopped).toBeNull()
  // Of moments with the same disk the last one has the most acknowledged.
  const different = moments.filter(({ snapshot }, i) => {
    const next = moments[i + 1]?.snapshot
    return (
      snapshot.inFlight !== null || next?.version !== snapshot.version || next.inFlight !== null
    )
  })
  return { moments: different, history }
}

/** Opens each different image once; equal images come back equal. */
class Inspector {
  readonly #flush: Flush
  readonly #known = new Map<string, Promise<Recovered>>()

  constructor(flush: Flush) {
    this.#flush = flush
  }

  get images(): number {
    return this.#known.size
  }

  open(image: Image, keys: readonly string[]): Promise<Recovered> {
    const key = createHash('sha1').update(imageKey(image)).digest('base64')
    let recovered = this.#known.get(key)
    if (!recovered) {
      recovered = inspect(image, { flush: this.#flush, keys })
      this.#known.set(key, recovered)
    }
    return recovered
  }
}

/**
 * Combinations of fates for the newest pending things, at most `max` of them; the older ones share
 * one fate, which alternates.
 */
function* fatesOf(pending: ReturnType<typeof pendingOf>, max: number): Generator<Fate[]> {
  const choices = pending
    .slice(0, FREE_MAX)
    .map((item): Fate[] => (item.kind === 'sector' ? ['lose', 'keep', 'torn'] : ['lose', 'keep']))
  const older = pending.length - choices.length
  const total = choices.reduce((product, options) => product * options.length, 1)
  const all = total * (older > 0 ? 2 : 1)
  for (let i = 0; i < Math.min(all, max); i++) {
    let left = all <= max || i < 2 ? i : random(all)
    const rest: Fate = left >= total ? 'keep' : 'lose'
    left %= total
    const fates: Fate[] = []
    for (const options of choices) {
      fates.push(options[left % options.length] ?? 'lose')
      left = Math.floor(left / options.length)
    }
    yield [...fates, ...new Array<Fate>(older).fill(rest)]
  }
}

async function wrongOf(
  inspector: Inspector,
  image: Image,
  history: History,
  moment: Moment,
  flush: Flush,
  crash: CrashKind,
): Promise<string[]> {
  const recovered = await inspector.open(image, history.keys)
  return judge(recovered, history, moment.mark, flush, crash).map(
    (wrong) =>
      `${flush} seed ${SEED} ${crash} at call ${moment.snapshot.call} (${moment.snapshot.what}): ${wrong}`,
  )
}

describe.each<Flush>(['async', 'sync'])('a crash after every disk call (%s flush)', (flush) => {
  it('kill −9: nothing acknowledged or seen is lost', async () => {
    const { moments, history } = await recorded(flush)
    const inspector = new Inspector(flush)
    const wrong: string[] = []
    for (const moment of moments) {
      if (wrong.length >= 5) break
      for (const inFlight of moment.snapshot.inFlight
        ? (['none', 'half', 'whole'] as const)
        : (['none'] as const)) {
        const image = killImage(moment.snapshot, inFlight)
        wrong.push(...(await wrongOf(inspector, image, history, moment, flush, 'kill')))
      }
    }
    expect(wrong).toEqual([])
    expect(inspector.images).toBeGreaterThan(500)
  })

  it('power cut: what was acknowledged after a flush is there, whatever the disk kept of the rest', async () => {
    const { moments, history } = await recorded(flush)
    const inspector = new Inspector(flush)
    const wrong: string[] = []
    for (const moment of moments) {
      if (wrong.length >= 5) break
      const pending = pendingOf(moment.snapshot)
      for (const fates of fatesOf(pending, SUBSETS_MAX)) {
        const image = cutImage(moment.snapshot, pending, fates)
        wrong.push(...(await wrongOf(inspector, image, history, moment, flush, 'power')))
        if (wrong.length >= 5) break
      }
    }
    expect(wrong).toEqual([])
    expect(inspector.images).toBeGreaterThan(500)
  })
})

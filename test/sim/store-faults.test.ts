/**
 * Every disk call of the workload fails in turn, once and from then on; then the process dies (or the
 * machine, when acknowledged means flushed) and the directory is opened on a healthy disk.
 */
import { describe, expect, it } from 'vitest'
import { cutImage, killImage, pendingOf } from './crash-image.ts'
import type { FaultPlan } from './sim-disk.ts'
import { type Flush, runWorkload } from './store-harness.ts'
import { type CrashKind, inspect, judge } from './store-judgement.ts'

const SEED = 11

/** What is wrong after this fault, each line with what leads there again. */
async function wrongAfter(flush: Flush, fault: FaultPlan): Promise<string[]> {
  const { disk, history } = await runWorkload({ flush, seed: SEED, fault })
  const snapshot = disk.snapshot('', null)
  const crash: CrashKind = flush === 'sync' && fault.call % 2 === 0 ? 'power' : 'kill'
  const image =
    crash === 'power' ? cutImage(snapshot, pendingOf(snapshot), []) : killImage(snapshot, 'none')
  const recovered = await inspect(image, { flush, keys: history.keys })
  return judge(recovered, history, history.mark(), flush, crash).map(
    (wrong) => `${flush} seed ${SEED} ${JSON.stringify(fault)} ${crash}: ${wrong}`,
  )
}

describe.each<Flush>(['async', 'sync'])('every disk call in turn fails (%s flush)', (flush) => {
  it('runs through when none does', async () => {
    const { stopped, history, disk } = await runWorkload({ flush, seed: SEED })
    expect(stopped).toBeNull()
    const recovered = await inspect(disk.image(), { flush, keys: history.keys })
    expect(judge(recovered, history, history.mark(), flush, 'kill')).toEqual([])
    expect(history.acked.length).toBeGreaterThan(200)
  })

  it.each([
    { how: 'once', sticky: false },
    { how: 'from then on', sticky: true },
  ])('$how: nothing acknowledged is lost, nothing else appears', async ({ sticky }) => {
    const { calls } = await runWorkload({ flush, seed: SEED })
    const wrong: string[] = []
    for (let call = 1; call <= calls && wrong.length < 5; call++) {
      const code = call % 3 === 0 ? 'ENOSPC' : 'EIO'
      wrong.push(...(await wrongAfter(flush, { call, sticky, code })))
    }
    expect(wrong).toEqual([])
  })
})

/**
 * `mqctl verify` for each feature, with kill -9 in the middle. MQCTL_KILL_CYCLES sets how often (default
 * 2; hundreds for a night).
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { features } from '../../src/verify/history.ts'
import { Home } from '../cli/mqctl.ts'

const kills = Number(process.env['MQCTL_KILL_CYCLES'] ?? '2')

let home: Home
beforeAll(async () => {
  home = await Home.make()
})
afterAll(() => home.remove())

interface Result {
  readonly verdict: string
  readonly counts: { readonly kills: number }
  readonly violations: readonly unknown[]
  readonly reasons: readonly string[]
}

it.each(features)(
  `keeps its promises through kill -9: %s (${kills} times)`,
  async (feature) => {
    const args = ['verify', '--feature', feature, '--kills', String(kills)]
    const { document } = await home.json([...args, '--messages', String(200 * (kills + 1))])
    const judged = document.results.map(({ verdict, counts, violations, reasons }: Result) => ({
      ...{ verdict, kills: counts.kills, violations, reasons },
    }))
    expect(judged).toEqual([{ verdict: 'valid', kills, violations: [], reasons: [] }])
  },
  60_000 + kills * 12_000,
)

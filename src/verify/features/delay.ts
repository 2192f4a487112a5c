/** Messages that wait, by level and by a time of their own, among some that do not. */
import { lot } from '../lot.ts'
import type { FeatureSetup, SetupInput, Shape } from './setup.ts'

/** Milliseconds of the levels that are used; level 1 and 2. */
const LEVEL_MS = [1_000, 5_000]
const OWN_MS = [300, 4_000] as const

export function delaySetup({ seed, prefix }: SetupInput): FeatureSetup {
  return {
    readers: [{ reader: prefix, group: prefix }],
    ordered: false,
    broadcast: false,
    retriesMax: null,
    shape: (value): Shape => {
      const kind = lot(seed, value, 'kind')
      const of = lot(seed, value, 'delay')
      if (kind < 0.2) return {}
      if (kind < 0.6) {
        const delayLevel = of < 0.5 ? 1 : 2
        return { delayLevel, dueMs: LEVEL_MS[delayLevel - 1] ?? 0 }
      }
      const delayMs = Math.round(OWN_MS[0] + of * (OWN_MS[1] - OWN_MS[0]))
      return { delayMs, dueMs: delayMs }
    },
  }
}

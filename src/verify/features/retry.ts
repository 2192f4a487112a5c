/** Messages that fail once or twice, and some that always fail and have to become dead letters. */
import { lot } from '../lot.ts'
import type { FeatureSetup, SetupInput } from './setup.ts'

const POISON_SHARE = 0.03
const FLAKY_SHARE = 0.12
const RETRIES_MAX = 2

export function retrySetup({ seed, prefix }: SetupInput): FeatureSetup {
  /** Tries that fail. */
  const failures = (value: string) => {
    const what = lot(seed, value, 'fails')
    if (what < POISON_SHARE) return Infinity
    if (what > POISON_SHARE + FLAKY_SHARE) return 0
    return lot(seed, value, 'how often') < 0.5 ? 1 : 2
  }
  return {
    readers: [{ reader: prefix, group: prefix, fails: (value, tries) => tries < failures(value) }],
    ordered: false,
    broadcast: false,
    retriesMax: RETRIES_MAX,
    shape: () => ({}),
  }
}

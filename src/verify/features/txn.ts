/** Half messages: some are ended at once, some only when the broker asks. */
import { lot } from '../lot.ts'
import type { FeatureSetup, SetupInput } from './setup.ts'

const COMMIT_SHARE = 0.6
const UNDECIDED_SHARE = 0.2

export function transactionSetup({ seed, prefix }: SetupInput): FeatureSetup {
  return {
    readers: [{ reader: prefix, group: prefix }],
    ordered: false,
    broadcast: false,
    retriesMax: null,
    shape: () => ({}),
    decide: (value) => {
      const fate = lot(seed, value, 'fate') < COMMIT_SHARE ? 'commit' : 'rollback'
      return { fate, first: lot(seed, value, 'first') < UNDECIDED_SHARE ? 'unknown' : fate }
    },
  }
}

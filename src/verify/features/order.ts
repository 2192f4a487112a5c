/** Messages of a key in their order, also when one fails, the broker dies, or members share the queues. */
import { lot } from '../lot.ts'
import type { FeatureSetup, SetupInput } from './setup.ts'

/** Of each writer: a key belongs to one writer, so its order is known. */
const KEYS = 4
const FAIL_SHARE = 0.05

export function orderSetup({ seed, prefix }: SetupInput): FeatureSetup {
  const fails = (value: string, _: number, here: number) =>
    here === 0 && lot(seed, value, 'fails') < FAIL_SHARE
  return {
    readers: [1, 2].map(() => ({ reader: prefix, group: prefix, fails })),
    ordered: true,
    broadcast: false,
    retriesMax: null,
    shape: (_, writer, counter) => ({ orderKey: `key-${writer}-${counter % KEYS}` }),
  }
}

/** A group of which every member gets every message. */
import type { FeatureSetup, SetupInput } from './setup.ts'

const MEMBERS = 3

export function broadcastSetup({ prefix }: SetupInput): FeatureSetup {
  return {
    readers: Array.from({ length: MEMBERS }, (_, index) => ({
      reader: `${prefix}/${index + 1}`,
      group: prefix,
    })),
    ordered: false,
    broadcast: true,
    retriesMax: null,
    shape: () => ({}),
  }
}

/** What `tune-os explain` says about each check; also the source of docs/tune-os.md. */
import { brokerTexts } from './explain/broker.ts'
import { diskTexts } from './explain/disk.ts'
import { jvmTexts } from './explain/jvm.ts'
import { machineTexts } from './explain/machine.ts'
import { memoryTexts } from './explain/memory.ts'
import { networkTexts } from './explain/network.ts'
import type { Explanation } from './explain/explanation.ts'
import { assert } from '../../base/assert.ts'

const texts: Readonly<Record<string, Explanation>> = {
  ...machineTexts,
  ...memoryTexts,
  ...diskTexts,
  ...networkTexts,
  ...jvmTexts,
  ...brokerTexts,
}

export function explanationOf(id: string): Explanation {
  const text = texts[id]
  assert(text !== undefined, `check ${id} has no explanation`)
  return text
}

/** Ids that have a text, for the test that each check has one and no text is left over. */
export const explainedIds: readonly string[] = Object.keys(texts)

/** How much one scan does for a `Select` before it answers: a turn has to stay short. */
import type { RecordTest, Select } from './pull.ts'

/** Steps that one scan takes for a `Select`, counted once more for each KiB of a record: some ms to some tens. */
export const SELECT_STEPS_MAX = 100_000
/** Units of a queue that one scan passes for a `Select`; most of them lead to a record. */
const SELECT_UNITS_MAX = 800
/** Bytes of records that one scan looks into for a `Select`, so that a turn stays short. */
export const SELECT_BYTES_MAX = 2 * 1024 * 1024

/** Units that one scan passes, of the `unitsMax` that one by tags may. */
export function unitsFor(select: Select, unitsMax: number): number {
  return select === null ? unitsMax : Math.min(unitsMax, SELECT_UNITS_MAX)
}

/** Steps that it takes to look into a record of `size` bytes. */
export function stepsOf(select: RecordTest, size: number): number {
  return (select.steps ?? 1) * (1 + (size >>> 10))
}

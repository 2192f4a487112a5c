/**
 * The world: everything that is not a computation. A `World` is built in one place (the command
 * line, a role's main, or a test) and passed down through constructors; nothing reaches for the
 * clock, the disk or the network by itself. That is what lets one seed replay a whole run.
 */
import type { Clock } from './clock.ts'
import type { Disk } from './disk.ts'
import type { Net } from './net.ts'
import type { Random } from './random.ts'

export interface World {
  readonly clock: Clock
  readonly random: Random
  readonly disk: Disk
  readonly net: Net
}

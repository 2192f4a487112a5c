/** Ends an instance from another process: the supervisor is asked, then made to. */
import { retireRunFile, type RunFile } from './instance.ts'
import { isAlive, signal, type ProcessIdentity } from './process-identity.ts'
import { sleep } from '../world/node-clock.ts'
import type { World } from '../world/world.ts'

export interface StopResult {
  /** Processes that had to be killed. */
  readonly killed: number
  readonly tookMs: number
}

const LOOK_AGAIN_MS = 20

/**
 * SIGTERM to the supervisor, who stops brokers, then name servers. What still lives after
 * `timeoutMs` (with `force`: at once) is killed.
 */
export async function stopInstance(
  world: World,
  run: RunFile,
  stateDir: string,
  options: { readonly timeoutMs: number; readonly force: boolean },
): Promise<StopResult> {
  const startedMs = world.clock.monotonicMs()
  const roles = run.roles.map((role) => role.process)
  let killed = 0
  if (!options.force) {
    if (!signal(run.supervisor, 'SIGTERM')) for (const role of roles) signal(role, 'SIGTERM')
    await waitGone(world, [run.supervisor, ...roles], options.timeoutMs)
  }
  // Brokers before the supervisor: a role that loses its supervisor would begin a clean stop.
  for (const identity of [...roles, run.supervisor]) if (signal(identity, 'SIGKILL')) killed += 1
  await waitGone(world, [run.supervisor, ...roles], options.timeoutMs)
  retireRunFile(stateDir)
  return { killed, tookMs: world.clock.monotonicMs() - startedMs }
}

async function waitGone(
  world: World,
  identities: readonly ProcessIdentity[],
  timeoutMs: number,
): Promise<void> {
  const deadline = world.clock.monotonicMs() + timeoutMs
  while (identities.some(isAlive) && world.clock.monotonicMs() < deadline) {
    await sleep(world.clock, LOOK_AGAIN_MS)
  }
}

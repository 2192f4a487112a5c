/**
 * This room looks at the machine it runs on: what it is (`facts.ts`), what it does (`snapshot.ts`
 * and the two probes, made into rates by `usage.ts`), what the Node processes of a run do inside
 * (`node-runtime.ts`), what a JVM says about its garbage collector (`jvm-perfdata.ts`), and whether
 * anything would spoil a measurement (`checks.ts`). It changes nothing.
 */
import type { Clock } from '../world/clock.ts'
import { LinuxProbe } from './linux-probe.ts'
import { PortableProbe } from './portable-probe.ts'
import type { HostProbe, ProbeTarget } from './snapshot.ts'

/** The probe for this platform. */
export function openHostProbe(clock: Clock, target: ProbeTarget): HostProbe {
  return process.platform === 'linux' ? new LinuxProbe(clock, target) : new PortableProbe(clock)
}

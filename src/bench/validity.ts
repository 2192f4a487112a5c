/**
 * Whether a run may be believed, before anybody looks at its numbers. A failed check of severity
 * `error` makes the run invalid (exit 13): its numbers then say something else than they seem to.
 */
import type { Scenario } from './scenario-schema.ts'
import type { ValidityCheck } from './result.ts'
import type { HostResult, ProcessResult } from './result-hosts.ts'

/** The largest pacing error of a phase, and the interval between its messages. */
export interface PacingSeen {
  readonly phase: string
  readonly p99Ms: number
  readonly intervalMs: number
}

export interface ValidityInput {
  readonly scenario: Scenario
  /** Whether those who were to receive did; nothing when that cannot be told. */
  readonly receipts?: readonly ValidityCheck[]
  readonly acked: number
  readonly ackedPerSecond: number
  readonly host: HostResult
  /** All of the run, `host` among them; absent when there is only that one. */
  readonly hosts?: readonly HostResult[]
  readonly processes: readonly ProcessResult[]
  readonly ceilingPerSecond: number | null
  /** Messages that arrived before they were sent, by how much the earliest of them, and all. */
  readonly negativeEndToEnd: number
  readonly earlyEndToEndMs: number
  readonly endToEndCount: number
  /** Null in a closed load. */
  readonly pacing: PacingSeen | null
  readonly scheduled: number
  readonly unsent: number
  /** Length of the window, and of the time over which the host and its processes were looked at. */
  readonly windowMs: number
  readonly seenMs: number
  /**
   * How far two clocks of the load may have been from what was reckoned with, and what they moved
   * against each other meanwhile, milliseconds; absent when it ran on one host.
   */
  readonly clocks?: { readonly errorMs: number | null; readonly movedMs: number }
}

/** A generator that is this busy, in cores, while the host has room, is what limits the rate. */
const GENERATOR_CORES_MAX = 0.95
/** Above this share of all CPUs the host itself is full, and nobody in particular is to blame. */
export const HOST_BUSY_MAX = 0.9
/** Below this a generator's thread cannot be what limits the rate. */
const GENERATOR_CORES_IDLE = 0.5
const STEAL_WARN = 0.02
/** Scheduled messages that may stay unsent before the report says so. */
const OFFERED_UNSENT_MAX = 0.001
/** The time over which the host was looked at may differ from the window by such a share, and so much. */
const SEEN_WARN = { share: 0.1, differenceMs: 250 }
/** Beyond this, what the host did in the window is not known. */
const SEEN_MAX = { share: 0.5, differenceMs: 3_000 }
/** Rows are seconds: phases that begin so far apart are still told apart. */
const CLOCKS_MOVED_MS_MAX = 250
/** Other programs on this host that take more than this share of it disturb the measurement. */
const OTHER_SHARE_MAX = 0.1

/** Cores that went to processes which do not belong to the run; null when that cannot be told. */
export function otherCores(host: HostResult, processes: readonly ProcessResult[]): number | null {
  if (host.cpu === null) return null
  let known = 0
  for (const { cores, unavailable, host: where } of processes) {
    if (where !== host.agent) continue
    // A broker elsewhere takes nothing here; one of this host that we cannot see spoils the sum.
    if (cores === null && unavailable['process']?.includes('another host') !== true) return null
    known += cores ?? 0
  }
  return Math.max(0, (host.cpu.user + host.cpu.system) * host.cpuCount - known)
}

export function checkValidity(input: ValidityInput): ValidityCheck[] {
  const { limits, checks } = { limits: input.scenario.validity, checks: [] as ValidityCheck[] }
  checks.push({
    check: 'samples',
    value: input.acked,
    limit: limits.minSamples,
    unit: 'messages',
    ok: input.acked >= limits.minSamples,
    severity: 'error',
    text:
      input.acked === 0
        ? 'no message was acknowledged'
        : `${input.acked} messages were acknowledged; a result needs ${limits.minSamples}`,
  })
  checks.push(...(input.receipts ?? []))
  for (const host of input.hosts ?? [input.host]) {
    checks.push(...stealChecks(host, limits.maxSteal))
  }
  if (input.clocks !== undefined) checks.push(...clockChecks(input.clocks, limits.maxClockSkew))
  checks.push(resourcesCheck(input))
  checks.push(generatorCpu(input), loopLag(input, limits.maxLoopLag))
  if (input.pacing !== null) checks.push(pacingCheck(input.pacing, limits.maxPacingError))
  if (input.scheduled > 0) checks.push(offeredCheck(input))
  const others = otherCores(input.host, input.processes)
  if (others !== null) {
    const limit = input.host.cpuCount * OTHER_SHARE_MAX
    checks.push({
      check: 'other-load',
      value: others,
      limit,
      unit: 'cores',
      ok: others <= limit,
      severity: 'warning',
      text: `processes that are not part of this run used ${others.toFixed(2)} of ${input.host.cpuCount} cores`,
    })
  }
  if (input.ceilingPerSecond !== null) {
    checks.push(ceilingCheck(input, input.ceilingPerSecond, limits.maxCeiling))
  }
  if (input.endToEndCount > 0) checks.push(negativeCheck(input))
  return checks
}

/** No message arrives before it was sent: what seems so by more than the clocks allow is a fault. */
function negativeCheck(input: ValidityInput): ValidityCheck {
  const { negativeEndToEnd, earlyEndToEndMs, endToEndCount, clocks } = input
  const errorMs = clocks === undefined ? 0 : (clocks.errorMs ?? 0)
  const by =
    negativeEndToEnd === 0
      ? ''
      : `, by up to ${earlyEndToEndMs.toFixed(3)} ms; the clocks explain ${errorMs.toFixed(3)} ms`
  return {
    check: 'negative-end-to-end',
    value: negativeEndToEnd / endToEndCount,
    limit: 0,
    unit: 'share',
    ok: negativeEndToEnd === 0 || earlyEndToEndMs <= errorMs,
    severity: 'error',
    text: `${negativeEndToEnd} messages seem to have arrived before they were sent${by}`,
  }
}

/** A machine so busy that we were late ourselves has shown another time than the one that counts. */
function resourcesCheck({ windowMs, seenMs }: ValidityInput): ValidityCheck {
  const difference = Math.abs(seenMs - windowMs)
  const isWithin = ({ share, differenceMs }: typeof SEEN_MAX) =>
    difference <= Math.max(differenceMs, windowMs * share)
  const isKnown = isWithin(SEEN_MAX)
  return {
    check: 'resources-window',
    value: windowMs > 0 ? difference / windowMs : 0,
    limit: (isKnown ? SEEN_WARN : SEEN_MAX).share,
    unit: 'share',
    ok: isWithin(SEEN_WARN),
    severity: isKnown ? 'warning' : 'error',
    text: `CPU, memory, disk and network were looked at for ${(seenMs / 1000).toFixed(2)} s, and the window was ${(windowMs / 1000).toFixed(2)} s: mqctl itself did not get a CPU in time`,
  }
}

/** With the load on several hosts, phases begin and messages arrive by clocks that only agree so well. */
function clockChecks(
  { errorMs, movedMs }: NonNullable<ValidityInput['clocks']>,
  maxMs: number,
): ValidityCheck[] {
  const skew: ValidityCheck = {
    check: 'clock-skew',
    value: errorMs,
    limit: maxMs,
    unit: 'ms',
    ok: errorMs !== null && errorMs <= maxMs,
    severity: 'error',
    text:
      errorMs === null
        ? 'the clocks of the load could not be compared again at the end'
        : `the clocks of the load may have been ${errorMs.toFixed(3)} ms apart from what was reckoned with`,
  }
  const drift: ValidityCheck = {
    check: 'clock-drift',
    value: movedMs,
    limit: CLOCKS_MOVED_MS_MAX,
    unit: 'ms',
    ok: movedMs <= CLOCKS_MOVED_MS_MAX,
    severity: 'error',
    text: `the clocks of the load have moved ${movedMs.toFixed(3)} ms against each other since the run began, and so have its phases`,
  }
  return [skew, drift]
}

/** The host on which a process runs. */
function hostOf(
  { host, hosts = [] }: Pick<ValidityInput, 'host' | 'hosts'>,
  where: string | undefined,
): HostResult {
  return hosts.find(({ agent }) => agent === where) ?? host
}

/**
 * Whether a host carries load beside another that is known to carry the brokers: what it lacks is a
 * limit of the load, not of what is measured. Agents may share a machine: then they tell one name.
 */
export function isForLoadAlone(host: HostResult, hosts: readonly HostResult[]): boolean {
  if (!host.roles.includes('load') || host.roles.includes('broker')) return false
  const brokers = hosts.filter(({ roles }) => roles.includes('broker'))
  return brokers.length > 0 && brokers.every(({ name }) => name !== host.name)
}

/**
 * Whether the CPUs of a process's host are all busy: then it waits for them like everybody there,
 * the broker too. Where the broker is elsewhere, that is no excuse.
 */
export function isOnFullHost(
  input: Pick<ValidityInput, 'host' | 'hosts'>,
  where: string | undefined,
): boolean {
  const host = hostOf(input, where)
  if (isForLoadAlone(host, input.hosts ?? [])) return false
  return (host.cpu?.busy ?? 0) >= HOST_BUSY_MAX
}

/** The limit is the scenario's, or a tenth of the interval between two messages when that is more. */
function pacingCheck(pacing: PacingSeen, maxMs: number): ValidityCheck {
  const limit = Math.max(maxMs, pacing.intervalMs / 10)
  return {
    check: 'pacing-error',
    value: pacing.p99Ms,
    limit,
    unit: 'ms',
    ok: pacing.p99Ms <= limit,
    severity: 'error',
    text: `p99 of the generator’s pacing error was ${pacing.p99Ms.toFixed(3)} ms in phase ${pacing.phase}`,
  }
}

/** The target did not take what was offered: no fault of the run, but its rate is not the offered one. */
function offeredCheck({ scheduled, unsent }: ValidityInput): ValidityCheck {
  const share = unsent / scheduled
  return {
    check: 'offered-rate',
    value: share,
    limit: OFFERED_UNSENT_MAX,
    unit: 'share',
    ok: share <= OFFERED_UNSENT_MAX,
    severity: 'warning',
    text: `${unsent} of ${scheduled} scheduled messages were never sent: all senders were waiting for the target, and response times of those that were sent are a lower bound`,
  }
}

function stealChecks(host: HostResult, maxSteal: number): ValidityCheck[] {
  const steal = host.cpu?.steal ?? null
  if (steal === null) return []
  const text = `the hypervisor kept ${(steal * 100).toFixed(1)} % of the CPU time to itself`
  const check = 'steal'
  const hard = { check, value: steal, limit: maxSteal, unit: 'share', ok: steal <= maxSteal, text }
  if (steal > STEAL_WARN && steal <= maxSteal) {
    return [{ ...hard, limit: STEAL_WARN, ok: false, severity: 'warning' }]
  }
  return [{ ...hard, severity: 'error' }]
}

function generatorsOf(processes: readonly ProcessResult[]): readonly ProcessResult[] {
  return processes.filter((process) => process.role === 'producer')
}

interface Busiest {
  readonly name: string
  readonly cores: number
  readonly where: string | undefined
}

function busiest(processes: readonly ProcessResult[]): Busiest | null {
  let best: Busiest | null = null
  for (const { name, cores, busiestThread, host: where } of processes) {
    // The loop is one thread; garbage collection helps out on others.
    const busy = busiestThread?.cores ?? cores
    if (busy !== null && busy > (best?.cores ?? -1)) best = { name, cores: busy, where }
  }
  return best
}

function generatorCpu(input: ValidityInput): ValidityCheck {
  const best = busiest(generatorsOf(input.processes))
  const hostFull = isOnFullHost(input, best?.where)
  const hosts = input.hosts ?? []
  const full = hosts.find(
    (host) => isForLoadAlone(host, hosts) && (host.cpu?.busy ?? 0) >= HOST_BUSY_MAX,
  )
  const busy = (best !== null && best.cores >= GENERATOR_CORES_MAX) || full !== undefined
  return {
    check: 'generator-cpu',
    value: best?.cores ?? null,
    limit: GENERATOR_CORES_MAX,
    unit: 'cores',
    ok: !busy,
    severity: hostFull ? 'warning' : 'error',
    text:
      best === null
        ? 'the CPU of the generators is not known'
        : full !== undefined
          ? `all cores of ${full.agent ?? full.name}, which carries load alone, were busy`
          : `the busiest producer thread (${best.name}) used ${best.cores.toFixed(2)} of a core`,
  }
}

function loopLag(input: ValidityInput, maxLoopLagMs: number): ValidityCheck {
  let worst: number | null = null
  let where: string | undefined
  for (const { loop, host } of generatorsOf(input.processes)) {
    const p99Ms = loop?.p99Ms ?? null
    if (p99Ms === null || p99Ms < (worst ?? 0)) continue
    worst = p99Ms
    where = host
  }
  const ok = worst === null || worst <= maxLoopLagMs
  // On a full host everybody waits for a CPU, the generators too: then it is the host that is full.
  const hostFull = isOnFullHost(input, where)
  return {
    check: 'generator-loop-lag',
    value: worst,
    limit: maxLoopLagMs,
    unit: 'ms',
    ok,
    severity: hostFull ? 'warning' : 'error',
    text:
      worst === null
        ? 'the event-loop delay of the generators is not known'
        : `p99 of the producers’ event-loop delay was ${worst.toFixed(1)} ms`,
  }
}

/**
 * Whether a generator had CPU to spare. The ceiling is measured in a moment of its own; when the
 * machine was busier then than during the run, it is too low, and this tells.
 */
export function generatorsAreIdle(processes: readonly ProcessResult[]): boolean {
  const best = busiest(generatorsOf(processes))
  return best !== null && best.cores < GENERATOR_CORES_IDLE
}

function ceilingCheck(input: ValidityInput, ceiling: number, limit: number): ValidityCheck {
  const share = ceiling > 0 ? input.ackedPerSecond / ceiling : 1
  const idle = generatorsAreIdle(input.processes)
  return {
    check: 'generator-ceiling',
    value: share,
    limit,
    unit: 'share',
    ok: share <= limit,
    severity: idle ? 'warning' : 'error',
    text: `the run reached ${(share * 100).toFixed(0)} % of what the producers reached against the null target${idle ? '; they had CPU to spare, so the machine was busier while that was measured' : ''}`,
  }
}

/** From the flags of `mqctl bench` to the places in a scenario that they change. */
import { MqError } from '../base/errors.ts'
import type { Override } from './scenario.ts'

/** Values as the user wrote them; absent ones change nothing. */
export interface OverrideFlags {
  readonly namesrv?: readonly string[] | undefined
  readonly duration?: string | undefined
  readonly warmup?: string | undefined
  readonly producers?: string | undefined
  readonly threads?: string | undefined
  readonly consumers?: string | undefined
  readonly size?: string | undefined
  readonly queues?: string | undefined
  readonly topic?: string | undefined
  readonly flush?: string | undefined
  readonly seed?: string | undefined
  readonly rate?: string | undefined
  readonly repeat?: string | undefined
  readonly threshold?: readonly string[] | undefined
  /** A laboratory: the speed of its link, and the groups that its consumers form. */
  readonly lab?: { readonly linkBitsPerSecond: number; readonly groups: number } | undefined
  /** `path=value`. */
  readonly set?: readonly (readonly [path: string, value: string])[] | undefined
}

/**
 * The load of a scenario replaced by one stage that tries rates: what `bench search`, `curve` and
 * `balance` do. Thresholds about phases of the other load go with it.
 */
export function triedOverrides(
  stage: Readonly<Record<string, unknown>>,
  flags: Omit<OverrideFlags, 'lab'> & { readonly lab?: unknown },
): Override[] {
  const { lab: _, ...plain } = flags
  if (plain.rate !== undefined || plain.repeat !== undefined) {
    throw new MqError('USAGE', {
      what: `a ${String(stage['shape'])} decides on its rates: leave out --rate and --repeat`,
    })
  }
  const { as, ...rest } = stage
  const source = `bench ${String(stage['shape'])}`
  // Each key by itself, so that a mistake is told of the flag that made it.
  return [
    { path: 'load', value: JSON.stringify([{ as, model: 'open', for: '8s' }]), source },
    ...Object.entries(rest).map(([key, value]) => ({
      path: `load.0.${key}`,
      value: JSON.stringify(value),
      source: key === 'shape' ? source : `--${key} ${textOf(value)}`,
    })),
    { path: 'thresholds', value: '[]', source },
    { path: 'repeat', value: '1', source },
    ...overridesOf(plain),
  ]
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** `cpu=70%,disk=60%`. Throws MqError VALUE_INVALID. */
export function sharesOf(written: string): Record<string, string> {
  const pairs = written.split(',').map((one): [string, string] => {
    const match = /^\s*([a-z]+)\s*=\s*(\S+)\s*$/.exec(one)
    if (match === null) {
      const hint = 'write cpu=70%,disk=60%,nic=60%'
      throw new MqError('VALUE_INVALID', { what: `${JSON.stringify(one)} is no share`, hint })
    }
    return [match[1] ?? '', match[2] ?? '']
  })
  return Object.fromEntries(pairs)
}

const paths = {
  duration: 'load.0.for',
  warmup: 'warmup.min',
  producers: 'producers.instances',
  threads: 'producers.threads',
  consumers: 'consumers.instances',
  size: 'message.size',
  queues: 'topics.queues',
  topic: 'topics.name',
  seed: 'seed',
  repeat: 'repeat',
} as const

/** In the order in which they apply: what `--set` says comes last and wins. */
export function overridesOf(flags: OverrideFlags): Override[] {
  const overrides: Override[] = []
  for (const [flag, path] of Object.entries(paths) as [keyof typeof paths, string][]) {
    const value = flags[flag]
    if (value === undefined) continue
    // A topic may look like a number or a list; it is text all the same.
    const yaml = flag === 'topic' ? JSON.stringify(value) : value
    overrides.push({ path, value: yaml, source: `--${flag} ${value}` })
  }
  if (flags.flush !== undefined) {
    const value = flags.flush === 'sync' ? 'fsync' : 'page-cache'
    overrides.push({ path: 'target.durability', value, source: `--flush ${flags.flush}` })
  }
  if (flags.namesrv !== undefined) {
    const source = `--namesrv ${flags.namesrv.join(';')}`
    overrides.push(
      { path: 'target.driver', value: 'rocketmq', source },
      { path: 'target.endpoints', value: JSON.stringify(flags.namesrv), source },
    )
  }
  if (flags.rate !== undefined) {
    const source = `--rate ${flags.rate}`
    overrides.push(
      { path: 'load.0.model', value: 'open', source },
      { path: 'load.0.rate', value: flags.rate, source },
    )
  }
  if (flags.threshold !== undefined) {
    const source = flags.threshold.map((one) => `--threshold ${JSON.stringify(one)}`).join(' ')
    const value = JSON.stringify(flags.threshold)
    overrides.push({ path: 'thresholds', value, source, appends: true })
  }
  if (flags.lab !== undefined) {
    const { linkBitsPerSecond, groups } = flags.lab
    overrides.push(
      { path: 'metrics.linkSpeed', value: `${linkBitsPerSecond}bit`, source: '--lab' },
      { path: 'consumers.groups', value: String(groups), source: '--lab' },
    )
  }
  for (const [path, value] of flags.set ?? []) {
    overrides.push({ path, value, source: `--set ${path}=${value}` })
  }
  return overrides
}

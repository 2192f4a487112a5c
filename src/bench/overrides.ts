/** From the flags of `mqctl bench` to the places in a scenario that they change. */
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

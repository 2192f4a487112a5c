/** What survives a reboot, who else sets the same, and where two lines disagree. */
import {
  fail,
  measured,
  pass,
  severityIn,
  skip,
  type Change,
  type Check,
  type Evidence,
  type Finding,
  type Profile,
} from '../check.ts'
import { definitionsOf, driftOf, type Drift } from '../boot-values.ts'
import type { HostFacts } from '../facts.ts'
import { THP_ENABLED } from '../persisted-facts.ts'

/** The checks on persistence of everything that `tuned` judges. */
export function persistChecks(tuned: readonly Check[]): readonly Check[] {
  const keysIn = (profile: Profile) => [
    ...new Set(
      tuned
        .filter((check) => severityIn(check, profile) !== null)
        .flatMap((check) => [...(check.keys ?? [])]),
    ),
  ]
  return [drift(tuned, keysIn), duplicates(keysIn), manager(keysIn)]
}

type KeysIn = (profile: Profile) => readonly string[]

/** Files of a container do not configure the host that it runs on. */
function elsewhere(facts: HostFacts): Finding | null {
  if (facts.container.kind !== 'none') {
    return skip('not-namespaced', 'the files that count are those of the host')
  }
  const nothing = Object.values(facts.sysctl).every((reading) => reading.text === null)
  return nothing ? skip('absent', 'no values can be read to compare with') : null
}

function drift(tuned: readonly Check[], keysIn: KeysIn): Check {
  return {
    id: 'persist.drift',
    category: 'persistence',
    title: 'Live values survive a reboot',
    weight: 'W/W/W',
    scope: 'host',
    judge(facts, profile) {
      const not = elsewhere(facts)
      if (not !== null) return not
      const drifts = keysIn(profile)
        .map((key) => driftOf(facts, key))
        .filter((found) => found !== null)
      const thp = thpDrift(facts)
      const evidence = [...drifts.map(driftEvidence), ...(thp === null ? [] : [thp.evidence])]
      const count = evidence.length
      const basis = {
        actual: measured(
          count,
          'values',
          `${count} of ${keysIn(profile).length + 1} values differ`,
        ),
        expected: 'live = boot value',
        evidence,
      }
      const hidden = facts.persisted.unreadable
      if (count === 0) {
        return pass({
          ...basis,
          text: hidden.length === 0 ? '' : `as far as can be read: not ${hidden.join(', ')}`,
        })
      }
      const changes: Change[] = drifts
        .filter((found) => isGood(tuned, facts, profile, found.key))
        .map(({ key, live }) => ({ kind: 'sysctl', key, value: live.replace(/\s+/g, ' ') }))
      if (thp !== null && thp.live !== 'always') changes.push({ kind: 'thp', value: thp.live })
      return fail({
        ...basis,
        text: evidence.map(({ value }) => value).join('; '),
        remedy: {
          summary: 'write what is right into a drop-in of sysctl.d: mqctl tune-os plan shows it',
          changes,
        },
      })
    },
  }
}

/** Whether the live value of a key is one that its check accepts. */
function isGood(tuned: readonly Check[], facts: HostFacts, profile: Profile, key: string): boolean {
  return tuned
    .filter((check) => check.keys?.includes(key) === true && severityIn(check, profile) !== null)
    .every((check) => check.judge(facts, profile).status === 'pass')
}

function driftEvidence({ key, live, boot }: Drift): Evidence {
  const { winner, value } = boot
  const now = live.replace(/\s+/g, ' ')
  if (winner === null) {
    return {
      source: key,
      value: `${key} = ${now} would be lost: nothing sets it at boot (kernel default ${value})`,
    }
  }
  return {
    source: `${winner.file}:${winner.line}`,
    value: `${key} = ${now} now, ${winner.key} = ${winner.value} at boot by ${winner.file}:${winner.line}`,
  }
}

function thpDrift(facts: HostFacts): { live: string; evidence: Evidence } | null {
  const live = /\[(\w+)\]/.exec(facts.thp.enabled.text ?? '')?.[1]
  const winner = facts.persisted.thp.findLast(({ ignored }) => ignored === null)
  if (live === undefined || winner === undefined || winner.value === live) return null
  return {
    live,
    evidence: {
      source: `${winner.file}:${winner.line}`,
      value: `transparent huge pages: ${live} now, ${winner.value} at boot by ${winner.file}`,
    },
  }
}

function duplicates(keysIn: KeysIn): Check {
  return {
    id: 'persist.duplicates',
    category: 'persistence',
    title: 'One line for each value',
    weight: 'I/I/I',
    scope: 'host',
    judge(facts, profile) {
      const not = elsewhere(facts)
      if (not !== null) return not
      const twice = keysIn(profile)
        .map((key) => ({
          key,
          lines: definitionsOf(facts, key).filter(({ ignored }) => ignored === null),
        }))
        .filter(({ lines }) => lines.length > 1)
      const basis = {
        actual: measured(
          twice.length,
          'keys',
          `${twice.length} ${twice.length === 1 ? 'key' : 'keys'}`,
        ),
        expected: 'none is set twice',
        evidence: twice.flatMap(({ lines }) =>
          lines.map((line, index) => ({
            source: `${line.file}:${line.line}`,
            value: `${line.key} = ${line.value}${index === lines.length - 1 ? ' (wins)' : ''}`,
          })),
        ),
      }
      if (twice.length === 0) return pass(basis)
      return fail({
        ...basis,
        text: twice
          .map(({ key, lines }) => {
            const last = lines.at(-1)
            const before = lines.slice(0, -1).map((line) => `${line.file}:${line.line}`)
            return `${key}: ${before.join(', ')} overridden by ${last?.file}:${last?.line}`
          })
          .join('; '),
        remedy: { summary: 'keep one line and remove the others' },
      })
    },
  }
}

function manager(keysIn: KeysIn): Check {
  return {
    id: 'persist.manager',
    category: 'persistence',
    title: 'Nobody else sets the same values',
    weight: 'I/I/I',
    scope: 'host',
    judge(facts, profile) {
      const not = elsewhere(facts)
      if (not !== null) return not
      const ours = new Set([...keysIn(profile), THP_ENABLED])
      const clashes = facts.persisted.managers.map((one) => ({
        ...one,
        keys: one.keys.filter((key) => ours.has(key)),
      }))
      const basis = {
        actual: measured(clashes.map(({ name }) => name).join(', ') || 'nobody'),
        expected: 'nobody, or only other values',
        evidence: clashes.map(({ source, name, profile: active, keys }) => ({
          source,
          value: `${name}${active === null ? '' : ` (${active})`}: ${keys.join(', ') || 'no value of ours'}`,
        })),
      }
      const real = clashes.filter(({ keys, name }) => keys.length > 0 || name === 'cloud-init')
      if (real.length === 0) return pass(basis)
      return fail({
        ...basis,
        text: real
          .map(({ name, keys }) =>
            keys.length === 0
              ? `${name} writes sysctl files at boot`
              : `${name} sets ${keys.join(', ')} when it starts; with reapply_sysctl=1 files of sysctl.d win`,
          )
          .join('; '),
        remedy: { summary: 'change the values there, or leave them to it' },
      })
    },
  }
}

/** Limits of the process: what it was started with counts, not what a shell says. */
import { confSwitch } from '../broker-conf.ts'
import {
  evidenceOf,
  measured,
  numberOf,
  skip,
  sysctlOf,
  unread,
  verdict,
  type Check,
  type Evidence,
  type Finding,
  type Profile,
  type UnitLimit,
} from '../check.ts'
import type { HostFacts } from '../facts.ts'
import { hiddenConf } from './broker.ts'

const NOFILE_FLOOR = 65_535
const NOFILE_ADVISED = 655_350
/** Below this not even a broker of Node loads its own files and opens its store. */
const NOFILE_BREAKS = 256
/** Above this, programs that close every descriptor at start spin for minutes. */
const NOFILE_SANE_MAX = 1_048_576

/** Soft and hard; infinite for unlimited. Null when the row is not there. */
export function limitOf(text: string, name: string): { soft: number; hard: number } | null {
  const row = text.split('\n').find((line) => line.startsWith(name))
  if (row === undefined) return null
  const [soft, hard] = row.slice(name.length).trim().split(/\s+/)
  const value = (word: string | undefined) =>
    word === 'unlimited' ? Number.POSITIVE_INFINITY : Number(word)
  return Number.isNaN(value(soft)) || Number.isNaN(value(hard))
    ? null
    : { soft: value(soft), hard: value(hard) }
}

interface Limit {
  readonly hard: number
  readonly soft: number
  readonly evidence: readonly Evidence[]
  /** Whose limit it is, for people. */
  readonly of: string
}

/** Of the target; of its unit when it does not run ("configured"); else of the shell above mqctl. */
function limit(facts: HostFacts, name: string, setting: UnitLimit): Limit | Finding {
  const { target, unit } = facts
  const configured = unit?.settings[setting]
  if (target.pid === null && target.how !== 'none') {
    if (configured !== undefined) return ofUnit(configured, setting)
    if (target.how === 'port') return skip('needs-root', target.why ?? 'the target is not visible')
    if (unit?.found === true) {
      return skip('unknown', `${unit.name} does not run and sets no ${setting}`)
    }
    return skip('not-applicable', target.why ?? 'no target')
  }
  const { limits } = target
  if (limits.text === null) return unread(limits)
  const found = limitOf(limits.text, name)
  if (found === null) return skip('absent', `${limits.source} has no ${name}`)
  return {
    ...found,
    evidence: [
      {
        source: limits.source,
        value: `${name}: soft ${shown(found.soft)}, hard ${shown(found.hard)}`,
      },
    ],
    of: target.limitsOf === 'target' ? 'the target' : 'the shell that started mqctl',
  }
}

function ofUnit(
  setting: { value: string; file: string; line: number },
  name: string,
): Limit | Finding {
  const [soft = '', hard = soft] = setting.value.split(':')
  const number = (word: string) => {
    if (word === 'infinity') return Number.POSITIVE_INFINITY
    const match = /^(\d+)([KMGT]?)$/.exec(word)
    return match === null
      ? Number.NaN
      : Number(match[1]) * 1_024 ** ' KMGT'.indexOf(match[2] || ' ')
  }
  if (Number.isNaN(number(soft)) || Number.isNaN(number(hard))) {
    return skip('unknown', `${name}=${setting.value} in ${setting.file} is not a number`)
  }
  return {
    soft: number(soft),
    hard: number(hard),
    evidence: [{ source: `${setting.file}:${setting.line}`, value: `${name}=${setting.value}` }],
    of: 'the unit (configured, not observed)',
  }
}

function shown(value: number): string {
  return value === Number.POSITIVE_INFINITY ? 'unlimited' : String(value)
}

function number(value: number) {
  return value === Number.POSITIVE_INFINITY ? measured('unlimited') : measured(value)
}

const NOFILE = 'Max open files'

/** What the next login gets; a unit of systemd does not read it. Source: pam_limits(8). */
function loginLimits({ persisted }: HostFacts): Evidence[] {
  return persisted.limits.map(({ key, value, file, line }) => ({
    source: `${file}:${line}`,
    value: `${key} ${value} (from the next login on, not for units)`,
  }))
}

/** Hard limit that this profile and this plan want. */
function nofileWanted(facts: HostFacts, profile: Profile): number {
  const floor = profile === 'dev' ? 1_024 : NOFILE_FLOOR
  return Math.max(floor, 2 * facts.plans.connections)
}

const nofile: Check = {
  id: 'limit.nofile',
  category: 'limits',
  title: 'Open files of the process',
  weight: 'C/C/C',
  scope: 'unit',
  cannotStart: true,
  judge(facts, profile) {
    const found = limit(facts, NOFILE, 'LimitNOFILE')
    if ('status' in found) return found
    const wanted = nofileWanted(facts, profile)
    const { openFiles, pid } = facts.target
    const share = openFiles === null ? 0 : openFiles / found.hard
    const enough = found.hard >= wanted && share < 0.7
    const generous = found.hard >= NOFILE_ADVISED || profile !== 'jvm-broker'
    return verdict(enough && generous, {
      actual: number(found.hard),
      expected: `hard limit ≥ ${profile === 'jvm-broker' ? NOFILE_ADVISED : wanted}, under 70 % in use`,
      evidence: [
        ...found.evidence,
        ...(openFiles === null || pid === null
          ? []
          : [{ source: `/proc/${pid}/fd`, value: `${openFiles} open` }]),
        ...(facts.target.how === 'none' ? loginLimits(facts) : []),
      ],
      text: `limit of ${found.of}; JVM and Node raise the soft limit to the hard one by themselves`,
      ...(enough || (profile === 'dev' && found.hard >= NOFILE_BREAKS)
        ? { severity: 'warning' as const }
        : {}),
      remedy: {
        summary:
          'set LimitNOFILE=655350 in a drop-in of the unit (or ulimit -Hn where it is started by hand), then restart it',
        restart: true,
        changes: [
          { kind: 'unit', setting: 'LimitNOFILE', value: String(Math.max(NOFILE_ADVISED, wanted)) },
        ],
      },
    })
  },
}

const nofileHuge: Check = {
  id: 'limit.nofile-huge',
  category: 'limits',
  title: 'Open files are not unlimited',
  weight: 'I/I/I',
  scope: 'unit',
  judge(facts) {
    const found = limit(facts, NOFILE, 'LimitNOFILE')
    if ('status' in found) return found
    return verdict(found.hard <= NOFILE_SANE_MAX, {
      actual: number(found.hard),
      expected: `≤ ${NOFILE_SANE_MAX}`,
      evidence: found.evidence,
      text: 'programs that close every descriptor when they start a child spin for minutes',
      remedy: { summary: 'set a finite LimitNOFILE, such as 655350', restart: true },
    })
  },
}

const NPROC_MIN = 4_096

const nproc: Check = {
  id: 'limit.nproc',
  category: 'limits',
  title: 'Threads that may be made',
  weight: 'W/I/I',
  scope: 'unit',
  judge(facts) {
    const found = limit(facts, 'Max processes', 'LimitNPROC')
    if ('status' in found) return found
    const { pidsMax, pidsCurrent, pidsSource } = facts.group
    const tasksMax = facts.target.pid === null ? unitTasks(facts) : null
    const room = Math.min(
      found.hard,
      pidsMax ?? Number.POSITIVE_INFINITY,
      tasksMax ?? Number.POSITIVE_INFINITY,
    )
    const headroom = pidsMax === null ? null : pidsMax - (pidsCurrent ?? 0)
    return verdict(room >= NPROC_MIN && (headroom === null || headroom >= 256), {
      actual: number(room),
      expected: `≥ ${NPROC_MIN}, and room in the control group`,
      evidence: [
        ...found.evidence,
        ...(pidsMax === null || pidsSource === null
          ? []
          : [{ source: pidsSource, value: `${pidsCurrent ?? '?'} of ${pidsMax}` }]),
      ],
      text: `limit of ${found.of}`,
      remedy: {
        summary: 'set LimitNPROC=65536 and TasksMax=infinity in a drop-in of the unit',
        restart: true,
        changes:
          found.hard >= NPROC_MIN ? [] : [{ kind: 'unit', setting: 'LimitNPROC', value: '65536' }],
      },
    })
  },
}

function unitTasks(facts: HostFacts): number | null {
  const text = facts.unit?.settings['TasksMax']?.value
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null
}

const memlock: Check = {
  id: 'limit.memlock',
  category: 'limits',
  title: 'Memory may be locked when the broker locks it',
  weight: 'W/-/-',
  scope: 'unit',
  judge(facts) {
    const pool = confSwitch(facts.broker, 'transientStorePoolEnable') === true
    const warm = confSwitch(facts.broker, 'warmMapedFileEnable') === true
    if (facts.broker === null) {
      const hidden = hiddenConf(facts)
      if (hidden !== null) return hidden
      return skip('not-applicable', 'no broker.conf says that memory is locked')
    }
    if (!pool && !warm) {
      return skip(
        'not-applicable',
        'neither transientStorePoolEnable nor warmMapedFileEnable is on',
      )
    }
    const found = limit(facts, 'Max locked memory', 'LimitMEMLOCK')
    if ('status' in found) return found
    return verdict(found.hard === Number.POSITIVE_INFINITY, {
      actual: number(found.hard),
      expected: 'unlimited',
      evidence: [
        ...found.evidence,
        {
          source: facts.broker.source,
          value: pool ? 'transientStorePoolEnable=true' : 'warmMapedFileEnable=true',
        },
      ],
      text: `limit of ${found.of}; mlock fails silently and the pool is swapped like any memory`,
      remedy: {
        summary: 'set LimitMEMLOCK=infinity in a drop-in of the unit',
        restart: true,
        changes: [{ kind: 'unit', setting: 'LimitMEMLOCK', value: 'infinity' }],
      },
    })
  },
}

const nrOpen: Check = {
  id: 'fs.nr-open',
  category: 'limits',
  title: 'The kernel allows the wanted number of open files',
  weight: 'W/W/W',
  scope: 'host',
  keys: ['fs.nr_open'],
  judge(facts, profile) {
    const reading = sysctlOf(facts, 'fs.nr_open')
    const value = numberOf(reading)
    if (typeof value !== 'number') return value
    const wanted = Math.max(
      profile === 'jvm-broker' ? NOFILE_ADVISED : 0,
      nofileWanted(facts, profile),
    )
    return verdict(value >= wanted, {
      actual: measured(value),
      expected: `≥ ${wanted}`,
      evidence: [evidenceOf(reading)],
      text: 'a limit of open files above this value cannot be set',
      remedy: {
        summary: 'raise fs.nr_open before the limit of the process',
        changes: [{ kind: 'sysctl', key: 'fs.nr_open', value: String(NOFILE_SANE_MAX) }],
      },
    })
  },
}

export const limitChecks: readonly Check[] = [nofile, nofileHuge, nproc, memlock, nrOpen]

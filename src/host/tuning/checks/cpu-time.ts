/** CPU and clock. */
import { evidenceOf, measured, skip, unread, verdict, type Check, type Evidence } from '../check.ts'
import type { ClockFacts } from '../facts.ts'

const governor: Check = {
  id: 'cpu.governor',
  category: 'cpu',
  title: 'Frequency governor',
  weight: 'I/I/W',
  scope: 'host',
  judge({ cpu }) {
    if (cpu.governors.length === 0) {
      return skip('absent', 'no frequency scaling here (usual in a virtual machine)')
    }
    const others = [...new Set(cpu.governors.filter((name) => name !== 'performance'))]
    return verdict(others.length === 0, {
      actual: measured([...new Set(cpu.governors)].join(', ')),
      expected: 'performance',
      evidence: [{ source: cpu.governorSource, value: cpu.governors.join(' ') }],
      text: 'latency of the first messages after a pause depends on the clock coming up',
      remedy: {
        summary: 'cpupower frequency-set -g performance, or a tuned profile',
        runtime: ['cpupower frequency-set -g performance'],
      },
    })
  },
}

const STEAL_MAX = 0.05

const steal: Check = {
  id: 'cpu.steal',
  category: 'cpu',
  title: 'The hypervisor gives the CPU time it promised',
  weight: 'W/W/W',
  scope: 'host',
  judge({ counters }) {
    if (counters.steal === null) return skip('absent', '/proc/stat cannot be read')
    const percent = Math.round(counters.steal * 1_000) / 10
    const since = counters.windowMs === null ? 'since boot' : `in ${counters.windowMs / 1_000} s`
    return verdict(counters.steal < STEAL_MAX, {
      actual: measured(percent, '%', `${percent} % ${since}`),
      expected: '< 5 %',
      evidence: [{ source: '/proc/stat', value: `steal ${percent} % ${since}` }],
      text: counters.windowMs === null ? 'counters since boot: --window 5s judges now' : '',
      remedy: { summary: 'move the virtual machine, or ask for dedicated CPUs' },
    })
  },
}

const quota: Check = {
  id: 'cpu.quota',
  category: 'cpu',
  title: 'The control group does not throttle',
  weight: 'W/W/W',
  scope: 'unit',
  judge({ group, counters }) {
    if (group.version === null) return skip('absent', 'no control groups are mounted')
    const { periods, throttledPeriods, windowMs } = counters
    const share = periods === null || periods === 0 ? 0 : (throttledPeriods ?? 0) / periods
    const since = windowMs === null ? 'since the group was made' : `in ${windowMs / 1_000} s`
    const limited = group.cpuCores !== null
    const percent = Math.round(share * 1_000) / 10
    return verdict(!limited || share < 0.01, {
      actual: limited
        ? measured(
            group.cpuCores,
            'cores',
            `${group.cpuCores} cores, throttled in ${percent} % of periods`,
          )
        : measured('no quota'),
      expected: 'no quota, or throttled in < 1 % of periods',
      evidence:
        group.cpuSource === null
          ? []
          : [
              { source: group.cpuSource, value: `${group.cpuCores} cores` },
              {
                source: 'cpu.stat',
                value: `${throttledPeriods ?? '?'} of ${periods ?? '?'} periods ${since}`,
              },
            ],
      text: limited ? 'a throttled broker stands still for the rest of each 100 ms' : '',
      remedy: { summary: 'raise or remove the CPU limit of the unit or container', restart: true },
    })
  },
}

/** Read without a system call on the usual hardware. */
const fastClocks = new Set([
  'tsc',
  'kvm-clock',
  'arch_sys_counter',
  'hyperv_clocksource_tsc_page',
  'xen',
  'timebase',
])
const CLOCK_KERNEL_SHARE_MAX = 0.1

const clocksource: Check = {
  id: 'time.clocksource',
  category: 'time',
  title: 'The clock is cheap to read',
  weight: 'W/W/W',
  scope: 'host',
  judge({ clock, probes }) {
    const { source, available } = clock
    if (source.text === null) return unread(source)
    const share = probes.clockKernelShare
    const fast = fastClocks.has(source.text) || (share !== null && share <= CLOCK_KERNEL_SHARE_MAX)
    return verdict(fast, {
      actual: measured(source.text),
      expected: [...fastClocks].slice(0, 4).join(', '),
      evidence: [
        evidenceOf(source),
        ...(available.text === null ? [] : [evidenceOf(available)]),
        ...(share === null
          ? []
          : [{ source: 'probe of 50 ms', value: `${Math.round(share * 100)} % in the kernel` }]),
      ],
      text: fast ? '' : 'every time stamp is a system call',
      remedy: {
        summary: 'boot with clocksource=tsc when the hardware allows it',
        reboot: true,
        risk: 'medium',
      },
    })
  },
}

/** Daemons write their drift once an hour while they are synchronised, and a poll may take 17 minutes. */
const DRIFT_AGE_SECONDS_MAX = 7_200

/** What keeps the clock, as far as files tell. `unsure`: a daemon runs, and only it knows. */
export function clockKeeper(clock: ClockFacts): {
  readonly state: 'kept' | 'unsure' | 'not-synchronised' | 'nobody'
  readonly who: string
  readonly evidence: readonly Evidence[]
} {
  const { timesyncd, daemons, drift } = clock
  const running = daemons.map((name) => ({ source: '/proc/*/comm', value: name }))
  if (timesyncd) {
    const evidence = [{ source: '/run/systemd/timesync/synchronized', value: 'is there' }]
    return { state: 'kept', who: 'systemd-timesyncd', evidence }
  }
  const others = daemons.filter((name) => !name.startsWith('systemd-timesyn'))
  if (others.length > 0) {
    const who = others.join(', ')
    if (drift === null) return { state: 'unsure', who, evidence: running }
    const age = {
      source: drift.source,
      value: `written ${Math.round(drift.ageSeconds / 60)} min ago`,
    }
    const fresh = drift.ageSeconds <= DRIFT_AGE_SECONDS_MAX
    return { state: fresh ? 'kept' : 'unsure', who, evidence: [...running, age] }
  }
  return daemons.length > 0
    ? { state: 'not-synchronised', who: 'systemd-timesyncd', evidence: running }
    : { state: 'nobody', who: 'nobody', evidence: [] }
}

const sync: Check = {
  id: 'time.sync',
  category: 'time',
  title: 'The clock is kept right',
  weight: 'W/W/W',
  scope: 'host',
  judge({ clock, container }) {
    const { state, who, evidence } = clockKeeper(clock)
    if (state === 'nobody' && container.kind !== 'none') {
      return skip('not-namespaced', 'the clock is the host’s: judge it there')
    }
    if (state === 'unsure') {
      const text = `${who} runs; whether it is synchronised only it can tell: chronyc tracking, ntpq -p`
      return skip('unknown', text, { actual: measured(who), evidence })
    }
    return verdict(state === 'kept', {
      actual: measured(state === 'not-synchronised' ? `${who}, not synchronised` : who),
      expected: 'a daemon that is synchronised',
      evidence,
      text: state === 'kept' ? '' : 'store times, delays and latency across machines depend on it',
      remedy: {
        summary:
          state === 'nobody'
            ? 'install and start chrony'
            : 'let it reach a time server: timedatectl timesync-status tells more',
      },
    })
  },
}

export const cpuTimeChecks: readonly Check[] = [governor, steal, quota, clocksource, sync]

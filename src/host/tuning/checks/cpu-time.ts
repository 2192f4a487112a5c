/** CPU and clock. */
import { evidenceOf, measured, skip, unread, verdict, type Check } from '../check.ts'

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

const sync: Check = {
  id: 'time.sync',
  category: 'time',
  title: 'The clock is kept right',
  weight: 'W/W/W',
  scope: 'host',
  judge({ clock, container }) {
    const { timesyncd, daemons } = clock
    if (container.kind !== 'none' && !timesyncd && daemons.length === 0) {
      return skip('not-namespaced', 'the clock is the host’s: judge it there')
    }
    const who = timesyncd ? 'systemd-timesyncd' : daemons.join(', ')
    return verdict(timesyncd || daemons.length > 0, {
      actual: measured(who === '' ? 'nobody' : who),
      expected: 'a daemon that keeps time',
      evidence: timesyncd
        ? [{ source: '/run/systemd/timesync/synchronized', value: 'synchronized' }]
        : daemons.map((name) => ({ source: '/proc/*/comm', value: name })),
      text:
        !timesyncd && daemons.length > 0
          ? 'it runs; whether it is synchronised only it can tell: chronyc tracking'
          : 'store times, delays, retention and latency across machines depend on it',
      remedy: { summary: 'install and start chrony' },
    })
  },
}

export const cpuTimeChecks: readonly Check[] = [governor, steal, quota, clocksource, sync]

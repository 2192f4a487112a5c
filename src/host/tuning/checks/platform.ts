/** What it runs on. */
import { evidenceOf, measured, skip, unread, verdict, type Check } from '../check.ts'

/** Kernels with a fault that loses or corrupts what a broker wrote. From, up to and including. */
const badKernels: readonly { from: string; to: string; why: string }[] = [
  {
    from: '6.1.64',
    to: '6.1.65',
    why: 'ext4 can corrupt files under mixed direct and buffered writes',
  },
]
const KERNEL_MIN = '5.4'

export const platformChecks: readonly Check[] = [
  {
    id: 'platform.linux',
    category: 'platform',
    title: 'Linux with a readable /proc',
    weight: 'C/C/C',
    scope: 'host',
    cannotStart: true,
    judge({ platform }) {
      if (platform.linux && !platform.procReadable) {
        return skip('absent', '/proc is not mounted or cannot be read')
      }
      return verdict(platform.linux, {
        actual: measured(platform.linux ? 'Linux' : 'not Linux', null),
        expected: 'Linux',
        evidence: [evidenceOf(platform.kernel)],
        remedy: { summary: 'collect facts on a Linux host and judge them with --facts' },
      })
    },
  },
  {
    id: 'platform.kernel',
    category: 'platform',
    title: 'Kernel version',
    weight: 'W/W/W',
    scope: 'host',
    judge({ platform }) {
      const { kernel } = platform
      if (kernel.text === null) return unread(kernel)
      const version = /^\d+\.\d+(\.\d+)?/.exec(kernel.text)?.[0]
      if (version === undefined) return skip('unknown', `${kernel.text} is not a version`)
      const bad = badKernels.find(
        ({ from, to }) => compareVersions(version, from) >= 0 && compareVersions(version, to) <= 0,
      )
      return verdict(bad === undefined && compareVersions(version, KERNEL_MIN) >= 0, {
        actual: measured(kernel.text),
        expected: `${KERNEL_MIN} or later, none with a known fault`,
        evidence: [evidenceOf(kernel)],
        text: bad === undefined ? '' : bad.why,
        remedy: { summary: 'upgrade the kernel', reboot: true, risk: 'medium' },
      })
    },
  },
  {
    id: 'platform.container',
    category: 'platform',
    title: 'Container and control groups',
    weight: 'I/I/I',
    scope: 'process',
    judge({ container, group }) {
      const inside = container.kind !== 'none'
      if (!inside && group.version === null) {
        return skip('absent', 'no control groups are mounted')
      }
      const where = inside ? container.kind : 'not in a container'
      return verdict(group.version !== null, {
        actual: measured(where, null, `${where}, cgroup v${group.version ?? '?'}`),
        expected: 'known',
        evidence:
          container.evidence === null
            ? []
            : [{ source: container.evidence, value: container.kind }],
        text: inside
          ? 'values of the whole host are shown here and cannot be set here: judge the host as well'
          : '',
        remedy: {
          summary:
            'mount the control group hierarchy read-only, so that memory and CPU limits are visible',
        },
      })
    },
  },
]

/** Below 0, 0 or above 0, by numbers: `5.10` is later than `5.4`. */
export function compareVersions(one: string, other: string): number {
  const parts = (text: string) => text.split('.').map((part) => parseInt(part, 10) || 0)
  const [a, b] = [parts(one), parts(other)]
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** One change as a command for now and as a line for the next boot. */
import type { Change } from './check.ts'
import { THP_ENABLED } from './persisted-facts.ts'

export const SYSCTL_FILE = '/etc/sysctl.d/90-mqctl.conf'
export const TMPFILES_FILE = '/etc/tmpfiles.d/90-mqctl.conf'
export const UDEV_FILE = '/etc/udev/rules.d/90-mqctl.rules'

export function unitFile(unit: string): string {
  return `/etc/systemd/system/${unit}.d/90-mqctl.conf`
}

/** What takes effect at once; null for what needs a restart. */
export function changeCommand(change: Change): string | null {
  switch (change.kind) {
    case 'sysctl':
      return /\s/.test(change.value)
        ? `sysctl -w ${change.key}="${change.value}"`
        : `sysctl -w ${change.key}=${change.value}`
    case 'thp':
      return `echo ${change.value} > ${THP_ENABLED}`
    case 'disk':
      return `echo ${change.value} > ${diskPath(change)}`
    case 'unit':
      return null
  }
}

export function diskPath(change: Extract<Change, { kind: 'disk' }>): string {
  return `/sys/block/${change.disk}/queue/${change.attribute}`
}

/** The line that makes it last, and the file that it belongs to. */
export function changeFile(change: Change, unit: string | null): { path: string; line: string } {
  switch (change.kind) {
    case 'sysctl':
      return { path: SYSCTL_FILE, line: `${change.key} = ${change.value}` }
    case 'thp':
      return { path: TMPFILES_FILE, line: `w ${THP_ENABLED} - - - - ${change.value}` }
    case 'disk':
      return {
        path: UDEV_FILE,
        line: `ACTION=="add|change", KERNEL=="${change.disk}", ATTR{queue/${change.attribute}}="${change.value}"`,
      }
    case 'unit':
      return { path: unitFile(unit ?? 'UNIT.service'), line: `${change.setting}=${change.value}` }
  }
}

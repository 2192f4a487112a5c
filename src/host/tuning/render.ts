/** Changes written for other tools. The output can be used as it is; nothing of this host is in it. */
import {
  changeCommand,
  changeFile,
  SYSCTL_FILE,
  TMPFILES_FILE,
  UDEV_FILE,
  unitFile,
} from './change-text.ts'
import { MANAGED, sysctlText, type PlannedChange } from './plan.ts'

export const renderFormats = ['sysctl', 'systemd', 'ansible', 'shell', 'k8s'] as const
export type RenderFormat = (typeof renderFormats)[number]

/** `unit` names the unit whose limits change; null when none was given. */
export function render(
  format: RenderFormat,
  changes: readonly PlannedChange[],
  unit: string | null,
): string {
  switch (format) {
    case 'sysctl':
      return sysctlText(null, changes)
    case 'systemd':
      return systemd(changes, unit)
    case 'ansible':
      return ansible(changes, unit)
    case 'shell':
      return shell(changes, unit)
    case 'k8s':
      return kubernetes(changes)
  }
}

const PLACEHOLDER_UNIT = 'your-broker.service'

interface Grouped {
  readonly path: string
  readonly text: string
}

/** Files that the changes make, with their whole text. */
function grouped(changes: readonly PlannedChange[], unit: string | null): Grouped[] {
  const name = unit ?? PLACEHOLDER_UNIT
  const of = (path: string) =>
    changes.filter(({ change }) => changeFile(change, name).path === path)
  const body = (path: string, head: readonly string[]) => {
    const own = of(path)
    const whys = [...new Set(own.map(({ id, why }) => `# ${id}: ${why}`))]
    const lines = own.map(({ change }) => changeFile(change, name).line)
    return `${[MANAGED, ...whys, ...head, ...lines].join('\n')}\n`
  }
  return [
    ...(of(SYSCTL_FILE).length > 0 ? [{ path: SYSCTL_FILE, text: sysctlText(null, changes) }] : []),
    ...[TMPFILES_FILE, UDEV_FILE]
      .filter((path) => of(path).length > 0)
      .map((path) => ({ path, text: body(path, []) })),
    ...(of(unitFile(name)).length > 0
      ? [{ path: unitFile(name), text: body(unitFile(name), ['[Service]']) }]
      : []),
  ]
}

function systemd(changes: readonly PlannedChange[], unit: string | null): string {
  const files = grouped(changes, unit).filter(({ path }) => path !== UDEV_FILE)
  const note =
    unit === null && changes.some(({ change }) => change.kind === 'unit')
      ? `# ${PLACEHOLDER_UNIT}: the name of the unit of the broker; --unit writes it here\n`
      : ''
  return note + files.map(({ path, text }) => `# ${path}\n${text}`).join('\n')
}

function ansible(changes: readonly PlannedChange[], unit: string | null): string {
  const tasks: string[] = []
  for (const { change, id, why } of changes) {
    if (change.kind !== 'sysctl') continue
    tasks.push(
      [
        `- name: ${yamlText(`${id}: ${why}`)}`,
        '  ansible.posix.sysctl:',
        `    name: ${change.key}`,
        `    value: ${yamlText(change.value)}`,
        `    sysctl_file: ${SYSCTL_FILE}`,
        '    state: present',
        '    reload: true',
      ].join('\n'),
    )
  }
  for (const { path, text } of grouped(changes, unit)) {
    if (path === SYSCTL_FILE) continue
    const directory = path.slice(0, path.lastIndexOf('/'))
    tasks.push(
      [
        `- name: ${yamlText(`directory of ${path}`)}`,
        '  ansible.builtin.file:',
        `    path: ${directory}`,
        '    state: directory',
        "    mode: '0755'",
      ].join('\n'),
      [
        `- name: ${yamlText(path)}`,
        '  ansible.builtin.copy:',
        `    dest: ${path}`,
        "    mode: '0644'",
        '    content: |',
        ...text
          .trimEnd()
          .split('\n')
          .map((line) => `      ${line}`),
      ].join('\n'),
    )
  }
  for (const { change } of changes) {
    if (change.kind !== 'thp' && change.kind !== 'disk') continue
    const command = changeCommand(change) ?? ''
    tasks.push(
      [
        `- name: ${yamlText(`now: ${command}`)}`,
        `  ansible.builtin.shell: ${yamlText(command)}`,
        '  changed_when: false',
      ].join('\n'),
    )
  }
  if (changes.some(({ change }) => change.kind === 'unit')) {
    tasks.push(
      [
        '- name: units are read again',
        '  ansible.builtin.systemd_service:',
        '    daemon_reload: true',
      ].join('\n'),
    )
  }
  return `# Tasks for a playbook with become: true. Needs the collection ansible.posix.\n${tasks.length === 0 ? '[]' : tasks.join('\n\n')}\n`
}

/** A YAML double-quoted scalar is a JSON string. */
function yamlText(text: string): string {
  return JSON.stringify(text)
}

function shell(changes: readonly PlannedChange[], unit: string | null): string {
  const lines = [
    '#!/bin/sh',
    '# Run as root. Writes only files of its own; running it again changes nothing.',
    'set -eu',
    '',
  ]
  for (const { path, text } of grouped(changes, unit)) {
    lines.push(
      `mkdir -p ${path.slice(0, path.lastIndexOf('/'))}`,
      `cat > ${path} <<'MQCTL'`,
      text.trimEnd(),
      'MQCTL',
      '',
    )
  }
  for (const { change } of changes) {
    const command = changeCommand(change)
    if (command !== null) lines.push(command)
  }
  if (changes.some(({ change }) => change.kind === 'unit')) {
    lines.push('systemctl daemon-reload', `# systemctl restart ${unit ?? PLACEHOLDER_UNIT}`)
  }
  return `${lines.join('\n')}\n`
}

/** Of a pod's own network namespace: a pod may set them when its node allows. */
function isNamespaced(key: string): boolean {
  return key.startsWith('net.')
}

function kubernetes(changes: readonly PlannedChange[]): string {
  const sysctls = changes.flatMap(({ change }) => (change.kind === 'sysctl' ? [change] : []))
  const pod = sysctls.filter(({ key }) => isNamespaced(key))
  const node = sysctls.filter(({ key }) => !isNamespaced(key))
  const commands = [
    ...node.map((change) => changeCommand(change) ?? ''),
    ...changes.flatMap(({ change }) =>
      change.kind === 'thp' ? [changeCommand(change) ?? ''] : [],
    ),
  ]
  const parts: string[] = []
  if (commands.length > 0) {
    parts.push(`# Values of the node: a DaemonSet sets them on every node that it runs on.
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: mqctl-tune-os
  namespace: kube-system
spec:
  selector:
    matchLabels: { app: mqctl-tune-os }
  template:
    metadata:
      labels: { app: mqctl-tune-os }
    spec:
      initContainers:
        - name: tune
          image: busybox:1.36
          securityContext: { privileged: true }
          command: ['sh', '-ec']
          args:
            - |
${commands.map((command) => `              ${command}`).join('\n')}
      containers:
        - name: wait
          image: registry.k8s.io/pause:3.9
          resources:
            limits: { memory: 16Mi }
`)
  }
  if (pod.length > 0) {
    parts.push(`# Values of the broker's pod: merge into its template. Some need the kubelet's --allowed-unsafe-sysctls.
spec:
  securityContext:
    sysctls:
${pod.map(({ key, value }) => `      - { name: ${key}, value: ${yamlText(value)} }`).join('\n')}
`)
  }
  if (changes.some(({ change }) => change.kind === 'unit')) {
    parts.push(
      '# Limits of open files come from the container runtime: LimitNOFILE of containerd.service.\n',
    )
  }
  return parts.length === 0 ? '# nothing to change\n' : parts.join('---\n')
}

/** Network links: speed, driver, queues, and over how many CPUs their interrupts are spread. */
import type { LinkFacts } from './facts.ts'
import type { HostFiles } from './host-files.ts'
import { numberIn, textOf } from './reading.ts'

/** ARPHRD_LOOPBACK in /sys/class/net/NAME/type. */
const LOOPBACK_TYPE = 772

export function readLinks(files: HostFiles): LinkFacts[] {
  const links: LinkFacts[] = []
  for (const name of files.list('/sys/class/net') ?? []) {
    const directory = `/sys/class/net/${name}`
    const type = numberIn(files, `${directory}/type`)
    if (type === null || type === LOOPBACK_TYPE) continue
    const device = `${directory}/device`
    const hasDevice = files.exists(device)
    // Virtual links without a device of their own (bridges, veth, ifb, tunnels) have no speed to judge.
    if (!hasDevice && name !== 'eth0') continue
    const driver = files.link(`${device}/driver`)?.split('/').pop() ?? null
    const speed = numberIn(files, `${directory}/speed`)
    links.push({
      name,
      physical: hasDevice && driver !== null && !/^(virtio|xen|hv_|vmxnet)/.test(driver),
      up: textOf(files, `${directory}/operstate`)?.trim() !== 'down',
      speedMbps: speed !== null && speed > 0 ? speed : null,
      duplex: textOf(files, `${directory}/duplex`)?.trim() ?? null,
      driver,
      receiveQueues: (files.list(`${directory}/queues`) ?? []).filter((queue) =>
        queue.startsWith('rx-'),
      ).length,
      irqCpus: irqCpus(files, device),
    })
  }
  return links
}

function irqCpus(files: HostFiles, device: string): number | null {
  const interrupts = files.list(`${device}/msi_irqs`)
  if (interrupts === null || interrupts.length === 0) return null
  const cpus = new Set<number>()
  for (const interrupt of interrupts) {
    const list =
      textOf(files, `/proc/irq/${interrupt}/effective_affinity_list`) ??
      textOf(files, `/proc/irq/${interrupt}/smp_affinity_list`)
    for (const cpu of cpuList(list?.trim() ?? '')) cpus.add(cpu)
  }
  return cpus.size === 0 ? null : cpus.size
}

/** `0-3,8` */
function cpuList(text: string): number[] {
  const cpus: number[] = []
  for (const part of text.split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part)
    if (match === null) continue
    const first = Number(match[1])
    const last = Math.min(Number(match[2] ?? first), first + 4096)
    for (let cpu = first; cpu <= last; cpu += 1) cpus.push(cpu)
  }
  return cpus
}

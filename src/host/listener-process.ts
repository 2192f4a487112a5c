/** Which process of this host listens on a TCP port: how a broker that we did not start is found. */
import { readdirSync, readlinkSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { fileText } from './filesystem.ts'
import { listeningInode } from './proc-text.ts'

/** Whether an address of the form HOST:PORT is on this machine. */
export function isLocalHost(host: string): boolean {
  if (host === 'localhost' || host === '::1' || host.startsWith('127.')) return true
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some((address) => address.address === host),
  )
}

/** The pid that listens on `port`, or null: no such process, not allowed to look, not Linux. */
export function listenerPid(port: number): number | null {
  if (process.platform !== 'linux') return null
  const inode =
    listeningInode(fileText('/proc/net/tcp') ?? '', port) ??
    listeningInode(fileText('/proc/net/tcp6') ?? '', port)
  if (inode === null) return null
  const wanted = `socket:[${inode}]`
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    let files: string[]
    try {
      files = readdirSync(`/proc/${name}/fd`)
    } catch {
      continue
    }
    for (const file of files) {
      try {
        if (readlinkSync(`/proc/${name}/fd/${file}`) === wanted) return Number(name)
      } catch {
        // The file was closed meanwhile.
      }
    }
  }
  return null
}

/** What may be asked of the processes of this host. */
export interface HostProcesses {
  readonly listenerPid: (port: number) => number | null
  readonly nameOf: (pid: number) => string | null
  /** Whether it is a broker of this host's own numbering of processes. */
  readonly isBroker: (pid: number) => boolean
}

/** Programs that listen for somebody else: a container's port, a tunnel. */
const forwarders: ReadonlySet<string> = new Set([
  'docker-proxy',
  'rootlessport',
  'slirp4netns',
  'pasta',
  'kubectl',
  'ssh',
  'sshd',
  'socat',
])

const thisHost: HostProcesses = { listenerPid, nameOf: processName, isBroker }

/**
 * The process of this host behind a port, when it can be told; with the reason when it cannot.
 *
 * @param toldPid what the one who answers there calls itself: its number in a container is another
 * process here, so it counts only for one that looks like a broker
 */
export function processBehind(
  port: number,
  toldPid: number | null,
  processes: HostProcesses = thisHost,
): { readonly pid: number | null; readonly why: string | null } {
  const listener = processes.listenerPid(port)
  if (listener !== null) {
    const name = processes.nameOf(listener) ?? ''
    if (!forwarders.has(name)) return { pid: listener, why: null }
    const why = `port ${port} is that of ${name}, which passes everything on to a process that cannot be seen from here`
    return { pid: null, why }
  }
  if (toldPid !== null && processes.isBroker(toldPid)) return { pid: toldPid, why: null }
  return { pid: null, why: 'its process was not found on this host, or may not be looked at' }
}

function isBroker(pid: number): boolean {
  // With a second number it lives in a numbering of its own, and is known to itself by that one.
  const numbers = /^NSpid:\s*(.+)$/m.exec(fileText(`/proc/${pid}/status`) ?? '')?.[1] ?? ''
  if (numbers.trim() !== String(pid)) return false
  return /broker/i.test(fileText(`/proc/${pid}/cmdline`) ?? '')
}

/** The command name of a process (`java`, `node` …), or null. */
export function processName(pid: number): string | null {
  return fileText(`/proc/${pid}/comm`)?.trim() ?? null
}

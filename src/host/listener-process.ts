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

/** The command name of a process (`java`, `node` …), or null. */
export function processName(pid: number): string | null {
  return fileText(`/proc/${pid}/comm`)?.trim() ?? null
}

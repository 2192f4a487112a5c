// What measurements of the instrument itself need of the machine: control groups, loop devices and a
// way to take everything back. What the machine forbids is thrown as `Impossible`, with its reason.
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** A directory for everything, removed at the end. */
export const work = mkdtempSync(path.join(os.tmpdir(), 'mqctl-plants-'))

/** What must be undone, the last first. */
export const undo = []

export class Impossible extends Error {}

export function tool(command, ...args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    throw new Impossible(
      `${command} ${args[0] ?? ''}: ${String(error.stderr || error.message).trim()}`,
    )
  }
}

export function cleanly(step) {
  try {
    step()
  } catch {
    // It is gone already, or was never made.
  }
}

const groups = '/sys/fs/cgroup'

/** Waits for processes that were killed a moment ago to be gone. */
function removeGroup(directory) {
  for (let tries = 0; ; tries += 1) {
    try {
      rmdirSync(directory)
      return
    } catch (error) {
      if (tries === 40) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
    }
  }
}

/** A control group with these files written; processes are put into it by writing to the file it returns. */
export function group(controller, files) {
  const name = `mqctl-plants-${process.pid}-${controller}`
  const isOld = existsSync(path.join(groups, controller))
  const directory = isOld ? path.join(groups, controller, name) : path.join(groups, name)
  try {
    mkdirSync(directory)
    // At the very end: a group can go when nothing lives in it any more.
    undo.unshift(() => removeGroup(directory))
    for (const [file, text] of Object.entries(isOld ? files.v1 : files.v2)) {
      writeFileSync(path.join(directory, file), text)
    }
  } catch (error) {
    throw new Impossible(`control group ${controller}: ${error.message}`)
  }
  return path.join(directory, 'cgroup.procs')
}

/** So many cores and no more; on a busy machine it comes before others, so that it gets them. */
export function cpuQuota(cores) {
  return group('cpu', {
    v1: {
      'cpu.cfs_period_us': '100000',
      'cpu.cfs_quota_us': String(cores * 100_000),
      'cpu.shares': '262144',
    },
    v2: { 'cpu.max': `${cores * 100_000} 100000`, 'cpu.weight': '10000' },
  })
}

/** A launcher whose command, and whatever it starts, is in the control group. */
export function inGroup(procs) {
  return ['sh', '-c', `echo $$ > ${procs}; exec "$@"`, 'sh']
}

/** The block device under a path, as `major:minor` of the whole disk. */
export function deviceUnder(file) {
  const name = path.basename(tool('findmnt', '-n', '-o', 'SOURCE', '-T', file).trim())
  return readFileSync(`/sys/class/block/${name}/dev`, 'utf8').trim()
}

/** A file system on a loop device; returns where it is mounted and the device's numbers. */
export function loopDisk(options, features = [], megabytes = 600) {
  const file = path.join(work, 'disk.img')
  const mount = path.join(work, 'disk')
  tool('truncate', '-s', `${megabytes}M`, file)
  undo.push(() => rmSync(file, { force: true }))
  const device = tool('losetup', '--direct-io=on', '--find', '--show', file).trim()
  undo.push(() => tool('losetup', '--detach', device))
  tool('mkfs.ext4', '-q', '-E', 'lazy_itable_init=0', ...features, device)
  mkdirSync(mount, { recursive: true })
  tool('mount', '-o', options, device, mount)
  undo.push(() => tool('umount', mount))
  const numbers = readFileSync(`/sys/block/${path.basename(device)}/dev`, 'utf8').trim()
  return { mount, numbers }
}

export function throttledDisk(numbers, bytesPerSecond) {
  return group('blkio', {
    v1: { 'blkio.throttle.write_bps_device': `${numbers} ${bytesPerSecond}` },
    v2: { 'io.max': `${numbers} wbps=${bytesPerSecond}` },
  })
}

/** Takes back what was done since the last time. */
export function takeBack() {
  for (const step of undo.splice(0).reverse()) cleanly(step)
}

process.on('exit', () => {
  takeBack()
  rmSync(work, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

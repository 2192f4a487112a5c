/** What can only be told by doing it; only with `--probe`. Leaves nothing behind. */
import { closeSync, constants, fdatasyncSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { messageOf } from '../../base/errors.ts'
import type { Clock } from '../../world/clock.ts'
import type { FsyncProbe } from './facts.ts'

const SAMPLES = 200
const WRITE_BYTES = 4_096
/** A disk that is this slow has been judged by then. */
const FSYNC_PROBE_MS_MAX = 10_000

/** 200 times 4 KiB and fdatasync, in a file of its own that is gone afterwards. */
export function probeFsync(
  clock: Clock,
  directory: string,
  pid: number,
): { probe: FsyncProbe | null; why: string | null } {
  const path = `${directory}/.mqctl-fsync-probe-${pid}`
  let file: number
  try {
    file = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  } catch (error) {
    return { probe: null, why: messageOf(error) }
  }
  try {
    const bytes = Buffer.alloc(WRITE_BYTES, 0x6d)
    const tookMs: number[] = []
    const endMs = clock.monotonicMs() + FSYNC_PROBE_MS_MAX
    while (tookMs.length < SAMPLES && clock.monotonicMs() < endMs) {
      const startMs = clock.monotonicMs()
      writeSync(file, bytes, 0, WRITE_BYTES, tookMs.length * WRITE_BYTES)
      fdatasyncSync(file)
      tookMs.push(clock.monotonicMs() - startMs)
    }
    tookMs.sort((a, b) => a - b)
    const at = (share: number) =>
      rounded(tookMs[Math.min(tookMs.length - 1, Math.floor(tookMs.length * share))] ?? 0)
    return {
      probe: { samples: tookMs.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) },
      why: null,
    }
  } catch (error) {
    return { probe: null, why: messageOf(error) }
  } finally {
    closeSync(file)
    unlinkSync(path)
  }
}

const CLOCK_PROBE_MS = 50

/** Reads the clock for 50 ms: with a fast clock source almost no time goes to the kernel. */
export function probeClock(clock: Clock): number | null {
  const before = process.cpuUsage()
  const endMs = clock.monotonicMs() + CLOCK_PROBE_MS
  while (clock.monotonicMs() < endMs) {
    // Reading the clock is the work.
  }
  const used = process.cpuUsage(before)
  const total = used.user + used.system
  return total === 0 ? null : rounded(used.system / total)
}

function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000
}

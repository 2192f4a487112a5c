/**
 * Notices that whoever reads stdout has gone (`| head -1`) while there is nothing to write: a pipe
 * tells that only to a writer, or to one who polls its writing end for POLLERR, for which Node has no
 * call. GNU tail does exactly this poll when its output is a pipe, so one that watches an empty file
 * shares our stdout and is ended by SIGPIPE when the last reader closes it. It writes nothing.
 *
 * Where there is no GNU tail (macOS, BusyBox) nothing is noticed, and the command ends with the next
 * message that it cannot write. Sources: coreutils src/tail.c `check_output_alive`; pipe(7).
 */
import { spawn } from 'node:child_process'
import { fstatSync } from 'node:fs'
import type { Clock, Stop } from '../world/clock.ts'

/** Most commands have ended by then, and need no watcher. */
const WATCH_AFTER_MS = 500

/** How often tail looks. */
const LOOK_SECONDS = 0.2

/** Calls `onGone` once when the reader of stdout has gone; does nothing where stdout is no pipe. */
export function watchReader(clock: Clock, onGone: () => void): Stop {
  if (!isPipe(1)) return () => undefined
  let stopWatching: Stop = () => undefined
  const stopWaiting = clock.after(WATCH_AFTER_MS, () => {
    stopWatching = startTail(onGone)
  })
  return () => {
    stopWaiting()
    stopWatching()
  }
}

function startTail(onGone: () => void): Stop {
  // With --pid it ends when this process does, whatever happens to it.
  const options = ['--pid', String(process.pid), '--sleep-interval', String(LOOK_SECONDS)]
  const tail = spawn('tail', [...options, '--follow', '/dev/null'], {
    stdio: ['ignore', 'inherit', 'ignore'],
  })
  const stop = () => {
    tail.kill()
  }
  // At our end the pipe is to close at once, not at tail's next look.
  process.once('exit', stop)
  tail.once('error', () => undefined)
  tail.once('exit', (_, signal) => {
    process.off('exit', stop)
    if (signal === 'SIGPIPE') onGone()
  })
  tail.unref()
  return stop
}

function isPipe(fd: number): boolean {
  try {
    return fstatSync(fd).isFIFO()
  } catch {
    return false
  }
}

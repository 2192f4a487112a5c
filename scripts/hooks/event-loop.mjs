/**
 * Loaded into a broker with `node --import`: each SIGUSR2 writes what the event loop's delays were since the
 * last one, in milliseconds, to the file that MQCTL_EVENT_LOOP_FILE names, and starts anew.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

const file = process.env.MQCTL_EVENT_LOOP_FILE
const histogram = monitorEventLoopDelay({ resolution: 1 })
histogram.enable()
process.on('SIGUSR2', () => {
  const ms = (ns) => ns / 1e6
  const figures = {
    count: histogram.count,
    p50: ms(histogram.percentile(50)),
    p99: ms(histogram.percentile(99)),
    p999: ms(histogram.percentile(99.9)),
    max: ms(histogram.max),
  }
  writeFileSync(`${file}.new.${process.pid}`, JSON.stringify(figures))
  renameSync(`${file}.new.${process.pid}`, `${file}.${process.pid}`)
  histogram.reset()
})

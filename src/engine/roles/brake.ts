/** Main of the process that holds others back (`brake.ts`) until it is told to let go, or nobody is there any more. */
import { ExitCode } from '../../base/exit-codes.ts'
import { nodeClock } from '../../world/node-clock.ts'
import { Brake, type BrakeOrder } from '../brake.ts'

let brake: Brake | null = null

const leave = () => {
  brake?.release()
  process.exit(ExitCode.ok)
}

process.title = 'mqctl brake'
for (const name of ['SIGINT', 'SIGHUP'] as const) process.on(name, () => undefined)
process.on('SIGTERM', leave)
process.on('disconnect', leave)
process.once('message', (message) => {
  const { pids, share } = message as BrakeOrder
  brake = new Brake(nodeClock, pids, share)
})

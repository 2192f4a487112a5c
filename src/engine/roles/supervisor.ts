/** Main of the background supervisor: runs one instance until SIGTERM or until no role is left. */
import { ExitCode } from '../../base/exit-codes.ts'
import { nodeWorld } from '../../world/node-world.ts'
import type { DetachAnswer, DetachRequest } from '../detach.ts'
import { Instance } from '../engine.ts'
import { toWire } from '../role-channel.ts'
import type { RoleEnd } from '../supervisor.ts'

process.title = `mqctl ${process.argv[2] ?? 'supervisor'}`
// The terminal that it was started from is none of its business.
process.on('SIGHUP', () => undefined)
process.on('SIGINT', () => undefined)

let instance: Instance | null = null
let stopping = false

function say(text: string, fields: object = {}): void {
  const time = new Date(nodeWorld.clock.wallMs()).toISOString()
  process.stdout.write(
    `${JSON.stringify({ level: 'info', time, role: 'supervisor', ...fields, msg: text })}\n`,
  )
}

function stop(exitCode: number): void {
  if (stopping) return
  stopping = true
  say('stopping')
  void (instance?.stop() ?? Promise.resolve()).finally(() => {
    say('stopped')
    process.exit(exitCode)
  })
}

function onRoleEnd(end: RoleEnd): void {
  say(end.expected ? 'role stopped' : 'role ended', { ...end })
  if (instance !== null && instance.living === 0) stop(ExitCode.failed)
}

function answer(message: DetachAnswer): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined) resolve()
    else {
      process.send(message, undefined, undefined, () => {
        resolve()
      })
    }
  })
}

process.on('SIGTERM', () => {
  stop(ExitCode.ok)
})

process.once('message', (message) => {
  const { plan, stateDir } = message as DetachRequest
  say('starting', { name: plan.name })
  Instance.start(nodeWorld, plan, { stateDir, onRoleEnd }).then(
    async (started) => {
      instance = started
      say('ready', { namesrv: started.status.namesrv.join(';') })
      await answer({ kind: 'ready', status: started.status })
    },
    async (error: unknown) => {
      await answer({ kind: 'failed', error: toWire(error) })
      process.exit(ExitCode.failed)
    },
  )
})

/**
 * Main of the process that keeps brokers of another build for a comparison: it starts them with that
 * build's own commands, and stops them and removes their data when it is told to, or when nobody is
 * there any more who could tell it, as after kill -9. It is in a session of its own.
 */
import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import path from 'node:path'
import { ExitCode } from '../../base/exit-codes.ts'
import type { KeepBuild, KeeperAnswer, KeeperOrder } from '../other-build.ts'

const COMMAND_TIMEOUT_MS = 60_000

/** The build, from when it is being started. */
let kept: { readonly build: KeepBuild; readonly started: Promise<KeeperAnswer> } | null = null
let ending: Promise<KeeperAnswer> | null = null

function run({ bin, root }: KeepBuild, args: readonly string[]): Promise<KeeperAnswer> {
  const env = { ...process.env, XDG_STATE_HOME: path.join(root, 'state') }
  const options = { env, timeout: COMMAND_TIMEOUT_MS, maxBuffer: 1 << 24 }
  return new Promise((resolve) => {
    execFile(process.execPath, [bin, ...args], options, (error, stdout, stderr) => {
      if (error === null) resolve({ ok: true, text: stdout })
      else resolve({ ok: false, text: stderr.trim() || stdout.trim() || error.message })
    })
  })
}

/** Stops it, also while it is being started, and removes what it has left. */
async function end(): Promise<KeeperAnswer> {
  if (kept === null) return { ok: true, text: '' }
  const { build, started } = kept
  const { ok: hasStarted } = await started
  const stopped = await run(build, build.stopArgs)
  // What still runs needs its files.
  if (stopped.ok || !hasStarted) rmSync(build.root, { recursive: true, force: true })
  return stopped
}

function endOnce(): Promise<KeeperAnswer> {
  return (ending ??= end())
}

function answer(message: KeeperAnswer, then: () => void = () => undefined): void {
  if (process.connected) process.send?.(message, then)
  else then()
}

process.title = 'mqctl build-keeper'
for (const name of ['SIGINT', 'SIGHUP'] as const) process.on(name, () => undefined)
const leave = () => {
  void endOnce().then(() => process.exit(ExitCode.ok))
}
process.on('SIGTERM', leave)
process.on('disconnect', leave)
process.on('message', (message) => {
  const order = message as KeeperOrder
  if (order.kind === 'end') {
    void endOnce().then((stopped) => {
      answer(stopped, () => process.exit(ExitCode.ok))
    })
    return
  }
  kept = { build: order, started: run(order, order.startArgs) }
  void kept.started.then(answer)
})

/**
 * A supervisor in the background: a process in a session of its own that lives on when the command
 * which started it has ended.
 */
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { MqError } from '../base/errors.ts'
import { fromWire, type WireError } from './role-channel.ts'
import type { InstanceStatus } from './instance.ts'
import { roleScripts } from './roles/scripts.ts'
import type { InstancePlan } from './topology.ts'
import { makeDirectorySync } from '../world/make-directory.ts'

/** Command → background supervisor, once. */
export interface DetachRequest {
  readonly plan: InstancePlan
  readonly stateDir: string
}

/** Background supervisor → command: `begun` when the processes exist, then one of the others. */
export type DetachAnswer =
  | { readonly kind: 'ready'; readonly status: InstanceStatus }
  | { readonly kind: 'failed'; readonly error: WireError }

/** Resolves when the instance serves; rejects with why it did not start. */
export async function startDetached(
  request: DetachRequest,
  signal: AbortSignal,
): Promise<InstanceStatus> {
  makeDirectorySync(request.stateDir)
  const logFile = path.join(request.stateDir, 'supervisor.log')
  const log = openSync(logFile, 'a', 0o644)
  const child = spawn(
    process.execPath,
    [fileURLToPath(roleScripts.supervisor), request.plan.name],
    {
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
    },
  )
  closeSync(log)
  const answer = await new Promise<DetachAnswer>((resolve, reject) => {
    const fail = (why: string) => {
      const hint = `its log: ${logFile}`
      reject(new MqError('START_FAILED', { what: request.plan.name, why, hint }))
    }
    signal.addEventListener('abort', () => {
      child.kill('SIGTERM')
      reject(new MqError('INTERRUPTED'))
    })
    child.once('message', (message) => {
      resolve(message as DetachAnswer)
    })
    child.once('error', (error) => {
      fail(error.message)
    })
    child.once('exit', (code, name) => {
      fail(`its supervisor ended (${name ?? `exit ${code ?? '?'}`})`)
    })
    child.send(request, () => undefined)
  })
  if (answer.kind === 'failed') throw fromWire(answer.error, request.plan.name, logFile)
  child.disconnect()
  child.unref()
  return answer.status
}

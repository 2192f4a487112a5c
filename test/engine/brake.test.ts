import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { Brake } from '../../src/engine/brake.ts'
import { identityOf, isAlive } from '../../src/engine/process-identity.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { aMain } from './a-main.ts'

/** The letter of a process's state: T is stopped. */
function stateOf(pid: number): string {
  return /^\d+ \(.*\) (\S)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? ''
}

describe.skipIf(process.platform !== 'linux')('the brake', () => {
  it('stops a process again and again, and lets it go for good when it is released', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)'], { stdio: 'ignore' })
    try {
      const pid = child.pid ?? 0
      const brake = new Brake(nodeWorld.clock, [pid], 0.5)
      const poll = { interval: 3 }
      await expect.poll(() => stateOf(pid), poll).toBe('T')
      await expect.poll(() => stateOf(pid), poll).not.toBe('T')
      await expect.poll(() => stateOf(pid), poll).toBe('T')
      brake.release()
      await expect.poll(() => stateOf(pid), poll).not.toBe('T')
    } finally {
      child.kill('SIGKILL')
    }
  })

  it('lets go when whoever planted it is killed', async () => {
    const mains = mkdtempSync(path.join(os.tmpdir(), 'mqctl-mains-'))
    const child = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)'], { stdio: 'ignore' })
    try {
      const [main, brake] = [await aMain('roles/brake', mains), await aMain('brake', mains)]
      const file = path.join(mains, 'planter.mjs')
      const planted = `const { BrakeProcess } = await import(${JSON.stringify(brake)})
new BrakeProcess([${child.pid ?? 0}], 0.999, new URL(${JSON.stringify(main)}))`
      writeFileSync(file, planted)
      const planter = spawn(process.execPath, [file], { stdio: 'inherit' })
      const state = () => stateOf(child.pid ?? 0)
      await expect.poll(state, { interval: 3 }).toBe('T')
      const pid = planter.pid ?? 0
      const braking = identityOf(
        Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()),
      )
      planter.kill('SIGKILL')
      await expect.poll(() => isAlive(braking)).toBe(false)
      expect(state()).not.toBe('T')
    } finally {
      child.kill('SIGKILL')
      rmSync(mains, { recursive: true, force: true })
    }
  })

  it('does not mind that a process is gone', () => {
    const brake = new Brake(nodeWorld.clock, [0x3fff_fff0], 0.5)
    expect(() => {
      brake.release()
    }).not.toThrow()
  })
})

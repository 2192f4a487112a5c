import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Brake } from '../../src/engine/brake.ts'
import { nodeWorld } from '../../src/world/node-world.ts'

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

  it('does not mind that a process is gone', () => {
    const brake = new Brake(nodeWorld.clock, [0x3fff_fff0], 0.5)
    expect(() => {
      brake.release()
    }).not.toThrow()
  })
})

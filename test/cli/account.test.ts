/** A user id without an account, as containers have it: every command works there too. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, chmodSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'

const bin = path.resolve(import.meta.dirname, '../../bin/run.js')
const nobodys = '54321'

function asNobody(env: NodeJS.ProcessEnv, ...args: string[]) {
  return spawnSync(
    'setpriv',
    [`--reuid=${nobodys}`, '--clear-groups', process.execPath, bin, ...args],
    { encoding: 'utf8', cwd: '/', env: { PATH: process.env['PATH'], ...env } },
  )
}

// Needs root, setpriv, and a clone that others may read.
const able =
  spawnSync('setpriv', [
    `--reuid=${nobodys}`,
    '--clear-groups',
    process.execPath,
    '-e',
    'require("fs").readFileSync(process.argv[1])',
    bin,
  ]).status === 0

describe.runIf(able)('a user id without an account', () => {
  const state = mkdtempSync(path.join(tmpdir(), 'mqctl-account-'))
  chmodSync(state, 0o777)
  afterAll(() => {
    rmSync(state, { recursive: true, force: true })
  })

  it.each([
    ['neither HOME nor SHELL', {}],
    ['no SHELL', { HOME: '/' }],
    ['no HOME', { SHELL: '/bin/sh' }],
  ])('runs a command with %s', (_, env) => {
    const { status, stdout, stderr } = asNobody(env, 'version', '--json')
    expect([status, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout).version).toMatch(/^\d/)
  })

  it('looks for its instances below the directories that it is given', () => {
    const env = { XDG_STATE_HOME: state, XDG_DATA_HOME: state }
    const { status, stdout, stderr } = asNobody(env, 'status')
    expect([status, stderr]).toEqual([1, ''])
    expect(stdout).toContain(`data  ${state}`)
  })
})

import { chmod, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Home, outcomeOf } from './mqctl.ts'

let home: Home

beforeAll(async () => {
  home = await Home.make()
  await home.run(['start', '--detach', '--any-port', '--topic', 'prices:2', '--topic', 'nobody:1'])
})
afterAll(() => home.remove())

/** An executable `sh` script; it gets the request on its stdin. */
async function program(name: string, lines: string): Promise<string> {
  const file = path.join(home.directory, name)
  await writeFile(file, `#!/bin/sh\n${lines}\n`)
  await chmod(file, 0o755)
  return file
}

/** `reply` in the background for so many requests; they may be sent at once, being kept for it. */
function replying(count: number, args: readonly string[]) {
  return outcomeOf(home.spawn(['reply', 'prices', '--count', String(count), ...args]))
}

describe('request and reply', () => {
  it('bring what the command prints to who asked, byte for byte', async () => {
    const file = await program('price', 'printf "%s costs 1.20 (%s)" "$(cat)" "$MQCTL_KEYS"')
    const replier = replying(1, ['-g', 'first', '--exec', file])
    const asked = await home.run(['request', 'prices', 'pear', '--key', 'k1', '--timeout', '30s'])
    expect([asked.stdout, asked.exitCode]).toEqual(['pear costs 1.20 (k1)', 0])
    const { stderr, exitCode } = await replier
    expect([stderr, exitCode]).toEqual(['1 answered, 0 failed, 0 left out\n', 0])
  })

  it('are one document for programs, the request from stdin', async () => {
    const replier = replying(1, ['-g', 'second', '--exec', 'cat', '--filter', 'echo'])
    const { document } = await home.json(
      ['request', 'prices', '--tag', 'echo', '--timeout', '30s'],
      { input: Buffer.from([0xff, 0x00, 0x0a]) },
    )
    expect(document).toMatchObject({ topic: 'prices', body: '/wAK', bodyEncoding: 'base64' })
    expect(document.properties.MSG_TYPE).toBe('reply')
    expect((await replier).exitCode).toBe(0)
  })

  it('say so when nobody answers: exit 3', async () => {
    const { document, exitCode } = await home.json(['request', 'nobody', 'x', '--timeout', '500ms'])
    expect([document.error.code, exitCode]).toEqual(['REQUEST_TIMEOUT', 3])
  })

  it('leave out what is no request and what nobody waits for, and answer nothing that failed', async () => {
    await home.run(['produce', 'prices', 'no request', '--tag', 'third'])
    await home.run(['request', 'prices', 'late', '--tag', 'third', '--timeout', '100ms'])
    const ran = path.join(home.directory, 'ran.txt')
    const file = await program('refuse', `cat >> ${ran}; exit 3`)
    const replier = replying(3, ['-g', 'third', '--exec', file, '--filter', 'third'])
    const asked = home.json(['request', 'prices', 'hard', '--tag', 'third', '--timeout', '20s'])
    const { stderr, exitCode } = await replier
    expect(stderr).toMatch(/left out: it is no request/)
    expect(stderr).toMatch(/left out: its sender stopped waiting/)
    expect(stderr).toMatch(/not answered: exit code 3/)
    expect(stderr).toMatch(/0 answered, 1 failed, 2 left out/)
    expect(exitCode).toBe(1)
    expect(await readFile(ran, 'utf8')).toBe('hard')
    expect((await asked).exitCode).toBe(3)
  })

  it('refuse a command that cannot be run, and an empty request', async () => {
    const replier = replying(1, [
      '-g',
      'fourth',
      '--exec',
      '/no/such/program',
      '--filter',
      'fourth',
    ])
    const asked = home.run(['request', 'prices', 'x', '--tag', 'fourth', '--timeout', '5s'])
    const { stderr, exitCode } = await replier
    expect(stderr).toMatch(/cannot be run: ENOENT/)
    expect(exitCode).toBe(2)
    const empty = await home.run(['request', 'prices'], { input: '' })
    expect([empty.exitCode, empty.stderr]).toEqual([2, expect.stringMatching(/stdin is empty/)])
    await asked
  })
})

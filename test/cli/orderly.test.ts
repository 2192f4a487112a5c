import { chmod, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Home } from './mqctl.ts'

let home: Home

beforeAll(async () => {
  home = await Home.make()
  await home.run(['start', '--detach', '--any-port', '--topic', 'steps:1', '--topic', 'poison:1'])
})
afterAll(() => home.remove())

/** A script that fails at `body` for its first `failures` tries and writes down everything that it sees. */
async function failing(name: string, body: string, failures: number): Promise<[string, string]> {
  const seen = path.join(home.directory, `${name}.txt`)
  const file = path.join(home.directory, name)
  await writeFile(
    file,
    `#!/bin/sh
read line
echo "$line $MQCTL_RECONSUME_TIMES" >> ${seen}
[ "$line" != ${body} ] || [ "$MQCTL_RECONSUME_TIMES" -ge ${failures} ]
`,
  )
  await chmod(file, 0o755)
  return [file, seen]
}

describe('consume --orderly', () => {
  it('tries a failed message again before the next one of its queue', async () => {
    await home.run(['produce', 'steps', '--order-key', 'A-1'], { input: 'one\ntwo\nthree\n' })
    const [file, seen] = await failing('step', 'two', 2)
    const { exitCode, stderr } = await home.run([
      ...['consume', 'steps', '-g', 'workflow', '--orderly', '--from', 'start', '--exit-at-end'],
      ...['--exec', file, '--retry-delay', '10ms'],
    ])
    expect([exitCode, stderr]).toEqual([
      0,
      expect.stringMatching(/3 processed, 2 times a try failed/),
    ])
    expect(await readFile(seen, 'utf8')).toBe('one 0\ntwo 0\ntwo 1\ntwo 2\nthree 0\n')
  })

  it('makes a dead letter after --retries and goes on', async () => {
    await home.run(['produce', 'poison', '--order-key', 'A-1'], { input: 'bad\ngood\n' })
    const [file, seen] = await failing('stubborn', 'bad', 99)
    const { exitCode } = await home.run([
      ...['consume', 'poison', '-g', 'careful', '--orderly', '--from', 'start', '--exit-at-end'],
      ...['--exec', file, '--retry-delay', '10ms', '--retries', '1'],
    ])
    expect(exitCode).toBe(0)
    expect(await readFile(seen, 'utf8')).toBe('bad 0\nbad 1\ngood 0\n')
    const { document } = await home.json(['dlq', 'show', 'careful'])
    expect(JSON.stringify(document)).toContain('"bad"')
  })

  it.each([
    ['without a group', []],
    ['in broadcast', ['-g', 'g', '--broadcast']],
  ])('is refused %s', async (_what, more) => {
    const { exitCode } = await home.run(['consume', 'steps', '--orderly', ...more])
    expect(exitCode).toBe(2)
  })
})

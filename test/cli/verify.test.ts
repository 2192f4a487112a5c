/** `mqctl verify`: a broker of its own, one kill -9, a verdict, a history, an exit code. All features: test/faults. */
import { readFile, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Home, outcomeOf } from './mqctl.ts'

let home: Home
beforeAll(async () => {
  home = await Home.make()
})
afterAll(() => home.remove())

describe('mqctl verify', () => {
  it('puts a feature to the test, keeps the history, and judges it again', async () => {
    const out = path.join(home.directory, 'histories')
    const args = ['verify', '--feature', 'order', '--messages', '60', '--kills', '1', '--out', out]
    const { document, exitCode } = await home.json(args)
    expect([document.verdict, document.exitCode, exitCode]).toEqual(['valid', 0, 0])
    expect(document.results).toMatchObject([
      { feature: 'order', counts: { kills: 1 }, violations: [], reasons: [] },
    ])
    expect(await readdir(out)).toHaveLength(1)
    expect(await readdir(path.join(home.directory, 'data', 'mqctl', 'bench'))).toEqual([])

    const order = document.results[0].history
    const again = await home.json(['verify', '--history', order])
    expect([again.exitCode, again.document.results[0]]).toEqual([0, document.results[0]])

    // Its last delivery comes once more, of a message that nobody sent.
    const lines = (await readFile(order, 'utf8')).split('\n')
    const at = lines.findLastIndex((line) => line.includes('"deliver"'))
    const unsealed = lines.filter((line) => !line.includes('"close"'))
    unsealed[at] = (unsealed[at] ?? '').replace(/"v":"[^"]*"/, '"v":"99-0"')
    const changed = path.join(home.directory, 'changed.ndjson')
    await writeFile(changed, unsealed.join('\n'))
    const violated = await home.run(['verify', '--history', changed])
    expect(violated.exitCode).toBe(12)
    expect(violated.stdout).toMatch(/^order: violated\n[\s\S]*phantom: 1 .*\n {4}99-0: /)
  }, 120_000)

  it('ends at Ctrl-C while it sends, and does not judge what it did not finish', async () => {
    const out = path.join(home.directory, 'interrupted')
    await rm(out, { recursive: true, force: true })
    const child = home.spawn([
      'verify',
      '--feature',
      'order',
      '--messages',
      '1000000',
      '--out',
      out,
    ])
    const ended = outcomeOf(child)
    const sent = async () => {
      const [file] = await readdir(out).catch(() => [])
      return file === undefined ? '' : readFile(path.join(out, file), 'utf8')
    }
    await expect.poll(sent, { timeout: 30_000 }).toContain('"send"')
    child.kill('SIGINT')
    const { exitCode, stdout } = await ended
    expect(exitCode).toBe(130)
    expect(stdout).toMatch(/^order: unknown\n +the run was interrupted/)
    expect(await readdir(path.join(home.directory, 'data', 'mqctl', 'bench'))).toEqual([])
  }, 60_000)

  it('takes a file that names nothing for a mistake, not for a topic in which nothing is missing', async () => {
    const empty = path.join(home.directory, 'empty.ndjson')
    await writeFile(empty, '\n')
    const { exitCode, stderr } = await home.run(['verify', 'orders', '--expected', empty])
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('names no message')])
  })

  it('kills no broker that is not its own', async () => {
    const { stderr, exitCode } = await home.run(['verify', '-n', '127.0.0.1:1', '--kills', '1'])
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('not killed')])
  })

  it('cannot judge what is no history', async () => {
    const file = path.join(home.directory, 'no-history')
    await writeFile(file, 'hello\n')
    const { document, exitCode } = await home.json(['verify', '--history', file])
    expect([exitCode, document.error.code]).toEqual([1, 'INPUT_BROKEN'])
  })
})

import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'

const root = path.join(import.meta.dirname, '..')

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'mqctl-add-up-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const part = (name: string, files: Readonly<Record<string, string>>) =>
  Promise.all(
    Object.entries(files).map(([kind, text]) =>
      writeFile(path.join(directory, `${name}.${kind}`), text),
    ),
  )

/** What vitest's JSON reporter writes, as far as it is read. */
const report = (testResults: object[], passed: number, failed: number) =>
  JSON.stringify({
    numPassedTests: passed,
    numFailedTests: failed,
    numPendingTests: 1,
    numTodoTests: 0,
    testResults,
  })

const addUp = () =>
  new Promise<{ lines: string[]; exitCode: number }>((resolve) => {
    const script = path.join(root, '.ci', 'add-up.mjs')
    execFile(process.execPath, [script, directory], { cwd: root }, (error, stdout) => {
      resolve({ lines: stdout.trimEnd().split('\n'), exitCode: Number(error?.code ?? 0) })
    })
  })

it('adds up suites and parts', async () => {
  await part('format', { exit: '0\n', log: 'all fine\n' })
  await part('test', { exit: '0\n', json: report([], 7, 0) })
  expect(await addUp()).toEqual({
    lines: [
      'format: 1 passed, 0 failed, 0 skipped',
      'test: 7 passed, 0 failed, 1 skipped',
      '8 passed, 0 failed, 1 skipped',
    ],
    exitCode: 0,
  })
})

it('shows before the sums each failed test, and how its message begins', async () => {
  const passed = { fullName: 'a b', status: 'passed', failureMessages: [] }
  const message = `\u001b[31mAssertionError\u001b[39m: no\n\n${'at x\n'.repeat(9)}`
  const failed = { fullName: 'a c', status: 'failed', failureMessages: [message] }
  const file = path.join(root, 'test/base/units.test.ts')
  const results = [{ name: file, status: 'failed', assertionResults: [passed, failed] }]
  await part('test', { exit: '1\n', json: report(results, 1, 1) })
  expect(await addUp()).toEqual({
    lines: [
      'FAILED test test/base/units.test.ts > a c',
      '    AssertionError: no',
      ...Array.from({ length: 5 }, () => '    at x'),
      '',
      'test: 1 passed, 1 failed, 1 skipped',
      '1 passed, 1 failed, 1 skipped',
    ],
    exitCode: 1,
  })
})

it('counts a file that did not load as a failure, and says why it did not', async () => {
  const file = path.join(root, 'test/base/units.test.ts')
  const results = [{ name: file, status: 'failed', message: 'no module x', assertionResults: [] }]
  await part('test', { exit: '1\n', json: report(results, 3, 0) })
  const { lines, exitCode } = await addUp()
  expect(lines.slice(0, 2)).toEqual(['FAILED test test/base/units.test.ts', '    no module x'])
  expect([lines.at(-1), exitCode]).toEqual(['3 passed, 1 failed, 1 skipped', 1])
})

it('shows of a part without tests its exit code and the end of its output', async () => {
  const log = Array.from({ length: 40 }, (_, index) => `line ${index + 1}\n`).join('')
  await part('pack', { exit: '124\n', log })
  const { lines, exitCode } = await addUp()
  expect([lines[0], lines[1], lines[12], lines.at(-1), exitCode]).toEqual([
    'FAILED pack: exit code 124 (out of time)',
    '    line 29',
    '    line 40',
    '0 passed, 1 failed, 0 skipped',
    1,
  ])
})

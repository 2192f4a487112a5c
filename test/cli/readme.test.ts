/**
 * The commands that the README shows are run, and their output is compared with what it shows.
 * `UPDATE_README=1 npx vitest run --project cli test/cli/readme.test.ts` writes what they print now.
 */
import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Home, outcomeOf } from './mqctl.ts'

const root = path.join(import.meta.dirname, '..', '..')
const readme = path.join(root, 'README.md')
const bin = process.env['MQCTL_TEST_BIN'] ?? path.join(root, 'bin', 'run.js')

let home: Home

beforeAll(async () => {
  home = await Home.make()
})
afterAll(async () => {
  await runLine('npx mqctl stop --all')
  await home.remove()
})

/** Runs a line of the README in a shell; `npx mqctl` is this build, on free ports. */
async function runLine(line: string): Promise<string> {
  const command = line
    .replaceAll('npx mqctl', `"${process.execPath}" "${bin}"`)
    .replace(/(?<=") start\b/, ' start --any-port')
  const { NAMESRV_ADDR: _1, MQCTL_NAMESRV: _2, ...env } = process.env
  const child = spawn('bash', ['-c', command], {
    cwd: home.directory,
    env: {
      ...env,
      HOME: home.directory,
      XDG_DATA_HOME: path.join(home.directory, '.local', 'share'),
      XDG_STATE_HOME: path.join(home.directory, '.local', 'state'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { stdout, stderr, exitCode } = await outcomeOf(child)
  if (exitCode !== 0) throw new Error(`${line}: exit ${exitCode}: ${stderr}`)
  return stdout
}

/** As the README shows it: the ports of a usual start, a home of somebody's, no trailing blanks. */
function shown(output: string): string {
  let port = 0
  return output
    .replaceAll(home.directory, '/home/ann')
    .replaceAll(/127\.0\.0\.1:\d+/g, () => (port++ === 0 ? '127.0.0.1:9876' : '127.0.0.1:10911'))
    .replaceAll(/ +$/gm, '')
    .trimEnd()
}

/** Without what differs from run to run: ids, numbers with units, process ids, widths of columns. */
function essence(output: string): string {
  return output
    .replaceAll(/\b[0-9A-F]{32}\b/g, '<id>')
    .replaceAll(/\b\d+(\.\d+)? (ms|s|min|MiB|µs)\b/g, '<n>')
    .replaceAll(/127\.0\.0\.1:\d+/g, '<address>')
    .replaceAll(/(<address>\s+)\d+/g, '$1<pid>')
    .replaceAll(/(broker-a\s+)\d(\s+\d+\s+SEND_OK)/g, '$1<queue>$2')
    .replaceAll(/^(orders\s+broker-a\s+\d)\s.*$/gm, '$1 <offsets>')
    .replaceAll(/ +/g, ' ')
    .trim()
}

it('shows what its commands print', async () => {
  const text = await readFile(readme, 'utf8')
  const blocks = [...text.matchAll(/```console\n(\$ (.*)\n([\s\S]*?))```/g)]
  expect(blocks.length).toBeGreaterThanOrEqual(6)
  let updated = text
  const differences: { command: string; shows: string; prints: string }[] = []
  for (const [whole, , command = '', output = ''] of blocks) {
    const printed = shown(await runLine(command))
    updated = updated.replace(whole, () => `\`\`\`console\n$ ${command}\n${printed}\n\`\`\``)
    const [shows, prints] = [essence(output), essence(printed)]
    if (shows !== prints) differences.push({ command, shows, prints })
  }
  if (process.env['UPDATE_README'] === '1') await writeFile(readme, updated)
  else expect(differences).toEqual([])
})

it('names only commands and flags that exist', async () => {
  const text = await readFile(readme, 'utf8')
  const { stdout } = await home.run(['--help'])
  const known = new Set([...stdout.matchAll(/^ {2}([a-z][a-z -]*?) {2,}/gm)].map(([, id]) => id))
  const shownCommands = [...text.matchAll(/(?:npx )?mqctl ((?:[a-z]+[ `]?){1,2})/g)]
    .map(([, words = '']) => words.replaceAll('`', '').trim().split(' '))
    .filter(
      ([first = '']) => known.has(first) || [...known].some((id) => id?.startsWith(`${first} `)),
    )
  expect(shownCommands.length).toBeGreaterThan(15)
  const flags = [...text.matchAll(/(?<=[\s`])--[a-z][a-z-]+/g)].map(([flag]) => flag)
  const surface = await readFile(path.join(import.meta.dirname, 'surface.txt'), 'utf8')
  const unknown = [...new Set(flags)].filter(
    (flag) => !surface.includes(`${flag} `) && !surface.includes(`${flag}\n`) && flag !== '--help',
  )
  expect(unknown).toEqual([])
})

import { execFile, spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exitCodeTable } from '../../src/base/exit-codes.ts'
import { Home } from './mqctl.ts'

let home: Home

beforeAll(async () => {
  home = await Home.make()
})
afterAll(() => home.remove())

const isInstalled = (shell: string) => spawnSync(shell, ['--version']).status === 0

const ansi = /\u001b\[/

describe('help', () => {
  it('shows the eight commands that matter when nothing is asked', async () => {
    const { stdout, exitCode } = await home.run([])
    expect(exitCode).toBe(0)
    const commands = [...stdout.matchAll(/^ {2}mqctl (\w+)/gm)].map((match) => match[1])
    expect(commands).toEqual([
      'start',
      'produce',
      'consume',
      'bench',
      'topic',
      'group',
      'status',
      'stop',
    ])
  })

  it('lists every command with --help', async () => {
    const { stdout, exitCode } = await home.run(['--help'])
    expect(exitCode).toBe(0)
    for (const name of ['start', 'topic create', 'group reset', 'message find', 'completion']) {
      expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'))
    }
  })

  it.each(['exit-codes', 'formats', 'time', 'environment'])('has a page on %s', async (page) => {
    const text = await home.run(['help', page])
    const json = await home.json(['help', page])
    expect([text.exitCode, json.exitCode]).toEqual([0, 0])
    expect(json.document.text).toBe(text.stdout.trimEnd())
  })

  it('prints the same exit codes that the code has', async () => {
    const { stdout } = await home.run(['help', 'exit-codes'])
    for (const { code, name } of exitCodeTable) {
      expect(stdout).toMatch(new RegExp(`^ *${code}  ${name} `, 'm'))
    }
  })

  it('shows flags and examples of a command, by either way', async () => {
    const flag = await home.run(['topic', 'create', '-h'])
    const word = await home.run(['help', 'topic', 'create'])
    expect(flag.stdout).toContain('--queues')
    expect(flag.stdout).toContain('EXAMPLES')
    expect(word.stdout.trimEnd()).toBe(flag.stdout.trimEnd())
    const json = await home.json(['help', 'topic', 'create'])
    expect(json.document.text).toBe(word.stdout.trimEnd())
  })
})

describe('usage errors', () => {
  const wrong: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['an unknown command', ['topc', 'list'], /there is no command "topc list"; did you mean topic/],
    ['an unknown subcommand', ['topic', 'lst'], /did you mean topic list/],
    ['an unknown flag', ['status', '--al'], /unknown flag --al/],
    ['a missing argument', ['topic', 'create'], /missing argument: TOPIC/],
    ['one argument too many', ['version', 'extra'], /extra/],
    ['a value that is not allowed', ['status', '-o', 'xml'], /to be one of: table, json/],
    ['a number out of range', ['start', '--brokers', '0'], /--brokers: 0 is out of range/],
    ['a wrong duration', ['stop', '--timeout', '5'], /--timeout: duration 5 has no unit/],
    ['a wrong port', ['start', '--port', '70000'], /--port: "70000" is not a port/],
    ['an illegal name', ['start', '../up'], /not a name for an instance/],
    ['flags that exclude each other', ['status', '-q', '-v'], /cannot also be provided/],
    ['help on nothing', ['help', 'nonsense'], /there is no command "nonsense"/],
  ]

  it.each(wrong)('%s: exit 2, three lines, nothing on stdout', async (_, args, message) => {
    const { stdout, stderr, exitCode } = await home.run(args)
    expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 2 })
    expect(stderr).toMatch(message)
    expect(stderr).toMatch(/^error mqctl.*\(\w+, exit 2\)\n {2}why {2}.+\n {2}try {2}.+\n$/)
  })

  it.each(wrong)('%s with --json: the same code in one document', async (_, args, message) => {
    const { document, stderr, exitCode } = await home.json(args)
    expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 2 })
    expect(Object.keys(document.error)).toEqual(['code', 'message', 'hint', 'exitCode'])
    expect(document.error.message).toMatch(message)
    expect(document.error.exitCode).toBe(2)
  })

  it.each([
    [['start', '--topology', 'dledger-3'], 'NOT_BUILT'],
    [['start', '--topology', '2m-2s-sync'], 'NOT_BUILT'],
    [['start', '--engine', 'apache'], 'NOT_BUILT'],
    [['start', '--bind', '0.0.0.0'], 'EXPOSED_WITHOUT_CONSENT'],
  ])('refuses %j before anything runs', async (args, code) => {
    const { document, exitCode } = await home.json(args)
    expect([exitCode, document.error.code]).toEqual([2, code])
    expect((await home.json(['status'])).document.state).toBe('stopped')
  })
})

describe('output', () => {
  it('has no colours in a pipe, and none anywhere with NO_COLOR', async () => {
    const piped = await home.run(['status', '--al'])
    const forced = await home.run(['status', '--al'], { env: { FORCE_COLOR: '1' } })
    const denied = await home.run(['status', '--al'], {
      env: { FORCE_COLOR: '1', NO_COLOR: '1' },
    })
    const flag = await home.run(['status', '--al', '--no-color'], { env: { FORCE_COLOR: '1' } })
    expect([piped, forced, denied, flag].map(({ stderr }) => ansi.test(stderr))).toEqual([
      false,
      true,
      false,
      false,
    ])
  })

  it('gives one object in every format', async () => {
    const json = await home.json(['version'])
    const yaml = await home.run(['version', '-o', 'yaml'])
    expect(json.document).toMatchObject({ node: process.versions.node })
    expect(yaml.stdout).toContain(`node: ${process.versions.node}`)
  })

  it('says that a list format does not fit a single result', async () => {
    const { stderr, exitCode } = await home.run(['version', '-o', 'csv'])
    expect(exitCode).toBe(2)
    expect(stderr).toContain('use --output json or yaml')
  })

  it('ends quietly when its reader is gone', async () => {
    const bin = path.join(import.meta.dirname, '..', '..', 'bin', 'run.js')
    const { stdout, stderr } = await promisify(execFile)('sh', [
      '-c',
      `"${process.execPath}" "${process.env['MQCTL_TEST_BIN'] ?? bin}" completion bash | head -1`,
    ])
    expect([stdout.split('\n').length, stderr]).toEqual([2, ''])
  })
})

describe('completion', () => {
  it('offers subcommands, flags and values in bash', async () => {
    const { stdout: script } = await home.run(['completion', 'bash'])
    const complete = async (...words: string[]) => {
      const list = words.map((word) => `'${word}'`).join(' ')
      const code = `${script}\nCOMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _mqctl; echo "\${COMPREPLY[@]}"`
      const { stdout } = await promisify(execFile)('bash', ['-c', code])
      return stdout.trim().split(' ')
    }
    expect(await complete('mqctl', 'st')).toEqual(['start', 'status', 'stop'])
    expect(await complete('mqctl', 'topic', 'c')).toEqual(['create'])
    expect(await complete('mqctl', 'start', '--flu')).toEqual(['--flush'])
    expect(await complete('mqctl', 'start', '--flush', '')).toEqual(['async', 'sync'])
  })

  it.skipIf(!isInstalled('zsh'))('offers the same in zsh', async () => {
    const { stdout: script } = await home.run(['completion', 'zsh'])
    // What zsh's own functions would be given, printed.
    const stubs = `
      compdef() { }
      _describe() { print -l -- "\${(P)2[@]}" }
      _arguments() { print -l -- "$@" }
      compadd() { }
      mqctl() { }`
    const complete = async (...words: string[]) => {
      const list = words.map((word) => `'${word}'`).join(' ')
      const code = `${stubs}\n${script}\nwords=(${list}); CURRENT=${words.length}; _mqctl`
      const { stdout } = await promisify(execFile)('zsh', ['-f', '-c', code])
      return stdout.trimEnd().split('\n')
    }
    expect(await complete('mqctl', '')).toContain(
      'topic:topics: list, look at, create, change, delete',
    )
    const verbs = await complete('mqctl', 'topic', '')
    expect(verbs.map((word) => word.split(':')[0])).toEqual(
      expect.arrayContaining(['alter', 'create', 'delete', 'get', 'list']),
    )
    expect((await complete('mqctl', 'start', '--flu')).join()).toContain(':value:(async sync)')
    expect(await complete('mqctl', 'topic', 'get', '-')).not.toContain('*: :_default')
  })

  it.skipIf(!isInstalled('fish'))('offers the same in fish', async () => {
    const file = path.join(home.directory, 'mqctl.fish')
    await writeFile(file, (await home.run(['completion', 'fish'])).stdout)
    const complete = async (line: string) => {
      const code = `function mqctl; end; source '${file}'; complete -C '${line}'`
      const { stdout, stderr } = await promisify(execFile)('fish', ['--no-config', '-c', code], {
        env: { ...process.env, HOME: home.directory },
      })
      expect(stderr).toBe('')
      return stdout
        .trimEnd()
        .split('\n')
        .map((row) => row.split('\t'))
    }
    expect(await complete('mqctl to')).toEqual([
      ['topic', 'topics: list, look at, create, change, delete'],
    ])
    const verbs = await complete('mqctl topic ')
    const verb = ['alter', 'create', 'delete', 'forward', 'get', 'list']
    expect(verbs.map(([word]) => word)).toEqual(verb)
    const values = await complete('mqctl start --flush ')
    expect(values.map(([word]) => word)).toEqual(['async', 'sync'])
  })
})

describe('the surface', () => {
  it('is written down in docs/cli.md as it is', async () => {
    const root = path.join(import.meta.dirname, '..', '..')
    const script = path.join(root, 'scripts', 'cli-reference.mjs')
    const { stdout } = await promisify(execFile)(process.execPath, [script, '--stdout'])
    expect(stdout).toBe(await readFile(path.join(root, 'docs', 'cli.md'), 'utf8'))
  })

  it('is what was agreed: commands and flags change only on purpose', async () => {
    const manifestPath = path.join(import.meta.dirname, '..', '..', 'oclif.manifest.json')
    const manifest = JSON.parse(await readFile(manifestPath, 'utf8'))
    const surface = Object.keys(manifest.commands)
      .sort()
      .map((id) => {
        const { flags, args, hidden } = manifest.commands[id]
        const names = Object.keys(flags).sort()
        return `${id.replaceAll(':', ' ')}${hidden ? ' (hidden)' : ''} [${Object.keys(args).join(' ')}] ${names.map((name) => `--${name}`).join(' ')}`
      })
    await expect(`${surface.join('\n')}\n`).toMatchFileSnapshot('surface.txt')
  })
})

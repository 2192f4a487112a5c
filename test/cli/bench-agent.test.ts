/** A bench whose load runs at agents: two of them beside it, on the loopback. */
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { chmod, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resultSchema } from '../../src/bench/result.ts'
import { Home, isAlive, outcomeOf, shows } from './mqctl.ts'

interface RunningAgent {
  readonly child: ChildProcess
  readonly address: string
}

let home: Home
let token: string
let nameServer: string
const agents: RunningAgent[] = []

/** A machine that is busy with other things is no fault here. */
const tolerant = ['minSamples=1', 'maxClockSkew=1h', 'maxLoopLag=1h', 'maxSteal=100%']
const short = ['--no-ceiling', '--no-keep', '--warmup', '300ms']
const withAgents = () => [
  ...['bench', 'smoke', '--namesrv', nameServer, ...short],
  ...[
    '--producers',
    '2',
    '--consumers',
    '2',
    ...tolerant.flatMap((one) => ['--set', `validity.${one}`]),
  ],
  ...['--agent', agents.map(({ address }) => address).join(','), '--token-file', token],
]

beforeAll(async () => {
  home = await Home.make()
  token = path.join(home.directory, 'token')
  await writeFile(token, 'a token of these tests\n', { mode: 0o600 })
  const { document } = await home.json(['start', '--detach', '--any-port'])
  nameServer = document.namesrv[0]
  agents.push(await anAgent(['--allow', '127.0.0.1']), await anAgent(['--allow', '127.0.0.1']))
})
afterAll(async () => {
  for (const { child } of agents) child.kill('SIGKILL')
  await home.remove()
})

async function anAgent(flags: readonly string[]): Promise<RunningAgent> {
  const args = ['bench', 'agent', '--listen', '127.0.0.1:0', '--token-file', token, ...flags]
  const child = home.spawn(args)
  const said: string[] = []
  child.stderr?.on('data', (chunk: Buffer) => said.push(chunk.toString()))
  await shows(child, 'listening on')
  const [, address = ''] = /listening on (\S+?);/.exec(said.join('')) ?? []
  return { child, address }
}

/** One letter, as the system calls it; null: it is gone. */
function stateOf(pid: number): string | null {
  try {
    return /\) (\w) /.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? null
  } catch {
    return null
  }
}

/** Processes that this one has started and that run. */
function childrenOf(pid: number | undefined): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.split(' ').filter(Boolean).map(Number)
}

describe('mqctl bench --agent', () => {
  it('runs producers and consumers at the agents, and merges all of it without loss', async () => {
    const args = withAgents().filter((one) => one !== '--no-ceiling')
    const { document } = await home.json([...args, '--duration', '1500ms'])
    const result = resultSchema.parse(document)
    const { integrity, wholeRun, totals, latency } = result
    expect([result.verdict, result.reasons]).toEqual(['ok', []])
    expect([wholeRun.received, integrity.conservation.balanced, integrity.lost]).toEqual([
      wholeRun.acked,
      true,
      0,
    ])
    // Every answer is in the merged histogram.
    expect([totals.acked > 0, latency.service?.count]).toEqual([true, totals.acked])
    const addresses = agents.map(({ address }) => address)
    const placed = result.processes.map(({ role, host }) => [role, host])
    for (const role of ['producer', 'consumer']) {
      expect(placed.filter(([of]) => of === role).map(([, host]) => host)).toEqual(addresses)
    }
    expect(result.hosts.map(({ agent, roles }) => [agent, roles])).toEqual([
      [undefined, ['broker']],
      ...addresses.map((address) => [address, ['load']]),
    ])
    expect([result.clock.layout, result.clock.agents?.map(({ address }) => address)]).toEqual([
      'multi',
      addresses,
    ])
    // Each producer against a null target on its own agent's host.
    expect(result.client.ceiling?.perSecond).toBeGreaterThan(0)
    for (const { child } of agents) expect(childrenOf(child.pid)).toEqual([])
  })

  it('ends when an agent is gone, says which, keeps what there is, exit code 3', async () => {
    const victim = await anAgent(['--allow', '127.0.0.1'])
    const [first] = agents
    const args = withAgents()
      .join('\n')
      .replace(agents[1]?.address ?? '', victim.address)
    const child = home.spawn([...args.split('\n'), '--duration', '60s', '--json'])
    const ended = outcomeOf(child)
    await shows(child, 'measure (60.0 s)')
    const roles = childrenOf(victim.child.pid)
    victim.child.kill('SIGKILL')
    const { exitCode, stdout } = await ended
    const result = resultSchema.parse(JSON.parse(stdout))
    expect([exitCode, result.verdict, roles.length]).toEqual([3, 'unreachable', 2])
    expect(result.reasons.join('\n')).toContain(`agent ${victim.address}: `)
    expect(result.hosts.map(({ agent }) => agent)).toEqual([undefined, first?.address])
    await expect.poll(() => roles.filter(isAlive)).toEqual([])
    expect(childrenOf(first?.child.pid)).toEqual([])
  })

  it('is not outlived by the load of an agent that stands still, nor are its topics', async () => {
    const topicNames = async () =>
      (await home.run(['topic', 'list', '-n', nameServer, '-o', 'name'])).stdout
    const before = await topicNames()
    const victim = await anAgent(['--allow', '127.0.0.1'])
    const args = withAgents()
      .join('\n')
      .replace(agents[1]?.address ?? '', victim.address)
    const child = home.spawn([...args.split('\n'), '--duration', '60s', '--json'])
    const ended = outcomeOf(child)
    await shows(child, 'measure (60.0 s)')
    const roles = childrenOf(victim.child.pid)
    victim.child.kill('SIGSTOP')
    const { exitCode } = await ended
    expect(exitCode).toBe(3)
    // Their parent does not take note of their end: they are dead and not gone.
    await expect.poll(() => roles.map(stateOf), { timeout: 10_000 }).toEqual(['Z', 'Z'])
    victim.child.kill('SIGKILL')
    expect(await topicNames()).toEqual(before)
  })

  it('leaves nothing at the agents when it is killed, and they serve the next run', async () => {
    const child = home.spawn([...withAgents(), '--duration', '60s'])
    await shows(child, 'measure (60.0 s)')
    const roles = agents.flatMap(({ child: agent }) => childrenOf(agent.pid))
    expect(roles.length).toBe(4)
    child.kill('SIGKILL')
    await expect.poll(() => roles.filter(isAlive)).toEqual([])
    const { document } = await home.json([...withAgents(), '--duration', '300ms'])
    expect(document.verdict).toBe('ok')
  })

  it('samples the host of an agent that carries no load', async () => {
    const [watched] = agents
    const args = withAgents().map((one) => (one === '--agent' ? '--watch-agent' : one))
    const { document } = await home.json([...args, '--duration', '1500ms'])
    const { hosts, clock, verdict } = resultSchema.parse(document)
    expect([verdict, clock.layout]).toEqual(['ok', 'single'])
    expect(hosts.map(({ agent, roles }) => [agent, roles])).toContainEqual([watched?.address, []])
  })

  it('goes to no target that an agent does not allow', async () => {
    const topics = async () =>
      (await home.json(['topic', 'list', '--namesrv', nameServer])).document
    const before = await topics()
    const strict = await anAgent(['--allow', '127.0.0.1:1'])
    const args = withAgents()
      .join('\n')
      .replace(agents[1]?.address ?? '', strict.address)
    const { document, exitCode } = await home.json(args.split('\n'))
    strict.child.kill('SIGKILL')
    expect([exitCode, document.error.code]).toEqual([2, 'TARGET_NOT_ALLOWED'])
    expect(document.error.message).toContain(nameServer)
    expect(document.error.message).toContain(`agent ${strict.address} may reach`)
    // Asked before anything was made: not even for a moment was there a topic.
    expect(await topics()).toEqual(before)
  })

  it('is held to the allowed targets also where a name server would send it elsewhere', async () => {
    const strict = await anAgent(['--allow', nameServer])
    const args = withAgents()
      .join('\n')
      .replace(agents[1]?.address ?? '', strict.address)
    const { document, exitCode } = await home.json(args.split('\n'))
    strict.child.kill('SIGKILL')
    expect([exitCode, document.error.code]).toEqual([3, 'BROKER_UNREACHABLE'])
    expect(document.error.message).toContain('not among the targets that this agent may reach')
  })
})

describe('bad input', () => {
  const agent = ['bench', 'agent', '--listen']

  it('an agent off the loopback needs TLS', async () => {
    const { document, exitCode } = await home.json([
      ...agent,
      '0.0.0.0:0',
      '--token-file',
      token,
      ...['--allow', '127.0.0.1'],
    ])
    expect([exitCode, document.error.code]).toEqual([2, 'AGENT_NEEDS_TLS'])
  })

  it('a token that everybody may read is refused on both sides', async () => {
    const open = path.join(home.directory, 'open-token')
    await writeFile(open, 'a token of these tests\n')
    await chmod(open, 0o644)
    const serving = await home.json([...agent, '127.0.0.1:0', '--token-file', open])
    const using = await home.json(withAgents().map((one) => (one === token ? open : one)))
    const seen = [serving, using].map(({ document, exitCode }) => [exitCode, document.error.code])
    expect(seen).toEqual([
      [2, 'TOKEN_FILE_UNFIT'],
      [2, 'TOKEN_FILE_UNFIT'],
    ])
  })

  it('a wrong token is refused by the agent', async () => {
    const other = path.join(home.directory, 'other-token')
    await writeFile(other, 'another token than theirs\n', { mode: 0o600 })
    const args = withAgents().map((one) => (one === token ? other : one))
    const { document, exitCode } = await home.json(args)
    expect([exitCode, document.error.code]).toEqual([1, 'AGENT_REFUSED'])
  })

  it.each([
    ['--agent without a token', ['--agent', '127.0.0.1:9']],
    ['an agent elsewhere, and a broker of the run', ['--agent', '10.9.8.7:9', '--token-file']],
    [
      '--agent and a null target',
      ['--set', 'target.driver="null"', '--agent', '127.0.0.1:9', '--token-file'],
    ],
    ['--agent and a laboratory', ['--lab', 'link=1mbit', '--agent', '127.0.0.1:9', '--token-file']],
    ['no address', ['--agent', 'nowhere', '--token-file']],
    ['a host to sample without a token', ['--set', 'metrics.hosts=[{via: agent, address: "a:9"}]']],
  ])('%s', async (_, flags) => {
    const args = ['bench', 'smoke', ...flags, ...(flags.at(-1) === '--token-file' ? [token] : [])]
    const { document, exitCode } = await home.json(args)
    expect([exitCode, document.error.exitCode]).toEqual([2, 2])
  })

  it.each([
    ['an address without a port', ['127.0.0.1']],
    ['a certificate without its key', ['127.0.0.1:0', '--tls-cert', 'x.pem']],
    ['files that are not there', ['127.0.0.1:0', '--tls-cert', 'x.pem', '--tls-key', 'x.key']],
    ['a target that is none', ['127.0.0.1:0', '--allow', 'http://127.0.0.1/']],
  ])('an agent with %s', async (_, flags) => {
    const { document, exitCode } = await home.json([...agent, ...flags, '--token-file', token])
    expect([exitCode, document.error.exitCode]).toEqual([2, 2])
  })

  it('a gate with agents is told why not', async () => {
    const { document, exitCode } = await home.json([
      'bench',
      'gate',
      'self',
      'self',
      '--agent',
      'a:9',
    ])
    expect([exitCode, document.error.code]).toEqual([2, 'USAGE'])
    expect(document.error.message).toContain('a gate puts its load on this host')
  })

  it('an agent that nobody has started', async () => {
    const gone = await anAgent([])
    gone.child.kill('SIGINT')
    const { exitCode } = await outcomeOf(gone.child)
    const args = withAgents()
      .join('\n')
      .replace(agents[1]?.address ?? '', gone.address)
    const { document, exitCode: code } = await home.json(args.split('\n'))
    expect([exitCode, code, document.error.code]).toEqual([130, 3, 'AGENT_UNREACHABLE'])
  })
})

/** An agent and its controllers on the loopback: who is let in, what is taken, and what is given back. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { MqError } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { Agents } from '../../../src/bench/agent/agents.ts'
import { AgentLink, type LinkOptions } from '../../../src/bench/agent/link.ts'
import { PROTOCOL_VERSION, STRANGER_BYTES_MAX } from '../../../src/bench/agent/messages.ts'
import { AgentServer } from '../../../src/bench/agent/server.ts'
import { drawNonce, proofOf } from '../../../src/bench/agent/token.ts'
import { FrameReader, encodeFrame } from '../../../src/bench/agent/wire.ts'
import { planOf } from '../../../src/bench/plan.ts'
import { readScenario } from '../../../src/bench/scenario.ts'
import { nodeSecureNet } from '../../../src/world/node-secure-net.ts'
import { nodeWorld } from '../../../src/world/node-world.ts'
import type { TlsIdentity } from '../../../src/world/secure-net.ts'

const token = Buffer.from('0123456789abcdef')
const asked = { periodMs: 1_000, gridNs: 1e9, linkBitsPerSecond: null, brokers: [] }
const bigSizes = [{ sizeBytes: 4 * 1024 * 1024, weight: 1 }]
const ended: (() => unknown)[] = []

afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end()
})

async function anAgent(identity: TlsIdentity | null = null): Promise<AgentServer> {
  const options = {
    token,
    allow: ['10.9.8.7:9876'],
    diskPath: null,
    toolVersion: '0',
    logger: silentLogger,
  }
  const where = { host: '127.0.0.1', port: 0 }
  const agent = await AgentServer.start(nodeWorld, nodeSecureNet, where, identity, options)
  ended.push(() => agent.close())
  return agent
}

async function aLink(agent: AgentServer, changes: Partial<LinkOptions> = {}): Promise<AgentLink> {
  const link = await AgentLink.open({
    clock: nodeWorld.clock,
    net: nodeWorld.net,
    secureNet: nodeSecureNet,
    address: `127.0.0.1:${agent.port}`,
    token,
    authority: null,
    onLost: () => undefined,
    ...changes,
  })
  ended.push(() => {
    link.close()
  })
  return link
}

async function refusalOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (error) {
    if (error instanceof MqError) return `${error.exitCode} ${error.code} ${error.message}`
    throw error
  }
  return 'none'
}

/** Someone who speaks frames, and what it was told; `closed` when the agent has hung up. */
async function aStranger(agent: AgentServer) {
  const stream = await nodeWorld.net.connect('127.0.0.1', agent.port, 1_000)
  ended.push(() => {
    stream.destroy()
  })
  const told: Record<string, unknown>[] = []
  const reader = new FrameReader(1e6, (value) => told.push(value as Record<string, unknown>))
  const stranger = {
    told,
    closed: false,
    say: (value: unknown) => stream.write(encodeFrame(value, 1e8)),
    write: (bytes: Buffer) => stream.write(bytes),
  }
  stream.onData = (chunk) => {
    reader.push(chunk)
  }
  stream.onClose = () => {
    stranger.closed = true
  }
  return stranger
}

/** What an idle host does. */
const usage = {
  ...{ cpuCount: 1, cpu: null, load1: null, pressure: null, memory: null, disk: null, nics: [] },
  ...{ unavailable: {}, spanMs: 1_000, processes: [] },
}

/** Someone who plays an agent that has the token: its address. */
async function anActor(
  part: {
    readonly proof?: () => string
    /** Said when it is asked to sample. */
    readonly says?: (now: { readonly atNs: number }) => unknown
    /** How far its clock is ahead, nanoseconds. */
    readonly aheadNs?: () => number
  } = {},
): Promise<string> {
  const nowNs = () => Number(nodeWorld.clock.monotonicNs()) + (part.aheadNs?.() ?? 0)
  const listener = await nodeWorld.net.listen('127.0.0.1', 0, (stream) => {
    const say = (value: unknown) => stream.write(encodeFrame(value, 1e6))
    const nonce = drawNonce()
    let theirs = ''
    const reader = new FrameReader(1e6, (value) => {
      const { kind, id, ...rest } = value as { kind: string; id?: number; nonce?: string }
      if (kind === 'hello') {
        theirs = rest.nonce ?? ''
        say({ kind: 'challenge', nonce })
      } else if (kind === 'proof') {
        const proof = part.proof?.() ?? proofOf(token, 'agent', [theirs, nonce])
        say({ kind: 'welcome', proof, tool: '0', facts: { name: 'x' } })
      } else if (kind === 'ping') {
        say({ kind: 'pong', id, atNs: nowNs() })
      } else if (kind === 'sample') {
        say({ kind: 'sampling', id, brokers: [] })
        say(part.says?.({ atNs: nowNs() }))
      }
    })
    stream.onData = (chunk) => {
      reader.push(chunk)
    }
  })
  ended.push(() => listener.close())
  return `127.0.0.1:${listener.port}`
}

/** One that has the token. */
async function aKnown(agent: AgentServer) {
  const known = await aStranger(agent)
  const nonce = drawNonce()
  known.say({ kind: 'hello', version: PROTOCOL_VERSION, nonce })
  await expect.poll(() => known.told.length).toBe(1)
  const nonces = [nonce, String(known.told[0]?.['nonce'])] as const
  known.say({ kind: 'proof', proof: proofOf(token, 'controller', nonces) })
  await expect.poll(() => known.told[1]?.['kind']).toBe('welcome')
  return known
}

describe('an agent lets in', () => {
  it('who has the token, and tells it what its host is and how its clock stands', async () => {
    const link = await aLink(await anAgent())
    const reading = await link.readClock()
    expect(link.facts.name).toBe(os.hostname())
    // One host, one clock.
    expect(Math.abs(reading?.offsetNs ?? 1e12)).toBeLessThanOrEqual(reading?.uncertaintyNs ?? 0)
  })

  it('nobody with another token', async () => {
    const opening = aLink(await anAgent(), { token: Buffer.from('fedcba9876543210') })
    expect(await refusalOf(opening)).toMatch(/^1 AGENT_REFUSED .*the token is wrong/)
  })

  it('nobody who speaks without a proof', async () => {
    const agent = await anAgent()
    for (const first of [
      { kind: 'ping', id: 1 },
      { kind: 'open', role: 1, name: 'producer-1', what: 'producer' },
      { kind: 'hello', version: PROTOCOL_VERSION, nonce: 'short' },
      { kind: 'hello', version: PROTOCOL_VERSION + 1, nonce: drawNonce() },
      'hello',
      null,
    ]) {
      const stranger = await aStranger(agent)
      stranger.say(first)
      await expect.poll(() => stranger.closed).toBe(true)
      expect(stranger.told).toEqual([expect.objectContaining({ kind: 'refused' })])
    }
  })

  it('nobody who begins with a long frame, or with another protocol', async () => {
    const agent = await anAgent()
    const starts = [
      Buffer.from(`GET / HTTP/1.1\r\n\r\n`),
      Buffer.from('16030100c8010000c40303', 'hex'),
      Buffer.from([0, 0, (STRANGER_BYTES_MAX >> 8) & 0xff, 1]),
    ]
    for (const start of starts) {
      const stranger = await aStranger(agent)
      stranger.write(start)
      await expect.poll(() => stranger.closed).toBe(true)
    }
  })

  it('one run at a time, and the next as soon as that is over', async () => {
    const agent = await anAgent()
    const first = await aLink(agent)
    expect(await refusalOf(aLink(agent))).toMatch(/^1 AGENT_REFUSED .*serves another run/)
    first.close()
    await expect.poll(() => refusalOf(aLink(agent))).toBe('none')
  })

  it('so many at once, strangers included', async () => {
    const agent = await anAgent()
    const strangers: Awaited<ReturnType<typeof aStranger>>[] = []
    for (let index = 0; index < 12; index += 1) strangers.push(await aStranger(agent))
    await expect.poll(() => strangers.filter(({ closed }) => closed).length).toBe(4)
  })
})

describe('an agent takes', () => {
  it('nothing but what it knows, and ends with who says it', async () => {
    const agent = await anAgent()
    const setup = { kind: 'order', role: 1, order: { kind: 'setup', setup: {} } }
    for (const odd of [
      { kind: 'exec', command: 'id' },
      { kind: 'ping', id: 1, more: true },
      { kind: 'ping', id: -1 },
      { kind: 'open', role: 1, name: '../../bin/sh', what: 'producer' },
      { kind: 'open', role: 1, name: 'producer-1', what: '../engine/roles/broker' },
      { kind: 'sample', id: 1, ...asked, periodMs: 1 },
      { kind: 'sample', id: 1, ...asked, brokers: ['/etc'] },
      { ...setup },
      { kind: 'order', role: 1, order: { kind: 'start', gridNs: -1, segments: [] } },
    ]) {
      const known = await aKnown(agent)
      known.say(odd)
      await expect.poll(() => known.closed).toBe(true)
      expect(known.told.at(-1)).toMatchObject({ kind: 'refused' })
    }
  })

  it('no setup that it would refuse later, and says why beforehand', async () => {
    const link = await aLink(await anAgent())
    const { scenario } = readScenario('version: 1\nname: x\n', 'x.yaml')
    const setupOf = (endpoint: string, changes: object = {}) => {
      const plan = planOf(scenario, [endpoint], Buffer.alloc(4))
      const members = plan.members({ length: 8 }, [], [])
      return members.map(({ setup }) => ({ ...setup, ...changes }))
    }
    const check = (setups: ReturnType<typeof setupOf>, roles = 2) =>
      refusalOf(link.check(setups.slice(0, 2), roles, []))
    const allowed = '10.9.8.7:9876'
    expect(await check(setupOf(allowed))).toBe('none')
    expect(await check(setupOf('10.9.8.7:9877'))).toBe(
      `2 TARGET_NOT_ALLOWED 10.9.8.7:9877 is not among the targets that agent ${link.host} may reach`,
    )
    expect(await check(setupOf(allowed, { pool: 100_000, sizes: bigSizes }))).toMatch(
      /^2 LOAD_NOT_TAKEN agent .* does not take this load: its pool of bodies takes more than 1 GiB/,
    )
    expect(await check(setupOf(allowed, { colour: 'red' }))).toMatch(
      /^2 LOAD_NOT_TAKEN .*: Unrecognized key: "colour"/,
    )
    expect(await check(setupOf(allowed), 300)).toMatch(/^2 LOAD_NOT_TAKEN .*: 300 load processes/)
    // It is asked, and no more: the session goes on.
    expect(await link.check([], 0, ['127.0.0.1:1', '10.9.8.7:10911'])).toEqual([
      { address: '127.0.0.1:1', pid: null },
    ])
  })

  it('marks of its host, with what happened between two of them', async () => {
    const link = await aLink(await anAgent())
    expect(await link.mark('window')).toBeNull()
    expect(await link.sample({ ...asked, brokers: ['10.9.8.7:10911'] })).toEqual([])
    const first = await link.mark('window')
    const phase = await link.mark('phase')
    const second = await link.mark('window')
    expect([first?.usage, phase?.usage]).toEqual([null, null])
    expect(second?.usage?.cpuCount).toBe(os.availableParallelism())
    expect(second?.usage?.processes.map(({ pid }) => pid)).toContain(process.pid)
  })
})

describe('a link', () => {
  it('tells once that its agent is gone, and waits for nothing any more', async () => {
    const agent = await anAgent()
    const lost: string[] = []
    const link = await aLink(agent, { onLost: (why) => lost.push(why) })
    await link.sample(asked)
    await agent.close()
    await expect.poll(() => lost.length).toBe(1)
    expect([await link.mark('window'), await link.readClock(), link.lost]).toEqual([
      null,
      null,
      lost[0],
    ])
  })

  it('to nobody is an unreachable agent', async () => {
    const agent = await anAgent()
    await agent.close()
    expect(await refusalOf(aLink(agent))).toMatch(/^3 AGENT_UNREACHABLE .*ECONNREFUSED/)
  })

  it('to something else that answers is told as such', async () => {
    const listener = await nodeWorld.net.listen('127.0.0.1', 0, (stream) => {
      stream.onData = () => stream.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))
    })
    ended.push(() => listener.close())
    const address = `127.0.0.1:${listener.port}`
    const opening = aLink(await anAgent(), { address })
    expect(await refusalOf(opening)).toMatch(/^3 AGENT_UNREACHABLE .*not understood/)
  })

  it('does not trust an agent that cannot prove the token', async () => {
    const address = await anActor({ proof: () => 'x'.repeat(44) })
    const opening = aLink(await anAgent(), { address })
    expect(await refusalOf(opening)).toMatch(/^1 AGENT_REFUSED .*does not have the token itself/)
  })

  it('loses an agent that tells of what is still to come', async () => {
    const lost: string[] = []
    const link = await aLink(await anAgent(), {
      address: await anActor({ says: ({ atNs }) => ({ kind: 'usage', atNs: atNs + 60e9, usage }) }),
      onLost: (why) => lost.push(why),
    })
    let usages = 0
    link.onUsage = () => (usages += 1)
    await link.sample(asked)
    await expect.poll(() => lost).toEqual([expect.stringMatching(/clock has jumped.* 60 s away/)])
    expect(usages).toBe(0)
  })

  it('loses an agent whose clock jumps ahead between two pings', async () => {
    const lost: string[] = []
    let aheadNs = 0
    const link = await aLink(await anAgent(), {
      address: await anActor({ aheadNs: () => aheadNs }),
      onLost: (why) => lost.push(why),
    })
    aheadNs = 60e9
    await link.readClock()
    expect(lost).toEqual([expect.stringMatching(/clock has jumped: .* ahead of itself/)])
  })

  it('keeps an agent whose clock drifts, and moves what its host did by how it stands now', async () => {
    let aheadNs = 0
    const link = await aLink(await anAgent(), {
      address: await anActor({
        aheadNs: () => aheadNs,
        says: ({ atNs }) => ({ kind: 'usage', atNs, usage }),
      }),
    })
    // Five seconds, in steps that no drift makes but the link bears: a run of many hours.
    for (let step = 0; step < 10; step += 1) {
      aheadNs += 0.5e9
      await link.readClock()
    }
    const agesNs: number[] = []
    link.onUsage = (atNs) => agesNs.push(Number(nodeWorld.clock.monotonicNs()) - atNs)
    await link.sample(asked)
    await expect.poll(() => agesNs.length).toBe(1)
    expect(link.lost).toBeNull()
    // Not five seconds ahead of what happens now.
    expect(agesNs[0]).toBeGreaterThan(-1e9)
  })
})

describe('the agents of a run', () => {
  it('know nothing of the brokers’ hosts when one of two is lost, which still are those of brokers', async () => {
    const [kept, lost] = [await anAgent(), await anAgent()]
    const watch = [kept, lost].map(({ port }) => ({
      address: `127.0.0.1:${port}`,
      name: null,
      isBroker: true,
    }))
    const options = { load: [], watch, token, authority: null, secureNet: nodeSecureNet }
    const gone: string[] = []
    const agents = await Agents.open(nodeWorld, options, (address) => gone.push(address))
    ended.push(() => {
      agents.close()
    })
    await agents.sample(asked, () => undefined)
    expect((await agents.look()).brokers).toBeNull()
    expect((await agents.look()).brokers).toHaveLength(2)
    await lost.close()
    await expect.poll(() => gone).toEqual([`127.0.0.1:${lost.port}`])
    expect([(await agents.look()).brokers, agents.seeBrokers]).toEqual([null, true])
  })
})

describe('off the loopback an agent', () => {
  const where = (host: string) => ({ host, port: 0 })
  const options = { token, allow: [], diskPath: null, toolVersion: '0', logger: silentLogger }

  it.each(['0.0.0.0', '::', '10.0.0.7', 'agent.example'])('needs TLS: %s', async (host) => {
    const starting = AgentServer.start(nodeWorld, nodeSecureNet, where(host), null, options)
    expect(await refusalOf(starting)).toMatch(/^2 AGENT_NEEDS_TLS /)
  })
})

/** Certificates are made with it. */
const hasOpenssl = spawnSync('openssl', ['version']).status === 0

describe.skipIf(!hasOpenssl)('under TLS', () => {
  let directory: string
  const pem = (name: string) => readFileSync(path.join(directory, name))
  const make = (name: string, subjects: string) =>
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
        ...['-days', '2', '-subj', `/CN=${name}`, '-addext', `subjectAltName=${subjects}`],
        ...['-keyout', `${name}.key`, '-out', `${name}.pem`],
      ],
      { cwd: directory, stdio: 'ignore' },
    )
  const identity = (name: string) => ({ certificate: pem(`${name}.pem`), key: pem(`${name}.key`) })

  beforeAll(() => {
    directory = mkdtempSync(path.join(os.tmpdir(), 'mqctl-tls-'))
    make('right', 'IP:127.0.0.1')
    make('other', 'IP:10.9.8.7')
  })
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true })
  })

  it('a link takes the agent whose certificate it was told to trust', async () => {
    const link = await aLink(await anAgent(identity('right')), { authority: pem('right.pem') })
    expect(await link.readClock()).not.toBeNull()
  })

  it('a link takes no other certificate, and none for another address', async () => {
    const right = await anAgent(identity('right'))
    const other = await anAgent(identity('other'))
    expect([
      await refusalOf(aLink(right, { authority: pem('other.pem') })),
      await refusalOf(aLink(other, { authority: pem('other.pem') })),
    ]).toEqual([
      expect.stringMatching(/^3 AGENT_UNREACHABLE .*self-signed/),
      expect.stringMatching(/^3 AGENT_UNREACHABLE .*IP: 127.0.0.1 is not in the cert/),
    ])
  })

  it('plain text is answered by nobody', async () => {
    const agent = await anAgent(identity('right'))
    expect(await refusalOf(aLink(agent))).toMatch(/^3 AGENT_UNREACHABLE /)
  })

  it('an identity that is none is told before anything listens', async () => {
    const wrong = { certificate: pem('right.pem'), key: pem('other.key') }
    expect(await refusalOf(anAgent(wrong))).toMatch(/^1 START_FAILED /)
  })
})

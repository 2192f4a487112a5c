import * as net from 'node:net'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { resolveOptions } from '../../src/base/options.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { startNameServer } from '../../src/nameserver/nameserver.ts'
import { nameServerOptions } from '../../src/nameserver/options.ts'
import { RequestCode } from '../../src/protocol/codes.ts'
import { request } from '../../src/protocol/command.ts'
import { RemotingClient } from '../../src/remoting/client.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { aBroker, closeAll } from '../broker/a-broker.ts'
import { frameCorpus } from './corpus.ts'
import { Mutator, fuzzMs, fuzzSeed } from './mutator.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  await closeAll()
})

/** Throws mutated frames at a port from several connections; returns how many were thrown. */
async function bombard(port: number, seed: number): Promise<number> {
  const mutator = new Mutator(seed)
  const corpus = frameCorpus()
  const endMs = performance.now() + fuzzMs
  let sent = 0
  while (performance.now() < endMs) {
    await new Promise<void>((resolve) => {
      const socket = net.connect(port, '127.0.0.1')
      socket.on('data', () => undefined)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        resolve()
      })
      socket.on('connect', () => {
        for (let i = 0; i < 50; i++) {
          socket.write(mutator.mutate(mutator.pick(corpus), mutator.pick(corpus)))
          sent++
        }
        // Some leave without a word, some half-close, some have already been thrown out.
        if (mutator.below(2) === 0) socket.end()
        else setImmediate(() => socket.destroy())
      })
    })
  }
  return sent
}

const replay = (seed: number) => `replay with FUZZ_SEED=${seed}`

describe(`mutated frames (seed ${fuzzSeed})`, () => {
  test('leave a broker serving, its memory flat, its files inside the store', async () => {
    const parent = await mkdtemp(path.join(tmpdir(), 'mqctl-fuzz-'))
    cleanups.push(() => rm(parent, { recursive: true, force: true }))
    const { broker, connect } = await aBroker({ store: { dir: path.join(parent, 'store') } })
    const client = connect()
    await client.send('Kept', 'before')
    await bombard(broker.port, fuzzSeed)
    global.gc?.()
    const rssBefore = process.memoryUsage().rss
    const sent = await bombard(broker.port, fuzzSeed + 1)
    global.gc?.()
    const grown = process.memoryUsage().rss - rssBefore
    expect(sent).toBeGreaterThan(1_000)
    expect(grown, replay(fuzzSeed)).toBeLessThan(100 * 1024 * 1024)
    const answer = await client.send('Kept', 'after')
    expect(answer.code, replay(fuzzSeed)).toBe(0)
    expect(answer.ext['queueOffset'], replay(fuzzSeed)).toBe('1')
    expect(await readdir(parent)).toEqual(['store'])
  })

  test('leave a name server serving', async () => {
    const server = await startNameServer(
      nodeWorld,
      resolveOptions(nameServerOptions, { host: '127.0.0.1', port: 0 }),
      silentLogger,
    )
    cleanups.push(() => server.close())
    const sent = await bombard(server.port, fuzzSeed + 2)
    expect(sent).toBeGreaterThan(1_000)
    const client = new RemotingClient(nodeWorld)
    cleanups.push(() => {
      client.close()
    })
    const answer = await client.invoke(
      `127.0.0.1:${server.port}`,
      request(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER),
      5_000,
    )
    expect(answer.code, replay(fuzzSeed)).toBe(0)
  })
})

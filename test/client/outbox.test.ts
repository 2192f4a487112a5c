import { appendFile, mkdtemp, rm, stat } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type KeptMessage, Outbox } from '../../src/client/outbox.ts'
import type { OutgoingMessage } from '../../src/client/outgoing-message.ts'
import { nodeWorld } from '../../src/world/node-world.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'mqctl-outbox-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

/** What the next process finds. */
async function found(): Promise<readonly KeptMessage[]> {
  const outbox = await Outbox.open(nodeWorld, directory)
  const { pending } = outbox
  await outbox.close()
  return pending
}

it('gives back all that a message may say', async () => {
  const message: Required<OutgoingMessage> = {
    topic: 't',
    body: Buffer.from('x'),
    tags: 'red',
    keys: ['a', 'b'],
    properties: { own: '1' },
    flag: 7,
    orderKey: 'o',
    priority: 3,
    queue: { brokerName: 'b', queueId: 2 },
    delayLevel: 1,
    delayMs: 2,
    deliverAtMs: 3,
    waitStored: false,
    messageId: 'id',
    reconsumeTimes: 1,
    maxReconsumeTimes: 2,
  }
  const outbox = await Outbox.open(nodeWorld, directory)
  await outbox.add(message)
  await outbox.close()
  expect(await found()).toEqual([message])
})

it('keeps a delay with a fraction of a millisecond as the next whole one, as it is sent', async () => {
  const outbox = await Outbox.open(nodeWorld, directory)
  await outbox.add({ topic: 't', body: 'x', delayMs: 16_100.000000000002, deliverAtMs: 0.5 })
  await outbox.close()
  expect(await found()).toMatchObject([{ delayMs: 16_101, deliverAtMs: 1 }])
})

it('reads a fraction that an earlier version wrote', async () => {
  const add = { topic: 't', messageId: 'id', body: 'eA==', delayMs: 16_100.000000000002 }
  await appendFile(path.join(directory, 'outbox.ndjson'), `${JSON.stringify({ add })}\n`)
  expect(await found()).toHaveLength(1)
})

it('leaves out what is done with when it is opened and most of it is', async () => {
  const file = path.join(directory, 'outbox.ndjson')
  const add = { topic: 't', messageId: 'stays', body: 'eA==' }
  const body = Buffer.alloc(3 * 1024 * 1024).toString('base64')
  const lines = [
    { add },
    { add: { ...add, messageId: 'large', body } },
    { add: { ...add, messageId: 'larger', body } },
    { done: 'large' },
    { done: 'larger' },
  ]
  await appendFile(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  await appendFile(file, '{"add":{"topic":"t","messageId":"cut o')
  expect(await found()).toMatchObject([{ messageId: 'stays', body: Buffer.from('x') }])
  expect((await stat(file)).size).toBe(JSON.stringify({ add }).length + 1)
  expect(await found()).toMatchObject([{ messageId: 'stays' }])
})

it('can be opened on a full disk: what is done with stays in the file then', async () => {
  const file = path.join(directory, 'outbox.ndjson')
  const add = { topic: 't', messageId: 'stays', body: 'eA==' }
  const body = Buffer.alloc(3 * 1024 * 1024).toString('base64')
  const lines = [{ add }, { add: { ...add, messageId: 'large', body } }, { done: 'large' }]
  await appendFile(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  const sizeBefore = (await stat(file)).size
  const disk = Object.create(nodeWorld.disk, {
    rename: { value: () => Promise.reject(new Error('ENOSPC')) },
  }) as typeof nodeWorld.disk
  const outbox = await Outbox.open({ ...nodeWorld, disk }, directory)
  expect(outbox.pending).toMatchObject([{ messageId: 'stays' }])
  await outbox.close()
  expect((await stat(file)).size).toBe(sizeBefore)
  await expect(stat(`${file}.tmp`)).rejects.toMatchObject({ code: 'ENOENT' })
})

import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import { OutboxSender } from '../../src/client/outbox-sender.ts'
import { Outbox } from '../../src/client/outbox.ts'
import type { OutgoingMessage } from '../../src/client/outgoing-message.ts'
import type { SendReceipt } from '../../src/client/producer.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { ManualClock } from '../world/manual-clock.ts'

let directory: string
let outbox: Outbox
beforeEach(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'mqctl-outbox-'))
  outbox = await Outbox.open(nodeWorld, directory)
})
afterEach(async () => {
  await outbox.close()
  await rm(directory, { recursive: true, force: true })
})

const away = () => new MqError('BROKER_UNREACHABLE', { address: 'a:1', why: 'away' })

/** A producer that fails so often, with that, and then succeeds. */
function failing(times: number, error: () => Error = away) {
  const tries: OutgoingMessage[] = []
  return {
    tries,
    send: async (message: OutgoingMessage): Promise<SendReceipt> => {
      tries.push(message)
      if (tries.length <= times) throw error()
      return {
        messageId: message.messageId ?? '',
        offsetMessageId: '',
        broker: 'b',
        queueId: 0,
        queueOffset: 0,
        status: 'SEND_OK',
      }
    },
  }
}

const message = { topic: 't', body: 'x' }

describe('sending through an outbox', () => {
  it('tries again after growing pauses, with the same id, until it is acknowledged', async () => {
    const clock = new ManualClock()
    const producer = failing(3)
    const { signal } = new AbortController()
    const sender = new OutboxSender(producer, outbox, { clock, tries: 10, signal })
    const sending = sender.send(message)
    for (const [ms, tries] of [
      [999, 1],
      [1, 2],
      [1_999, 2],
      [1, 3],
      [4_000, 4],
    ] as const) {
      await expect.poll(() => producer.tries.length).toBeGreaterThan(0)
      await settled()
      clock.advance(ms)
      await settled()
      expect(producer.tries).toHaveLength(tries)
    }
    expect((await sending).status).toBe('SEND_OK')
    expect(new Set(producer.tries.map(({ messageId }) => messageId)).size).toBe(1)
    expect(outbox.pendingCount).toBe(0)
  })

  it('gives up after so many tries; the others get one each, until one succeeds', async () => {
    const clock = new ManualClock()
    const producer = failing(3)
    const { signal } = new AbortController()
    const sender = new OutboxSender(producer, outbox, { clock, tries: 1, signal })
    for (let i = 0; i < 3; i++) {
      await expect(sender.send(message)).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE' })
    }
    expect(outbox.pendingCount).toBe(3)
    await sender.send(message)
    for (const kept of outbox.pending) await sender.send(kept)
    expect(outbox.pendingCount).toBe(0)
    expect(producer.tries).toHaveLength(7)
  })

  it('does not try again what will never do, and keeps it', async () => {
    const producer = failing(9, () => new MqError('TOPIC_NOT_FOUND', { topic: 't' }))
    const { signal } = new AbortController()
    const clock = new ManualClock()
    const sender = new OutboxSender(producer, outbox, { clock, tries: 10, signal })
    await expect(sender.send(message)).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' })
    expect(producer.tries).toHaveLength(1)
    expect(outbox.pendingCount).toBe(1)
  })

  it('ends its pause when it is told to', async () => {
    const producer = failing(9)
    const abort = new AbortController()
    const clock = new ManualClock()
    const sender = new OutboxSender(producer, outbox, { clock, tries: 10, signal: abort.signal })
    const sending = sender.send(message)
    await expect.poll(() => producer.tries.length).toBe(1)
    abort.abort()
    await expect(sending).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE' })
    expect(outbox.pendingCount).toBe(1)
  })
})

/** What is due in this turn and the next ones has happened. */
async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
}

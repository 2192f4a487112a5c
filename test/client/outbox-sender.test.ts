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

  it('keeps a delay as the time that it is meant for, however late it is sent', async () => {
    const clock = new ManualClock()
    const producer = failing(1)
    const { signal } = new AbortController()
    const sender = new OutboxSender(producer, outbox, { clock, tries: 1, signal })
    const deliverAtMs = clock.wallMs() + 45_000
    await expect(sender.send({ ...message, delayMs: 45_000 })).rejects.toMatchObject({
      retry: true,
    })
    clock.advance(60_000)
    for (const kept of outbox.pending) await sender.send(kept)
    expect(producer.tries).toMatchObject([{ deliverAtMs }, { deliverAtMs }])
    expect(producer.tries.every(({ delayMs }) => delayMs === undefined)).toBe(true)
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

describe('what an outbox does not take', () => {
  it('is a message that no broker would ever take', async () => {
    const producer = failing(0)
    const { signal } = new AbortController()
    const sender = new OutboxSender(producer, outbox, {
      ...{ clock: new ManualClock(), tries: 1, signal },
    })
    const large = { topic: 't', body: Buffer.alloc(5 * 1024 * 1024) }
    await expect(sender.send(large)).rejects.toMatchObject({ code: 'MESSAGE_ILLEGAL' })
    expect([outbox.pendingCount, producer.tries.length]).toEqual([0, 0])
  })

  it('is a message too many: that one waits until a broker took some of the others', async () => {
    const clock = new ManualClock()
    const producer = failing(2)
    const { signal } = new AbortController()
    const sender = new OutboxSender(producer, outbox, { clock, tries: 1, signal, bytesMax: 100 })
    for (const body of ['first', 'second']) {
      await expect(sender.send({ topic: 't', body })).rejects.toMatchObject({ retry: true })
    }
    expect(outbox.pendingBytes).toBeGreaterThan(100)
    const third = sender.send({ topic: 't', body: 'third' })
    await settled()
    expect([outbox.pendingCount, producer.tries.length]).toEqual([2, 2])
    clock.advance(1_000)
    expect((await third).status).toBe('SEND_OK')
    expect(producer.tries.map(({ body }) => body)).toEqual(['first', 'second', 'first', 'third'])
    expect(outbox.pending.map(({ body }) => body)).toEqual(['second'])
  })

  it('is anything more when it is full and is told to end', async () => {
    const abort = new AbortController()
    const { signal } = abort
    const clock = new ManualClock()
    const sender = new OutboxSender(failing(9), outbox, { clock, tries: 1, signal, bytesMax: 1 })
    await expect(sender.send(message)).rejects.toMatchObject({ retry: true })
    const waiting = sender.send(message)
    abort.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'INTERRUPTED' })
    expect(outbox.pendingCount).toBe(1)
  })
})

describe('an outbox that is full', () => {
  const full = async (error: () => Error, tries: number) => {
    const clock = new ManualClock()
    const abort = new AbortController()
    const producer = failing(99, error)
    const options = { clock, tries, signal: abort.signal, bytesMax: 1 }
    await outbox.add({ ...message, messageId: 'K' })
    return { clock, abort, producer, sender: new OutboxSender(producer, outbox, options) }
  }

  it('is an error when nothing in it can ever be sent', async () => {
    const { clock, producer, sender } = await full(
      () => new MqError('TOPIC_NOT_FOUND', { topic: 't' }),
      10,
    )
    const waiting = sender.send(message)
    const refused = expect(waiting).rejects.toMatchObject({ code: 'OUTBOX_FULL' })
    await settled()
    clock.advance(1_000)
    await refused
    expect([producer.tries.length, outbox.pendingCount]).toEqual([1, 1])
  })

  it('is an error after so many tries', async () => {
    const { clock, producer, sender } = await full(away, 3)
    const refused = expect(sender.send(message)).rejects.toMatchObject({ code: 'OUTBOX_FULL' })
    for (const ms of [1_000, 2_000, 4_000]) {
      await settled()
      clock.advance(ms)
    }
    await refused
    expect([producer.tries.length, outbox.pendingCount]).toEqual([3, 1])
  })

  it('takes the next message when others made room meanwhile, and nothing was left to send', async () => {
    const { clock, sender } = await full(away, 3)
    const waiting = expect(sender.send(message)).rejects.toMatchObject({ retry: true })
    await settled()
    outbox.done('K')
    for (const ms of [1_000, 1_000, 2_000]) {
      clock.advance(ms)
      await expect.poll(() => outbox.pendingCount).toBe(1)
      await settled()
    }
    await waiting
  })

  it('ends what waits when it is told to, though nothing is left to send', async () => {
    const { abort, sender } = await full(away, 3)
    const waiting = sender.send(message)
    await settled()
    outbox.done('K')
    abort.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE' })
  })
})

/** What is due in this turn and the next ones has happened. */
async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
}

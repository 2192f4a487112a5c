import { expect, it } from 'vitest'
import { sendAll } from '../../src/cli/send-all.ts'
import { MqError } from '../../src/base/errors.ts'
import type { OutgoingMessage } from '../../src/client/outgoing-message.ts'
import type { SendReceipt } from '../../src/client/producer.ts'
import { ManualClock } from '../world/manual-clock.ts'

it('has no more bytes under way than a few large messages, however many small ones it may have', async () => {
  const MiB = 1024 * 1024
  async function* source(): AsyncGenerator<OutgoingMessage> {
    for (let i = 0; i < 20; i++) yield { topic: 't', body: Buffer.alloc(4 * MiB) }
    for (let i = 0; i < 20; i++) yield { topic: 't', body: 'x' }
    yield { topic: 't', body: Buffer.alloc(40 * MiB) }
  }
  let bytes = 0
  let bytesMax = 0
  let count = 0
  let countMax = 0
  const producer = {
    send: async (message: OutgoingMessage): Promise<SendReceipt> => {
      bytes += message.body.length
      count += 1
      bytesMax = Math.max(bytesMax, message.body.length > 16 * MiB ? 0 : bytes)
      countMax = Math.max(countMax, count)
      // Whoever is asked for the next message has had its turns.
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
      bytes -= message.body.length
      count -= 1
      const place = { offsetMessageId: '', broker: 'b', queueId: 0, queueOffset: 0 }
      return { messageId: '', ...place, status: 'SEND_OK' }
    },
  }
  const outcome = await sendAll(producer, source(), {
    clock: new ManualClock(),
    signal: new AbortController().signal,
    window: 64,
    rateHz: null,
    oneway: false,
    onProgress: () => undefined,
  })
  expect([outcome.sent, outcome.failed]).toEqual([41, 0])
  expect(bytesMax).toBe(16 * MiB)
  expect(countMax).toBeGreaterThan(4)
})

it.each([
  ['the window is full', 1, 'x'],
  ['the bytes under way are full', 64, Buffer.alloc(9 * 1024 * 1024)],
  ['the input has ended', 64, 'x'],
])('one way ends at once when interrupted while %s', async (_, window, body) => {
  async function* source(): AsyncGenerator<OutgoingMessage> {
    for (let i = 0; i < 3; i++) yield { topic: 't', body }
  }
  const interrupt = new AbortController()
  let count = 0
  const never = new Promise<never>(() => undefined)
  const sending = sendAll({ send: () => never, sendOneway: () => (count++, never) }, source(), {
    clock: new ManualClock(),
    signal: interrupt.signal,
    window,
    rateHz: null,
    oneway: true,
    onProgress: () => undefined,
  })
  await expect.poll(() => count).toBe(window === 1 || body !== 'x' ? 1 : 3)
  interrupt.abort()
  expect(await sending).toMatchObject({ sent: 0, failed: 0, error: null })
})

it('reads no further when the outbox is full: nobody would keep it', async () => {
  let read = 0
  async function* source(): AsyncGenerator<OutgoingMessage> {
    for (; read < 10; read++) yield { topic: 't', body: 'x' }
  }
  const outcome = await sendAll(
    { send: () => Promise.reject(new MqError('OUTBOX_FULL', { why: 'no' })) },
    source(),
    {
      clock: new ManualClock(),
      signal: new AbortController().signal,
      window: 1,
      rateHz: null,
      oneway: false,
      takesAll: true,
      onProgress: () => undefined,
    },
  )
  expect(outcome).toMatchObject({ failed: 1, gaveUp: true })
  expect(read).toBe(0)
})

import { afterEach, describe, expect, it } from 'vitest'
import { Producer } from '../../src/client/producer.ts'
import { Requester, isRequest, replyDueMs, replyTo } from '../../src/client/request-reply.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { aBrokerForThisFile } from './real-broker.ts'

const broker = aBrokerForThisFile()
const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

function aRequester(): Requester {
  const requester = Requester.open(nodeWorld, { nameServers: broker.nameServers })
  open.push(requester)
  return requester
}

/** Answers every request of the topic, after `pauseMs`. */
async function anEcho(topic: string, pauseMs = 0): Promise<void> {
  const producer = Producer.open(nodeWorld, { nameServers: broker.nameServers })
  open.push(producer)
  await broker.consume(
    {
      group: broker.aGroup(),
      handler: async (message) => {
        if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
        await producer.send(replyTo(message, `re: ${message.body.toString()}`))
      },
    },
    topic,
  )
}

describe('a requester', () => {
  it('gets each answer for the request that it belongs to', async () => {
    const topic = await broker.aTopic(2)
    await anEcho(topic)
    const requester = aRequester()
    const bodies = ['a', 'b', 'c', 'd']
    const replies = await Promise.all(
      bodies.map((body) => requester.request({ topic, body }, 10_000)),
    )
    expect(replies.map(({ body }) => body.toString())).toEqual(['re: a', 're: b', 're: c', 're: d'])
    expect(replies[0]?.properties).toMatchObject({ MSG_TYPE: 'reply' })
    expect(replies[0]?.request).toMatchObject({ status: 'SEND_OK' })
  })

  it('hears that nobody answered in time', async () => {
    const topic = await broker.aTopic(1)
    const asked = aRequester().request({ topic, body: 'hello?' }, 100)
    await expect(asked).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT' })
  })

  it('takes an answer that comes too late without a word', async () => {
    const topic = await broker.aTopic(1)
    const requester = aRequester()
    const outcome = requester.request({ topic, body: 'x' }, 100)
    await expect(outcome).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT' })
    const { messages } = await broker.consume({ group: broker.aGroup() }, topic)
    await expect.poll(() => messages.length).toBe(1)
    const [request] = messages
    if (request === undefined) throw new Error('the request did not come')
    const receipt = await broker.producer.send(replyTo(request, 'late'))
    expect(receipt.status).toBe('SEND_OK')
  })

  it('that is closed lets those who wait go', async () => {
    const topic = await broker.aTopic(1)
    const requester = aRequester()
    const { messages } = await broker.consume({ group: broker.aGroup() }, topic)
    const asked = requester.request({ topic, body: 'x' }, 60_000)
    asked.catch(() => undefined)
    await expect.poll(() => messages.length).toBe(1)
    await requester.close()
    await expect(asked).rejects.toMatchObject({ code: 'CLIENT_CLOSED' })
  })
})

describe('a request', () => {
  it('says who waits for it and for how long; other messages do not', async () => {
    const topic = await broker.aTopic(1, 1)
    const requester = aRequester()
    await requester.request({ topic, body: 'x' }, 200).catch(() => undefined)
    const { messages } = await broker.consume({ group: broker.aGroup() }, topic)
    await expect.poll(() => messages.length).toBe(2)
    const [plain, request] = messages
    if (plain === undefined || request === undefined) throw new Error('two messages came')
    expect([isRequest(plain), isRequest(request)]).toEqual([false, true])
    expect(replyDueMs(plain)).toBeNull()
    expect(replyDueMs(request)).toBe(request.bornTimestamp + 200)
    expect(() => replyTo(plain, 'y')).toThrow(/no request/)
  })
})

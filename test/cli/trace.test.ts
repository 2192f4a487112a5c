import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Home } from './mqctl.ts'

let home: Home

beforeAll(async () => {
  home = await Home.make()
  const topics = ['orders', 'failing', 'paid', 'plain'].flatMap((name) => ['--topic', `${name}:1`])
  await home.run(['start', '--detach', '--any-port', ...topics])
})
afterAll(() => home.remove())

interface Event {
  readonly kind: string
  readonly result?: string
}

async function trace(...args: string[]) {
  const { document, exitCode } = await home.json(['message', 'trace', ...args])
  return { document, exitCode, events: (document.stories?.[0]?.events ?? []) as Event[] }
}

describe('message trace', () => {
  it('tells who sent a message, where it is, and who processed it, by id, offset id and key', async () => {
    const produced = ['produce', 'orders', 'hello', '--trace', '--key', 'A-1', '--tag', 'paid']
    const sent = await home.json([...produced, '--group', 'sellers'])
    const { messageId, offsetMessageId } = sent.document.messages[0]
    await home.run(['consume', 'orders', '-g', 'billing', '--trace', '--from', 'start', '-c', '1'])
    const wanted = [
      { kind: 'sent', group: 'sellers', type: 'normal', bodyBytes: 5, ok: true, offsetMessageId },
      { kind: 'stored', broker: 'broker-a', queueId: 0, queueOffset: 0 },
      { kind: 'tried', group: 'billing', attempt: 1, result: 'success', ok: true },
    ]
    for (const by of [[messageId], [offsetMessageId], ['--topic', 'orders', '--key', 'A-1']]) {
      await expect
        .poll(async () => (await trace(...by)).events, { timeout: 20_000 })
        .toHaveLength(3)
      const { document, events } = await trace(...by)
      expect(events).toMatchObject(wanted)
      expect(document.stories).toMatchObject([
        { messageId, topic: 'orders', keys: ['A-1'], tags: 'paid' },
      ])
    }
    const { stdout } = await home.run(['message', 'trace', messageId])
    expect(stdout).toMatch(/TIME +WHAT +GROUP +CLIENT +WHERE +TOOK +RESULT/)
    expect(stdout).toMatch(/sent \(5 B\) +sellers +127\.0\.0\.1 +127\.0\.0\.1:\d+ +\S+ ?m?s +ok/)
    expect(stdout).toMatch(/processed +billing .* success/)
  })

  it('shows a try that failed', async () => {
    const { document } = await home.json(['produce', 'failing', 'x', '--trace'])
    const consume = ['consume', 'failing', '-g', 'unlucky', '--trace', '--from', 'start']
    await home.run([...consume, '--fail-rate', '100%', '--retries', '0', '-c', '1'])
    const id: string = document.messages[0].messageId
    await expect.poll(async () => (await trace(id)).events, { timeout: 20_000 }).toHaveLength(3)
    const [, , tried] = (await trace(id)).events
    expect(tried).toMatchObject({ kind: 'tried', group: 'unlucky', ok: false, result: 'exception' })
  })

  it('tells how a transaction ended', async () => {
    const { document } = await home.json(['produce', 'paid', 'x', '--txn', 'commit', '--trace'])
    const id: string = document.messages[0].messageId
    await expect.poll(async () => (await trace(id)).events, { timeout: 20_000 }).toHaveLength(3)
    expect((await trace(id)).events.map(({ kind }) => kind).sort()).toEqual([
      'decided',
      'sent',
      'stored',
    ])
  })

  it('says that nobody told, when nobody traced', async () => {
    const { document } = await home.json(['produce', 'plain', 'x'])
    const none = await trace(document.messages[0].messageId)
    expect([none.exitCode, none.document.error.code]).toEqual([1, 'MESSAGE_NOT_FOUND'])
    expect(none.document.error.hint).toContain('its clients told nothing')
  })

  it('takes an id or a key, not both and not neither', async () => {
    expect((await trace()).exitCode).toBe(2)
    expect((await trace('ID', '--topic', 'orders', '--key', 'A-1')).exitCode).toBe(2)
    expect((await trace('--key', 'A-1')).exitCode).toBe(2)
  })
})

/** `consume --dedupe`: a message that comes twice is processed once. */
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SeenMessages } from '../../src/cli/seen-messages.ts'
import { Home } from './mqctl.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'mqctl-dedupe-'))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const good = () => Promise.resolve(true)
const bad = () => Promise.resolve(false)

describe('messages that were seen', () => {
  it('are processed once, and again only after a failure', async () => {
    const seen = await SeenMessages.open(10, null)
    expect(await seen.once('a', bad)).toBe(true)
    expect(await seen.once('a', good)).toBe(true)
    expect(await seen.once('a', good)).toBe(false)
    expect(await seen.once('b', good)).toBe(true)
    await expect(seen.once('c', () => Promise.reject(new Error('no command')))).rejects.toThrow()
    expect(await seen.once('c', good)).toBe(true)
  })

  it('wait for the same one that is under way, and for how it ends', async () => {
    for (const succeeds of [true, false]) {
      const seen = await SeenMessages.open(10, null)
      let end: (succeeded: boolean) => void = () => undefined
      const first = seen.once('a', () => new Promise((resolve) => (end = resolve)))
      let ran = 0
      const others = [1, 2].map(() =>
        seen.once('a', () => {
          ran += 1
          return good()
        }),
      )
      end(succeeds)
      await first
      expect((await Promise.all(others)).filter(Boolean).length).toBe(succeeds ? 0 : 1)
      expect(ran).toBe(succeeds ? 0 : 1)
    }
  })

  it('are forgotten, the oldest first, beyond the limit', async () => {
    const seen = await SeenMessages.open(3, null)
    for (const identity of ['a', 'b', 'c', 'd']) await seen.once(identity, good)
    expect(seen.size).toBe(3)
    expect(await seen.once('d', good)).toBe(false)
    expect(await seen.once('a', good)).toBe(true)
  })

  it('are known after a restart, also when the last line was cut off', async () => {
    const file = path.join(directory, 'seen')
    const first = await SeenMessages.open(3, file)
    for (const identity of ['a', 'b', 'c', 'd']) await first.once(identity, good)
    await first.close()
    await appendFile(file, 'cut')
    const second = await SeenMessages.open(3, file)
    expect(await second.once('b', good)).toBe(false)
    expect(await second.once('e', good)).toBe(true)
    await second.close()
    const third = await SeenMessages.open(3, file)
    expect(await third.once('e', good)).toBe(false)
    expect(await third.once('a', good)).toBe(true)
    await third.close()
    expect((await readFile(file, 'latin1')).split('\n')[0]).toBe('mqctl-seen-1')
  })

  it('do not make their file grow without end, and survive that it is written anew', async () => {
    const file = path.join(directory, 'long')
    const seen = await SeenMessages.open(3, file, 10)
    const all = Array.from({ length: 55 }, (_, n) => seen.once(`m${n}`, good))
    await Promise.all(all)
    await seen.close()
    // The name of the format, what is known, and what came since the file was written anew.
    expect((await readFile(file, 'latin1')).trimEnd().split('\n').length).toBeLessThan(1 + 3 + 10)
    const again = await SeenMessages.open(3, file)
    expect(again.size).toBe(3)
    expect(await again.once('m54', good)).toBe(false)
    expect(await again.once('m51', good)).toBe(true)
    await again.close()
  })

  it('do not overwrite a file that is something else', async () => {
    const file = path.join(directory, 'mine')
    await writeFile(file, 'something else\n')
    await expect(SeenMessages.open(3, file)).rejects.toMatchObject({ code: 'VALUE_INVALID' })
    expect(await readFile(file, 'utf8')).toBe('something else\n')
    const nowhere = path.join(directory, 'no', 'such', 'file')
    await expect(SeenMessages.open(3, nowhere)).rejects.toMatchObject({ code: 'VALUE_INVALID' })
  })
})

describe('consume --dedupe', () => {
  let home: Home
  beforeAll(async () => {
    home = await Home.make()
    await home.run(['start', '--detach', '--wait', '--any-port', '--topic', 'orders:1'])
  })
  afterAll(() => home.remove())

  it('leaves out what has the same key, and what it processed the last time', async () => {
    for (const [key, body] of [
      ['A', 'a'],
      ['B', 'b'],
      ['A', 'a again'],
    ] as const) {
      await home.run(['produce', 'orders', body, '--key', key])
    }
    await home.run(['produce', 'orders', 'no key'])
    await home.run(['produce', 'orders', 'no key'])
    const file = path.join(directory, 'orders')
    const args = ['consume', 'orders', '--group', 'once', '--exit-at-end', '--dedupe', 'key']
    const first = await home.run([...args, '--dedupe-file', file])
    expect(first.stdout).toBe('a\nb\nno key\nno key\n')
    expect(first.stderr).toContain('1 left out')
    await home.run(['group', 'reset', 'once', '--topic', 'orders', '--to', 'start', '--execute'])
    const second = await home.run([...args, '--dedupe-file', file])
    expect([second.exitCode, second.stdout]).toEqual([0, 'no key\nno key\n'])
    const lag = await home.json(['group', 'lag', 'once', '--topic', 'orders'])
    expect(lag.document.groups[0].lag).toBe(0)
  })

  it('tells messages by their ids as well, and remembers only what succeeded', async () => {
    await home.run(['topic', 'create', 'ids', '--queues', '1'])
    const sent = await home.json(['produce', 'ids', 'one'])
    const [{ messageId }] = sent.document.messages
    // A copy with the same id.
    const resend = ['message', 'resend', messageId, '--topic', 'ids', '--execute']
    expect((await home.json(resend)).exitCode).toBe(0)
    const ids = ['consume', 'ids', '--from', 'start', '--exit-at-end', '--dedupe', 'id']
    const failing = await home.run([...ids, '--group', 'fails', '--exec', 'false'])
    expect(failing.stderr).not.toContain('left out')
    const good = await home.run([...ids, '--group', 'good'])
    expect(good.stdout).toBe('one\n')
    expect(good.stderr).toContain('1 left out')
  })
})

/** `produce --outbox`: messages are kept on this machine until a broker has acknowledged them. */
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { Home } from './mqctl.ts'

const nobody = ['--namesrv', '127.0.0.1:1', '--timeout', '1s']

let home: Home
let box: string
let topics = 0
let topic: string
beforeAll(async () => {
  home = await Home.make()
  await home.run(['start', '--detach', '--wait', '--any-port'])
})
afterAll(() => home.remove())
beforeEach(async () => {
  box = await mkdtemp(path.join(os.tmpdir(), 'mqctl-outbox-'))
  topic = `outbox-${(topics += 1)}`
  await home.run(['topic', 'create', topic, '--queues', '1'])
})
afterEach(() => rm(box, { recursive: true, force: true }))

const lines = async () =>
  (await readFile(path.join(box, 'outbox.ndjson'), 'utf8')).trimEnd().split('\n')
const consumed = async () =>
  (await home.run(['consume', topic, '--from', 'start', '--exit-at-end', '--format', '%k %v\\n']))
    .stdout

it('keeps what cannot be sent, all of the input, and the next run sends it first', async () => {
  const args = ['produce', topic, '--key', 'K', '--outbox', box]
  const input = Array.from({ length: 100 }, (_, i) => `m${i}\n`).join('')
  const away = await home.run([...args, '--outbox-tries', '1', ...nobody], { input })
  expect(away.exitCode).toBe(3)
  expect(away.stderr).toContain('100 messages stay')
  expect(await lines()).toHaveLength(100)
  const back = await home.run([...args, 'new'])
  expect(back.exitCode).toBe(0)
  expect(back.stderr).toContain('100 of an earlier run')
  const found = (await consumed()).trimEnd().split('\n')
  expect([...found].sort()).toEqual(
    [...input.trimEnd().split('\n'), 'new'].map((body) => `K ${body}`).sort(),
  )
  const third = await home.json(args)
  expect([third.exitCode, third.document.sent]).toEqual([0, 0])
})

it('keeps a time of its own while nobody says whether brokers can do it', async () => {
  const args = ['produce', topic, '--outbox', box]
  const startMs = Date.now()
  const away = await home.run([...args, 'x', '--delay', '45s', '--outbox-tries', '1', ...nobody])
  expect([away.exitCode, away.stderr]).toEqual([3, expect.stringContaining('1 message stays')])
  expect(away.stderr).not.toContain('levels')
  const [line = ''] = await lines()
  const { deliverAtMs } = JSON.parse(line).add
  expect(deliverAtMs - 45_000).toBeGreaterThanOrEqual(startMs)
  expect(deliverAtMs - 45_000).toBeLessThanOrEqual(Date.now())
  const back = await home.json(args)
  expect([back.exitCode, back.document.sent]).toEqual([0, 1])
})

it('sends what a killed run had taken, with the ids that it had', async () => {
  const args = ['produce', topic, '--outbox', box, ...nobody]
  const child = home.spawn(args)
  child.stdin?.write('one\ntwo\n')
  await expect.poll(lines, { timeout: 20_000 }).toHaveLength(2)
  // In use: nobody else may send the same.
  const other = await home.json(['produce', topic, '--outbox', box])
  expect([other.exitCode, other.document.error.code]).toEqual([1, 'OUTBOX_IN_USE'])
  child.kill('SIGKILL')
  await new Promise((resolve) => child.once('close', resolve))
  const ids = (await lines()).map((line) => JSON.parse(line).add.messageId)
  // The end of a line that the crash cut off is not a message.
  await appendFile(path.join(box, 'outbox.ndjson'), '{"add":{"topic":"x')
  const back = await home.json(['produce', topic, '--outbox', box])
  expect(back.document.messages.map((one: { messageId: string }) => one.messageId).sort()).toEqual(
    [...ids].sort(),
  )
  expect((await consumed()).trimEnd().split('\n').sort()).toEqual([' one', ' two'])
})

it('touches nothing of a file that is not its own', async () => {
  const file = path.join(box, 'outbox.ndjson')
  await writeFile(file, '{"add":1}\nmy notes\n')
  const { exitCode, document } = await home.json(['produce', topic, 'x', '--outbox', box])
  expect([exitCode, document.error.code]).toEqual([1, 'INPUT_BROKEN'])
  expect(document.error.message).toContain('line 1')
  expect(await readFile(file, 'utf8')).toBe('{"add":1}\nmy notes\n')
})

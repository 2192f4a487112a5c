import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Home } from './mqctl.ts'

let home: Home

beforeAll(async () => {
  home = await Home.make()
  await home.run(['start', '--detach', '--any-port', '--topic', 'jobs:4'])
})
afterAll(() => home.remove())

describe('consume --mode pop', () => {
  it('takes what is there from all queues, once, and ends there', async () => {
    await home.run(['produce', 'jobs'], { input: 'one\ntwo\nthree\n' })
    const words = ['consume', 'jobs', '-g', 'workers', '--mode', 'pop', '--invisible', '30s']
    const first = await home.run([...words, '--from', 'start', '--exit-at-end'])
    expect([first.exitCode, first.stdout.trim().split('\n').sort()]).toEqual([
      0,
      ['one', 'three', 'two'],
    ])
    const again = await home.run([...words, '--exit-at-end'])
    expect([again.exitCode, again.stdout]).toEqual([0, ''])
  })

  it('gets dead letters that are sent again to a group that takes by POP', async () => {
    await home.run(['topic', 'create', 'frail', '--queues', '1'])
    await home.run(['produce', 'frail', 'glass'])
    const words = ['consume', 'frail', '-g', 'movers', '--mode', 'pop']
    const once = ['--from', 'start', '--count', '1']
    await home.run([...words, ...once, '--fail-rate', '1', '--retries', '0'])
    const sent = await home.json(['dlq', 'resend', 'movers', '--mode', 'pop', '--execute'])
    expect(sent.document).toMatchObject({ found: 1, sent: 1, failed: 0 })
    const again = await home.run([...words, '--count', '1', '-o', 'ndjson'])
    const [messageId] = sent.document.messageIds
    expect(JSON.parse(again.stdout)).toMatchObject({ topic: 'frail', body: 'glass', messageId })
    const groups = await home.json(['group', 'list'])
    const names = groups.document.groups.map(({ name }: { name: string }) => name)
    expect(names.filter((name: string) => name.startsWith('movers'))).toEqual(['movers'])
  })

  it.each([
    ['without a group', ['--mode', 'pop']],
    ['in order', ['-g', 'g', '--mode', 'pop', '--orderly']],
    ['from a time', ['-g', 'g', '--mode', 'pop', '--from', '@-1h']],
  ])('is refused %s', async (_what, words) => {
    const { exitCode, stdout } = await home.run(['consume', 'jobs', ...words])
    expect([exitCode, stdout]).toEqual([2, ''])
  })
})

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

  it.each([
    ['without a group', ['--mode', 'pop']],
    ['in order', ['-g', 'g', '--mode', 'pop', '--orderly']],
    ['from a time', ['-g', 'g', '--mode', 'pop', '--from', '@-1h']],
  ])('is refused %s', async (_what, words) => {
    const { exitCode, stdout } = await home.run(['consume', 'jobs', ...words])
    expect([exitCode, stdout]).toEqual([2, ''])
  })
})

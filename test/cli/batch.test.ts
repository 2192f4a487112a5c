import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Home } from './mqctl.ts'

let home: Home

beforeAll(async () => {
  home = await Home.make()
  await home.run(['start', '--detach', '--any-port', '--topic', 'many:4', '--topic', 'packed:1'])
})
afterAll(() => home.remove())

const lines = (count: number) =>
  Array.from({ length: count }, (_, i) => `line ${i} ${'.'.repeat(i)}`)

async function read(topic: string): Promise<string[]> {
  const { stdout } = await home.run(['consume', topic, '--from', 'start', '--exit-at-end'])
  return stdout.split('\n').slice(0, -1)
}

describe('produce --batch', () => {
  it('stores so many messages next to each other, and the rest', async () => {
    const input = lines(25).join('\n')
    const { document, exitCode } = await home.json(['produce', 'many', '--batch', '10'], { input })
    expect([exitCode, document.sent, document.failed]).toEqual([0, 25, 0])
    const places = document.messages.map(
      (one: { queueId: number; queueOffset: number }) => [one.queueId, one.queueOffset] as const,
    )
    for (const start of [0, 10, 20]) {
      const [queueId, offset] = places[start]
      const batch = places.slice(start, start + 10)
      expect(batch).toEqual(batch.map((_: unknown, i: number) => [queueId, offset + i]))
    }
    expect((await read('many')).sort()).toEqual(lines(25).sort())
  })

  it('with --compress and --order-key keeps the order, and consumers get plain bodies', async () => {
    for (const kind of ['zlib', 'lz4', 'zstd']) {
      const { exitCode } = await home.run(
        ['produce', 'packed', '--batch', '7', '--order-key', 'A', '--compress', kind],
        { input: lines(30).join('\n') },
      )
      expect([kind, exitCode]).toEqual([kind, 0])
    }
    expect(await read('packed')).toEqual([...lines(30), ...lines(30), ...lines(30)])
  })

  it('is refused with what cannot be part of a batch', async () => {
    for (const flags of [['--delay', '30s'], ['--oneway'], ['--txn', 'commit']]) {
      const { exitCode } = await home.run(['produce', 'many', 'x', '--batch', '2', ...flags])
      expect([flags, exitCode]).toEqual([flags, 2])
    }
  })
})

/**
 * One bit of a full commit log turns over on the disk. What was durable before and behind it is
 * served as if nothing had happened, and the broker says that a record is bad.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mqctl, type MqctlCluster, startMqctl } from '../interop/embedded.ts'
import { removeFolder, temporaryFolder, until } from '../interop/peers.ts'
import { Journal } from './journal.ts'
import { type Places, lostOf, placesIn, readByJava, readByMqctl } from './read-back.ts'

const topic = 'Damaged'
const queues = 4
const segmentBytes = 4 << 20

describe('a commit log with one flipped bit', () => {
  let folder = ''

  beforeEach(() => {
    folder = temporaryFolder('damage')
  })

  afterEach(() => {
    removeFolder(folder)
  })

  const options = () => ({
    home: join(folder, 'home'),
    settings: { mappedFileSizeCommitLog: String(segmentBytes) },
  })

  const firstSegment = (cluster: MqctlCluster): string =>
    join(cluster.storeDirectory, 'commitlog', '0'.repeat(20))

  /** Fills more than two segments and answers what was acknowledged, the broker stopped or killed. */
  async function fill(how: 'stopped' | 'killed'): Promise<{ places: Places; file: string }> {
    const journal = await Journal.start(folder, { topic, queues, outstanding: 32 })
    const cluster = await startMqctl(options())
    try {
      journal.sendTo(cluster.brokerAddress)
      const third = join(
        cluster.storeDirectory,
        'commitlog',
        String(2 * segmentBytes).padStart(20, '0'),
      )
      await until('a third segment', () => (fs.existsSync(third) ? true : null), 60_000)
      await journal.pause()
      return { places: placesIn(journal.path), file: firstSegment(cluster) }
    } finally {
      journal.end()
      await (how === 'killed' ? cluster.kill() : cluster.stop())
    }
  }

  /** Turns one bit over in the record that lies across the middle of the file; answers where that begins. */
  function flip(file: string, part: 'body' | 'magic'): number {
    const bytes = fs.readFileSync(file)
    let at = 0
    while (at + bytes.readInt32BE(at) < bytes.length / 2) at += bytes.readInt32BE(at)
    // Bytes 4–7 of a record are its magic; the body begins at 88.
    const position = part === 'magic' ? at + 5 : at + 100
    bytes.writeUInt8(bytes.readUInt8(position) ^ 0x10, position)
    const handle = fs.openSync(file, 'r+')
    fs.writeSync(handle, bytes, position, 1, position)
    fs.closeSync(handle)
    return at
  }

  it.each<['stopped' | 'killed', 'body' | 'magic']>([
    ['stopped', 'body'],
    ['stopped', 'magic'],
    ['killed', 'body'],
    ['killed', 'magic'],
  ])(
    'serves everything else after it was %s and a bit of a %s turned over',
    async (how, part) => {
      const { places, file } = await fill(how)
      const damagedAt = flip(file, part)
      const cluster = await startMqctl(options())
      try {
        const found = await readByMqctl(cluster, topic, folder)
        // All but the damaged one, whose damage must not be served as if it were whole.
        const lost = lostOf(places, found.places)
        expect(lost.length).toBeLessThanOrEqual(1)
        expect(found.corrupt).toEqual([])
        expect(found.remarks).toContain('a message is missing from offset')
        const byJava = await readByJava(cluster, topic, queues, folder)
        if (byJava !== null) expect(lostOf(places, byJava).length).toBeLessThanOrEqual(1)

        // What is behind the damage goes on: a new message follows the last one.
        const sent = JSON.parse(
          await mqctl(
            ['produce', topic, 'after', '-n', cluster.namesrv, '--json'],
            cluster.environment,
          ),
        ) as { sent: number; failed: number }
        expect(sent).toMatchObject({ sent: 1, failed: 0 })
        const facts = await mqctl(
          ['broker', 'get', cluster.brokerName, '-n', cluster.namesrv, '--json'],
          cluster.environment,
        )
        expect(Number(/"mqctl\.log\.badRecords": *"?(\d+)/.exec(facts)?.[1])).toBeGreaterThan(0)
        const status = JSON.parse(
          await mqctl(['status', 'peer', '--json'], cluster.environment),
        ) as {
          brokers: unknown[]
        }
        expect(status.brokers).toMatchObject([{ badRecords: 1, firstBadOffset: damagedAt }])
      } finally {
        await cluster.stop()
      }
    },
    180_000,
  )
})

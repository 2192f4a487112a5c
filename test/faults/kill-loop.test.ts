/**
 * kill -9, again and again, under load: name server, broker and the process that watches them, all
 * at once, at random moments; then the same command starts them again, without a hand. A process of
 * its own writes down each acknowledgement. In the end every acknowledged message must be there, at
 * its place, byte for byte, read by our client and by the official one.
 *
 * MQCTL_KILL_CYCLES sets the cycles for each flush mode (default 50; hundreds for a night).
 */
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type MqctlCluster, startMqctl } from '../interop/embedded.ts'
import { removeFolder, temporaryFolder } from '../interop/peers.ts'
import { Journal } from './journal.ts'
import { gapsIn, lostOf, placesIn, readByJava, readByMqctl } from './read-back.ts'

const cycles = Number(process.env['MQCTL_KILL_CYCLES'] ?? '50')
const topic = 'Killed'
const queues = 4

describe('a broker that is killed under load', () => {
  let folder = ''

  beforeEach(() => {
    folder = temporaryFolder('kill-loop')
  })

  afterEach(() => {
    removeFolder(folder)
  })

  it.each(['async', 'sync'] as const)(
    `has every message that it acknowledged after ${cycles} kills (flush %s)`,
    async (flush) => {
      // Small segments, so that the loop crosses their ends as well.
      const options = {
        home: join(folder, 'home'),
        flush,
        settings: { mappedFileSizeCommitLog: '16777216' },
      }
      const journal = await Journal.start(folder, { topic, queues, outstanding: 32 })
      let cluster: MqctlCluster | null = null
      try {
        for (let cycle = 0; cycle < cycles; cycle++) {
          cluster = await startMqctl(options)
          journal.sendTo(cluster.brokerAddress)
          // Load must have set in, and the moment must be any moment.
          await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 400))
          await cluster.kill()
          cluster = null
        }
        cluster = await startMqctl(options)
        await journal.pause()
        const acknowledged = placesIn(journal.path)
        // Less would mean that the loop tested nothing.
        expect(acknowledged.size).toBeGreaterThan(cycles * 50)

        const found = await readByMqctl(cluster, topic, folder)
        expect(lostOf(acknowledged, found.places).slice(0, 10), 'lost, by our client').toEqual([])
        expect(found.corrupt.slice(0, 10), 'corrupt').toEqual([])
        expect(gapsIn(found.places, queues), 'gaps').toEqual([])
        const byJava = await readByJava(cluster, topic, queues, folder)
        if (byJava !== null) {
          expect(lostOf(acknowledged, byJava).slice(0, 10), 'lost, by the official client').toEqual(
            [],
          )
          expect(byJava.size).toBe(found.places.size)
        }
        process.stderr.write(
          `faults: ${cycles} kills, flush ${flush}: ${acknowledged.size} acknowledged, ` +
            `${found.places.size} there, 0 lost\n`,
        )
      } finally {
        journal.end()
        await cluster?.stop()
      }
    },
    60_000 + cycles * 12_000,
  )
})

/**
 * Starts that must not happen: on a port that somebody has, on a store that another broker has open,
 * on a store from a format that this version does not know. Each says so, and disturbs nobody.
 */
import * as fs from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mqctl, type MqctlCluster, MqctlRefused, startMqctl } from '../interop/embedded.ts'
import { freePort, removeFolder, temporaryFolder } from '../interop/peers.ts'

interface Failure {
  readonly error: { readonly code: string; readonly message: string; readonly exitCode: number }
}

describe('a start that is refused', () => {
  let folder = ''
  let store = ''
  let running: MqctlCluster | null = null

  beforeEach(() => {
    folder = temporaryFolder('refused')
    store = join(folder, 'broker-a')
    fs.mkdirSync(store)
  })

  afterEach(async () => {
    await running?.stop()
    running = null
    removeFolder(folder)
  })

  async function refused(options: Parameters<typeof startMqctl>[0]): Promise<Failure['error']> {
    const outcome = await startMqctl(options).then(
      async (cluster) => {
        await cluster.stop()
        return null
      },
      (error: unknown) => error,
    )
    expect(outcome).toBeInstanceOf(MqctlRefused)
    const { message } = outcome as MqctlRefused
    const document = message.slice(message.indexOf('{'), message.lastIndexOf('}') + 1)
    const { error } = JSON.parse(document) as Failure
    expect((outcome as MqctlRefused).exitCode).toBe(error.exitCode)
    return error
  }

  it('names the port that is taken', async () => {
    const port = await freePort()
    const squatter = createServer()
    await new Promise<void>((resolve) => {
      squatter.listen(port, '127.0.0.1', resolve)
    })
    try {
      const error = await refused({
        storeDirectory: store,
        anyPort: false,
        flags: ['--port', String(port), '--namesrv-port', String(await freePort())],
      })
      expect(error.code).toBe('PORT_TAKEN')
      expect(error.message).toContain(String(port))
    } finally {
      squatter.close()
    }
  })

  it('leaves a store alone that another broker has open, and that one serves on', async () => {
    running = await startMqctl({ storeDirectory: store })
    const error = await refused({ storeDirectory: store })
    expect(error.code).toBe('STORE_IN_USE')
    expect(error.message).toContain(store)
    const sent = JSON.parse(
      await mqctl(
        ['produce', 'Mine', 'still here', '-n', running.namesrv, '--json'],
        running.environment,
      ),
    ) as { sent: number }
    expect(sent.sent).toBe(1)
  })

  it('takes over at once from a broker that was killed: its lock died with it', async () => {
    const first = await startMqctl({ storeDirectory: store })
    await first.kill()
    running = await startMqctl({ storeDirectory: store })
    expect(running.brokerPid).not.toBe(first.brokerPid)
  })

  it('does not touch a store whose own notes are from a newer version', async () => {
    const first = await startMqctl({ storeDirectory: store })
    await first.stop()
    const file = join(store, 'mqctl.durable')
    const bytes = fs.readFileSync(file)
    // The format stands behind the magic of each of the two slots; the checksum covers it, so a
    // newer version's file is told from a torn one by being whole.
    const crc = (await import('node:zlib')).crc32
    for (const slot of [0, 512]) {
      if (slot + 512 > bytes.length) continue
      bytes.writeInt32BE(99, slot + 8)
      bytes.writeInt32BE(crc(bytes.subarray(slot, slot + 508)) | 0, slot + 508)
    }
    fs.writeFileSync(file, bytes)
    const error = await refused({ storeDirectory: store })
    expect(error.code).toBe('STORE_FORMAT_UNKNOWN')
    expect(fs.readFileSync(file).equals(bytes)).toBe(true)
  })
})

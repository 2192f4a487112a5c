import { afterEach, expect, it } from 'vitest'
import { ResponseCode } from '../../src/protocol/codes.ts'
import type { Disk, DiskFile } from '../../src/world/disk.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { JumpClock } from '../world/jump-clock.ts'
import { aBroker, closeAll } from './a-broker.ts'

afterEach(closeAll)

/** The real disk, whose writes to the commit log can be held up. */
class HeldDisk {
  #held: (() => void)[] | null = null

  hold(): void {
    this.#held = []
  }

  release(): void {
    const waiting = this.#held ?? []
    this.#held = null
    for (const write of waiting) write()
  }

  get disk(): Disk {
    return {
      ...nodeWorld.disk,
      open: async (path, mode) => this.#file(path, await nodeWorld.disk.open(path, mode)),
    }
  }

  #file(path: string, file: DiskFile): DiskFile {
    if (!path.includes('commitlog')) return file
    return {
      path,
      write: (...args) => {
        if (this.#held === null) file.write(...args)
        else
          this.#held.push(() => {
            file.write(...args)
          })
      },
      sync: (done) => {
        file.sync(done)
      },
      read: (...args) => {
        file.read(...args)
      },
      truncate: (sizeBytes) => file.truncate(sizeBytes),
      sizeBytes: () => file.sizeBytes(),
      close: () => file.close(),
    }
  }
}

it('senders are asked for patience while the disk stands still, and served the moment it goes on', async () => {
  const held = new HeldDisk()
  const clock = new JumpClock()
  const { connect } = await aBroker({}, null, { ...nodeWorld, clock, disk: held.disk })
  const [waiting, other] = [connect(), connect()]
  await waiting.send('T', 'first')
  for (let round = 0; round < 3; round++) {
    held.hold()
    const owed = waiting.send('T', 'held up')
    clock.jump(1_500)
    await expect
      .poll(async () => {
        const answer = other.send('T', 'impatient').catch(() => null)
        return (await Promise.race([answer, pause(200)]))?.code
      })
      .toBe(ResponseCode.SYSTEM_BUSY)
    held.release()
    expect((await owed).code).toBe(ResponseCode.SUCCESS)
    expect((await waiting.send('T', 'again')).code).toBe(ResponseCode.SUCCESS)
  }
})

function pause(ms: number): Promise<null> {
  return new Promise((resolve) =>
    nodeWorld.clock.after(ms, () => {
      resolve(null)
    }),
  )
}

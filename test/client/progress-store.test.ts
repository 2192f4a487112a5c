import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LocalProgress } from '../../src/client/progress-store.ts'
import { nodeDisk } from '../../src/world/node-disk.ts'

let directory: string
let file: string
beforeEach(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'mqctl-progress-'))
  file = path.join(directory, 'progress.json')
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const queue = { topic: 'T', brokerName: 'b', queueId: 3 }

describe('a progress file', () => {
  it('gives back what was written to it', async () => {
    const first = await LocalProgress.open(nodeDisk, file)
    await first.write([{ queue, offset: 7 }])
    await first.close()
    const second = await LocalProgress.open(nodeDisk, file)
    expect(await second.read(queue)).toBe(7)
    await second.close()
  })

  it('is refused while another process has it', async () => {
    const disk = { ...nodeDisk, lock: () => Promise.resolve(null) }
    await expect(LocalProgress.open(disk, file)).rejects.toMatchObject({
      code: 'PROGRESS_IN_USE',
      hint: expect.stringContaining('--offsets-file') as string,
    })
  })

  it.each([
    ['broken off', '{"offsetTable":{{"topic"'],
    ['empty', ''],
    ['of something else', '{"name":"x"}'],
  ])('is refused when it is %s, and can be had once it is gone', async (_what, content) => {
    await writeFile(file, content)
    await expect(LocalProgress.open(nodeDisk, file)).rejects.toMatchObject({ code: 'INPUT_BROKEN' })
    await rm(file)
    const progress = await LocalProgress.open(nodeDisk, file)
    expect(await progress.read(queue)).toBeNull()
    await progress.close()
  })

  it('is refused where there is no directory', async () => {
    const nowhere = path.join(directory, 'no', 'such')
    await expect(LocalProgress.open(nodeDisk, nowhere)).rejects.toMatchObject({
      code: 'OUTPUT_UNWRITABLE',
    })
  })
})

import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeDirectory, makeDirectorySync } from '../../src/world/make-directory.ts'

let scratch: string
beforeEach(async () => {
  scratch = await mkdtemp(path.join(os.tmpdir(), 'mqctl-mkdir-'))
})
afterEach(() => rm(scratch, { recursive: true, force: true }))

describe.each([
  ['makeDirectory', makeDirectory],
  [
    'makeDirectorySync',
    async (at: string) => {
      makeDirectorySync(at)
    },
  ],
])('%s', (_, make) => {
  it('makes a directory with its parents, and leaves one that is there', async () => {
    const at = path.join(scratch, 'a', 'b', 'c')
    await make(at)
    await make(at)
    expect((await stat(at)).isDirectory()).toBe(true)
  })

  it('says what is in the way', async () => {
    const file = path.join(scratch, 'file')
    await writeFile(file, '')
    await expect(make(file)).rejects.toMatchObject({ code: 'EEXIST' })
    await expect(make(path.join(file, 'x'))).rejects.toMatchObject({ code: 'ENOTDIR' })
  })

  it.runIf(process.platform === 'linux')('ends where no directory can be made', async () => {
    await expect(make('/proc/mqctl/x')).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

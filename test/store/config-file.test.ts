import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { ConfigFile } from '../../src/store/config-file.ts'
import { nodeDisk } from '../../src/world/node-disk.ts'

let dir = ''
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'mqctl-config-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const aFile = (disk = nodeDisk) => new ConfigFile(disk, dir, 'topics.json', silentLogger)
const main = () => path.join(dir, 'config', 'topics.json')
const text = async (file: ConfigFile) => (await file.load())?.toString() ?? null

async function saved(...contents: string[]): Promise<ConfigFile> {
  const file = aFile()
  for (const content of contents) await file.save(Buffer.from(content))
  return file
}

describe('a config file', () => {
  test('that was never saved is nothing', async () => {
    expect(await text(aFile())).toBeNull()
  })

  test('gives back what was saved last and keeps the one before beside it', async () => {
    await saved('{"n":1}', '{"n":2}')
    expect(await text(aFile())).toBe('{"n":2}')
    expect(await readFile(`${main()}.bak`, 'utf8')).toBe('{"n":1}')
  })

  test('a shorter content leaves nothing of the longer one', async () => {
    await saved('{"long":"xxxxxxxxxxxxxxxx"}', '{}')
    expect(await readFile(main(), 'utf8')).toBe('{}')
  })

  test.each([
    ['missing', null],
    ['empty', ''],
    ['cut off', '{"n":'],
    ['garbage', '\u0000\u0000\u0000'],
  ])('whose main copy is %s gives the one before', async (_name, damage) => {
    await saved('{"n":1}', '{"n":2}')
    if (damage === null) await rm(main())
    else await writeFile(main(), damage)
    expect(await text(aFile())).toBe('{"n":1}')
  })

  test.each([
    ['without a copy', null],
    ['with a copy that is damaged too', '{broken'],
  ])('that is damaged, %s, is not taken for nothing', async (_name, copy) => {
    await saved('{"n":1}')
    await writeFile(main(), '{"n":')
    if (copy !== null) await writeFile(`${main()}.bak`, copy)
    await expect(text(aFile())).rejects.toMatchObject({
      code: 'STORE_DAMAGED',
      message: expect.stringContaining('topics.json'),
    })
    expect(await readFile(main(), 'utf8')).toBe('{"n":')
  })

  test('Apache’s bare integer keys are read', async () => {
    await saved('{"offsetTable":{"T@G":{0:12,1:9}}}')
    expect(await text(aFile())).toBe('{"offsetTable":{"T@G":{0:12,1:9}}}')
  })

  test('a damaged main copy never pushes out the good one before it', async () => {
    await saved('{"n":1}', '{"n":2}')
    await writeFile(main(), '{"n":')
    const file = aFile()
    await file.load()
    const failing = { ...nodeDisk, rename: () => Promise.reject(new Error('EIO')) }
    const broken = new ConfigFile(failing, dir, 'topics.json', silentLogger)
    await broken.load()
    await expect(broken.save(Buffer.from('{"n":3}'))).rejects.toThrow('EIO')
    expect(await text(aFile())).toBe('{"n":1}')
    await file.save(Buffer.from('{"n":3}'))
    expect(await text(aFile())).toBe('{"n":3}')
    expect(await readFile(`${main()}.bak`, 'utf8')).toBe('{"n":1}')
  })

  test('that cannot be written keeps what was there', async () => {
    await saved('{"n":1}')
    const full = {
      ...nodeDisk,
      open: () => Promise.reject(new Error('ENOSPC')),
    }
    await expect(
      new ConfigFile(full, dir, 'topics.json', silentLogger).save(Buffer.from('{}')),
    ).rejects.toThrow()
    expect(await text(aFile())).toBe('{"n":1}')
  })
})

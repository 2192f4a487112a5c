/** Histories on disk: what was written is judged the same again, and damage is seen. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HistoryWriter, readHistory } from '../../src/verify/history-file.ts'
import { verifyHistory } from '../../src/verify/verify.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { aHistory, numbered } from './a-history.ts'

let folder = ''
let file = ''
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'mqctl-history-'))
  file = path.join(folder, 'run.ndjson')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function written(): Promise<string[]> {
  const { head, events } = aHistory('order', 7)
  const writer = await HistoryWriter.open(nodeWorld.disk, file, head)
  for (const event of numbered(events)) writer.add(event)
  await writer.end()
  return (await readFile(file, 'utf8')).split('\n')
}

describe('a history in a file', () => {
  it('is judged as the run itself was', async () => {
    await written()
    expect(await verifyHistory(nodeWorld, file)).toMatchObject({
      verdict: 'valid',
      feature: 'order',
      history: file,
    })
  })

  it('gives back each event as it was', async () => {
    await written()
    const { head, events } = await readHistory(nodeWorld.disk, file)
    const read = []
    for await (const event of events) read.push(event)
    const original = aHistory('order', 7)
    expect(head).toEqual(original.head)
    expect(read.slice(0, -1)).toEqual(numbered(original.events).slice(0, -1))
  })

  it('is unknown when the run was cut off in the middle of a line', async () => {
    const lines = await written()
    await writeFile(file, lines.slice(0, 50).join('\n') + '\n{"i":49,"t":1')
    expect(await verifyHistory(nodeWorld, file)).toMatchObject({ verdict: 'unknown', exitCode: 14 })
  })

  it.each<[string, (lines: string[]) => string[]]>([
    ['a line that was left out', (lines) => lines.toSpliced(9, 1)],
    ['a line that is not JSON', (lines) => lines.with(9, '{')],
    ['a line that is no event', (lines) => lines.with(9, '{"i":8,"t":1,"f":"party"}')],
    [
      'an outcome that was changed',
      (lines) => lines.map((line) => line.replace('"ack"', '"nack"')),
    ],
    ['another file', () => ['hello', '']],
    ['nothing', () => []],
  ])('is refused: %s', async (_, change) => {
    await writeFile(file, change(await written()).join('\n'))
    await expect(verifyHistory(nodeWorld, file)).rejects.toMatchObject({ code: 'INPUT_BROKEN' })
  })

  it('that is not there is refused as input', async () => {
    await expect(verifyHistory(nodeWorld, file)).rejects.toMatchObject({ code: 'INPUT_BROKEN' })
  })
})

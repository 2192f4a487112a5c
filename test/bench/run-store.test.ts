import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RunStore } from '../../src/bench/run-store.ts'

let directory = ''
let store: RunStore

beforeEach(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'mqctl-runs-'))
  store = new RunStore(path.join(directory, 'results'))
})
afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

describe('runs that were kept', () => {
  it('are none before the first', () => {
    expect(store.runs).toEqual([])
    expect(() => store.find('latest')).toThrow('there is no run of that id')
  })

  it('come the newest first and are found by id, its beginning, or as the latest', () => {
    store.keep('0badcafe', '2026-11-21T10:00:00.123Z', '{"a":1}')
    store.keep('0bee0000', '2026-11-21T09:00:00.000Z', '{"b":2}')
    expect(store.runs.map(({ runId }) => runId)).toEqual(['0badcafe', '0bee0000'])
    expect(store.text('latest').text).toBe('{"a":1}')
    expect(store.text('0be').text).toBe('{"b":2}')
    expect(() => store.find('0b')).toThrow('2 runs begin so: 0badcafe, 0bee0000')
  })

  it('may lie anywhere as a file', () => {
    const file = path.join(directory, 'mine.json')
    writeFileSync(file, '{}')
    expect(store.text(file)).toEqual({ file, text: '{}' })
    expect(() => store.text(path.join(directory, 'no.json'))).toThrow('cannot be read')
  })

  it('leave out what is no run', () => {
    store.keep('0badcafe', '2026-11-21T10:00:00.123Z', '{}')
    writeFileSync(path.join(directory, 'results', 'notes.txt'), '')
    expect(store.runs).toHaveLength(1)
  })

  it('can be thinned out by number and by age, and only runs are', () => {
    for (const day of ['01', '02', '03']) {
      store.keep(`0badcaf${day.slice(1)}`, `2026-11-${day}T10:00:00.000Z`, '{}')
    }
    const ids = (runs: readonly { runId: string }[]) => runs.map(({ runId }) => runId)
    expect(ids(store.beyond(2, null))).toEqual(['0badcaf1'])
    expect(ids(store.beyond(3, Date.parse('2026-11-03T00:00:00Z')))).toEqual([
      '0badcaf2',
      '0badcaf1',
    ])
    for (const run of store.beyond(1, null)) expect(store.remove(run)).toBe(2)
    expect(ids(store.runs)).toEqual(['0badcaf3'])
  })
})

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SeriesRow } from '../../src/bench/result.ts'
import { readNotes } from '../../src/bench/run-notes.ts'
import { RunStore } from '../../src/bench/run-store.ts'

const aRow: SeriesRow = {
  t: 1,
  phase: 0,
  offered: 0,
  sent: 1,
  acked: 1,
  failed: 0,
  received: 1,
  lag: 0,
  lagSeconds: 0,
  p50Ms: 1,
  p99Ms: 1,
  maxMs: 1,
  host: null,
}

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

describe('runs that never ended', () => {
  const beginning = {
    runId: '0badcafe',
    startedAt: '2026-11-21T10:00:00.123Z',
    scenario: 'smoke',
    toolVersion: '0.1.0',
    owner: null,
  }
  const rowsUpTo = (seconds: number) =>
    Array.from({ length: seconds }, (_, index) => ({ ...aRow, t: index + 1 }))

  it('leave what they told, each second once, and the last only when it is over', () => {
    const notes = store.begin(beginning)
    notes.note([])
    notes.note(rowsUpTo(2))
    notes.note(rowsUpTo(2))
    notes.note(rowsUpTo(4))
    const [run] = store.unfinished
    const lines = readFileSync(run?.file ?? '', 'utf8').split('\n')
    expect(lines.slice(1, -1).map((line) => (JSON.parse(line) as SeriesRow).t)).toEqual([1, 2, 3])
    expect(readNotes(run?.file ?? '')).toMatchObject({ beginning, seconds: 3 })
    expect(store.runs).toEqual([])
    expect(() => store.find('0bad')).toThrow('killed before its end')
    expect(() => store.find('latest')).toThrow('there is no run of that id')
  })

  it('are no more when their result is there', () => {
    const notes = store.begin(beginning)
    store.keep(beginning.runId, beginning.startedAt, '{}')
    notes.remove()
    notes.note(rowsUpTo(3))
    expect([store.runs.length, store.unfinished]).toEqual([1, []])
  })

  it('can be thinned out with the others, but not while they go on', () => {
    store.begin(beginning)
    store.keep('0bee0000', '2026-11-22T09:00:00.000Z', '{}')
    const ids = (isRunning: () => boolean) =>
      store.beyond(1, null, isRunning).map(({ runId }) => runId)
    expect([ids(() => true), ids(() => false)]).toEqual([[], ['0badcafe']])
  })

  it('are nothing that a run depends on', () => {
    writeFileSync(path.join(directory, 'results'), '')
    const notes = store.begin(beginning)
    notes.note(rowsUpTo(3))
    expect(store.unfinished).toEqual([])
    expect(readNotes(path.join(directory, 'results'))).toBeNull()
  })
})

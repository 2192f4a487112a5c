import { existsSync, lstatSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type RunFile, writeRunFile } from '../../src/engine/instance.ts'

describe('run.json', () => {
  let directory: string

  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'mqctl-instance-'))
  })

  afterEach(() => {
    rmSync(directory, { recursive: true, force: true })
  })

  // A device on which every write ends as on a full disk; of Linux.
  it.skipIf(!existsSync('/dev/full'))('names its directory when the disk is full', () => {
    const temporary = path.join(directory, `.run.json.${process.pid}`)
    symlinkSync('/dev/full', temporary)
    const run = { version: 1, name: 'full' } as RunFile
    expect(() => {
      writeRunFile(directory, run)
    }).toThrow(`the instance in ${directory} did not start: ENOSPC`)
    expect(lstatSync(temporary, { throwIfNoEntry: false })).toBeUndefined()
  })
})

/**
 * `mkdir -p`. Node's own `recursive: true` never ends where a directory cannot be made and the kernel
 * says ENOENT, as it does below /proc: it makes the parents, which are there, again and again.
 */
import { mkdirSync, statSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { systemCodeOf } from '../base/errors.ts'

/** Makes the directory and its parents; nothing when it is there. Throws the system's error. */
export async function makeDirectory(at: string): Promise<void> {
  try {
    await mkdir(at)
  } catch (error) {
    const code = systemCodeOf(error)
    if (code === 'EEXIST' && (await stat(at)).isDirectory()) return
    if (code !== 'ENOENT' || path.dirname(at) === at) throw error
    await makeDirectory(path.dirname(at))
    await mkdir(at).catch((again: unknown) => {
      if (systemCodeOf(again) !== 'EEXIST') throw again
    })
  }
}

/** The same before anything else can happen. */
export function makeDirectorySync(at: string): void {
  try {
    mkdirSync(at)
  } catch (error) {
    const code = systemCodeOf(error)
    if (code === 'EEXIST' && statSync(at).isDirectory()) return
    if (code !== 'ENOENT' || path.dirname(at) === at) throw error
    makeDirectorySync(path.dirname(at))
    try {
      mkdirSync(at)
    } catch (again) {
      if (systemCodeOf(again) !== 'EEXIST') throw again
    }
  }
}

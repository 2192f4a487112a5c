/** The scenarios that ship with mqctl, and finding one by its name or its file. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { MqError } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import type { BaseOf } from './scenario-bases.ts'
import {
  type LoadedCell,
  type LoadedScenario,
  type Override,
  readMatrix,
  readScenario,
} from './scenario.ts'

/** What `mqctl bench` runs when nothing is named. */
export const DEFAULT_SCENARIO = 'pressure-80x500'

export class Catalogue {
  readonly #directory: string

  /** @param directory the `scenarios` directory of the package */
  constructor(directory: string) {
    this.#directory = directory
  }

  get names(): string[] {
    return readdirSync(this.#directory)
      .filter((file) => file.endsWith('.yaml'))
      .map((file) => file.slice(0, -'.yaml'.length))
      .sort()
  }

  /** The text of a scenario and where it is: a name from the catalogue, or a path. */
  text(nameOrPath: string): { file: string; text: string } {
    const isPath = /[\\/]|\.ya?ml$/.test(nameOrPath)
    const file = isPath ? nameOrPath : path.join(this.#directory, `${nameOrPath}.yaml`)
    if (!isPath && !existsSync(file)) {
      const meant =
        this.names.find((name) => name.startsWith(nameOrPath)) ?? nearest(nameOrPath, this.names)
      throw new MqError('SCENARIO_INVALID', {
        where: nameOrPath,
        what: 'there is no scenario of that name',
        hint:
          meant === null
            ? `there are: ${this.names.join(', ')}; a file is named by its path`
            : `did you mean ${meant}?`,
      })
    }
    try {
      // Messages name a shipped scenario by its file name: where it is installed does not matter.
      return { file: isPath ? file : path.basename(file), text: readFileSync(file, 'utf8') }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      throw new MqError(
        'SCENARIO_INVALID',
        {
          where: file,
          what: `cannot be read: ${why}`,
          hint: 'mqctl bench list shows what there is',
        },
        { cause: error },
      )
    }
  }

  load(nameOrPath: string, overrides: readonly Override[] = []): LoadedScenario {
    const { file, text } = this.text(nameOrPath)
    return readScenario(text, file, overrides, this.#basesFrom(nameOrPath))
  }

  /** Every run of a scenario with a matrix; null when it has none. */
  loadMatrix(nameOrPath: string, overrides: readonly Override[] = []): LoadedCell[] | null {
    const { file, text } = this.text(nameOrPath)
    return readMatrix(text, file, overrides, this.#basesFrom(nameOrPath))
  }

  #basesFrom(nameOrPath: string): BaseOf {
    const fromFile = /[\\/]|\.ya?ml$/.test(nameOrPath)
    return (base, from) => {
      const isPath = /[\\/]|\.ya?ml$/.test(base)
      // A path is meant as seen from the file that names it.
      const beside = isPath && fromFile ? path.resolve(path.dirname(from), base) : base
      return this.text(beside)
    }
  }
}

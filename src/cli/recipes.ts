/**
 * The recipes that ship with mqctl (`docs/recipes`), one file each: a heading, a sentence why, a block of
 * commands in which `#=>` says what they print, and what else is worth knowing.
 */
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { MqError } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'

export interface Recipe {
  readonly name: string
  readonly title: string
  /** The whole file, Markdown. */
  readonly text: string
  /** The lines of its first block of commands, without what they print. */
  readonly commands: readonly string[]
}

const PRINTED = '#=>'

/** @param directory `docs/recipes` of the package */
export function recipesIn(directory: string): Recipe[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith('.md'))
    .sort()
    .map((file) =>
      recipeOf(file.slice(0, -'.md'.length), readFileSync(path.join(directory, file), 'utf8')),
    )
}

/** Throws VALUE_INVALID with the names that there are. */
export function recipeNamed(recipes: readonly Recipe[], name: string): Recipe {
  const found = recipes.find((recipe) => recipe.name === name)
  if (found !== undefined) return found
  const names = recipes.map((recipe) => recipe.name)
  const meant = names.find((other) => other.includes(name)) ?? nearest(name, names)
  throw new MqError('VALUE_INVALID', {
    what: `there is no recipe ${JSON.stringify(name)}`,
    hint: meant === null ? `there are: ${names.join(', ')}` : `did you mean ${meant}?`,
  })
}

function recipeOf(name: string, text: string): Recipe {
  const title = /^# (.*)$/m.exec(text)?.[1] ?? name
  const block = /```sh\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
  const commands = block.split('\n').filter((line) => line !== '' && !line.startsWith(PRINTED))
  return { name, title, text, commands }
}

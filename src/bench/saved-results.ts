/** Results that earlier runs have written, found by a file's or a directory's name. */
import { readFileSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { MqError, messageOf } from '../base/errors.ts'

const RESULT = 'result.json'

export interface ResultText {
  readonly file: string
  readonly text: string
}

/** A file, or every .json in a directory and every result.json one level below. Throws MqError CONFIG_INVALID. */
export function resultTexts(place: string): ResultText[] {
  let found: ResultText[]
  try {
    found = filesAt(place).map((file) => ({ file, text: readFileSync(file, 'utf8') }))
  } catch (error) {
    throw invalid(place, messageOf(error))
  }
  if (found.length === 0) throw invalid(place, 'there is no result in it')
  return found
}

function filesAt(place: string): string[] {
  if (!statSync(place).isDirectory()) return [place]
  return readdirSync(place, { withFileTypes: true })
    .flatMap((entry) => {
      const inside = path.join(place, entry.name)
      if (entry.isFile()) return entry.name.endsWith('.json') ? [inside] : []
      if (!entry.isDirectory()) return []
      return readdirSync(inside).includes(RESULT) ? [path.join(inside, RESULT)] : []
    })
    .sort()
}

function invalid(where: string, what: string): MqError {
  const hint = 'give a result.json that mqctl bench --out has written, or a directory of them'
  return new MqError('CONFIG_INVALID', { where, what, hint })
}

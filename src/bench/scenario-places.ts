/** Where in a scenario's file something stands, for errors that say it with line and column. */
import { type Document, type LineCounter, type Node, isMap, isNode, isScalar } from 'yaml'
import { z } from 'zod'
import { MqError } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import type { Override } from './scenario.ts'
import { laterKeys, scenarioSchema } from './scenario-schema.ts'

export type Path = readonly (string | number)[]

export function invalid(where: string, what: string, hint: string): MqError {
  return new MqError('SCENARIO_INVALID', { where, what, hint })
}

/** Finds where in the file something stands. */
export class Places {
  readonly #file: string
  readonly #document: Document
  readonly #lines: LineCounter
  readonly #overrides: readonly Override[]

  constructor(
    file: string,
    document: Document,
    lines: LineCounter,
    overrides: readonly Override[],
  ) {
    this.#file = file
    this.#document = document
    this.#lines = lines
    this.#overrides = overrides
  }

  error(path: Path, what: string, hint: string): MqError {
    return invalid(this.#where(path), what, hint)
  }

  /** @param whole the scenario with its bases and overrides, for what was written there */
  errorOf(issue: z.core.$ZodIssue, whole: Document): MqError {
    const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)))
    if (issue.code === 'unrecognized_keys') {
      const key = issue.keys[0] ?? ''
      const dotted = [...path.filter((part) => typeof part === 'string'), key].join('.')
      const where = this.#where([...path, key])
      if (laterKeys.has(dotted)) {
        return invalid(
          where,
          `${dotted} is not available yet`,
          'it comes with a later version; remove it',
        )
      }
      const known = keysAt(scenarioSchema, path)
      const meant = nearest(key, known)
      const hint = meant === null ? `known here: ${known.join(', ')}` : `did you mean ${meant}?`
      return invalid(where, `unknown key ${dotted}`, hint)
    }
    const dotted = path.join('.')
    const what = dotted === '' ? issue.message : `${dotted}: ${issue.message}`
    return invalid(this.#where(path), what, hintFor(issue, path, whole))
  }

  /** `file:line:column` of the nearest thing on the path that stands in the file, or the flag that set it. */
  #where(path: Path): string {
    const dotted = path.join('.')
    for (const override of this.#overrides) {
      if (dotted === override.path || dotted.startsWith(`${override.path}.`)) return override.source
    }
    const offset = this.#offsetOf(path)
    const { line, col } = this.#lines.linePos(offset)
    return `${this.#file}:${line}:${col}`
  }

  #offsetOf(path: Path): number {
    for (let length = path.length; length > 0; length -= 1) {
      const parent = this.#document.getIn(path.slice(0, length - 1), true)
      const key = path[length - 1]
      if (isMap(parent)) {
        const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === key)
        if (pair !== undefined && isNode(pair.key)) return startOf(pair.key)
      }
      const node = this.#document.getIn(path.slice(0, length), true)
      if (isNode(node)) return startOf(node)
    }
    return 0
  }
}

function hintFor(issue: z.core.$ZodIssue, path: Path, whole: Document): string {
  if (issue.code === 'invalid_value') {
    const written: unknown = whole.getIn(path)
    const words = issue.values.map(String)
    const meant = typeof written === 'string' ? nearest(written, words) : null
    if (meant !== null) return `did you mean ${meant}?`
  }
  return 'mqctl bench show smoke prints a scenario that is right'
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0
}

/** The keys that a schema knows under a path. */
function keysAt(schema: unknown, path: Path): string[] {
  let at: unknown = unwrapped(schema)
  for (const part of path) {
    if (at instanceof z.ZodObject && typeof part === 'string') at = unwrapped(at.shape[part])
    else if (at instanceof z.ZodArray) at = unwrapped(at.element)
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : []
}

function unwrapped(schema: unknown): unknown {
  let at = schema
  while (
    at instanceof z.ZodDefault ||
    at instanceof z.ZodPrefault ||
    at instanceof z.ZodNullable ||
    at instanceof z.ZodOptional
  ) {
    at = at.unwrap()
  }
  return at
}

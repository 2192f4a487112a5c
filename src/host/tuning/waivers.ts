/**
 * Findings that somebody has accepted, with a reason and an end:
 *
 *     waivers:
 *       - id: vm.swappiness
 *         justification: 'kept for the batch jobs, OPS-1234'
 *         expires: 2027-01-31
 *
 * A waived finding still shows; it does not count until the end of its last day (UTC).
 */
import { MqError } from '../../base/errors.ts'
import { knownCheck } from './registry.ts'

export interface Waiver {
  readonly id: string
  readonly justification: string
  /** `2027-01-31`: the last day on which it holds. */
  readonly expires: string
}

/** Throws VALUE_INVALID for a file that is not such a list, CONFIG_INVALID with the entry at fault. */
export async function parseWaivers(text: string, file: string): Promise<Waiver[]> {
  const { LineCounter, parseDocument } = await import('yaml')
  const counter = new LineCounter()
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false })
  const error = document.errors[0]
  if (error !== undefined) {
    const { line } = counter.linePos(error.pos[0])
    throw invalid(`${file}:${line}`, error.message)
  }
  const value: unknown = document.toJS()
  const list =
    typeof value === 'object' && value !== null && 'waivers' in value ? value.waivers : value
  if (!Array.isArray(list)) throw invalid(file, 'there is no list "waivers"')
  const lineOf = (index: number): string => {
    const node = document.getIn(Array.isArray(value) ? [index] : ['waivers', index], true)
    const range = (node as { range?: readonly number[] } | undefined)?.range
    return range?.[0] === undefined ? file : `${file}:${counter.linePos(range[0]).line}`
  }
  const seen = new Set<string>()
  return list.map((entry: unknown, index) => {
    const where = lineOf(index)
    const waiver = waiverOf(entry, where)
    if (seen.has(waiver.id)) throw invalid(where, `${waiver.id} is waived twice`)
    seen.add(waiver.id)
    return waiver
  })
}

function waiverOf(entry: unknown, where: string): Waiver {
  if (typeof entry !== 'object' || entry === null) throw invalid(where, 'an entry is not an object')
  const fields = entry as Readonly<Record<string, unknown>>
  const extra = Object.keys(fields).find(
    (name) => !['id', 'justification', 'expires'].includes(name),
  )
  if (extra !== undefined) throw invalid(where, `unknown key ${JSON.stringify(extra)}`)
  const { id, justification } = fields
  if (typeof id !== 'string') throw invalid(where, 'an entry has no id')
  knownCheck(id, where)
  if (typeof justification !== 'string' || justification.trim() === '') {
    throw invalid(where, `${id} has no justification`)
  }
  const expires =
    fields['expires'] instanceof Date
      ? fields['expires'].toISOString().slice(0, 10)
      : fields['expires']
  if (typeof expires !== 'string' || !isDay(expires)) {
    throw invalid(where, `${id} needs expires, a day as in 2027-01-31`)
  }
  return { id, justification, expires }
}

function isDay(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false
  const time = Date.parse(`${text}T00:00:00Z`)
  return Number.isFinite(time) && new Date(time).toISOString().startsWith(text)
}

function invalid(where: string, what: string): MqError {
  return new MqError('CONFIG_INVALID', {
    where,
    what,
    hint: 'each entry has id, justification and expires (the last day on which it holds)',
  })
}

export function isExpired(waiver: Waiver, nowMs: number): boolean {
  return nowMs >= Date.parse(`${waiver.expires}T00:00:00Z`) + 86_400_000
}

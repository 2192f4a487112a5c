/** Facts as a file: written by `tune-os collect`, judged elsewhere by `check --facts`. */
import { MqError, messageOf } from '../../base/errors.ts'
import { FACTS_SCHEMA, FACTS_VERSION, type HostFacts } from './facts.ts'

/** Throws CONFIG_INVALID for anything that is not facts of this or an older version. */
export async function parseFacts(text: string, file: string): Promise<HostFacts> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw invalid(file, `not JSON: ${messageOf(error)}`)
  }
  if (typeof value !== 'object' || value === null) throw invalid(file, 'not an object')
  const facts = value as Readonly<Record<string, unknown>>
  if (facts['schema'] !== FACTS_SCHEMA) {
    throw invalid(file, `schema is ${JSON.stringify(facts['schema'] ?? null)}, not ${FACTS_SCHEMA}`)
  }
  const version = facts['version']
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1) {
    throw invalid(file, `version is ${JSON.stringify(version ?? null)}, not a number`)
  }
  if (version > FACTS_VERSION) {
    throw new MqError('CONFIG_INVALID', {
      where: file,
      what: `facts of version ${version}, written by ${String(facts['tool'])}; this mqctl knows up to ${FACTS_VERSION}`,
      hint: 'judge them with the mqctl that wrote them, or a newer one',
    })
  }
  const { factsSchema } = await import('./facts-schema.ts')
  const { data, error } = factsSchema.safeParse(value)
  if (data !== undefined) return data
  const issue = error.issues[0]
  throw invalid(file, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'wrong'}`)
}

function invalid(file: string, what: string): MqError {
  return new MqError('CONFIG_INVALID', {
    where: file,
    what,
    hint: 'write facts with mqctl tune-os collect > facts.json',
  })
}

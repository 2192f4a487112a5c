/** The result as a file, and back. A saved result that this version does not know is refused. */
import { MqError } from '../base/errors.ts'
import { type BenchResult, RESULT_SCHEMA_VERSION, resultSchema } from '../bench/result.ts'

/** JSON with a final newline. */
export function jsonReport(result: BenchResult): string {
  return `${JSON.stringify(result, null, 2)}\n`
}

/** Reads a saved result. Throws MqError CONFIG_INVALID. */
export function parseResult(text: string, file: string): BenchResult {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw invalid(file, 'it is not JSON', 'give the result.json of a run')
  }
  const version = (value as { schemaVersion?: unknown } | null)?.schemaVersion
  if (typeof version === 'number' && version > RESULT_SCHEMA_VERSION) {
    throw invalid(
      file,
      `it has schema version ${version}, newer than ${RESULT_SCHEMA_VERSION}`,
      'use the mqctl that wrote it, or a newer one',
    )
  }
  const checked = resultSchema.safeParse(value)
  if (checked.success) return checked.data
  const [issue] = checked.error.issues
  throw invalid(
    file,
    `it is no result of a run: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
    'give the result.json of a run',
  )
}

function invalid(where: string, what: string, hint: string): MqError {
  return new MqError('CONFIG_INVALID', { where, what, hint })
}

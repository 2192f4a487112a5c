/** JSON Schemas (draft 2020-12) of scenarios as they are written, and of results as they are saved. */
import { z } from 'zod'
import { RESULT_SCHEMA_VERSION, resultSchema } from './result.ts'
import { scenarioSchema } from './scenario-schema.ts'

const draft = 'https://json-schema.org/draft/2020-12/schema'

export function scenarioJsonSchema(): object {
  const { $schema: _, ...schema } = z.toJSONSchema(scenarioSchema, {
    io: 'input',
    unrepresentable: 'any',
  })
  const properties = {
    extends: { type: 'string', description: 'A scenario whose keys this one changes.' },
    matrix: {
      type: 'object',
      description: 'Paths with lists of values, of which every combination is a run.',
      additionalProperties: { type: 'array', minItems: 1 },
    },
    ...schema.properties,
  }
  return { $schema: draft, title: 'mqctl bench scenario, version 1', ...schema, properties }
}

export function resultJsonSchema(): object {
  const { $schema: _, ...schema } = z.toJSONSchema(resultSchema, { io: 'output' })
  return {
    $schema: draft,
    title: `mqctl bench result, version ${RESULT_SCHEMA_VERSION}`,
    ...schema,
  }
}

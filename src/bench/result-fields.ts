/** The words in which the schemas of results are written. */
import { z } from 'zod'

export const nullable = <T extends z.ZodType>(type: T) => type.nullable()
export const number = z.number()
export const text = z.string()

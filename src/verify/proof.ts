/**
 * Bodies that prove themselves: `crc32 length run value filler`. Whoever reads one knows which message
 * of which run it is, and that no byte of it differs, without a table of what was sent.
 */
import { crc32 } from 'node:zlib'
import type { BodyFault } from './history.ts'

const HEAD = /^([0-9a-f]{8}) (\d{1,8}) ([0-9a-f]+) (\d{1,6}-\d{1,9}) /

/** @param sizeBytes the whole body; at least what its head needs */
export function provingBody(run: string, value: string, sizeBytes: number): string {
  const head = `${run} ${value} `
  // 8 of the checksum, two blanks and the length's own digits.
  const filler = 'x'.repeat(Math.max(0, sizeBytes - 10 - String(sizeBytes).length - head.length))
  const rest = head + filler
  return `${checksum(rest)} ${rest.length} ${rest}`
}

export interface ReadProof {
  /** Null: it cannot be told, or it is of another run. */
  readonly value: string | null
  readonly bad: BodyFault | null
}

export function readProof(run: string, body: Buffer): ReadProof {
  const text = body.toString('latin1')
  const match = HEAD.exec(text)
  if (match === null) return { value: null, bad: 'stranger' }
  const [, sum = '', length = '', ofRun, value = null] = match
  const rest = text.slice(sum.length + length.length + 2)
  if (rest.length !== Number(length)) return { value: null, bad: 'length' }
  if (checksum(rest) !== sum) return { value: null, bad: 'checksum' }
  return ofRun === run ? { value, bad: null } : { value: null, bad: 'stranger' }
}

function checksum(text: string): string {
  return crc32(Buffer.from(text, 'latin1')).toString(16).padStart(8, '0')
}

/**
 * The secret that an agent and its controllers share. It never travels: each side proves that it
 * has it by an HMAC over what both have drawn for this connection, the controller first, so that an
 * agent tells a stranger nothing.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { MqError, messageOf } from '../../base/errors.ts'

const TOKEN_LENGTH_MIN = 16
const TOKEN_BYTES_MAX = 4_096
const OTHERS_MAY = 0o007
const NONCE_BYTES = 32

/**
 * Reads it from a file that others may not look into. Throws MqError TOKEN_FILE_UNFIT.
 *
 * @returns the text without white space around it
 */
export function readToken(path: string): Buffer {
  const unfit = (why: string, cause?: unknown) =>
    new MqError('TOKEN_FILE_UNFIT', { path, why }, cause === undefined ? {} : { cause })
  let text: string
  try {
    // Looked at and read through one descriptor: nobody can change the file between the two.
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const facts = fstatSync(file)
      if (!facts.isFile()) throw unfit('is not a file')
      if (process.platform !== 'win32' && (facts.mode & OTHERS_MAY) !== 0) {
        throw unfit(`every user of this machine may use it (mode ${modeText(facts.mode)})`)
      }
      const bytes = Buffer.alloc(TOKEN_BYTES_MAX + 1)
      const length = readSync(file, bytes, 0, bytes.length, 0)
      if (length > TOKEN_BYTES_MAX) throw unfit(`is longer than ${TOKEN_BYTES_MAX} bytes`)
      text = bytes.toString('utf8', 0, length).trim()
    } finally {
      closeSync(file)
    }
  } catch (error) {
    if (error instanceof MqError) throw error
    throw unfit(messageOf(error), error)
  }
  if (text.length < TOKEN_LENGTH_MIN) {
    throw unfit(`holds ${text.length} characters; a token has ${TOKEN_LENGTH_MIN} at least`)
  }
  return Buffer.from(text)
}

function modeText(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0')
}

/** What each side draws for a connection, base64. */
export function drawNonce(): string {
  return randomBytes(NONCE_BYTES).toString('base64')
}

/** @param nonces of the controller and of the agent, in this order */
export function proofOf(
  token: Buffer,
  side: 'controller' | 'agent',
  nonces: readonly [controller: string, agent: string],
): string {
  return createHmac('sha256', token)
    .update(JSON.stringify(['mqctl bench agent', side, ...nonces]))
    .digest('base64')
}

/** Takes the same time whatever the proof is. */
export function isProof(
  proof: string,
  token: Buffer,
  side: 'controller' | 'agent',
  nonces: readonly [controller: string, agent: string],
): boolean {
  const wanted = Buffer.from(proofOf(token, side, nonces))
  const given = Buffer.alloc(wanted.length)
  const length = given.write(proof)
  const isEqual = timingSafeEqual(given, wanted)
  return isEqual && length === wanted.length && proof.length === wanted.length
}

import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MqError } from '../../../src/base/errors.ts'
import { drawNonce, isProof, proofOf, readToken } from '../../../src/bench/agent/token.ts'

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'mqctl-token-'))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

async function aFile(text: string, mode = 0o600): Promise<string> {
  const file = path.join(directory, `${text.length}-${mode}`)
  await writeFile(file, text)
  await chmod(file, mode)
  return file
}

function refusalOf(read: () => unknown): string {
  try {
    read()
  } catch (error) {
    if (error instanceof MqError) return `${error.exitCode} ${error.code} ${error.message}`
    throw error
  }
  return 'none'
}

describe('the token of an agent', () => {
  it('is the text of its file without the space around it', async () => {
    expect(readToken(await aFile('0123456789abcdef\n')).toString()).toBe('0123456789abcdef')
  })

  it.each([0o644, 0o604, 0o602, 0o601])('is refused from a file of mode %o', async (mode) => {
    const file = await aFile('0123456789abcdef', mode)
    expect(refusalOf(() => readToken(file))).toMatch(/^2 TOKEN_FILE_UNFIT .*every user/)
  })

  it('is refused when it is short, long, missing or no file', async () => {
    const short = await aFile('short')
    const long = await aFile('x'.repeat(5_000))
    expect([
      refusalOf(() => readToken(short)),
      refusalOf(() => readToken(long)),
      refusalOf(() => readToken(path.join(directory, 'missing'))),
      refusalOf(() => readToken(directory)),
    ]).toEqual([
      expect.stringMatching(/^2 TOKEN_FILE_UNFIT .*holds 5 characters/),
      expect.stringMatching(/^2 TOKEN_FILE_UNFIT .*longer than 4096/),
      expect.stringMatching(/^2 TOKEN_FILE_UNFIT .*ENOENT/),
      expect.stringMatching(/^2 TOKEN_FILE_UNFIT .*is not a file/),
    ])
  })
})

describe('a proof', () => {
  const token = Buffer.from('0123456789abcdef')
  const nonces = [drawNonce(), drawNonce()] as const

  it('is that of the token, the side and both nonces, and of nothing else', () => {
    const proof = proofOf(token, 'controller', nonces)
    const [ours, theirs] = nonces
    expect([
      isProof(proof, token, 'controller', nonces),
      isProof(proof, token, 'agent', nonces),
      isProof(proof, token, 'controller', [theirs, ours]),
      isProof(proof, token, 'controller', [drawNonce(), theirs]),
      isProof(proof, Buffer.from('0123456789abcdeF'), 'controller', nonces),
      isProof(`${proof}x`, token, 'controller', nonces),
      isProof(proof.slice(1), token, 'controller', nonces),
      isProof('', token, 'controller', nonces),
    ]).toEqual([true, false, false, false, false, false, false, false])
  })
})

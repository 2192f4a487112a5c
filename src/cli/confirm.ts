/** A yes-or-no question. Refused where nobody can answer: scripts say `--yes`. */
import { createInterface } from 'node:readline/promises'
import { MqError } from '../base/errors.ts'
import type { Terminal } from './terminal.ts'

/** True for y or yes; everything else is no. Throws USAGE without a terminal. */
export async function confirm(terminal: Terminal, question: string): Promise<boolean> {
  if (!terminal.stdinIsTty || !terminal.stderrIsTty) {
    throw new MqError('VALUE_INVALID', {
      what: 'this needs a yes, and there is nobody to ask',
      hint: 'add --yes when you are sure',
    })
  }
  const asker = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await asker.question(`${question} [y/N] `)
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    asker.close()
  }
}

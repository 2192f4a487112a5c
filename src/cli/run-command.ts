/** Finds and runs one command with oclif; whatever goes wrong outside of it is reported here. */
import { run } from '@oclif/core'
import { reportFailure } from './command.ts'
import { wantsJson } from './failure.ts'
import { processTerminal } from './terminal.ts'

export async function runCommand(argv: string[]): Promise<void> {
  try {
    await run(argv, import.meta.url)
  } catch (error) {
    const context = { command: 'mqctl', flags: [] }
    reportFailure(error, context, processTerminal(argv), wantsJson(argv))
  }
}

/** The program: arguments in, exit code out. The only place that ends the process in the normal case. */
import { run } from '@oclif/core'
import { reportFailure } from './command.ts'
import { wantsJson } from './failure.ts'
import { interrupts } from './interrupts.ts'
import { processTerminal } from './terminal.ts'

/** Runs one command and ends the process with its exit code. */
export async function main(argv: string[]): Promise<void> {
  interrupts.install()
  try {
    await run(argv, import.meta.url)
  } catch (error) {
    const context = { command: 'mqctl', flags: [] }
    reportFailure(error, context, processTerminal(argv), wantsJson(argv))
  }
  await Promise.all([flushed(process.stdout), flushed(process.stderr)])
  process.exit()
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.writableLength === 0) resolve()
    else {
      stream.write('', () => {
        resolve()
      })
    }
  })
}

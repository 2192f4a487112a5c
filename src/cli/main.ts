/** The program: arguments in, exit code out. The only place that ends the process in the normal case. */
import { completeAccount } from './account.ts'
import { interrupts } from './interrupts.ts'
import { rootPage } from './root-help.ts'
import { processTerminal } from './terminal.ts'

/** Runs one command and ends the process with its exit code. */
export async function main(argv: string[]): Promise<void> {
  interrupts.install()
  completeAccount(process.env)
  const page = rootPage(argv, processTerminal(argv))
  if (page !== null) process.stdout.write(`${page}\n`)
  else {
    // oclif alone takes longer to load than those pages take altogether.
    const { runCommand } = await import('./run-command.ts')
    await runCommand(argv)
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

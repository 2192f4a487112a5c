// Writes docs/cli.md: what `mqctl COMMAND --help` says, for all commands. Run `npm run build` first.
// With --stdout it prints instead; a test compares that with the file.
import { writeFileSync } from 'node:fs'
import path from 'node:path'

// oclif decides on colours and width when it is loaded.
process.env.NODE_ENV = 'production'
process.env.NO_COLOR = '1'
process.env.OCLIF_COLUMNS = '100'

const { Config } = await import('@oclif/core')
const root = path.join(import.meta.dirname, '..')
const { default: MqctlHelp } = await import(path.join(root, 'dist/src/cli/help.js'))
const { helpPages } = await import(path.join(root, 'dist/src/cli/help-pages.js'))
const { createTerminal } = await import(path.join(root, 'dist/src/cli/terminal.js'))

class Captured extends MqctlHelp {
  lines = []
  log(...texts) {
    this.lines.push(...texts)
  }
}

const config = await Config.load(root)
const commands = config.commands
  .filter((command) => !command.hidden)
  .sort((one, other) => (one.id < other.id ? -1 : 1))

const parts = [
  '# Command reference',
  'Made from `mqctl COMMAND --help` by `node scripts/cli-reference.mjs`; do not edit.',
  commands
    .map(({ id, summary }) => {
      const name = id.replaceAll(':', ' ')
      return `- [\`${name}\`](#${name.replaceAll(' ', '-')}): ${summary ?? ''}`
    })
    .join('\n'),
]
for (const command of commands) {
  const help = new Captured(config, { maxWidth: 100, stripAnsi: true })
  await help.showCommandHelp(command)
  parts.push(`## ${command.id.replaceAll(':', ' ')}`, block(help.lines.join('\n')))
}
const terminal = createTerminal({ env: {}, argv: [], stdin: {}, stdout: {}, stderr: {} })
for (const page of helpPages) {
  parts.push(`## help ${page.name}`, block(page.text(terminal)))
}
const text = `${parts.join('\n\n')}\n`
if (process.argv.includes('--stdout')) process.stdout.write(text)
else writeFileSync(path.join(root, 'docs/cli.md'), text)

function block(content) {
  const lines = content.split('\n').map((line) => line.trimEnd())
  return `\`\`\`text\n${lines.join('\n').trim()}\n\`\`\``
}

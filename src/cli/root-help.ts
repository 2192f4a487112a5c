/**
 * The two pages that are asked for most, made from the manifest alone: they are on the screen
 * before the rest of the command line would have been loaded.
 */
import { readFileSync } from 'node:fs'
import { helpPages } from './help-pages.ts'
import type { Terminal } from './terminal.ts'

export interface RootFacts {
  readonly version: string
  readonly description: string
  readonly commands: readonly {
    /** `topic:list` */
    readonly id: string
    readonly summary: string
    readonly hidden: boolean
  }[]
  /** Description by name. */
  readonly topics: Readonly<Record<string, { readonly description?: string }>>
}

/** In the order in which a newcomer meets them. */
const firstCommands: readonly (readonly [line: string, what: string])[] = [
  ['start', 'run a broker here, ready in under a second'],
  ['produce orders "hello"', 'send a message; also from a file or stdin'],
  ['consume orders --from start', 'read messages'],
  ['bench', 'pressure test: 2 producers × 80 senders, 500 B, 2 consumers'],
  ['topic list', 'topics of the cluster'],
  ['group lag', 'how far consumers are behind'],
  ['status', 'what runs here, and where'],
  ['stop', 'stop it; messages stay'],
]

/** What bare `mqctl` shows: the eight commands that matter. */
export function firstPage(facts: RootFacts, terminal: Terminal): string {
  const { bold, dim } = terminal.out
  const width = Math.max(...firstCommands.map(([line]) => line.length))
  return [
    `${bold('mqctl')} ${facts.version}  a broker in one command, a hand for every RocketMQ, an honest pressure test`,
    '',
    ...firstCommands.map(([line, what]) => `  mqctl ${line.padEnd(width)}   ${dim(what)}`),
    '',
    dim(
      'All commands: mqctl --help · one command: mqctl produce --help · exit codes: mqctl help exit-codes',
    ),
  ].join('\n')
}

/** What `mqctl --help` shows: every command, by group. */
export function allCommands(facts: RootFacts, terminal: Terminal): string {
  const { bold, dim } = terminal.out
  const visible = facts.commands.filter(({ hidden }) => !hidden)
  const line = (id: string, summary: string) =>
    `  ${id.replaceAll(':', ' ').padEnd(18)} ${summary.replace(/\.$/, '')}`
  const groups = new Map<string, string[]>()
  for (const { id, summary } of [...visible].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    const isGroup = id.includes(':') || visible.some((other) => other.id.startsWith(`${id}:`))
    const key = isGroup ? (id.split(':')[0] ?? '') : ''
    groups.set(key, [...(groups.get(key) ?? []), line(id, summary)])
  }
  const blocks = [...groups.keys()].sort().map((key) => {
    const about = facts.topics[key]?.description ?? ''
    const head = key === '' ? bold('Commands') : bold(key) + dim(`  ${about}`)
    return `${head}\n${(groups.get(key) ?? []).join('\n')}\n`
  })
  return [
    `${facts.description}\n`,
    `${bold('Usage')}\n  mqctl COMMAND [--json] [flags]\n`,
    ...blocks,
    bold('More'),
    ...helpPages.map((page) => line(`help ${page.name}`, page.summary)),
    line('COMMAND --help', 'flags and examples of one command'),
  ].join('\n')
}

/** The page for these arguments, or null when they are another command's. */
export function rootPage(argv: readonly string[], terminal: Terminal): string | null {
  const asked = argv.filter((word) => word !== '--no-color')
  const isAll = asked.length === 1 && ['--help', '-h', 'help'].includes(asked[0] ?? '')
  if (asked.length > 0 && !isAll) return null
  const facts = readFacts()
  if (facts === null) return null
  return isAll ? allCommands(facts, terminal) : firstPage(facts, terminal)
}

/** Null where there is no manifest, as in a checkout that was only half built. */
function readFacts(): RootFacts | null {
  try {
    const root = new URL('../../../', import.meta.url)
    const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, root), 'utf8'))
    const { commands } = read('oclif.manifest.json') as {
      commands: Record<string, { id: string; summary?: string; hidden?: boolean }>
    }
    const pack = read('package.json') as {
      version: string
      description: string
      oclif: { topics: RootFacts['topics'] }
    }
    return {
      version: pack.version,
      description: pack.description,
      topics: pack.oclif.topics,
      commands: Object.values(commands).map(({ id, summary, hidden }) => ({
        id,
        summary: summary ?? '',
        hidden: hidden === true,
      })),
    }
  } catch {
    return null
  }
}

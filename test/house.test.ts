/**
 * The house rules, as a test: who imports whom, and what may be touched where. It points; when it
 * points at something good, change the table here in the same commit and say why.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = path.join(import.meta.dirname, '..')

/**
 * Room → rooms it may import. Every room also sees `base`. Amendments to the plan of the house:
 * `cli` builds the connection to a broker for all commands, so it sees `client`, and `engine` to
 * find the instance that runs on this machine; commands see the rooms that they drive;
 * drivers patch frames in place for rate, so they see the protocol and not only the client.
 */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  world: [],
  protocol: [],
  raft: [],
  remoting: ['world', 'protocol'],
  store: ['world', 'protocol'],
  host: ['world'],
  cluster: ['world', 'protocol', 'remoting', 'store', 'raft'],
  nameserver: ['world', 'protocol', 'remoting'],
  broker: ['world', 'protocol', 'remoting', 'store', 'cluster'],
  client: ['world', 'protocol', 'remoting'],
  drivers: ['world', 'protocol', 'remoting', 'client'],
  bench: ['world', 'drivers', 'host'],
  report: [],
  engine: ['world', 'client'],
  cli: ['world', 'protocol', 'client', 'engine'],
  verify: ['world', 'protocol', 'client'],
  commands: ['client', 'engine', 'cli', 'bench', 'report', 'host', 'verify'],
}

/** Single files that may look further than their room. */
const mayImportMore: Readonly<Record<string, readonly string[]>> = {
  'src/engine/roles/nameserver.ts': ['nameserver'],
  'src/engine/roles/broker.ts': ['broker'],
  'src/engine/roles/broker-settings.ts': ['broker', 'store'],
  'src/engine/roles/node-probe.ts': ['broker'],
}

/** A report is a pure function of a saved result: of `bench` it sees the result's shape and no more. */
const mayImportFile: Readonly<Record<string, readonly string[]>> = {
  report: [
    'src/bench/result.ts',
    'src/bench/result-figures.ts',
    'src/bench/result-hosts.ts',
    'src/bench/gate-result.ts',
    'src/bench/matrix-result.ts',
  ],
}

/** The package's main export: sees everything, is seen by nobody. */
const mainExport = 'src/mqctl.ts'

/** What only some rooms may touch; everybody else is handed a World. */
const guarded: readonly {
  what: string
  rooms: readonly string[]
  found: (use: Uses) => boolean
}[] = [
  ...['Date.now', 'Math.random', 'performance.now', 'process.hrtime'].map((name) => ({
    what: name,
    rooms: ['world'],
    found: (use: Uses) => use.properties.has(name),
  })),
  ...['setTimeout', 'setInterval', 'setImmediate', 'new Date()'].map((name) => ({
    what: name,
    rooms: ['world'],
    found: (use: Uses) => use.calls.has(name),
  })),
  {
    what: 'node:net and node:tls',
    rooms: ['world'],
    found: (use: Uses) => use.modules.has('node:net') || use.modules.has('node:tls'),
  },
  {
    what: 'node:fs',
    rooms: ['world', 'cli', 'engine', 'host', 'bench'],
    found: (use: Uses) => use.modules.has('node:fs') || use.modules.has('node:fs/promises'),
  },
  {
    what: 'node:child_process',
    rooms: ['cli', 'engine', 'host', 'bench'],
    found: (use: Uses) => use.modules.has('node:child_process'),
  },
  {
    what: 'console',
    rooms: [],
    found: (use: Uses) => [...use.properties].some((name) => name.startsWith('console.')),
  },
]

interface Uses {
  /** `Date.now` and the like: every property access on a plain name. */
  readonly properties: Set<string>
  /** Names that are called, and `new Date()` without arguments. */
  readonly calls: Set<string>
  readonly modules: Set<string>
}

interface SourceFile {
  /** From the root of the project, with forward slashes. */
  readonly path: string
  readonly room: string
  readonly text: string
  readonly uses: Uses
  /** Files of the project that this one loads when it runs. */
  readonly loads: string[]
  /** The same, and those it takes only types from. */
  readonly imports: string[]
  /** Files that it names in `new URL(…)`, to run them as a process or to read them. */
  readonly starts: string[]
  /** Functions, classes and constants that it exports by name. Types may be named where they are only inferred. */
  readonly offers: string[]
  /** Names that it imports or passes on. */
  readonly takes: string[]
}

function filesUnder(directory: string): string[] {
  const full = path.join(root, directory)
  if (!existsSync(full)) return []
  return readdirSync(full, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .map((name) => name.split(path.sep).join('/'))
    .sort()
}

function roomOf(file: string): string {
  const parts = file.split('/')
  if (parts[0] === 'commands') return 'commands'
  return parts.length > 2 ? (parts[1] ?? '') : file
}

function read(file: string): SourceFile {
  const text = readFileSync(path.join(root, file), 'utf8')
  const uses: Uses = { properties: new Set(), calls: new Set(), modules: new Set() }
  const loads: string[] = []
  const imports: string[] = []
  const starts: string[] = []
  const offers: string[] = []
  const takes: string[] = []
  const resolve = (specifier: string) =>
    path.posix.join(path.posix.dirname(file), specifier).replace(/\.js$/, '.ts')

  const addModule = (specifier: string, typesOnly: boolean) => {
    if (!specifier.startsWith('.')) {
      uses.modules.add(specifier)
      return
    }
    imports.push(resolve(specifier))
    if (!typesOnly) loads.push(resolve(specifier))
  }

  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      addModule(node.moduleSpecifier.text, node.importClause?.isTypeOnly === true)
    } else if (
      ts.isExportDeclaration(node) &&
      node.moduleSpecifier !== undefined &&
      ts.isStringLiteral(node.moduleSpecifier)
    ) {
      addModule(node.moduleSpecifier.text, node.isTypeOnly)
    } else if (ts.isCallExpression(node)) {
      const first = node.arguments[0]
      if (node.expression.kind === ts.SyntaxKind.ImportKeyword) {
        // Loaded on use: it counts as an import, and cannot make a cycle at start.
        if (first !== undefined && ts.isStringLiteral(first)) addModule(first.text, true)
      } else if (ts.isIdentifier(node.expression)) {
        uses.calls.add(node.expression.text)
      }
    } else if (ts.isNewExpression(node) && ts.isIdentifier(node.expression)) {
      const first = node.arguments?.[0]
      if (node.expression.text === 'Date' && first === undefined) uses.calls.add('new Date()')
      if (node.expression.text === 'URL' && first !== undefined && ts.isStringLiteral(first)) {
        starts.push(resolve(first.text))
      }
    } else if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
      uses.properties.add(`${node.expression.text}.${node.name.text}`)
    }
    if (ts.isImportSpecifier(node) || ts.isExportSpecifier(node) || isLoadedOnUse(node)) {
      const taken = node.propertyName ?? node.name
      if (ts.isIdentifier(taken)) takes.push(taken.text)
    }
    ts.forEachChild(node, visit)
  }
  const tree = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true)
  visit(tree)
  for (const statement of tree.statements) offers.push(...offeredBy(statement))
  return { path: file, room: roomOf(file), text, uses, loads, imports, starts, offers, takes }
}

/** `name` in `const { name } = await import(…)`. */
function isLoadedOnUse(node: ts.Node): node is ts.BindingElement {
  if (!ts.isBindingElement(node) || !ts.isVariableDeclaration(node.parent.parent)) return false
  const { initializer } = node.parent.parent
  return initializer?.getText().startsWith('await import(') === true
}

function offeredBy(statement: ts.Statement): string[] {
  const flags = ts.canHaveModifiers(statement) ? (ts.getModifiers(statement) ?? []) : []
  const kinds = flags.map(({ kind }) => kind)
  if (!kinds.includes(ts.SyntaxKind.ExportKeyword)) return []
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.getText())
  }
  const isNamed = ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)
  if (!isNamed || kinds.includes(ts.SyntaxKind.DefaultKeyword)) return []
  return [statement.name?.text ?? '']
}

const files = [...filesUnder('src'), ...filesUnder('commands')].filter((file) =>
  file.endsWith('.ts'),
)
const sources = files.map(read)
const sourceAt = new Map(sources.map((source) => [source.path, source]))

describe('the house', () => {
  it('has its top level', () => {
    const wanted = ['bin', 'commands', 'src', 'test', 'scenarios', 'docs']
    const missing = [...wanted, 'package.json', 'tsconfig.json'].filter(
      (name) => !existsSync(path.join(root, name)),
    )
    expect(missing).toEqual([])
  })

  it('runs nothing on the machine that installs it', () => {
    // `prepare` counts: npm asks about it when a tarball is installed. postprepare builds a clone.
    const manifest: unknown = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
    const { scripts } = manifest as { scripts: Readonly<Record<string, string>> }
    const atInstall = ['preinstall', 'install', 'postinstall', 'prepare']
    expect(Object.keys(scripts).filter((name) => atInstall.includes(name))).toEqual([])
  })

  it('has only rooms that the table knows', () => {
    const unknown = sources
      .filter((source) => source.path !== mainExport && !(source.room in mayImport))
      .map((source) => source.path)
    expect(unknown).toEqual([])
  })

  it('keeps to the import table', () => {
    const offences: string[] = []
    for (const source of sources) {
      if (source.path === mainExport) continue
      const allowed = [
        'base',
        source.room,
        ...(mayImport[source.room] ?? []),
        ...(mayImportMore[source.path] ?? []),
      ]
      for (const target of source.imports) {
        if (allowed.includes(roomOf(target)) && target !== mainExport) continue
        if (mayImportFile[source.room]?.includes(target) === true) continue
        offences.push(`${source.path} → ${target}`)
      }
    }
    expect(offences).toEqual([])
  })

  it('imports nothing that is not there', () => {
    const broken = sources.flatMap((source) =>
      source.imports
        .filter((target) => !sourceAt.has(target))
        .map((target) => `${source.path} → ${target}`),
    )
    expect(broken).toEqual([])
  })

  it('has no circle of files that load each other', () => {
    const state = new Map<string, 'open' | 'done'>()
    const circles: string[] = []
    const walk = (file: string, trail: readonly string[]) => {
      if (state.get(file) === 'done') return
      if (state.get(file) === 'open') {
        circles.push([...trail.slice(trail.indexOf(file)), file].join(' → '))
        return
      }
      state.set(file, 'open')
      for (const next of sourceAt.get(file)?.loads ?? []) walk(next, [...trail, file])
      state.set(file, 'done')
    }
    for (const source of sources) walk(source.path, [])
    expect(circles).toEqual([])
  })

  it('has no file that nobody imports', () => {
    const manifest = readFileSync(path.join(root, 'package.json'), 'utf8')
    const scripts = [...filesUnder('bin'), ...filesUnder('scripts')]
      .map((file) => readFileSync(path.join(root, file), 'utf8'))
      .join('\n')
    const reached = new Set(sources.flatMap((source) => [...source.imports, ...source.starts]))
    const dead = sources
      .map((source) => source.path)
      .filter((file) => !file.startsWith('commands/') && !file.endsWith('.d.ts'))
      .filter((file) => !reached.has(file))
      .filter((file) => {
        const compiled = `dist/${file.replace(/\.ts$/, '')}`
        return !manifest.includes(compiled) && !scripts.includes(compiled)
      })
    expect(dead).toEqual([])
  })

  it('exports nothing that no other file takes', () => {
    const outside = ['bin', 'scripts', 'test']
      .flatMap(filesUnder)
      .filter((file) => /\.(ts|js|mjs)$/.test(file))
      .map((file) => readFileSync(path.join(root, file), 'utf8'))
      .flatMap((text) => text.match(/\{[^{}]*\}(?= from| = await import)/g) ?? [])
      .flatMap((names) => names.match(/\w+/g) ?? [])
    const taken = new Set([...outside, ...sources.flatMap(({ takes }) => takes)])
    const dead = sources
      .filter((source) => source.path !== mainExport)
      .flatMap(({ offers, path: file }) =>
        offers.filter((name) => !taken.has(name)).map((name) => `${name} of ${file}`),
      )
    expect(dead).toEqual([])
  })

  it.each(guarded)('leaves $what to the rooms that own it', ({ rooms, found }) => {
    const offenders = sources
      .filter((source) => !rooms.includes(source.room) && found(source.uses))
      .map((source) => source.path)
    expect(offenders).toEqual([])
  })

  it('names files and folders in kebab-case, and has no barrels or leftovers drawers', () => {
    const tests = filesUnder('test').filter((file) => file.endsWith('.ts'))
    const odd = [...files, ...tests].filter((file) => {
      const parts = file.replace(/(\.test|\.d)?\.ts$/, '').split('/')
      return parts.some((part) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(part))
    })
    const barrels = files.filter((file) => file.startsWith('src/') && file.endsWith('/index.ts'))
    const drawers = files.filter((file) =>
      /\/(utils?|common|types|interfaces|helpers)\b/.test(file),
    )
    expect({ odd, barrels, drawers }).toEqual({ odd: [], barrels: [], drawers: [] })
  })

  it('keeps one oclif class a file in commands, and nothing else', () => {
    const others = sources
      .filter((source) => source.room === 'commands')
      .filter((source) => !/^export default class \w+ extends \w+/m.test(source.text))
      .map((source) => source.path)
    expect(others).toEqual([])
  })

  it('tests what exists: every test file of a room mirrors a room', () => {
    const suites = ['cli', 'sim', 'interop', 'faults', 'fuzz', 'bench']
    const strangers = filesUnder('test')
      .filter((file) => file.endsWith('.test.ts') && file.split('/').length > 2)
      .map((file) => file.split('/')[1] ?? '')
      .filter((room) => !(room in mayImport) && !suites.includes(room))
    expect(strangers).toEqual([])
  })
})

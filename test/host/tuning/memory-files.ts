/**
 * A host in memory, from a captured tree in one text file (test/host/fixtures/NAME.host):
 *
 *     -- /path --            content of a file; \t and \0 are written so
 *     -- /path -> target --  a symbolic link
 *     -- @owners --          uid by path, as JSON; root owns the rest
 *     -- @identity --        who looks, as JSON       -- @space --  statfs by path, as JSON
 *     -- @modified --        last change by path in ms, as JSON; 1970 for the rest
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type {
  FileStat,
  FileText,
  HostFiles,
  HostIdentity,
  Missing,
  Space,
} from '../../../src/host/tuning/host-files.ts'
import type { HostWriter } from '../../../src/host/tuning/host-writer.ts'

interface Node {
  kind: 'file' | 'link' | 'directory'
  text: string
  uid: number
  mode: number
}

export class MemoryHost implements HostFiles {
  identity: HostIdentity
  readonly spaces = new Map<string, Space>()
  readonly modifiedMs = new Map<string, number>()
  readonly nodes = new Map<string, Node>()
  readonly denied = new Set<string>()
  readonly gone = new Set<string>()
  readonly readOnly = new Set<string>()
  /** Called before each step that changes something. */
  beforeStep: (step: string) => void = () => undefined

  constructor(identity: HostIdentity) {
    this.identity = identity
    this.nodes.set('/', { kind: 'directory', text: '', uid: 0, mode: 0o755 })
  }

  static fixture(name: string): MemoryHost {
    const file = path.join(import.meta.dirname, '..', 'fixtures', `${name}.host`)
    return MemoryHost.parse(readFileSync(file, 'utf8'))
  }

  static parse(text: string): MemoryHost {
    const parts = text.split(/^-- (.+) --$/m).slice(1)
    const sections = new Map<string, string>()
    for (let index = 0; index < parts.length; index += 2) {
      sections.set(parts[index] ?? '', (parts[index + 1] ?? '').replace(/^\n/, ''))
    }
    const host = new MemoryHost(JSON.parse(sections.get('@identity') ?? '{}'))
    for (const [at, space] of Object.entries(JSON.parse(sections.get('@space') ?? '{}'))) {
      host.spaces.set(at, space as Space)
    }
    for (const [at, ms] of Object.entries(JSON.parse(sections.get('@modified') ?? '{}'))) {
      host.modifiedMs.set(at, Number(ms))
    }
    for (const [name, body] of sections) {
      if (name.startsWith('@')) continue
      const [file = '', target] = name.split(' -> ')
      if (target === undefined) host.set(file, body.replaceAll('\\t', '\t').replaceAll('\\0', '\0'))
      else host.symlink(file, target)
    }
    for (const [at, uid] of Object.entries(JSON.parse(sections.get('@owners') ?? '{}'))) {
      const node = host.nodes.get(at)
      if (node !== undefined) node.uid = Number(uid)
    }
    return host
  }

  set(file: string, text: string, mode = 0o644, uid = 0): this {
    this.#parents(file)
    this.nodes.set(file, { kind: 'file', text, uid, mode })
    return this
  }

  symlink(file: string, target: string): this {
    this.#parents(file)
    this.nodes.set(file, { kind: 'link', text: target, uid: 0, mode: 0o777 })
    return this
  }

  /** A file, or a whole directory. */
  without(...names: string[]): this {
    for (const name of names) {
      for (const known of [...this.nodes.keys()]) {
        if (known === name || known.startsWith(`${name}/`)) this.nodes.delete(known)
      }
    }
    return this
  }

  deny(...names: string[]): this {
    for (const name of names) this.denied.add(name)
    return this
  }

  /** Everything that can be seen, for comparison. */
  snapshot(): Record<string, string> {
    return Object.fromEntries(
      [...this.nodes]
        .map(
          ([name, node]) => [name, `${node.kind} ${node.mode.toString(8)} ${node.text}`] as const,
        )
        .sort(([one], [other]) => (one < other ? -1 : 1)),
    )
  }

  /** The same tree for `apply` and `rollback`. */
  get writer(): HostWriter {
    return {
      stat: (file) => this.stat(file),
      read: (file) => this.read(file).text,
      list: (directory) => this.list(directory) ?? [],
      mkdir: (file) => {
        this.mkdir(file)
      },
      rmdir: (file) => {
        this.rmdir(file)
      },
      create: (file, text, mode) => {
        this.create(file, text, mode)
      },
      rename: (from, to) => {
        this.rename(from, to)
      },
      unlink: (file) => {
        this.unlink(file)
      },
      setValue: (file, text) => {
        this.setValue(file, text)
      },
      refusal: (file) => (this.readOnly.has(file) ? 'EROFS' : null),
    }
  }

  read(file: string): FileText {
    const real = this.#resolve(file)
    if (this.gone.has(file)) return { text: null, missing: 'gone' }
    if (this.#isDenied(file) || (real !== null && this.#isDenied(real))) {
      return { text: null, missing: 'denied' }
    }
    const node = real === null ? undefined : this.nodes.get(real)
    if (node === undefined) return { text: null, missing: 'absent' }
    const missing: Missing = 'failed'
    return node.kind === 'file' ? { text: node.text, missing: null } : { text: null, missing }
  }

  list(directory: string): readonly string[] | null {
    const real = this.#resolve(directory)
    if (real === null || this.#isDenied(directory) || this.nodes.get(real)?.kind !== 'directory') {
      return null
    }
    const start = real === '/' ? '/' : `${real}/`
    return [...this.nodes.keys()]
      .filter(
        (name) => name !== '/' && name.startsWith(start) && !name.slice(start.length).includes('/'),
      )
      .map((name) => name.slice(start.length))
      .sort()
  }

  link(file: string): string | null {
    if (this.#isDenied(file)) return null
    const parent = this.#resolve(file.slice(0, file.lastIndexOf('/')) || '/')
    const node = this.nodes.get(`${parent === '/' ? '' : parent}/${path.posix.basename(file)}`)
    return node?.kind === 'link' ? node.text : null
  }

  stat(file: string): FileStat | null {
    const node = this.nodes.get(file)
    return node === undefined
      ? null
      : {
          kind: node.kind,
          uid: node.uid,
          gid: node.uid,
          mode: node.mode,
          device: 1,
          modifiedMs: this.modifiedMs.get(file) ?? 0,
        }
  }

  space(file: string): Space | null {
    return this.spaces.get(file) ?? null
  }

  writable(file: string): boolean | null {
    if (!this.exists(file)) return null
    return !this.readOnly.has(file)
  }

  exists(file: string): boolean {
    const real = this.#resolve(file)
    return real !== null && this.nodes.has(real)
  }

  #isDenied(file: string): boolean {
    return [...this.denied].some((name) => file === name || file.startsWith(`${name}/`))
  }

  #parents(file: string): void {
    const parts = file.split('/').slice(1, -1)
    let at = ''
    for (const part of parts) {
      at += `/${part}`
      if (!this.nodes.has(at))
        this.nodes.set(at, { kind: 'directory', text: '', uid: 0, mode: 0o755 })
    }
  }

  /** As the kernel walks a path: links on the way are followed, `..` goes up from where they led. */
  #resolve(file: string): string | null {
    const rest = file.split('/').filter((part) => part !== '')
    let at = ''
    for (let hops = 0; rest.length > 0; hops += 1) {
      if (hops > 200) return null
      const part = rest.shift() ?? ''
      if (part === '..') {
        at = at.slice(0, Math.max(0, at.lastIndexOf('/')))
        continue
      }
      const node = this.nodes.get(`${at}/${part}`)
      if (node?.kind === 'link') {
        rest.unshift(...node.text.split('/').filter((piece) => piece !== '' && piece !== '.'))
        if (node.text.startsWith('/')) at = ''
      } else {
        at += `/${part}`
      }
    }
    const real = at === '' ? '/' : at
    return this.nodes.has(real) ? real : null
  }

  mkdir(file: string): void {
    this.beforeStep(`mkdir ${file}`)
    if (this.nodes.has(file)) throw new Error(`EEXIST ${file}`)
    this.nodes.set(file, { kind: 'directory', text: '', uid: 0, mode: 0o755 })
  }

  rmdir(file: string): void {
    this.beforeStep(`rmdir ${file}`)
    this.nodes.delete(file)
  }

  create(file: string, text: string, mode: number): void {
    this.beforeStep(`create ${file}`)
    if (this.nodes.has(file)) throw new Error(`EEXIST ${file}`)
    const parent = file.slice(0, file.lastIndexOf('/')) || '/'
    if (!this.nodes.has(parent)) throw new Error(`ENOENT ${file}`)
    this.nodes.set(file, { kind: 'file', text, uid: 0, mode })
  }

  rename(from: string, to: string): void {
    this.beforeStep(`rename ${to}`)
    const node = this.nodes.get(from)
    if (node === undefined) throw new Error(`ENOENT ${from}`)
    this.nodes.set(to, node)
    this.nodes.delete(from)
  }

  unlink(file: string): void {
    this.beforeStep(`unlink ${file}`)
    if (!this.nodes.delete(file)) throw new Error(`ENOENT ${file}`)
  }

  /** As the kernel does it: bytes and ratio set each other to 0, huge pages show what is chosen. */
  setValue(file: string, text: string): void {
    this.beforeStep(`set ${file}`)
    const node = this.nodes.get(file)
    if (node === undefined) throw new Error(`ENOENT ${file}`)
    const value = text.trim()
    const chosen = node.text.includes('[')
    if (chosen) {
      node.text = node.text
        .replace(/[[\]]/g, '')
        .replace(new RegExp(`\\b${value}\\b`), `[${value}]`)
      return
    }
    const pair = /^(.*dirty_(?:background_)?)(bytes|ratio)$/.exec(file)
    if (pair !== null) {
      if (pair[2] === 'bytes' && value === '0') throw new Error('EINVAL')
      const other = this.nodes.get(`${pair[1]}${pair[2] === 'bytes' ? 'ratio' : 'bytes'}`)
      if (other !== undefined) other.text = '0\n'
    }
    node.text = `${value.replace(/ /g, '\t')}\n`
  }
}

/**
 * What should be in a topic, as a file says it: a JSON object a line, as `consume -o ndjson` writes it, or
 * a key (an id) a line. The file is read twice and never held: its names are.
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { MqError, messageOf } from '../base/errors.ts'
import type { Admin } from '../client/admin.ts'
import type { OutgoingMessage } from '../client/outgoing-message.ts'
import { TopicReader } from '../client/topic-reader.ts'
import { parseMessageJson } from './message-json.ts'

export const nameKinds = ['key', 'id'] as const
export type NameKind = (typeof nameKinds)[number]

export interface ExpectedReport {
  readonly topic: string
  readonly by: NameKind
  /** Different names in the file. */
  readonly expected: number
  readonly found: number
  readonly missing: number
  /** Messages that the file does not name, and further copies of those that it does. */
  readonly unexpected: number
  readonly copies: number
  /** Missing ones that were sent again. */
  readonly resent: number
  /** Names, the first of each. */
  readonly missingNames: readonly string[]
  readonly unexpectedNames: readonly string[]
}

const NAMES_SHOWN = 1_000

interface Line {
  readonly names: readonly string[]
  /** Null: the line is a name and no message. */
  readonly message: (OutgoingMessage & { readonly messageId?: string }) | null
}

export class ExpectedMessages {
  readonly #file: string
  readonly #by: NameKind
  /** How often each was found. */
  readonly #times = new Map<string, number>()
  readonly #unexpected: string[] = []
  #unexpectedCount = 0
  #isWhole = true

  private constructor(file: string, by: NameKind) {
    this.#file = file
    this.#by = by
  }

  /** Throws VALUE_INVALID with file and line. */
  static async read(file: string, by: NameKind): Promise<ExpectedMessages> {
    const expected = new ExpectedMessages(file, by)
    for await (const { names, message } of expected.#lines()) {
      expected.#isWhole &&= message !== null
      for (const name of names) expected.#times.set(name, 0)
    }
    return expected
  }

  /** Whether each line holds a message that can be sent. */
  get isWhole(): boolean {
    return this.#isWhole
  }

  /** Looks through the whole topic. Throws MqError. */
  async compare(admin: Admin, topic: string): Promise<void> {
    const span = { from: { kind: 'start' }, to: { kind: 'end' } } as const
    for await (const messages of await TopicReader.open(admin.client, { topic, ...span })) {
      for (const { keys, messageId } of messages) {
        const names = this.#by === 'id' ? [messageId] : keys.split(' ')
        const known = names.filter((name) => this.#times.has(name))
        for (const name of known) this.#times.set(name, (this.#times.get(name) ?? 0) + 1)
        if (known.length > 0) continue
        this.#unexpectedCount += 1
        if (this.#unexpected.length < NAMES_SHOWN) this.#unexpected.push(messageId)
      }
    }
  }

  /** Messages of the file of which no name was found, each name once. */
  async *missing(topic: string): AsyncGenerator<OutgoingMessage> {
    const sent = new Set<string>()
    for await (const { names, message } of this.#lines()) {
      const isThere = names.some((name) => (this.#times.get(name) ?? 0) > 0 || sent.has(name))
      if (isThere || message === null) continue
      for (const name of names) sent.add(name)
      yield { ...message, topic }
    }
  }

  report(topic: string, resent: number): ExpectedReport {
    const missing = [...this.#times].filter(([, times]) => times === 0).map(([name]) => name)
    const copies = [...this.#times.values()].reduce((sum, times) => sum + Math.max(0, times - 1), 0)
    return {
      topic,
      by: this.#by,
      expected: this.#times.size,
      found: this.#times.size - missing.length,
      missing: missing.length,
      unexpected: this.#unexpectedCount,
      copies,
      resent,
      missingNames: missing.slice(0, NAMES_SHOWN),
      unexpectedNames: this.#unexpected,
    }
  }

  async *#lines(): AsyncGenerator<Line> {
    const input = createReadStream(this.#file)
    let number = 0
    try {
      for await (const text of createInterface({ input, crlfDelay: Infinity })) {
        number += 1
        if (text.trim() === '') continue
        yield this.#line(text, `${this.#file}, line ${number},`)
      }
    } catch (error) {
      if (error instanceof MqError) throw error
      throw new MqError('VALUE_INVALID', {
        what: `cannot read ${this.#file}: ${messageOf(error)}`,
        hint: 'name a file with a key or a JSON object a line',
      })
    }
  }

  #line(text: string, where: string): Line {
    if (!text.startsWith('{')) return { names: [text.trim()], message: null }
    const { body, keys, tags, properties } = parseMessageJson(text, where)
    const { messageId } = JSON.parse(text) as { messageId?: unknown }
    const id = typeof messageId === 'string' && messageId !== '' ? messageId : null
    const names = this.#by === 'key' ? keys : id === null ? [] : [id]
    if (names.length === 0) {
      throw new MqError('VALUE_INVALID', {
        what: `${where} has no ${this.#by === 'key' ? 'key' : 'messageId'}`,
        hint: this.#by === 'key' ? 'compare by id with --by id' : 'compare by key with --by key',
      })
    }
    const more = { ...(tags === null ? {} : { tags }), ...(id === null ? {} : { messageId: id }) }
    return { names, message: { topic: '', body, keys, properties, ...more } }
  }
}

/** Text without a final newline. */
export function expectedText(report: ExpectedReport): string {
  const { topic, by, expected, found, missing, unexpected, copies, resent } = report
  const lines = [
    `${found} of ${expected} are in ${topic} (by ${by})`,
    ...(missing === 0
      ? []
      : [`missing     ${missing}${resent === 0 ? '' : `, ${resent} sent again`}`]),
    ...(unexpected === 0 ? [] : [`unexpected  ${unexpected}`]),
    ...(copies === 0 ? [] : [`copies      ${copies}`]),
  ]
  const names = report.missingNames.slice(0, 20)
  if (names.length > 0) lines.push('', ...names.map((name) => `  ${name}`))
  if (missing > names.length) lines.push(`  … ${missing - names.length} more`)
  return lines.join('\n')
}

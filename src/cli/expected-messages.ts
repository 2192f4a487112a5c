/**
 * What should be in a topic, as a file says it: a JSON object a line, as `consume -o ndjson` writes it, or
 * a key (an id) a line. The file is read several times and never held: its names are.
 *
 * Messages may have the same key: of each name as many are expected as the file has. The same id twice
 * is one message that was consumed twice.
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
  /** Names in the file, each as often as it is there. */
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

interface Times {
  wanted: number
  found: number
}

export class ExpectedMessages {
  readonly #file: string
  readonly #by: NameKind
  /** How often each is expected, and how often it was found. */
  readonly #times = new Map<string, Times>()
  readonly #unexpected: string[] = []
  #unexpectedCount = 0
  #isWhole = true

  private constructor(file: string, by: NameKind) {
    this.#file = file
    this.#by = by
  }

  /**
   * @param by undefined: by id when every line has one, else by key
   * Throws VALUE_INVALID with file and line.
   */
  static async read(file: string, by?: NameKind): Promise<ExpectedMessages> {
    const expected = new ExpectedMessages(file, by ?? ((await haveIds(file)) ? 'id' : 'key'))
    for await (const { names, message } of expected.#lines()) {
      expected.#isWhole &&= message !== null
      for (const name of names) {
        const times = expected.#times.get(name)
        if (times === undefined) expected.#times.set(name, { wanted: 1, found: 0 })
        else times.wanted += 1
      }
    }
    if (expected.#times.size > 0) return expected
    throw new MqError('VALUE_INVALID', {
      what: `${file} names no message`,
      hint: 'nothing expected is always there: look at what should have written the file',
    })
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
        const known = names.flatMap((name) => this.#times.get(name) ?? [])
        for (const times of known) times.found += 1
        if (known.length > 0) continue
        this.#unexpectedCount += 1
        if (this.#unexpected.length < NAMES_SHOWN) this.#unexpected.push(messageId)
      }
    }
  }

  /** Messages of the file of which no name was found, or not as often as the file has it: its last ones. */
  async *missing(topic: string): AsyncGenerator<OutgoingMessage> {
    const seen = new Map<string, number>()
    for await (const { names, message } of this.#lines()) {
      let isThere = false
      for (const name of names) {
        const nth = (seen.get(name) ?? 0) + 1
        seen.set(name, nth)
        isThere ||= nth <= (this.#times.get(name)?.found ?? 0)
      }
      if (!isThere && message !== null) yield { ...message, topic }
    }
  }

  report(topic: string, resent: number): ExpectedReport {
    let expected = 0
    let missing = 0
    let copies = 0
    const missingNames: string[] = []
    for (const [name, { wanted, found }] of this.#times) {
      expected += wanted
      missing += Math.max(0, wanted - found)
      copies += Math.max(0, found - wanted)
      if (found < wanted && missingNames.length < NAMES_SHOWN) missingNames.push(name)
    }
    return {
      topic,
      by: this.#by,
      expected,
      found: expected - missing,
      missing,
      unexpected: this.#unexpectedCount,
      copies,
      resent,
      missingNames,
      unexpectedNames: this.#unexpected,
    }
  }

  async *#lines(): AsyncGenerator<Line> {
    const ids = new Set<string>()
    let number = 0
    for await (const text of textLines(this.#file)) {
      number += 1
      if (text.trim() === '') continue
      const line = this.#line(text, `${this.#file}, line ${number},`)
      const id = line.message?.messageId
      if (id !== undefined && ids.has(id)) continue
      if (id !== undefined) ids.add(id)
      yield line
    }
  }

  #line(text: string, where: string): Line {
    if (!text.startsWith('{')) return { names: [text.trim()], message: null }
    const { body, keys, tags, properties } = parseMessageJson(text, where)
    const id = idIn(text)
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

/** Throws VALUE_INVALID when the file cannot be read. */
async function* textLines(file: string): AsyncGenerator<string> {
  try {
    yield* createInterface({ input: createReadStream(file), crlfDelay: Infinity })
  } catch (error) {
    if (error instanceof MqError) throw error
    throw new MqError('VALUE_INVALID', {
      what: `cannot read ${file}: ${messageOf(error)}`,
      hint: 'name a file with a key or a JSON object a line',
    })
  }
}

/** Whether every line is a message with an id; what is no JSON is complained about by who needs it. */
async function haveIds(file: string): Promise<boolean> {
  let lines = 0
  for await (const text of textLines(file)) {
    if (text.trim() === '') continue
    lines += 1
    try {
      if (!text.startsWith('{') || idIn(text) === null) return false
    } catch {
      return false
    }
  }
  return lines > 0
}

function idIn(text: string): string | null {
  const { messageId } = JSON.parse(text) as { messageId?: unknown }
  return typeof messageId === 'string' && messageId !== '' ? messageId : null
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

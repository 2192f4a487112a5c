/**
 * Where `produce` takes messages from: its argument, files, or stdin; a line a message, the whole
 * as one, NDJSON, or a `--format`.
 */
import { constants, createReadStream } from 'node:fs'
import { access, readFile, stat } from 'node:fs/promises'
import { MqError, systemCodeOf } from '../base/errors.ts'
import { parseMessageJson, type OutgoingMessage } from './message-json.ts'
import type { MessageFormat } from './message-format.ts'

export const inputKinds = ['lines', 'whole', 'ndjson'] as const
export type InputKind = (typeof inputKinds)[number]

export interface SourceOptions {
  readonly body: string | undefined
  readonly files: readonly string[]
  readonly input: InputKind | undefined
  readonly format: MessageFormat | null
}

/** A whole file or stdin becomes one message; beyond this it cannot be one. */
const WHOLE_BYTES_MAX = 64 * 1_048_576

/** A line that does not end is not a line. */
const LINE_BYTES_MAX = 64 * 1_048_576

const NEWLINE = 0x0a

/**
 * Messages in the order of their sources. A file without `--input` and `--format` is one message;
 * stdin is a message a line. Throws VALUE_INVALID with file and line.
 */
export async function* messagesFrom(options: SourceOptions): AsyncGenerator<OutgoingMessage> {
  if (options.body !== undefined) {
    yield plain(Buffer.from(options.body))
    return
  }
  if (options.files.length === 0) {
    yield* readStream(process.stdin, 'stdin', options.input ?? 'lines', options.format)
    return
  }
  for (const file of options.files) {
    if (file === '-') {
      yield* readStream(process.stdin, 'stdin', options.input ?? 'lines', options.format)
    } else if (options.format === null && (options.input ?? 'whole') === 'whole') {
      yield whole(await wholeFile(file), file)
    } else {
      const stream = createReadStream(file)
      yield* readStream(stream, file, options.input ?? 'lines', options.format)
    }
  }
}

/** Whether messages come from stdin. */
export function readsStdin({ body, files }: SourceOptions): boolean {
  return body === undefined && (files.length === 0 || files.includes('-'))
}

/** So that nothing is sent when one of the files cannot be read. Throws VALUE_INVALID. */
export async function checkFiles(files: readonly string[]): Promise<void> {
  for (const file of files) {
    if (file === '-') continue
    try {
      await access(file, constants.R_OK)
    } catch (error) {
      const why = systemCodeOf(error) === 'ENOENT' ? 'is not there' : 'is not readable'
      throw new MqError('VALUE_INVALID', {
        what: `${file} ${why}`,
        hint: 'check the path of --file',
      })
    }
    if ((await stat(file)).isDirectory()) {
      throw new MqError('VALUE_INVALID', {
        what: `${file} is a directory`,
        hint: 'name files; --file may be repeated',
      })
    }
  }
}

async function wholeFile(file: string): Promise<Buffer> {
  const { size } = await stat(file)
  if (size > WHOLE_BYTES_MAX) throw tooLong(file)
  return readFile(file)
}

async function* readStream(
  stream: NodeJS.ReadableStream,
  name: string,
  kind: InputKind,
  format: MessageFormat | null,
): AsyncGenerator<OutgoingMessage> {
  if (format !== null) yield* readFormatted(stream, name, format)
  else if (kind === 'whole') yield whole(await wholeStream(stream, name), name)
  else yield* readLines(stream, name, kind)
}

async function wholeStream(stream: NodeJS.ReadableStream, name: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream) {
    const part = asBuffer(chunk)
    bytes += part.length
    if (bytes > WHOLE_BYTES_MAX) throw tooLong(name)
    chunks.push(part)
  }
  return Buffer.concat(chunks)
}

async function* readLines(
  stream: NodeJS.ReadableStream,
  name: string,
  kind: InputKind,
): AsyncGenerator<OutgoingMessage> {
  let number = 0
  for await (const line of linesOf(stream, name)) {
    number += 1
    if (kind === 'lines') yield plain(line)
    else if (line.length > 0) yield parseMessageJson(line.toString(), `${name}, line ${number},`)
  }
}

/** Lines without their end, `\n` or `\r\n`; a last line may lack it. */
async function* linesOf(stream: NodeJS.ReadableStream, name: string): AsyncGenerator<Buffer> {
  let rest: Buffer[] = []
  let restBytes = 0
  for await (const piece of stream) {
    const chunk = asBuffer(piece)
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      rest.push(chunk.subarray(start, end))
      yield withoutReturn(Buffer.concat(rest))
      rest = []
      restBytes = 0
      start = end + 1
    }
    if (start === chunk.length) continue
    rest.push(chunk.subarray(start))
    restBytes += chunk.length - start
    if (restBytes > LINE_BYTES_MAX) throw tooLong(name)
  }
  if (rest.length > 0) yield withoutReturn(Buffer.concat(rest))
}

async function* readFormatted(
  stream: NodeJS.ReadableStream,
  name: string,
  format: MessageFormat,
): AsyncGenerator<OutgoingMessage> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of stream) {
    const read = format.read(Buffer.concat([rest, asBuffer(chunk)]), false)
    yield* read.messages.map(outgoing)
    rest = read.rest
    if (rest.length > LINE_BYTES_MAX) throw tooLong(name)
  }
  yield* format.read(rest, true).messages.map(outgoing)
}

function outgoing(parsed: ReturnType<MessageFormat['read']>['messages'][number]): OutgoingMessage {
  const { body, keys, tags, properties } = parsed
  return {
    body,
    keys: keys === null ? [] : keys.split(' ').filter((key) => key !== ''),
    tags: tags === '' ? null : tags,
    properties,
  }
}

/** One message was asked for, so nothing at all is a mistake. */
function whole(body: Buffer, name: string): OutgoingMessage {
  if (body.length > 0) return plain(body)
  throw new MqError('VALUE_INVALID', {
    what: `${name} is empty, and brokers take no message without a body`,
    hint: 'with --input lines, a source without lines is no message and no error',
  })
}

function plain(body: Buffer): OutgoingMessage {
  return { body, keys: [], tags: null, properties: {} }
}

function withoutReturn(line: Buffer): Buffer {
  return line.at(-1) === 0x0d ? line.subarray(0, -1) : line
}

function asBuffer(chunk: Buffer | string): Buffer {
  return typeof chunk === 'string' ? Buffer.from(chunk) : chunk
}

function tooLong(name: string): MqError {
  return new MqError('VALUE_INVALID', {
    what: `${name} has a message above 64 MiB`,
    hint: 'brokers take 4 MiB by default; split it, or send lines with --input lines',
  })
}

/**
 * A support archive: one .tar.gz with what somebody needs who was not there, and no secrets. Every
 * text passes `redact`; of the environment and of broker.conf only listed names are kept.
 */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { MqError, messageOf } from '../../base/errors.ts'
import { judgedKeys } from '../tuning/broker-conf.ts'
import { harmlessEnvironment, redact, redactProperties, redactValue } from './redact.ts'

export interface BundleParts {
  readonly doctor: object
  /** Report and facts of tune-os; null where the host cannot be judged. */
  readonly report: object | null
  readonly facts: object | null
  readonly env: Readonly<Record<string, string | undefined>>
  readonly argv: readonly string[]
  /** What instances say of themselves. */
  readonly instances: readonly object[]
  /** Logs, by file name. */
  readonly logs: readonly { readonly name: string; readonly path: string }[]
  readonly brokerConf: string | null
  readonly nowMs: number
}

const LOG_BYTES_MAX = 1_048_576

/** Writes it, for this user only. Throws VALUE_INVALID when the file is there already or cannot be made. */
export function writeBundle(file: string, parts: BundleParts): { bytes: number; files: string[] } {
  const entries = entriesOf(parts)
  const archive = gzipSync(tar(entries, parts.nowMs))
  let handle: number
  try {
    handle = openSync(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  } catch (error) {
    throw new MqError(
      'VALUE_INVALID',
      {
        what: `${file} cannot be written: ${messageOf(error)}`,
        hint: 'name a file that does not exist yet, in a directory of yours',
      },
      { cause: error },
    )
  }
  try {
    for (let at = 0; at < archive.length;) at += writeSync(handle, archive, at)
  } finally {
    closeSync(handle)
  }
  return { bytes: archive.length, files: entries.map(({ name }) => name) }
}

interface Entry {
  readonly name: string
  readonly text: string
}

function entriesOf(parts: BundleParts): Entry[] {
  const json = (value: unknown) => `${JSON.stringify(redactValue(value), null, 2)}\n`
  const shown = new Set<string>(judgedKeys)
  return [
    { name: 'README', text: readme },
    { name: 'doctor.json', text: json(parts.doctor) },
    ...(parts.report === null ? [] : [{ name: 'tune-os.json', text: json(parts.report) }]),
    ...(parts.facts === null ? [] : [{ name: 'facts.json', text: json(parts.facts) }]),
    { name: 'environment.json', text: json(harmlessEnvironment(parts.env)) },
    { name: 'command.txt', text: `${redact(parts.argv.join(' '))}\n` },
    { name: 'instances.json', text: json(parts.instances) },
    ...(parts.brokerConf === null
      ? []
      : [
          {
            name: 'broker.conf',
            text: `${redactProperties(fileText(parts.brokerConf) ?? '', shown)}\n`,
          },
        ]),
    ...parts.logs.flatMap(({ name, path }) => {
      const text = fileText(path)
      return text === null
        ? []
        : [{ name: `logs/${name}`, text: redact(text.slice(-LOG_BYTES_MAX)) }]
    }),
  ]
}

const readme = `What mqctl doctor saw, for somebody who was not there. Values that could be secrets are hidden;
of the environment and of broker.conf only a fixed list of names is kept. Look through it before you
send it: logs and names of topics may still say what you would rather keep.
`

function fileText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/** A ustar archive. Source: POSIX.1-2008, pax, "ustar Interchange Format". */
function tar(entries: readonly Entry[], nowMs: number): Buffer {
  const blocks: Buffer[] = []
  for (const { name, text } of entries) {
    const body = Buffer.from(text)
    const head = Buffer.alloc(512)
    const field = (value: string, at: number) => head.write(value, at, 'latin1')
    const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`
    field(`mqctl-doctor/${name}`.slice(0, 99), 0)
    field(octal(0o600, 7), 100)
    field(octal(0, 7), 108)
    field(octal(0, 7), 116)
    field(octal(body.length, 11), 124)
    field(octal(Math.floor(nowMs / 1_000), 11), 136)
    field('        ', 148)
    field('0', 156)
    field('ustar\u000000', 257)
    const sum = head.reduce((total, byte) => total + byte, 0)
    field(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    blocks.push(head, body, Buffer.alloc((512 - (body.length % 512)) % 512))
  }
  return Buffer.concat([...blocks, Buffer.alloc(1_024)])
}

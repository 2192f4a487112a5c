/** Log lines for people: `08:00:00.120 INFO  broker-a store  opened  path=/… took=12 ms`. */
import type { LogLine } from '../engine/log-reader.ts'
import { jsonText } from './output.ts'
import type { ChalkInstance } from 'chalk'

export function logText(line: LogLine, colors: ChalkInstance): string {
  const time = line.timeMs > 0 ? new Date(line.timeMs).toISOString().slice(11, 23) : ''.padEnd(12)
  const level = line.level.toUpperCase().padEnd(5)
  const paint =
    line.level === 'error' || line.level === 'fatal'
      ? colors.red
      : line.level === 'warn'
        ? colors.yellow
        : colors.green
  const { room, ...rest } = line.fields
  const fields = Object.entries(rest).map(
    ([key, value]) => `${colors.dim(`${key}=`)}${plain(value)}`,
  )
  const where = typeof room === 'string' ? `${line.role} ${room}` : line.role
  return [colors.dim(time), paint(level), colors.bold(where), escape(line.text), ...fields].join(
    ' ',
  )
}

function plain(value: unknown): string {
  const text = typeof value === 'string' ? value : jsonText(value)
  return escape(/[\s"=]/.test(text) && !text.startsWith('{') ? JSON.stringify(text) : text)
}

// Log lines carry names from the wire; they must not be able to steer a terminal.
function escape(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '�')
}

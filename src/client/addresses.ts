/** Lists of name servers as people write them. */
import { MqError } from '../base/errors.ts'

const NAME_SERVER_PORT = 9876

/**
 * `host:port;host:port` (commas and blanks separate too; the port may be left out) → addresses
 * without repetition. Throws MqError USAGE when there is none or one is malformed.
 */
export function parseNameServers(list: string | readonly string[]): string[] {
  const texts = typeof list === 'string' ? [list] : list
  const addresses = texts
    .flatMap((text) => text.split(/[;,\s]+/))
    .filter((text) => text !== '')
    .map(withPort)
  if (addresses.length === 0) {
    throw new MqError('USAGE', { what: 'no name server was given' })
  }
  return [...new Set(addresses)]
}

function withPort(text: string): string {
  const match = /^(?:\[([^\]]+)\]|([^:/]+))(?::(\d{1,5}))?$/.exec(text)
  const port = Number(match?.[3] ?? NAME_SERVER_PORT)
  if (match === null || port < 1 || port > 65_535) {
    throw new MqError('USAGE', {
      what: `${text} is not the address of a name server (HOST:PORT)`,
    })
  }
  const host = match[1] === undefined ? match[2] : `[${match[1]}]`
  return `${host}:${port}`
}

/**
 * Configuration as text, a `key=value` a line: bodies of GET_/UPDATE_BROKER_CONFIG and
 * GET_/UPDATE_NAMESRV_CONFIG. Source: apache/rocketmq common/…/MixAll.java properties2String, string2Properties.
 */

/** Lines without `=` have an empty value; blank lines and comments (#, !) are left out. */
export function parsePropertiesText(body: Buffer | string | null): Map<string, string> {
  const properties = new Map<string, string>()
  const text = body === null ? '' : body.toString()
  for (const line of text.split(/\r\n|\r|\n/)) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#') || trimmed.startsWith('!')) continue
    const separator = trimmed.search(/[=:]/)
    const key = (separator < 0 ? trimmed : trimmed.slice(0, separator)).trim()
    const value = separator < 0 ? '' : trimmed.slice(separator + 1).trim()
    if (key !== '') properties.set(unescape(key), unescape(value))
  }
  return properties
}

/** Sorted by key. A line break in a value becomes an escape, so that no value can add a line. */
export function formatPropertiesText(properties: ReadonlyMap<string, string>): string {
  return [...properties]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${escape(key)}=${escape(value)}\n`)
    .join('')
}

function escape(text: string): string {
  return text.replace(/[\\\r\n]/g, (char) =>
    char === '\\' ? '\\\\' : char === '\n' ? '\\n' : '\\r',
  )
}

function unescape(text: string): string {
  return text.replace(/\\(.)/g, (_, char: string) =>
    char === 'n' ? '\n' : char === 'r' ? '\r' : char === 't' ? '\t' : char,
  )
}

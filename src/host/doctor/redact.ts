/** Takes out what could be a secret. Rather too much than too little. */

const HIDDEN = '(hidden)'

/** Names whose values are never shown. */
const secretName =
  /(secret|passw|passphrase|pwd|token|credential|private|access[-_.]?key|api[-_.]?key|auth|cookie|session[-_.]?key|signature|keystore|jaas|sasl|^[as]k$)/i

function isSecretName(name: string): boolean {
  return secretName.test(name)
}

/** `key=value`, `key: value`, `"key":"value"`, `--key value`, `user:pass@host` inside any text. */
export function redact(text: string): string {
  // All before the last @ of an address: passwords hold colons, slashes and @ as well.
  const addresses = text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s"'<>]*@/gi, `$1${HIDDEN}@`)
  const known = addresses
    .replace(/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, HIDDEN)
    .replace(/-----BEGIN [^-]+-----[\s\S]*?(-----END [^-]+-----|$)/g, HIDDEN)
    .replace(/\b(Bearer|Basic)\s+[A-Za-z0-9+/._~=-]{6,}/gi, `$1 ${HIDDEN}`)
  return assignments(known).replace(
    /(--?[\w.-]+)(\s+)(?!-)(\S+)/g,
    (whole, name: string, between: string) =>
      isSecretName(name) ? `${name}${between}${HIDDEN}` : whole,
  )
}

/** Secrets hide inside of values as well: a log line in JSON, options in the address of a database. */
function assignments(text: string): string {
  return text.replace(
    /(\\*["']?)([\w.-]+)\1(\s*[:=]\s*)(\\+"[\s\S]*?\\+"|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;}&]+)/g,
    (_, quote: string, name: string, between: string, value: string) =>
      `${quote}${name}${quote}${between}${isSecretName(name) ? `"${HIDDEN}"` : assignments(value)}`,
  )
}

/** Environment variables that explain a fault and hold no secret. */
const harmless = [
  'CI',
  'COLORTERM',
  'DEBUG',
  'FORCE_COLOR',
  'HOME',
  'JAVA_HOME',
  'LANG',
  'LC_ALL',
  'LC_CTYPE',
  'MQCTL_NAMESRV',
  'NAMESRV_ADDR',
  'NODE_ENV',
  'NO_COLOR',
  'PATH',
  'ROCKETMQ_HOME',
  'SHELL',
  'TERM',
  'TMPDIR',
  'UV_THREADPOOL_SIZE',
  'XDG_CACHE_HOME',
  'XDG_CONFIG_HOME',
  'XDG_DATA_HOME',
  'XDG_STATE_HOME',
] as const

/** Only variables of a list; of the others not even the names. */
export function harmlessEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  return Object.fromEntries(
    harmless.flatMap((name) => {
      const value = env[name]
      return value === undefined ? [] : [[name, redact(value)]]
    }),
  )
}

/** A properties file: values of listed keys are shown, of the others only the key. */
export function redactProperties(text: string, shown: ReadonlySet<string>): string {
  return text
    .split(/\r?\n/)
    .flatMap((line) => {
      const key = /^\s*([\w.-]+)\s*[=:]/.exec(line)?.[1]
      if (key === undefined) return []
      return [shown.has(key) && !isSecretName(key) ? line.trim() : `${key}=${HIDDEN}`]
    })
    .join('\n')
}

/** A JSON value with members of secret names hidden at any depth, and texts redacted. */
export function redactValue(value: unknown): unknown {
  if (typeof value === 'string') return redact(value)
  if (Array.isArray(value)) return value.map(redactValue)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      isSecretName(name) && typeof inner !== 'boolean' ? HIDDEN : redactValue(inner),
    ]),
  )
}

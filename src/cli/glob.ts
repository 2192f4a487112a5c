/** `order*`, `audit-?`: whole names, `*` any letters, `?` one. */
export function globMatcher(pattern: string): (name: string) => boolean {
  const source = pattern
    .split('')
    .map((char) => {
      if (char === '*') return '.*'
      return char === '?' ? '.' : char.replace(/[\\^$.|+()[\]{}]/, '\\$&')
    })
    .join('')
  const regex = new RegExp(`^${source}$`, 's')
  return (name) => regex.test(name)
}

const LENGTH_MAX = 300

/**
 * A stranger's text as one short line: control characters, which a terminal would obey and a log would
 * take for lines of its own, are shown as `·`.
 */
export function plainLine(text: string): string {
  const plain = text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '·')
  return plain.length <= LENGTH_MAX ? plain : `${plain.slice(0, LENGTH_MAX)}…`
}

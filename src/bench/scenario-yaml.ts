/** The YAML of a scenario: what is wrong with it as YAML, before anybody asks what it means. */
import { type Document, type LineCounter, isMap, parseDocument, visit } from 'yaml'
import type { Mapping } from './scenario-bases.ts'
import { invalid } from './scenario-places.ts'

/** Throws MqError SCENARIO_INVALID with file, line and column. */
export function readYaml(
  text: string,
  file: string,
  lines: LineCounter,
): { document: Document; own: Mapping } {
  const document = parseDocument(text, { lineCounter: lines, strict: true, uniqueKeys: true })
  const [fault] = document.errors
  if (fault !== undefined) {
    const place = placeAt(file, lines, fault.pos[0])
    if (fault.code === 'MULTIPLE_DOCS') {
      const hint = 'a file is one scenario: take out the --- and what follows'
      throw invalid(place, 'there is more than one document', hint)
    }
    const what = fault.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? ''
    throw invalid(place, what, 'a scenario is YAML: mind indentation and colons')
  }
  if (!isMap(document.contents)) {
    throw invalid(`${file}:1:1`, 'a scenario is a mapping of keys', 'see mqctl bench show smoke')
  }
  checkAliases(document, file, lines)
  return { document, own: plain(document, file) }
}

/** An alias is looked up only when values are made of the document: nothing has checked it before. */
function checkAliases(document: Document, file: string, lines: LineCounter): void {
  visit(document, {
    Alias(_, alias, above) {
      const place = placeAt(file, lines, alias.range?.[0] ?? 0)
      const anchored = alias.resolve(document)
      if (anchored === undefined) {
        const hint = `give a value above it the anchor &${alias.source}, or put the text that begins with * in quotes`
        throw invalid(place, `nothing above has the anchor of *${alias.source}`, hint)
      }
      if (above.includes(anchored)) {
        throw invalid(place, `*${alias.source} stands inside of itself`, 'write the values out')
      }
    },
  })
}

function plain(document: Document, file: string): Mapping {
  try {
    return document.toJS() as Mapping
  } catch (error) {
    // The one thing that is left: aliases of aliases, which grow without end.
    if (!(error instanceof ReferenceError)) throw error
    const what = 'its aliases stand for far more than the file holds'
    throw invalid(`${file}:1:1`, what, 'write the values out')
  }
}

function placeAt(file: string, lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset)
  return `${file}:${line}:${col}`
}

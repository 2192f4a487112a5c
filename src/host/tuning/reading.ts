/** Single values out of files: text with its source, or why there is none. */
import type { Reading } from './facts.ts'
import type { HostFiles } from './host-files.ts'

/** The trimmed text of a small file. */
export function readingOf(files: HostFiles, path: string): Reading {
  const { text, missing } = files.read(path)
  return { source: path, text: text === null ? null : text.trim(), missing }
}

export function textOf(files: HostFiles, path: string): string | null {
  return files.read(path).text
}

export function numberIn(files: HostFiles, path: string): number | null {
  const text = textOf(files, path)?.trim()
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : null
}

export function joined(directory: string, name: string): string {
  return directory === '/' ? `/${name}` : `${directory}/${name}`
}

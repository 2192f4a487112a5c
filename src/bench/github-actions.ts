/** The step summary of GitHub Actions: a file that the runner names, to which every step appends Markdown. */
import { appendFileSync } from 'node:fs'
import { MqError, messageOf } from '../base/errors.ts'

export interface ActionsPlace {
  /** Lines for the runner are understood. */
  readonly isActions: boolean
  /** Where Markdown goes; null when there is no such place. */
  readonly summaryFile: string | null
}

export function actionsPlace(env: Readonly<Record<string, string | undefined>>): ActionsPlace {
  const file = env['GITHUB_STEP_SUMMARY'] ?? ''
  return {
    isActions: env['GITHUB_ACTIONS'] === 'true',
    summaryFile: file === '' ? null : file,
  }
}

/** Throws MqError OUTPUT_UNWRITABLE. */
export function appendSummary(file: string, markdown: string): void {
  try {
    appendFileSync(file, `${markdown}\n`)
  } catch (error) {
    throw new MqError('OUTPUT_UNWRITABLE', { path: file, why: messageOf(error) }, { cause: error })
  }
}

/**
 * Where the library rooms report changes of state: one line a change, never a message's progress.
 * Fields carry their units in the key.
 */
export type LogFields = Readonly<Record<string, string | number | boolean | null>>

export interface Logger {
  info(text: string, fields?: LogFields): void
  warn(text: string, fields?: LogFields): void
  error(text: string, fields?: LogFields): void
  /** Same sink, with the room's name in front. */
  scope(room: string): Logger
}

export const silentLogger: Logger = {
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  scope: () => silentLogger,
}

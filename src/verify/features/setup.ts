/** What a feature is put to: the messages, who reads them, and what goes wrong on purpose. */
import type { OutgoingMessage } from '../../client/outgoing-message.ts'
import type { Decision } from '../history.ts'

/** Beside topic, key and body, which every message has. */
export type Shape = Pick<OutgoingMessage, 'tags' | 'properties' | 'orderKey'> &
  Pick<OutgoingMessage, 'delayLevel' | 'delayMs'> & {
    /** What the delay comes to, milliseconds. */
    readonly dueMs?: number
    /** Readers that are to get it; all when missing. */
    readonly to?: readonly string[]
  }

export interface ReaderSetup {
  /** Its name in the history. */
  readonly reader: string
  readonly group: string
  readonly tags?: string
  readonly sql?: string
  /**
   * Whether a try fails. `tries` counts those that the broker knows of, `here` those of this place at
   * this member.
   */
  readonly fails?: (value: string, tries: number, here: number) => boolean
}

export interface FeatureSetup {
  readonly readers: readonly ReaderSetup[]
  readonly ordered: boolean
  readonly broadcast: boolean
  readonly retriesMax: number | null
  readonly shape: (value: string, writer: number, counter: number) => Shape
  /** Transactions: what the producer says at once, and what it will say when it is asked. */
  readonly decide?: (value: string) => { readonly first: Decision | 'unknown'; fate: Decision }
}

export interface SetupInput {
  readonly seed: number
  /** Groups begin with it. */
  readonly prefix: string
}

/**
 * What happened in a run, event by event: what was tried, what was answered, what came, what became
 * of it. One line of NDJSON each; the first line is the head, the last one closes the file. A checker
 * needs nothing else.
 *
 *   {"h":1,"run":"7c1e…","feature":"order","seed":42,"at":"2026-…","version":"1.0.0","plan":{…}}
 *   {"i":0,"t":90123456,"f":"send","e":"invoke","v":"3-118","k":"key-3"}
 *   {"i":1,"t":90991234,"f":"send","e":"ok","v":"3-118","q":"broker-a/2","o":5121}
 *   {"i":9,"t":91200000,"f":"deliver","v":"3-118","g":"readers","p":1,"q":"broker-a/2","o":5121,"n":0}
 *   {"i":10,"t":…,"f":"close","wallMs":5012,"sha256":"…"}
 *
 * `i` has no gaps. `t` is nanoseconds on the one monotonic clock of the process that recorded it, from
 * the head on. `v` names a message: writer-counter, both whole numbers.
 */
export const features = ['order', 'delay', 'txn', 'retry', 'filter', 'broadcast'] as const
export type Feature = (typeof features)[number]

export function isFeature(text: string): text is Feature {
  return (features as readonly string[]).includes(text)
}

export interface Plan {
  readonly topic: string
  /**
   * Who is to get each message unless its send names fewer: a group, or `group/number` for each
   * member of a group that broadcasts.
   */
  readonly readers: readonly string[]
  /** Whether a queue is handed out one message after the other. */
  readonly ordered: boolean
  /** Whether messages are seen only when they were committed. */
  readonly transactional: boolean
  /** The brokers have settings of their own: when they ask about open transactions is theirs. Missing: false. */
  readonly foreign?: boolean
  /** Deliveries after the first, at most; null: no bound. */
  readonly retriesMax: number | null
  /** How often the broker is to be killed. */
  readonly kills: number
}

export interface HistoryHead {
  readonly h: 1
  readonly run: string
  readonly feature: Feature
  readonly seed: number
  /** ISO 8601. */
  readonly at: string
  /** Of the program that recorded it. */
  readonly version: string
  readonly plan: Plan
}

/** Why a body is not what was sent; its message cannot be named then. */
export type BodyFault = 'checksum' | 'length' | 'stranger' | 'attributes'

/** `commit` or `rollback`: what a producer says of a half message. */
export type Decision = 'commit' | 'rollback'

interface Place {
  /** `broker/queueId`, or `group/retry/broker/queueId` of a group's retry topic. */
  readonly q: string
  readonly o: number
}

interface Seen extends Place {
  /** Null: the body does not say. */
  readonly v: string | null
  readonly bad?: BodyFault
}

interface Handled extends Place {
  readonly v: string
  readonly g: string
  readonly p: number
}

/** `ok`: stored. `fail`: certainly not. `info`: nobody knows. */
export type EventBody =
  | {
      readonly f: 'send'
      readonly e: 'invoke'
      readonly v: string
      /** Order key: messages with the same one keep their order. */
      readonly k?: string
      /** Milliseconds before which nobody may see it. */
      readonly d?: number
      /** Readers that are to get it; all of the plan when missing. */
      readonly to?: readonly string[]
    }
  | {
      readonly f: 'send'
      readonly e: 'ok'
      readonly v: string
      /** Where it is stored in the topic; missing when it is kept elsewhere first. */
      readonly q?: string
      readonly o?: number
    }
  | { readonly f: 'send'; readonly e: 'fail' | 'info'; readonly v: string; readonly why: string }
  | {
      readonly f: 'end'
      readonly e: 'invoke' | 'ok' | 'info'
      readonly v: string
      readonly is: Decision
    }
  /** The broker asked; `is` was answered. */
  | { readonly f: 'check'; readonly v: string; readonly is: Decision }
  | ({
      readonly f: 'deliver'
      readonly g: string
      readonly p: number
      /** Tries before this one. */
      readonly n: number
    } & Seen)
  | ({ readonly f: 'ack' } & Handled)
  /** `d`: milliseconds before which it may not come again; `n` as in its delivery. */
  | ({ readonly f: 'nack'; readonly n: number; readonly d?: number } & Handled)
  /** Found among the dead letters of a group. */
  | ({ readonly f: 'dead'; readonly g: string } & Seen)
  /** Found in the topic when all was over. */
  | ({ readonly f: 'read' } & Seen)
  | {
      readonly f: 'fault'
      readonly e: 'start' | 'end'
      readonly n: 'kill9'
      readonly on: string
      /** Whether it had its effect. */
      readonly took?: boolean
    }
  /** Whether everything that is stored was read in the end. */
  | { readonly f: 'drain'; readonly e: 'ok' | 'info'; readonly why?: string }
  | {
      readonly f: 'close'
      /** What the wall clock says has passed since the head, to tell whether it was moved. */
      readonly wallMs: number
      /** Of all lines before this one with their newlines; missing in memory. */
      readonly sha256?: string
    }

export type HistoryEvent = EventBody & { readonly i: number; readonly t: number }

/** `writer-counter` as numbers; null when it is not one. */
export function splitValue(value: string): readonly [writer: number, counter: number] | null {
  const match = /^(\d{1,6})-(\d{1,9})$/.exec(value)
  return match === null ? null : [Number(match[1]), Number(match[2])]
}

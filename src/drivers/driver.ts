/**
 * What a benchmark needs of a messaging system, and no more. A driver is small: it makes topics,
 * opens lines to produce and to consume, and tells what the brokers say of themselves.
 *
 * The two lines are built for rate: no promise, closure or object a message. Whoever drives them
 * works in *turns*. A turn starts when bytes have arrived (or with `turn()`); the line reads the
 * clock once, hands over what arrived, and sends everything that was staged meanwhile with one
 * write a connection when the turn ends. `nowNs` is that one reading.
 */

/** One queue of a topic at one broker. Lanes are numbered 0 … n−1 in the order of topics, broker names and queue ids. */
export interface Lane {
  readonly topic: string
  readonly broker: string
  /** HOST:PORT. */
  readonly address: string
  readonly queueId: number
}

/** Outcomes below zero are the driver's own; others are the system's answer codes, 0 is success. */
export const LocalOutcome = {
  timeout: -1,
  connectionLost: -2,
  /** A one-way message was handed to the network; nobody will ever answer it. */
  unanswered: -3,
  /** A consumer could not work on a message, and reads it again. */
  processingFailed: -4,
} as const

/** The name of an outcome that is the driver's own; null of all others. */
export function localOutcomeName(outcome: number): string | null {
  switch (outcome) {
    case LocalOutcome.timeout:
      return 'TIMEOUT'
    case LocalOutcome.connectionLost:
      return 'CONNECTION_LOST'
    case LocalOutcome.unanswered:
      return 'UNANSWERED'
    case LocalOutcome.processingFailed:
      return 'PROCESSING_FAILED'
    default:
      return null
  }
}

/** What messages of one kind carry beside their body. */
export interface MessageKind {
  /** A tag that consumers can filter by; null for none. */
  readonly tag: string | null
  readonly properties: Readonly<Record<string, string>>
}

/** Keys are a letter and so many digits, so that a patch never moves a byte. */
export const KEY_DIGITS = 9

export interface ProducerOptions {
  /** Their lanes, one topic's behind the other's, are the lanes of the line. */
  readonly topics: readonly string[]
  readonly group: string
  /** Concurrent synchronous senders: messages under way at once, 1 … 65,536. */
  readonly slots: number
  readonly timeoutMs: number
  /** Kinds of message, at least one; a send names one by its index. */
  readonly kinds: readonly MessageKind[]
  /** Each message has a key. */
  readonly keyed: boolean
  /** Nobody answers: a slot is free again when the kernel has taken its bytes. */
  readonly oneWay: boolean
}

export interface ProducerEvents {
  /** The message of this slot has its outcome; the slot is free and may be used at once. */
  onSettled(slot: number, outcome: number): void
  /** Nothing can be sent any more. What is under way settles as lost right after this. */
  onBroken(why: string): void
}

export interface ProducerLine {
  readonly lanes: readonly Lane[]
  /** The clock of this turn: monotonic nanoseconds of this host, exact to a few. */
  readonly nowNs: number
  /** Bytes handed to the network so far, headers and framing of the protocol included. */
  readonly sentBytes: number
  /**
   * Stages one message with body bytes [start, end), which are copied. The slot must be free.
   *
   * @param kind index in the line's kinds
   * @param key 0 … 999,999,999; of a line without keys it is not looked at
   */
  send(
    slot: number,
    lane: number,
    body: Buffer,
    start: number,
    end: number,
    kind: number,
    key: number,
  ): void
  /** Adds a message to the batch that `sendBatch` sends; its body is copied. */
  addToBatch(body: Buffer, start: number, end: number, kind: number, key: number): void
  /** Stages what was added as one request: one answer for all of it. The slot must be free. */
  sendBatch(slot: number, lane: number): void
  /** Runs `work` as a turn of its own, for the first messages. */
  turn(work: () => void): void
  /** Answers that fit no message under way: late ones, duplicates. */
  readonly strayAnswers: number
  close(): void
}

export interface ConsumerOptions {
  readonly topics: readonly string[]
  readonly group: string
  /** Lanes this consumer reads alone, with the queue offset to start at. */
  readonly lanes: readonly { readonly lane: number; readonly offset: number }[]
  /** Messages asked for at once. */
  readonly batch: number
  /** Work on each message before its lane is read on, milliseconds; 0 for none. */
  readonly processingMs: number
  /** Rest of a lane before a message that could not be worked on is read again, milliseconds. */
  readonly retryMs: number
  /** How long a broker may hold a request for which there is nothing, milliseconds. */
  readonly holdMs: number
}

export interface ConsumerEvents {
  /**
   * Asked before each message: false when it cannot be worked on now. It is not handed over then;
   * its lane rests and goes on with it, as an ordered consumer does. Without it all are taken.
   */
  readonly accepts?: (lane: number) => boolean
  /** One message; its body is bytes [start, end), valid during the call. */
  onMessage(lane: number, queueOffset: number, bytes: Buffer, start: number, end: number): void
  /** An answer is dealt with: where this lane is, and where its end is. */
  onProgress(lane: number, nextOffset: number, endOffset: number): void
  /** A request failed and will be repeated. */
  onTrouble(lane: number, outcome: number): void
  onBroken(why: string): void
}

export interface ConsumerLine {
  readonly nowNs: number
  /** Starts to read every lane. */
  start(): void
  /** Asks for nothing new; what was asked for still comes. */
  pause(): void
  /** Goes on with every lane. */
  resume(): void
  readonly receivedBytes: number
  /** Answers with at least one message, for the mean batch. */
  readonly batches: number
  close(): void
}

export interface LaneOffsets {
  readonly lane: number
  readonly minOffset: number
  /** Where the next message will be put. */
  readonly endOffset: number
}

export interface BrokerFacts {
  readonly name: string
  readonly address: string
  readonly cluster: string
  readonly version: string | null
  /** Effective settings that bear on durability and cost, as the broker names them. */
  readonly settings: Readonly<Record<string, string>>
  /** Figures of the running broker, as it names them. */
  readonly runtime: Readonly<Record<string, string>>
  readonly inside: BrokerInside
}

/** What a broker's process says of its inside; counters since it started. Null where it does not say. */
export interface BrokerInside {
  readonly pid: number | null
  readonly gcCount: number | null
  readonly gcPauseMs: number | null
  readonly eventLoopP99Ms: number | null
  readonly eventLoopMaxMs: number | null
  readonly fsyncCount: number | null
  readonly fsyncTotalMs: number | null
  readonly fsyncMaxMs: number | null
}

/** What an acknowledgement of a broker stands for. */
export interface Durability {
  readonly profile: 'memory' | 'page-cache' | 'fsync' | 'unknown'
  /** In plain words. */
  readonly acknowledged: string
  /** Read back from the broker, or taken from the scenario. */
  readonly verifiedBy: 'broker' | 'declared'
}

export interface Driver {
  readonly name: string
  /** Makes the topic with `queues` queues on every broker and waits until it can be used. True when it was new. */
  createTopic(topic: string, queues: number): Promise<boolean>
  deleteTopic(topic: string): Promise<void>
  /** Makes a consumer group on every broker, for those that do not make them by themselves. */
  createGroup(group: string): Promise<void>
  /** Forgets a consumer group and its progress. */
  deleteGroup(group: string): Promise<void>
  /** The lanes of the topics, in their order, each topic's sorted. Throws MqError TOPIC_NOT_FOUND. */
  lanes(topics: readonly string[]): Promise<Lane[]>
  openProducer(options: ProducerOptions, events: ProducerEvents): Promise<ProducerLine>
  openConsumer(options: ConsumerOptions, events: ConsumerEvents): Promise<ConsumerLine>
  /** By lane, in the order given. */
  offsets(lanes: readonly Lane[]): Promise<LaneOffsets[]>
  /** By lane: the first queue offset that was stored at a moment or after it. */
  offsetsAt(lanes: readonly Lane[], wallMs: number): Promise<number[]>
  brokerFacts(): Promise<BrokerFacts[]>
  durability(facts: readonly BrokerFacts[]): Durability
  /** The name of an outcome in results and reports, such as SYSTEM_BUSY or TIMEOUT. */
  outcomeName(outcome: number): string
  close(): void
}

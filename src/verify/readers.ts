/** Consumes what a run sends, fails what is to fail, and notes what came and what became of it. */
import { Consumer } from '../client/consumer.ts'
import type { ReceivedMessage } from '../client/received-message.ts'
import { PropertyName } from '../protocol/properties.ts'
import type { World } from '../world/world.ts'
import type { FeatureSetup, ReaderSetup } from './features/setup.ts'
import { type BodyFault, splitValue } from './history.ts'
import { readProof } from './proof.ts'
import type { Recorder } from './recorder.ts'

export interface ReadersOptions {
  readonly nameServers: string
  readonly requestTimeoutMs: number
}

/** Delay level of a failed message's next try, and what it comes to. */
const RETRY_LEVEL = 1
const RETRY_MS = 1_000
/** How long an ordered queue stands still after a failure. */
const SUSPEND_MS = 50

export class Readers {
  readonly #consumers: Consumer[] = []

  /** All of them, each with its share of the queues before it resolves. */
  static async start(
    world: World,
    recorder: Recorder,
    setup: FeatureSetup,
    options: ReadersOptions,
  ): Promise<Readers> {
    const readers = new Readers()
    try {
      // One after the other: two that join at once would both take what they know of first.
      for (const [index, reader] of setup.readers.entries()) {
        const member = new Member(recorder, setup, reader, index)
        readers.#consumers.push(await Consumer.start(world, member.options(options)))
      }
      return readers
    } catch (error) {
      await readers.close()
      throw error
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#consumers.splice(0).map((consumer) => consumer.close()))
  }
}

interface Place {
  readonly q: string
  readonly o: number
}

class Member {
  readonly #recorder: Recorder
  readonly #setup: FeatureSetup
  readonly #reader: ReaderSetup
  readonly #number: number
  /** Tries here of places where one failed, and how many the broker knew of before. */
  readonly #failed = new Map<string, { here: number; tries: number }>()

  constructor(recorder: Recorder, setup: FeatureSetup, reader: ReaderSetup, number: number) {
    this.#recorder = recorder
    this.#setup = setup
    this.#reader = reader
    this.#number = number
  }

  options({ nameServers, requestTimeoutMs }: ReadersOptions) {
    const { ordered, broadcast, retriesMax } = this.#setup
    const { group, tags, sql } = this.#reader
    const topic = this.#recorder.head.plan.topic
    return {
      ...{ nameServers, requestTimeoutMs, group, ordered },
      subscriptions: [
        {
          topic,
          ...(tags === undefined ? {} : { tags }),
          ...(sql === undefined ? {} : { sql }),
        },
      ],
      from: 'first' as const,
      model: broadcast ? ('broadcast' as const) : ('cluster' as const),
      suspendMs: SUSPEND_MS,
      retryLevel: () => RETRY_LEVEL,
      ...(retriesMax === null ? {} : { retriesMax }),
      handler: (message: ReceivedMessage) => this.#handle(message),
    }
  }

  /** Async, so that deliveries of one queue could overlap if nobody kept them apart. */
  async #handle(message: ReceivedMessage): Promise<void> {
    const { run } = this.#recorder.head
    const place = this.#placeOf(message)
    const name = `${place.q}:${place.o}`
    const { value, bad } = readProof(run, message.body)
    const fault = bad ?? attributeFault(this.#setup, value, message)
    const before = this.#failed.get(name) ?? { here: 0, tries: message.reconsumeTimes }
    const who = { g: this.#reader.reader, p: this.#number, ...place }
    this.#recorder.note({
      f: 'deliver',
      v: value,
      n: before.tries,
      ...who,
      ...(fault === null ? {} : { bad: fault }),
    })
    await Promise.resolve()
    if (value === null) return
    if (this.#reader.fails?.(value, before.tries, before.here) !== true) {
      this.#failed.delete(name)
      this.#recorder.note({ f: 'ack', v: value, ...who })
      return
    }
    this.#failed.set(name, { ...before, here: before.here + 1 })
    this.#recorder.note({
      f: 'nack',
      v: value,
      n: before.tries,
      ...who,
      ...(this.#setup.ordered ? {} : { d: RETRY_MS }),
    })
    throw new Error('fails on purpose')
  }

  /** Where a message lies: a retried one in the queue of its group's retry topic. */
  #placeOf({ broker, queueId, queueOffset, properties }: ReceivedMessage): Place {
    const isRetry = properties[PropertyName.retryTopic] !== undefined
    const of = isRetry ? `${this.#reader.group}/retry/` : ''
    return { q: `${of}${broker}/${queueId}`, o: queueOffset }
  }
}

/** Key, tag and properties are to be those that were sent. */
export function attributeFault(
  setup: FeatureSetup,
  value: string | null,
  message: ReceivedMessage,
): BodyFault | null {
  const parts = value === null ? null : splitValue(value)
  if (value === null || parts === null) return null
  const { tags = '', properties = {} } = setup.shape(value, ...parts)
  const same = Object.entries(properties).every(([key, text]) => message.properties[key] === text)
  return message.keys === value && message.tags === tags && same ? null : 'attributes'
}

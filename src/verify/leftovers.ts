/** Reads what is in a topic, or among the dead letters of its groups, and notes it. */
import type { Admin } from '../client/admin.ts'
import { deadLetters } from '../client/dead-letters.ts'
import { TopicReader } from '../client/topic-reader.ts'
import type { FeatureSetup } from './features/setup.ts'
import { readProof } from './proof.ts'
import { attributeFault } from './readers.ts'
import type { Recorder } from './recorder.ts'

export class Leftovers {
  readonly #admin: Admin
  readonly #recorder: Recorder
  readonly #setup: FeatureSetup
  readonly #seen = new Set<string>()

  constructor(admin: Admin, recorder: Recorder, setup: FeatureSetup) {
    this.#admin = admin
    this.#recorder = recorder
    this.#setup = setup
  }

  /** Dead letters that were not noted before; only of a feature that makes some. */
  async noteDead(): Promise<void> {
    if (this.#setup.retriesMax === null) return
    const { run } = this.#recorder.head
    for (const { reader, group } of this.#setup.readers) {
      for await (const message of deadLetters(this.#admin, group)) {
        const { broker, queueId, queueOffset } = message
        const q = `${broker}/dead/${queueId}`
        const name = `${reader} ${q}:${queueOffset}`
        if (this.#seen.has(name)) continue
        this.#seen.add(name)
        const { value, bad } = readProof(run, message.body)
        const fault = bad ?? attributeFault(this.#setup, value, message)
        this.#recorder.note({
          ...{ f: 'dead', v: value, g: reader, q: `${group}/${q}`, o: queueOffset },
          ...(fault === null ? {} : { bad: fault }),
        })
      }
    }
  }

  /** The whole topic. Throws MqError when it cannot be read to its end. */
  async noteTopic(): Promise<void> {
    const { run, plan } = this.#recorder.head
    const reader = await TopicReader.open(this.#admin.client, {
      topic: plan.topic,
      from: { kind: 'start' },
      to: { kind: 'end' },
    })
    for await (const messages of reader) {
      for (const message of messages) {
        const { value, bad } = readProof(run, message.body)
        const fault = bad ?? attributeFault(this.#setup, value, message)
        this.#recorder.note({
          f: 'read',
          v: value,
          o: message.queueOffset,
          q: `${message.broker}/${message.queueId}`,
          ...(fault === null ? {} : { bad: fault }),
        })
      }
    }
  }
}

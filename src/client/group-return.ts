/**
 * The way back to one group: the topic through which a message reaches that group alone. Members who
 * pull read `%RETRY%group`. Who takes by POP gets what comes again through the retry topic of the group
 * and the topic of origin; official clients that take by POP read both.
 */
import { MqError } from '../base/errors.ts'
import { retryTopicOf } from '../protocol/names.ts'
import { popRetryTopicOf } from '../protocol/pop-names.ts'
import type { Admin } from './admin.ts'

export type ReturnMode = 'pull' | 'pop'

export class GroupReturn {
  readonly #admin: Admin
  readonly #group: string
  /** What somebody says, or what the members that are connected show; null when nobody knows. */
  readonly #mode: ReturnMode | null
  /** By topic of origin. */
  readonly #topics = new Map<string, Promise<string>>()

  private constructor(admin: Admin, group: string, mode: ReturnMode | null) {
    this.#admin = admin
    this.#group = group
    this.#mode = mode
  }

  /** @param mode how the group consumes; null: it is found out */
  static async open(admin: Admin, group: string, mode: ReturnMode | null): Promise<GroupReturn> {
    if (mode !== null) return new GroupReturn(admin, group, mode)
    const members = await admin.groups.connections(group)
    if (members === null) return new GroupReturn(admin, group, null)
    const retryTopic = retryTopicOf(group)
    const reads = members.subscriptions.some(({ topic }) => topic === retryTopic)
    return new GroupReturn(admin, group, reads ? 'pull' : 'pop')
  }

  /**
   * The topic for a message that was sent to `origin` first; `make`: it is made where it is missing and
   * needed. Of a group without members, POP's topic counts when there is one, and the group never read the
   * other one.
   */
  topicFor(origin: string, make: boolean): Promise<string> {
    const known = this.#topics.get(origin)
    if (known !== undefined) return known
    const found = this.#find(origin, make)
    this.#topics.set(origin, found)
    // A broker that was away for a moment is asked again for the next message.
    found.catch(() => this.#topics.delete(origin))
    return found
  }

  async #find(origin: string, make: boolean): Promise<string> {
    const plain = retryTopicOf(this.#group)
    if (this.#mode === 'pull') return plain
    // The older form of the name: brokers that have the newer one look into both.
    const pop = popRetryTopicOf(this.#group, origin)
    const exists = await this.#exists(pop)
    if (this.#mode === null) return exists && !(await this.#hasRead(plain)) ? pop : plain
    if (!exists && make) await this.#make(pop, origin)
    return pop
  }

  async #exists(topic: string): Promise<boolean> {
    try {
      await this.#admin.topics.route(topic)
      return true
    } catch (error) {
      if (error instanceof MqError && error.code === 'TOPIC_NOT_FOUND') return false
      throw error
    }
  }

  async #hasRead(topic: string): Promise<boolean> {
    try {
      const rows = await this.#admin.groups.progress(this.#group, topic)
      return rows.some(({ consumerOffset }) => consumerOffset > 0)
    } catch (error) {
      if (error instanceof MqError && /_NOT_FOUND$/.test(error.code)) return false
      throw error
    }
  }

  /** With one queue, as brokers make it, wherever the topic of origin is. */
  async #make(topic: string, origin: string): Promise<void> {
    const { brokers } = await this.#admin.topics.route(origin)
    for (const broker of brokers.keys()) {
      await this.#admin.topics.create({ topic, readQueues: 1 }, { broker })
    }
  }
}

/** The topics and groups of a run: made before it, and behind it removed from brokers that go on without it. */
import type { Driver } from '../drivers/driver.ts'
import type { Clock } from '../world/clock.ts'
import { sleep } from '../world/node-clock.ts'
import type { Plan } from './plan.ts'
import type { Scenario } from './scenario-schema.ts'

/** Topics that are made or removed at once. */
const TOPICS_AT_ONCE = 32
/** How long topics and groups of a run that lost somebody are tried to be removed; the target may be gone. */
const CLEAN_MS_MAX = 5_000

export class RunTopics {
  readonly #driver: Driver
  readonly #scenario: Scenario
  readonly #plan: Plan
  /** Of the topics, those that this run has made. */
  readonly #made: string[] = []

  constructor(driver: Driver, scenario: Scenario, plan: Plan) {
    this.#driver = driver
    this.#scenario = scenario
    this.#plan = plan
  }

  /** Whether none of the topics was there before: nobody else has anything in them. */
  get areNew(): boolean {
    return this.#made.length === this.#plan.topics.length
  }

  /** Rejects with MqError when a topic is refused. */
  async make(): Promise<void> {
    const { consumers, topics } = this.#scenario
    await forEach(this.#plan.topics, async (topic) => {
      try {
        const isNew = await this.#driver.createTopic(topic, topics.queues)
        if (isNew) this.#made.push(topic)
      } catch (error) {
        // Some of the brokers may have made it, and only this run knows its name.
        if (topics.name === null) this.#made.push(topic)
        throw error
      }
    })
    if (consumers.instances === 0) return
    // A target that lets nobody make groups may make them itself; if not, the result says what was refused.
    await forEach(this.#plan.groups, (group) =>
      this.#driver.createGroup(group).catch(() => undefined),
    )
  }

  /** What the user named stays. */
  async remove(clock: Clock, mayBeGone: boolean): Promise<void> {
    const removed = this.#removeAll()
    if (mayBeGone) await Promise.race([removed, sleep(clock, CLEAN_MS_MAX)])
    else await removed
  }

  async #removeAll(): Promise<void> {
    if (this.#scenario.topics.name === null) {
      await forEach(this.#made, (topic) => this.#driver.deleteTopic(topic).catch(() => undefined))
    }
    for (const group of this.#plan.groups) {
      await this.#driver.deleteGroup(group).catch(() => undefined)
    }
  }
}

/** Works on all, some at a time. When some fail, the first error is thrown once all of those have ended. */
async function forEach<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<unknown>,
): Promise<void> {
  for (let from = 0; from < items.length; from += TOPICS_AT_ONCE) {
    const begun = items.slice(from, from + TOPICS_AT_ONCE).map(work)
    await Promise.allSettled(begun)
    await Promise.all(begun)
  }
}

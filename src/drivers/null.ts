/**
 * No messaging system at all: a process that acknowledges whatever it gets (`bench/roles/
 * null-target.ts`), addressed directly. What the generator reaches against it is the most that the
 * generator can do on this machine.
 */
import type { World } from '../world/world.ts'
import {
  type BrokerFacts,
  type ConsumerLine,
  type Driver,
  type Durability,
  type Lane,
  type LaneOffsets,
  type ProducerEvents,
  type ProducerLine,
  type ProducerOptions,
  localOutcomeName,
} from './driver.ts'
import { MqError } from '../base/errors.ts'
import { RocketmqProducer } from './rocketmq-producer.ts'

const QUEUES = 8
/** With many topics the lanes of all of them are one connection's all the same. */
const LANES_MAX = 1024

export class NullDriver implements Driver {
  readonly name = 'null'
  readonly #world: World
  readonly #address: string

  constructor(world: World, address: string) {
    this.#world = world
    this.#address = address
  }

  createTopic(): Promise<boolean> {
    return Promise.resolve(true)
  }

  deleteTopic(): Promise<void> {
    return Promise.resolve()
  }

  createGroup(): Promise<void> {
    return Promise.resolve()
  }

  deleteGroup(): Promise<void> {
    return Promise.resolve()
  }

  lanes(topics: readonly string[]): Promise<Lane[]> {
    const address = this.#address
    const lanes = topics.flatMap((topic) =>
      Array.from({ length: QUEUES }, (_, queueId) => ({ topic, broker: 'null', address, queueId })),
    )
    return Promise.resolve(lanes.slice(0, LANES_MAX))
  }

  async openProducer(options: ProducerOptions, events: ProducerEvents): Promise<ProducerLine> {
    const prefix = '7F00000100000000'.padEnd(20, '0')
    return RocketmqProducer.open(
      this.#world,
      await this.lanes(options.topics),
      prefix,
      options,
      events,
    )
  }

  openConsumer(): Promise<ConsumerLine> {
    return Promise.reject(
      new MqError('NOT_BUILT', {
        what: 'consuming from the null target',
        hint: 'set consumers.instances to 0',
      }),
    )
  }

  offsets(): Promise<LaneOffsets[]> {
    return Promise.resolve([])
  }

  offsetsAt(): Promise<number[]> {
    return Promise.resolve([])
  }

  brokerFacts(): Promise<BrokerFacts[]> {
    return Promise.resolve([])
  }

  durability(): Durability {
    return {
      profile: 'unknown',
      acknowledged: 'nothing: the null target keeps no message',
      verifiedBy: 'declared',
    }
  }

  outcomeName(outcome: number): string {
    return localOutcomeName(outcome) ?? String(outcome)
  }

  close(): void {
    // Nothing is kept open.
  }
}

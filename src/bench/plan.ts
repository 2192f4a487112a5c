/** From a scenario and the lanes of its topic to what each load process has to do. */
import type { Lane, LaneOffsets } from '../drivers/driver.ts'
import type { ConsumerSetup, ProducerSetup } from './role-messages.ts'
import { type Scenario, sizesOf, slotsOf } from './scenario-schema.ts'

export interface Plan {
  readonly runId: string
  readonly topic: string
  readonly group: string
  readonly producers: readonly ProducerSetup[]
  /** All load processes with their names; lanes are dealt out to the consumers in turn. */
  members(
    lanes: readonly Lane[],
    before: readonly LaneOffsets[],
  ): { name: string; setup: ProducerSetup | ConsumerSetup }[]
}

/** @param id four bytes that tell this run from others */
export function planOf(scenario: Scenario, endpoints: readonly string[], id: Buffer): Plan {
  const runId = id.toString('hex')
  const topic = scenario.topics.name ?? `mqctl_bench_${runId}`
  const group = `mqctl_bench_${runId}`
  const { sequence, checksum } = scenario.verify
  const { driver } = scenario.target
  const target = { driver, endpoints, topic, group, runId: id.readUInt32BE(), sequence, checksum }
  const { message } = scenario
  const producers = Array.from(
    { length: scenario.producers.instances },
    (_, producer): ProducerSetup => ({
      ...target,
      kind: 'producer',
      producer,
      producers: scenario.producers.instances,
      slots: slotsOf(scenario),
      timeoutMs: scenario.producers.timeout,
      tag: message.tag,
      sizes: sizesOf(scenario),
      pool: message.pool,
      entropy: message.entropy,
      seed: scenario.seed,
    }),
  )
  return {
    runId,
    topic,
    group,
    producers,
    members(lanes, before) {
      const { instances, prefetch, processingTime } = scenario.consumers
      const consumers = Array.from({ length: instances }, (_, consumer) => ({
        name: `consumer-${consumer + 1}`,
        setup: {
          ...target,
          kind: 'consumer' as const,
          producers: producers.length,
          sendersOfEach: slotsOf(scenario),
          lanes: before
            .filter(({ lane }) => lane % instances === consumer)
            .map(({ lane, endOffset }) => ({ lane, offset: endOffset })),
          laneCount: lanes.length,
          batch: prefetch,
          processingMs: processingTime,
        },
      }))
      return [
        ...producers.map((setup) => ({ name: `producer-${setup.producer + 1}`, setup })),
        // A consumer beyond the number of queues has nothing to read, as in any consumer group.
        ...consumers.filter(({ setup }) => setup.lanes.length > 0),
      ]
    },
  }
}

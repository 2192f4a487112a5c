/** From a scenario and the lanes of its topic to what each load process has to do. */
import type { LaneOffsets } from '../drivers/driver.ts'
import type { ConsumerSetup, ProducerSetup } from './role-messages.ts'
import { type Scenario, kindsOf, mixOf, sizesOf, slotsOf } from './scenario-schema.ts'

export interface Plan {
  readonly runId: string
  readonly topics: readonly string[]
  /** Consumer groups; each receives every message. */
  readonly groups: readonly string[]
  readonly producers: readonly ProducerSetup[]
  /** All load processes with their names; lanes are dealt out to the consumers in turn. */
  members(
    /** The lanes that there are. */
    lanes: { readonly length: number },
    /** Those that are read. */
    before: readonly LaneOffsets[],
    /** By lane: where consumers begin. */
    startAt: readonly number[],
  ): { name: string; setup: ProducerSetup | ConsumerSetup }[]
}

/** @param id four bytes that tell this run from others */
export function planOf(scenario: Scenario, endpoints: readonly string[], id: Buffer): Plan {
  const runId = id.toString('hex')
  const base = `mqctl_bench_${runId}`
  const topics = topicNames(scenario.topics.name ?? base, scenario.topics.count)
  const { consumers, message } = scenario
  const groups = Array.from({ length: consumers.groups }, (_, index) =>
    consumers.groups === 1 ? base : `${base}_${index + 1}`,
  )
  const { sequence, checksum } = scenario.verify
  const { driver } = scenario.target
  const target = { driver, endpoints, topics, runId: id.readUInt32BE(), sequence, checksum }
  const { mode, batch } = scenario.producers
  const producers = Array.from(
    { length: scenario.producers.instances },
    (_, producer): ProducerSetup => ({
      ...target,
      group: base,
      kind: 'producer',
      producer,
      producers: scenario.producers.instances,
      slots: slotsOf(scenario),
      timeoutMs: scenario.producers.timeout,
      oneWay: mode === 'one-way',
      batchSize: mode === 'batch' ? batch.size : 1,
      lingerMs: mode === 'batch' ? batch.linger : 0,
      kinds: kindsOf(scenario),
      mix: mixOf(scenario, topics),
      sizes: sizesOf(scenario),
      pool: message.pool,
      entropy: message.entropy,
      seed: scenario.seed,
    }),
  )
  return {
    runId,
    topics,
    groups,
    producers,
    members(lanes, before, startAt) {
      const { instances, prefetch, processingTime, failRate, retryAfter } = scenario.consumers
      const readers = groups.flatMap((group, groupIndex) =>
        Array.from({ length: instances }, (_, consumer) => ({ group, groupIndex, consumer })),
      )
      const members = readers.map(({ group, groupIndex, consumer }) => ({
        name:
          groups.length === 1
            ? `consumer-${consumer + 1}`
            : `consumer-${groupIndex + 1}-${consumer + 1}`,
        setup: {
          ...target,
          group,
          groupIndex,
          kind: 'consumer' as const,
          producers: producers.length,
          sendersOfEach: slotsOf(scenario),
          lanes: before
            .filter(({ lane }) => lane % instances === consumer)
            .map(({ lane, endOffset }) => ({ lane, offset: startAt[lane] ?? endOffset })),
          laneCount: lanes.length,
          batch: prefetch,
          processingMs: processingTime,
          failRate,
          retryMs: retryAfter,
          seed: scenario.seed + consumer,
          producerClocks: null,
        },
      }))
      return [
        ...producers.map((setup) => ({ name: `producer-${setup.producer + 1}`, setup })),
        // A consumer beyond the number of queues has nothing to read, as in any consumer group.
        ...members.filter(({ setup }) => setup.lanes.length > 0),
      ]
    },
  }
}

/** `orders` alone, or `orders_0001`, `orders_0002` … */
function topicNames(base: string, count: number): string[] {
  if (count === 1) return [base]
  const digits = String(count).length
  return Array.from(
    { length: count },
    (_, index) => `${base}_${String(index + 1).padStart(digits, '0')}`,
  )
}

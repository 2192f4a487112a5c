/** Flags that describe a topic, and where it is meant. */
import { Flags } from '@oclif/core'
import { MqError } from '../base/errors.ts'
import type { BrokerFilter } from '../client/cluster-view.ts'
import type { TopicChanges } from '../client/topic-admin.ts'
import { argument, pairFlag, wholeFlag } from './flags.ts'

const QUEUES_MAX = 65_535

export const topicArgument = () => argument({ description: 'The topic.', required: true })

/** Bits of RocketMQ: read 4, write 2. */
const permFlag = Flags.custom<number>({
  helpValue: 'rw|r|w|none',
  parse: async (input) => {
    const bits: Readonly<Record<string, number>> = { rw: 6, wr: 6, r: 4, w: 2, none: 0 }
    const perm = bits[input] ?? (['6', '4', '2', '0'].includes(input) ? Number(input) : undefined)
    if (perm !== undefined) return perm
    throw new MqError('VALUE_INVALID', {
      what: `${JSON.stringify(input)} is not a permission`,
      hint: 'write rw, r, w or none',
    })
  },
})

export const whereFlags = {
  cluster: Flags.string({ summary: 'Only in this cluster.' }),
  broker: Flags.string({ summary: 'Only on this broker.' }),
} as const

export const topicFlags = {
  queues: wholeFlag({
    summary: 'Queues on each broker (default of a new topic: 8).',
    min: 1,
    max: QUEUES_MAX,
    exclusive: ['read-queues', 'write-queues'],
  }),
  'read-queues': wholeFlag({ summary: 'Queues that can be read.', min: 1, max: QUEUES_MAX }),
  'write-queues': wholeFlag({ summary: 'Queues that can be written.', min: 1, max: QUEUES_MAX }),
  perm: permFlag({ summary: 'What clients may do (default of a new topic: rw).' }),
  type: Flags.option({
    summary: 'What messages it is for.',
    options: ['normal', 'fifo', 'delay', 'transaction', 'mixed', 'priority'] as const,
  })(),
  order: Flags.boolean({ summary: 'Mark it as ordered.', allowNo: true }),
  attr: pairFlag({
    summary: 'An attribute of RocketMQ 5; repeatable.',
    multiple: true,
    multipleNonGreedy: true,
  }),
} as const

export interface TopicFlags {
  readonly queues?: number | undefined
  readonly 'read-queues'?: number | undefined
  readonly 'write-queues'?: number | undefined
  readonly perm?: number | undefined
  readonly type?: string | undefined
  readonly order?: boolean | undefined
  readonly attr?: readonly (readonly [string, string])[] | undefined
}

/** What the flags say about a topic; nothing for what they leave open. */
export function topicChanges(flags: TopicFlags): TopicChanges {
  const readQueues = flags.queues ?? flags['read-queues']
  const writeQueues = flags.queues ?? flags['write-queues']
  const attributes = {
    ...Object.fromEntries(flags.attr ?? []),
    ...(flags.type === undefined ? {} : { 'message.type': flags.type.toUpperCase() }),
  }
  return {
    ...(readQueues === undefined ? {} : { readQueues }),
    ...(writeQueues === undefined ? {} : { writeQueues }),
    ...(flags.perm === undefined ? {} : { perm: flags.perm }),
    ...(flags.order === undefined ? {} : { order: flags.order }),
    ...(Object.keys(attributes).length === 0 ? {} : { attributes }),
  }
}

export function whereOf(flags: {
  readonly cluster?: string | undefined
  readonly broker?: string | undefined
}): BrokerFilter {
  return {
    ...(flags.cluster === undefined ? {} : { cluster: flags.cluster }),
    ...(flags.broker === undefined ? {} : { broker: flags.broker }),
  }
}

/** A broker whose wall clock can be put forward, and requests of POP consumption to it. */
import { afterAll, beforeAll, expect } from 'vitest'
import { topicConfig } from '../../../src/protocol/bodies/topic-config.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import type { Command, ExtValues } from '../../../src/protocol/command.ts'
import {
  formatPopHandle,
  parseMessageOffsets,
  parsePopHandle,
  parseStartOffsets,
} from '../../../src/protocol/pop-handle.ts'
import { readPopAnswer } from '../../../src/protocol/pop-header.ts'
import { type StoredMessage, decodeRecords } from '../../../src/protocol/record.ts'
import { nodeWorld } from '../../../src/world/node-world.ts'
import { JumpClock } from '../../world/jump-clock.ts'
import { type TestBroker, type TestClient, aBroker, closeAll } from '../a-broker.ts'

export interface Popper extends TestBroker {
  readonly clock: JumpClock
  readonly client: TestClient
  readonly topic: string
  readonly group: string
}

export async function aPopper(
  settings: object = {},
  dir?: string,
  clock = new JumpClock(),
): Promise<Popper> {
  const world = { ...nodeWorld, clock }
  const store = { flushIntervalMs: 10, flushThoroughMs: 10 }
  const broker = await aBroker(
    { ...settings, store: { ...store, ...(dir === undefined ? {} : { dir }) } },
    null,
    world,
  )
  return { ...broker, clock, client: broker.connect(), topic: 'T1', group: 'CG' }
}

/**
 * A broker for the tests of a file, closed with all others behind the last of them. What is returned makes a
 * topic and a group that nobody else has, there or on another broker.
 */
export function topicsForThisFile() {
  let shared: Popper | null = null
  let topics = 0
  beforeAll(async () => {
    shared = await aPopper()
  })
  afterAll(closeAll)
  return async (other: Popper | null = null, queues = 4): Promise<Popper> => {
    const popper = other ?? shared
    if (popper === null) throw new Error('the broker did not start')
    const topic = `T${++topics}`
    const config = topicConfig(topic, { readQueueNums: queues, writeQueueNums: queues })
    await popper.broker.context.topics.update(config)
    return { ...popper, topic, group: `CG${topics}` }
  }
}

/** To the queues in turn, each message tagged with its first letter. */
export async function send(popper: Popper, bodies: readonly string[], queues = 4): Promise<void> {
  for (const [index, body] of bodies.entries()) {
    const answer = await popper.client.send(
      popper.topic,
      body,
      index % queues,
      `TAGS\u0001${body[0]}\u0002`,
    )
    expect(answer.code).toBe(ResponseCode.SUCCESS)
  }
}

export const bodies = (count: number) => Array.from({ length: count }, (_, i) => `m${i}`)

export interface Popped {
  readonly message: StoredMessage
  readonly body: string
  readonly handle: string
  /** Where it lies: the retry topic for one that came again. */
  readonly realTopic: string
  readonly offset: number
}

export function popRequest(
  { client, clock, topic, group }: Popper,
  given: ExtValues = {},
): Promise<Command> {
  return client.ask(RequestCode.POP_MESSAGE, {
    consumerGroup: group,
    topic,
    queueId: -1,
    maxMsgNums: 32,
    invisibleTime: 60_000,
    pollTime: 0,
    bornTime: Math.floor(clock.wallMs()),
    initMode: 0,
    order: false,
    ...given,
  })
}

/** The messages of an answer with their handles, as a client works them out. */
export function poppedIn(answer: Command, group = ''): Popped[] {
  const fields = readPopAnswer(answer.ext)
  if (answer.code !== ResponseCode.SUCCESS || answer.body === null || fields === null) return []
  const starts = parseStartOffsets(fields.startOffsets)
  const offsets = parseMessageOffsets(fields.messageOffsets)
  expect([...(starts?.keys() ?? [])]).toEqual([...(offsets?.keys() ?? [])])
  return decodeRecords(answer.body).messages.map((message) => {
    const given = message.properties['POP_CK']
    const handle =
      given ??
      formatPopHandle({
        ...fields,
        startOffset: starts?.get(`0@${message.queueId}`) ?? -1,
        retryFlag: '0',
        brokerName: 'broker-a',
        queueId: message.queueId,
        messageOffset: message.queueOffset,
      })
    const parsed = parsePopHandle(handle)
    expect(parsed?.messageOffset).toBe(message.queueOffset)
    const flag = parsed?.retryFlag ?? ''
    expect(offsets?.get(`${flag}@${message.queueId}`)).toContain(message.queueOffset)
    const retry = flag === '1' ? '_' : '+'
    return {
      message,
      body: message.body.toString(),
      handle,
      realTopic: flag === '0' ? message.topic : `%RETRY%${group}${retry}${message.topic}`,
      offset: message.queueOffset,
    }
  })
}

export async function pop(popper: Popper, given: ExtValues = {}): Promise<Popped[]> {
  const answer = await popRequest(popper, given)
  expect([ResponseCode.SUCCESS, ResponseCode.POLLING_TIMEOUT]).toContain(answer.code)
  const group = given['consumerGroup']
  return poppedIn(answer, typeof group === 'string' ? group : popper.group)
}

export function ack(
  { client, group }: Popper,
  popped: Popped,
  given: ExtValues = {},
): Promise<Command> {
  return client.ask(RequestCode.ACK_MESSAGE, {
    consumerGroup: group,
    topic: popped.realTopic,
    queueId: popped.message.queueId,
    offset: popped.offset,
    extraInfo: popped.handle,
    ...given,
  })
}

/** Pops again and again, while the wall clock runs many times as fast, until so many have come. */
export async function popUntil(
  popper: Popper,
  count: number,
  given: ExtValues = {},
): Promise<Popped[]> {
  const all: Popped[] = []
  for (let round = 0; round < 400 && all.length < count; round++) {
    const some = await pop(popper, given)
    all.push(...some)
    if (some.length === 0) await quickly(popper, 1)
  }
  expect(all).toHaveLength(count)
  return all
}

/** Lets time go by many times as fast: the broker's own ticks have their turns. */
export async function quickly({ clock }: Popper, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    clock.jump(200)
    await new Promise<void>((resolve) => nodeWorld.clock.after(8, resolve))
  }
}

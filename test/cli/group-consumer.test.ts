import { afterEach, expect, it } from 'vitest'
import type { Logger } from '../../src/base/logger.ts'
import { consumeAsGroup } from '../../src/cli/group-consumer.ts'
import { decodeHeartbeatData } from '../../src/protocol/bodies/heartbeat-data.ts'
import { encodeLockedQueues } from '../../src/protocol/bodies/lock-batch.ts'
import { encodeConsumerList } from '../../src/protocol/bodies/name-lists.ts'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import { type ExtValues, respond } from '../../src/protocol/command.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { type Script, ScriptedPeer, nameServerScript, routeBody } from '../client/scripted-peer.ts'
import { JumpClock } from '../world/jump-clock.ts'

const open: ScriptedPeer[] = []
afterEach(async () => {
  for (const peer of open.splice(0)) await peer.close()
})

async function aPeer(script: Script): Promise<ScriptedPeer> {
  const peer = await ScriptedPeer.start(script)
  open.push(peer)
  return peer
}

/** Two minutes pass when it happens for the second time: a pass has ended then. */
function aClock(): { readonly clock: JumpClock; readonly happened: () => void } {
  const clock = new JumpClock()
  let times = 0
  const happened = () => {
    times += 1
    if (times === 2) {
      setImmediate(() => {
        clock.jump(120_000)
      })
    }
  }
  return { clock, happened }
}

async function consumeToTheEnd(
  brokers: readonly string[],
  clock: JumpClock,
  given: {
    readonly orderly?: boolean
    readonly pop?: boolean
    readonly warn: (text: string) => void
  },
) {
  const nameServer = await aPeer(nameServerScript(new Map([['T', routeBody(brokers, 1)]])))
  const logger: Logger = {
    info: () => undefined,
    warn: given.warn,
    error: () => undefined,
    scope: () => logger,
  }
  return consumeAsGroup(
    { ...nodeWorld, clock },
    {
      nameServers: [nameServer.address],
      group: 'G',
      topic: 'T',
      tags: '*',
      sql: null,
      broadcastFile: null,
      from: null,
      exitAtEnd: true,
      countMax: null,
      signal: new AbortController().signal,
      logger,
      parallel: 1,
      retriesMax: null,
      retryLevel: () => 0,
      orderly: given.orderly === true ? { suspendMs: null } : null,
      pop: given.pop === true ? { invisibleMs: null } : null,
      trace: false,
      closeTimeoutMs: 100,
    },
    () => Promise.resolve('done'),
  )
}

it('does not take a broker that cannot be reached for the end of the topic', async () => {
  const { clock, happened } = aClock()
  const warn = (text: string) => {
    if (text === 'members cannot be told') happened()
  }
  const consuming = consumeToTheEnd(['127.0.0.1:1'], clock, { warn })
  await expect(consuming).rejects.toMatchObject({ exitCode: 3 })
})

it('does not take queues that somebody else has locked for the end of the topic', async () => {
  const { clock, happened } = aClock()
  let clientId = ''
  const broker = await aPeer((command) => {
    const { code, body } = command
    const answer = (bytes: Buffer | null) => respond(command, ResponseCode.SUCCESS, null, {}, bytes)
    if (code === RequestCode.HEART_BEAT) clientId = decodeHeartbeatData(body).clientId
    if (code === RequestCode.GET_CONSUMER_LIST_BY_GROUP)
      return answer(encodeConsumerList([clientId]))
    if (code !== RequestCode.LOCK_BATCH_MQ) return answer(null)
    happened()
    return answer(encodeLockedQueues([]))
  })
  const warn = () => undefined
  const consuming = consumeToTheEnd([broker.address], clock, { orderly: true, warn })
  await expect(consuming).rejects.toMatchObject({ exitCode: 3 })
})

it('does not take a broker that gives nothing by POP for one that has nothing', async () => {
  const { clock, happened } = aClock()
  const broker = await aPeer((command) => {
    if (command.code !== RequestCode.POP_MESSAGE) return respond(command, ResponseCode.SUCCESS)
    happened()
    return respond(command, ResponseCode.SYSTEM_ERROR, 'its disk is away')
  })
  const consuming = consumeToTheEnd([broker.address], clock, { pop: true, warn: () => undefined })
  await expect(consuming).rejects.toThrow('its disk is away')
})

it('goes on with the queues that it has while a broker cannot be reached', async () => {
  const { clock, happened } = aClock()
  let clientId = ''
  const startMs = clock.monotonicMs()
  let pulls = 0
  let isAtEnd = false
  const broker = await aPeer((command) => {
    const { code, body, ext } = command
    const answer = (fields: ExtValues, bytes: Buffer | null = null) =>
      respond(command, ResponseCode.SUCCESS, null, fields, bytes)
    if (code === RequestCode.HEART_BEAT) clientId = decodeHeartbeatData(body).clientId
    if (code === RequestCode.GET_CONSUMER_LIST_BY_GROUP)
      return answer({}, encodeConsumerList([clientId]))
    if (code === RequestCode.QUERY_CONSUMER_OFFSET) return answer({ offset: 0 })
    if (code !== RequestCode.PULL_MESSAGE) return answer({})
    // There is more until it was asked for often enough after the time that a broker may be away.
    if (clock.monotonicMs() - startMs > 100_000) pulls += 1
    isAtEnd = pulls > 10
    const nextBeginOffset = Number(ext['queueOffset'])
    const maxOffset = nextBeginOffset + (isAtEnd ? 0 : 5)
    const fields = { nextBeginOffset, minOffset: 0, maxOffset, suggestWhichBrokerId: 0 }
    return respond(command, ResponseCode.PULL_NOT_FOUND, null, fields)
  })
  const warn = (text: string) => {
    if (text === 'queue cannot be taken') happened()
  }
  const consuming = consumeToTheEnd([broker.address, '127.0.0.1:1'], clock, { warn })
  await expect(consuming).rejects.toMatchObject({ exitCode: 3 })
  expect(isAtEnd).toBe(true)
})

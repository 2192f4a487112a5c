import { afterEach, describe, expect, it } from 'vitest'
import {
  decodeProducerConnection,
  decodeProducerTable,
  decodeConsumerConnection,
} from '../../../src/protocol/bodies/client-connection.ts'
import {
  decodeConsumerStatus,
  encodeClientStatus,
} from '../../../src/protocol/bodies/queue-offsets.ts'
import { RequestCode, ResponseCode } from '../../../src/protocol/codes.ts'
import { respond } from '../../../src/protocol/command.ts'
import { decodeRecords } from '../../../src/protocol/record.ts'
import { aBroker, closeAll } from '../a-broker.ts'

afterEach(closeAll)

/** A consumer c1 in group G that answers with what `answer` makes, and an administrator. */
async function aScene(answer: 'answers' | 'is silent' | 'refuses' = 'answers') {
  const { connect, broker } = await aBroker({ forwardTimeoutMs: 400 })
  const consumer = connect()
  consumer.onRequest = (connection, command) => {
    if (command.isOneway || answer === 'is silent') return
    if (answer === 'refuses') {
      connection.reply(respond(command, ResponseCode.SYSTEM_ERROR, 'not now'))
      return
    }
    const body = Buffer.from(`body of ${command.code}`)
    connection.reply(respond(command, ResponseCode.SUCCESS, null, {}, body))
  }
  await consumer.heartBeat('c1', 'G', ['T'])
  return { consumer, admin: connect(), broker }
}

const runningInfo = { consumerGroup: 'G', clientId: 'c1', jstackEnable: false }

describe('a question to a consumer', () => {
  it('is passed on, and the answer back', async () => {
    const { admin, consumer } = await aScene()
    const answer = await admin.ask(RequestCode.GET_CONSUMER_RUNNING_INFO, runningInfo)
    expect([answer.code, answer.body?.toString()]).toEqual([ResponseCode.SUCCESS, 'body of 307'])
    const passedOn = consumer.asked.find((command) => command.code === 307)
    expect({ ...passedOn?.ext }).toEqual({
      consumerGroup: 'G',
      clientId: 'c1',
      jstackEnable: 'false',
    })
  })

  it('that it refuses is refused', async () => {
    const { admin } = await aScene('refuses')
    const answer = await admin.ask(RequestCode.GET_CONSUMER_RUNNING_INFO, runningInfo)
    expect([answer.code, answer.remark]).toEqual([ResponseCode.SYSTEM_ERROR, 'not now'])
  })

  it('that it does not answer ends after a while', async () => {
    const { admin } = await aScene('is silent')
    const answer = await admin.ask(RequestCode.GET_CONSUMER_RUNNING_INFO, runningInfo)
    expect(answer.code).toBe(ResponseCode.CONSUME_MSG_TIMEOUT)
  })

  it('that is not there is refused', async () => {
    const { admin } = await aScene()
    for (const ext of [
      { ...runningInfo, clientId: 'nobody' },
      { ...runningInfo, consumerGroup: 'Nobody' },
    ]) {
      const answer = await admin.ask(RequestCode.GET_CONSUMER_RUNNING_INFO, ext)
      expect(answer.code).toBe(ResponseCode.SYSTEM_ERROR)
      expect(answer.remark).toContain('not online')
    }
    const nameless = await admin.ask(RequestCode.GET_CONSUMER_RUNNING_INFO, { consumerGroup: 'G' })
    expect(nameless.code).toBe(ResponseCode.INVALID_PARAMETER)
  })

  it('that dies meanwhile is answered', async () => {
    const { admin, consumer } = await aScene('is silent')
    const asked = admin.ask(RequestCode.GET_CONSUMER_RUNNING_INFO, runningInfo)
    consumer.onRequest = () => {
      consumer.close()
    }
    expect([ResponseCode.SYSTEM_ERROR, ResponseCode.CONSUME_MSG_TIMEOUT]).toContain(
      (await asked).code,
    )
  })

  it('about one message carries the message', async () => {
    const { admin, consumer } = await aScene()
    const sent = await admin.send('T', 'look at me')
    const ext = {
      consumerGroup: 'G',
      clientId: 'c1',
      msgId: sent.ext['msgId'],
      brokerName: 'broker-a',
    }
    const answer = await admin.ask(RequestCode.CONSUME_MESSAGE_DIRECTLY, ext)
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    const passedOn = consumer.asked.find((command) => command.code === 309)
    const { messages } = decodeRecords(passedOn?.body ?? Buffer.alloc(0))
    expect(messages.map((message) => message.body.toString())).toEqual(['look at me'])
  })

  it.each(['nonsense', 'F'.repeat(32), '7F00000100002A9F00000000000F4240'])(
    'about the message %s, which is none, is refused',
    async (msgId) => {
      const { admin, consumer } = await aScene()
      const ext = { consumerGroup: 'G', clientId: 'c1', msgId }
      const answer = await admin.ask(RequestCode.CONSUME_MESSAGE_DIRECTLY, ext)
      expect(answer.code).toBe(ResponseCode.SYSTEM_ERROR)
      expect(consumer.asked.some((command) => command.code === 309)).toBe(false)
    },
  )

  it('where it is, is asked of every member', async () => {
    const { admin, consumer } = await aScene()
    await admin.send('T', 'x')
    consumer.onRequest = (connection, command) => {
      if (command.code !== RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT) return
      const queue = { topic: 'T', brokerName: 'broker-a', queueId: 0 }
      const body = encodeClientStatus([{ queue, offset: 3 }])
      connection.reply(respond(command, ResponseCode.SUCCESS, null, {}, body))
    }
    const ext = { topic: 'T', group: 'G', clientAddr: '' }
    const answer = await admin.ask(RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, ext)
    expect(
      decodeConsumerStatus(answer.body)
        .get('c1')
        ?.map((row) => row.offset),
    ).toEqual([3])
    const nobody = await admin.ask(RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, {
      topic: 'T',
      group: 'H',
    })
    expect(nobody.code).toBe(ResponseCode.SYSTEM_ERROR)
  })
})

describe('who is connected', () => {
  it('is told of consumers', async () => {
    const { admin } = await aScene()
    const answer = await admin.ask(RequestCode.GET_CONSUMER_CONNECTION_LIST, { consumerGroup: 'G' })
    const { connections, subscriptions, ...how } = decodeConsumerConnection(answer.body)
    expect(connections).toMatchObject([{ clientId: 'c1', language: 'NODE_JS', version: 479 }])
    expect(connections[0]?.clientAddr).toMatch(/^127\.0\.0\.1:\d+$/)
    expect(subscriptions.map((data) => data.topic)).toEqual(['T'])
    expect(how).toEqual({
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
    })
    const offline = await admin.ask(RequestCode.GET_CONSUMER_CONNECTION_LIST, {
      consumerGroup: 'H',
    })
    expect(offline.code).toBe(ResponseCode.CONSUMER_NOT_ONLINE)
  })

  it('is told of producers', async () => {
    const { admin, consumer } = await aScene()
    const answer = await admin.ask(RequestCode.GET_PRODUCER_CONNECTION_LIST, {
      producerGroup: 'PG',
    })
    expect(decodeProducerConnection(answer.body)).toMatchObject([{ clientId: 'c1' }])
    const all = await admin.ask(RequestCode.GET_ALL_PRODUCER_INFO)
    expect(decodeProducerTable(all.body).get('PG')).toMatchObject([{ clientId: 'c1' }])
    await consumer.ask(RequestCode.UNREGISTER_CLIENT, { clientID: 'c1', producerGroup: 'PG' })
    const gone = await admin.ask(RequestCode.GET_PRODUCER_CONNECTION_LIST, { producerGroup: 'PG' })
    expect(gone.code).toBe(ResponseCode.SYSTEM_ERROR)
  })
})

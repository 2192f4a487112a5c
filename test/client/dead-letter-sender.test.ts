import { describe, expect, it } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import type { Admin } from '../../src/client/admin.ts'
import { DeadLetterSender } from '../../src/client/dead-letter-sender.ts'
import type { OutgoingMessage } from '../../src/client/outgoing-message.ts'
import type { Producer } from '../../src/client/producer.ts'
import type { ReceivedMessage } from '../../src/client/received-message.ts'
import { RequestCode } from '../../src/protocol/codes.ts'

const away = () => new MqError('BROKER_UNREACHABLE', { address: 'b', why: 'away' })

/** Dead letters of group G, and a broker that stores what is sent in this topic; null: nobody tells. */
function setup(storesIn: string | null) {
  const sent: OutgoingMessage[] = []
  const asked: [number, unknown][] = []
  let failures = 0
  const producer = {
    send: (message: OutgoingMessage) => {
      if (failures-- > 0) return Promise.reject(away())
      sent.push(message)
      return Promise.resolve({ offsetMessageId: 'place' })
    },
  } as unknown as Producer
  const admin = {
    client: {
      masterOf: () => 'b',
      ask: (_: string, code: number, ext: unknown) => Promise.resolve(asked.push([code, ext])),
    },
    messages: {
      byOffsetId: () =>
        storesIn === null ? Promise.reject(away()) : Promise.resolve({ topic: storesIn }),
    },
  } as unknown as Admin
  const sender = new DeadLetterSender(admin, producer, 'G')
  const letters = [0, 1, 2].map((i) => {
    const letter = { physicalOffset: i, offsetMessageId: `${i}`, topic: '%DLQ%G', broker: 'b' }
    const copy = { topic: '%RETRY%G', body: `${i}` }
    return sender.note(copy, letter as ReceivedMessage)
  })
  const sendAll = () => Promise.allSettled(letters.map((one) => sender.send(one)))
  const fail = (times: number) => {
    failures = times
  }
  return { sender, sent, asked, letters, sendAll, fail }
}

describe('dead letters that are sent to their group', () => {
  it.each(['%RETRY%G', 'SCHEDULE_TOPIC_XXXX', null])(
    'go as copies when they lie in %s',
    async (topic) => {
      const { sender, sent, asked, sendAll } = setup(topic)
      await sendAll()
      expect([sent.length, asked, sender.givenBack, sender.strayCopies]).toEqual([3, [], 0, 0])
    },
  )

  it('are given back from where they are when the first copy was found among the dead', async () => {
    const { sender, sent, asked, sendAll } = setup('%DLQ%G')
    await sendAll()
    expect(sent.map(({ body }) => body)).toEqual(['0'])
    expect([sender.givenBack, sender.strayCopies]).toEqual([3, 1])
    const fields = (offset: number) => [
      RequestCode.CONSUMER_SEND_MSG_BACK,
      expect.objectContaining({
        group: 'G',
        offset,
        delayLevel: 1,
        maxReconsumeTimes: 2 ** 31 - 1,
      }),
    ]
    expect(asked).toHaveLength(3)
    expect(asked).toEqual(expect.arrayContaining([0, 1, 2].map(fields)))
  })

  it('are looked after again when the first one could not be sent', async () => {
    const { sender, sent, letters, fail } = setup('%DLQ%G')
    const [first, second] = letters
    if (first === undefined || second === undefined) throw new Error('there are letters')
    fail(1)
    await expect(sender.send(first)).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE' })
    await sender.send(second)
    expect([sent.length, sender.givenBack]).toEqual([1, 1])
  })

  it('are plain messages when they go to another topic', async () => {
    const { sender, sent, asked } = setup('%DLQ%G')
    const copy = { topic: 'T', body: 'x' }
    await sender.send(sender.note(copy, { topic: '%DLQ%G' } as ReceivedMessage))
    expect([sent, asked]).toEqual([[copy], []])
  })
})

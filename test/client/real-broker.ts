import { afterAll, afterEach, beforeAll } from 'vitest'
import { Admin } from '../../src/client/admin.ts'
import { Consumer, type ConsumerOptions } from '../../src/client/consumer.ts'
import { Producer } from '../../src/client/producer.ts'
import type { ReceivedMessage } from '../../src/client/received-message.ts'
import { type TestBroker, startBroker } from '../../src/mqctl.ts'
import { nodeWorld } from '../../src/world/node-world.ts'

/** One broker for a test file; every test takes names of its own. */
export function aBrokerForThisFile() {
  let broker: TestBroker | null = null
  let admin: Admin | null = null
  let producer: Producer | null = null
  let names = 0
  const open: { close(): unknown }[] = []

  beforeAll(async () => {
    broker = await startBroker()
    admin = Admin.open(nodeWorld, { nameServers: broker.nameServers })
    producer = Producer.open(nodeWorld, { nameServers: broker.nameServers })
  })

  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.close()
  })

  afterAll(async () => {
    await producer?.close()
    admin?.close()
    await broker?.close()
  })

  function existing<Thing>(thing: Thing | null): Thing {
    if (thing === null) throw new Error('the broker did not start')
    return thing
  }

  return {
    get nameServers() {
      return existing(broker).nameServers
    },
    get admin() {
      return existing(admin)
    },
    get producer() {
      return existing(producer)
    },
    /** A topic with so many queues and messages `m0`, `m1` … taken in turn by the queues. */
    async aTopic(queues = 2, messages = 0): Promise<string> {
      const topic = `T${++names}`
      await existing(admin).topics.create({ topic, readQueues: queues, writeQueues: queues })
      for (let i = 0; i < messages; i++) {
        const queue = { brokerName: 'broker-a', queueId: i % queues }
        await existing(producer).send({ topic, body: `m${i}`, queue })
      }
      return topic
    },
    aGroup: () => `G${++names}`,
    /** A consumer that is closed at the end of the test, with the bodies it got. */
    async consume(given: Partial<ConsumerOptions> & Pick<ConsumerOptions, 'group'>, topic: string) {
      const messages: ReceivedMessage[] = []
      const consumer = await Consumer.start(nodeWorld, {
        nameServers: existing(broker).nameServers,
        subscriptions: [{ topic }],
        from: 'first',
        handler: (message) => {
          messages.push(message)
        },
        ...given,
      })
      open.push(consumer)
      return { consumer, messages, bodies: () => messages.map((one) => one.body.toString()) }
    },
  }
}

export const numbered = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => `m${from + i}`).sort()

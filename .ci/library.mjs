// The package's main export serves people's tests: a broker, a message sent, the same one consumed.
import { Consumer, Producer, startBroker } from 'mqctl'

const sent = 'from the library'
const broker = await startBroker({ topics: { orders: 1 } })
const { nameServers } = broker
const producer = Producer.open({ nameServers })
await producer.send({ topic: 'orders', body: sent })
const received = withResolvers()
const consumer = await Consumer.start({
  nameServers,
  group: 'packed',
  from: 'first',
  subscriptions: [{ topic: 'orders' }],
  handler: (message) => {
    received.resolve(message.body.toString())
  },
})
const body = await received.promise
await consumer.close()
await producer.close()
await broker.close()
console.log(body)
process.exitCode = body === sent ? 0 : 1

function withResolvers() {
  let resolve
  const promise = new Promise((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

/**
 * The Node.js client of Alibaba Cloud (`ali-ons`), the one for the remoting protocol that does not
 * come from Apache: sends with keys, tags, order keys and long bodies, reads by tag and by SQL, for one and for
 * all, and has a message come again. One line of JSON a result on stdout.
 *
 *     node peer.mjs NAMESRV TOPIC (which is there already: this client makes none)
 */
import ons from 'ali-ons'

const { Consumer, Message, Producer } = ons
const [nameSrv, topic] = process.argv.slice(2)
const nothing = () => undefined
const options = {
  nameSrv,
  // It looks for the route of its retry topic before there is one: again soon, not after half a minute.
  pollNameServerInteval: 1000,
  rebalanceInterval: 1000,
  consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
  logger: { debug: nothing, info: nothing, warn: nothing, error: nothing },
  httpclient: {},
}

function show(kind, fields) {
  process.stdout.write(`@${JSON.stringify({ kind, ...fields })}\n`)
}

/** Shows what a group gets; resolves when it has got so many. */
function receive(who, wanted, selector, more = {}, handle = nothing) {
  const consumer = new Consumer({ ...options, consumerGroup: `Node${who}`, ...more })
  consumer.on('error', nothing)
  const all = new Promise((resolve) => {
    let count = 0
    consumer.subscribe(topic, selector, async (message) => {
      const { body, tags, keys, queueId, reconsumeTimes: times } = message
      show('got', {
        who,
        body: body.toString().slice(0, 20),
        tags,
        keys,
        queueId,
        times,
        bytes: body.length,
      })
      if (++count === wanted) resolve(consumer)
      return handle(message)
    })
  })
  return all
}

const producer = new Producer({
  ...options,
  producerGroup: 'NodeProducer',
  compressMsgBodyOverHowmuch: 4096,
})
await producer.ready()
for (let i = 0; i < 12; i++) {
  const body = i === 5 ? 'long '.repeat(5000) : `number ${i}`
  const message = new Message(topic, 'AB'[i % 2], body)
  message.keys = [`k${i}`, 'grün']
  message.properties.price = String(i)
  if (i % 3 === 0) message.shardingKey = 'together'
  const { sendStatus: how, msgId: messageId } = await producer.send(message)
  show('sent', { body: body.slice(0, 20), how, messageId })
}

const ended = await Promise.all([
  receive('Tag', 6, 'A'),
  receive('Sql', 3, { expressionType: 'SQL92', subString: "price > 8 AND TAGS IN ('A', 'B')" }),
  receive('All', 12, '*', { isBroadcast: true }),
  // One fails, one asks for it: both come once more.
  receive('Again', 6 + 2, 'B', {}, ({ body, reconsumeTimes }) => {
    if (reconsumeTimes > 0) return undefined
    if (body.toString() === 'number 1') throw new Error('planned')
    return body.toString() === 'number 3' ? Consumer.ACTION_RETRY : undefined
  }),
])
for (const consumer of ended) await consumer.close()
await producer.close()
show('done')
process.exit(0)

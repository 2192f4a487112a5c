import { afterEach, describe, expect, it } from 'vitest'
import { Admin } from '../../src/client/admin.ts'
import { TransactionProducer } from '../../src/client/transaction-producer.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { aBrokerForThisFile } from './real-broker.ts'

const broker = aBrokerForThisFile()
const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

function aProducer(): TransactionProducer {
  const producer = TransactionProducer.open(nodeWorld, {
    nameServers: broker.nameServers,
    group: broker.aGroup(),
    check: () => 'unknown',
  })
  open.push(producer)
  return producer
}

function anAdmin(): Admin {
  const admin = Admin.open(nodeWorld, { nameServers: broker.nameServers })
  open.push(admin)
  return admin
}

describe('a transactional producer', () => {
  it('has delivered what it commits, and nothing else', async () => {
    const topic = await broker.aTopic(1)
    const producer = aProducer()
    const back = await producer.sendTransaction({ topic, body: 'no' }, () => 'rollback')
    const sent = await producer.sendTransaction({ topic, body: 'yes' }, () => 'commit')
    expect([back.ended, sent.ended]).toEqual([true, true])
    const { bodies } = await broker.consume({ group: broker.aGroup(), from: 'first' }, topic)
    await expect.poll(bodies).toEqual(['yes'])
  })

  it('leaves open what it does not know, and an administrator sees it', async () => {
    const topic = await broker.aTopic(1)
    const producer = aProducer()
    const message = { topic, body: 'perhaps', keys: 'A-1' }
    const receipt = await producer.sendTransaction(message, () => 'unknown')
    expect(receipt.ended).toBe(false)
    const listed = (await anAdmin().transactions.list()).filter((one) => one.topic === topic)
    expect(listed).toMatchObject([
      {
        messageId: receipt.messageId,
        topic,
        producerGroup: producer.group,
        broker: 'broker-a',
        checks: 0,
        keys: 'A-1',
      },
    ])
  })

  it('throws the error of the local work on, and leaves the message open', async () => {
    const topic = await broker.aTopic(1)
    const producer = aProducer()
    const work = () => Promise.reject(new Error('no money'))
    await expect(producer.sendTransaction({ topic, body: 'x' }, work)).rejects.toThrow('no money')
    const listed = await anAdmin().transactions.list()
    expect(listed.filter((one) => one.topic === topic)).toHaveLength(1)
  })

  it('has sent its message also when nobody knows the broker any more that should hear the end', async () => {
    const topic = await broker.aTopic(1)
    const { client } = anAdmin()
    const check = () => 'unknown' as const
    const producer = TransactionProducer.over(client, { group: broker.aGroup(), check })
    open.push(producer)
    const receipt = await producer.sendTransaction({ topic, body: 'x' }, () => {
      client.routes.forget(topic)
      return 'commit'
    })
    expect(receipt).toMatchObject({ status: 'SEND_OK', decision: 'commit', ended: false })
  })

  it('refuses to delay a transaction', async () => {
    const topic = await broker.aTopic(1)
    const sent = aProducer().sendTransaction({ topic, body: 'x', delayLevel: 3 }, () => 'commit')
    await expect(sent).rejects.toMatchObject({ code: 'MESSAGE_ILLEGAL' })
  })
})

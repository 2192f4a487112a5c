import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import { aBroker, aFolder, closeAll, type TestBroker, type TestClient } from './a-broker.ts'

/** As Apache's broker leaves a topic of batch queues in its directory. */
const topics = {
  dataVersion: { counter: 1, stateVersion: 0, timestamp: 1 },
  topicConfigTable: {
    Inner: {
      attributes: { 'queue.type': 'BatchCQ' },
      order: false,
      perm: 6,
      readQueueNums: 1,
      topicFilterType: 'SINGLE_TAG',
      topicName: 'Inner',
      topicSysFlag: 0,
      writeQueueNums: 1,
    },
  },
}

let dir = ''
let broker: TestBroker
let client: TestClient

beforeAll(async () => {
  dir = await aFolder()
  await mkdir(path.join(dir, 'config'))
  await writeFile(path.join(dir, 'config', 'topics.json'), JSON.stringify(topics))
  broker = await aBroker({ store: { dir } })
  client = broker.connect()
})
afterAll(closeAll)

const remark = 'the topic[Inner] has queue.type=BatchCQ, which this broker does not serve'
const popFields = { queueId: 0, maxMsgNums: 1, invisibleTime: 60_000, pollTime: 0, initMode: 0 }

it.each([
  ['a send', ResponseCode.MESSAGE_ILLEGAL, () => client.send('Inner', 'x')],
  ['a pull', ResponseCode.NO_PERMISSION, () => client.pull('Inner', 'G', 0)],
  [
    'a take',
    ResponseCode.NO_PERMISSION,
    () => client.ask(RequestCode.POP_MESSAGE, { topic: 'Inner', consumerGroup: 'G', ...popFields }),
  ],
])('%s of a topic of batch queues is refused with code %i', async (_, code, ask) => {
  expect(await ask()).toMatchObject({ code, remark })
})

it('a topic of batch queues stays as it is, for the broker that made it', async () => {
  await client.send('Inner', 'x')
  await broker.broker.close()
  const table = JSON.parse(await readFile(path.join(dir, 'config', 'topics.json'), 'utf8')) as {
    topicConfigTable: Record<string, unknown>
  }
  expect(table.topicConfigTable['Inner']).toEqual(topics.topicConfigTable.Inner)
  expect(await readdir(path.join(dir, 'consumequeue'))).not.toContain('Inner')
})

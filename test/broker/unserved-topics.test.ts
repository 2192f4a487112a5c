import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import { aBroker, aFolder, closeAll, type TestBroker, type TestClient } from './a-broker.ts'

/** As Apache's broker leaves a compacted topic in its directory. */
const topics = {
  dataVersion: { counter: 1, stateVersion: 0, timestamp: 1 },
  topicConfigTable: {
    Compacted: {
      attributes: { 'cleanup.policy': 'COMPACTION' },
      order: false,
      perm: 6,
      readQueueNums: 1,
      topicFilterType: 'SINGLE_TAG',
      topicName: 'Compacted',
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

const remark =
  'the topic[Compacted] has cleanup.policy=COMPACTION, which this broker does not serve'
const popFields = { queueId: 0, maxMsgNums: 1, invisibleTime: 60_000, pollTime: 0, initMode: 0 }

it.each([
  ['a send', ResponseCode.MESSAGE_ILLEGAL, () => client.send('Compacted', 'x')],
  ['a pull', ResponseCode.NO_PERMISSION, () => client.pull('Compacted', 'G', 0)],
  [
    'a take',
    ResponseCode.NO_PERMISSION,
    () =>
      client.ask(RequestCode.POP_MESSAGE, { topic: 'Compacted', consumerGroup: 'G', ...popFields }),
  ],
])('%s of a compacted topic is refused with code %i', async (_, code, ask) => {
  expect(await ask()).toMatchObject({ code, remark })
})

it('a compacted topic stays as it is, for the broker that made it', async () => {
  await client.send('Compacted', 'x')
  await broker.broker.close()
  const table = JSON.parse(await readFile(path.join(dir, 'config', 'topics.json'), 'utf8')) as {
    topicConfigTable: Record<string, unknown>
  }
  expect(table.topicConfigTable['Compacted']).toEqual(topics.topicConfigTable.Compacted)
  expect(await readdir(path.join(dir, 'consumequeue'))).not.toContain('Compacted')
})

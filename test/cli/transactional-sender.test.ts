import { afterEach, describe, expect, it } from 'vitest'
import { TransactionalSender } from '../../src/cli/transactional-sender.ts'
import { MqClient } from '../../src/client/client.ts'
import type { TransactionDecision } from '../../src/client/transaction-producer.ts'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import { respond } from '../../src/protocol/command.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import {
  nameServerScript,
  routeBody,
  ScriptedPeer,
  type Script,
  storing,
} from '../client/scripted-peer.ts'

const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

/** Sends one message to a broker that answers halves and ends so; what is left undone. */
async function undoneAfter(
  decision: TransactionDecision,
  half: number,
  end: number,
): Promise<number> {
  const stored = storing()
  const script: Script = (command, connection) => {
    if (command.code === RequestCode.END_TRANSACTION) return respond(command, end)
    const answer = stored(command, connection)
    if (answer !== null && command.code === RequestCode.SEND_MESSAGE_V2) answer.code = half
    return answer
  }
  const broker = await ScriptedPeer.start(script)
  const routes = new Map([['paid', routeBody([broker.address])]])
  const names = await ScriptedPeer.start(nameServerScript(routes))
  const client = new MqClient(nodeWorld, { nameServers: names.address })
  const sender = new TransactionalSender(client, {
    ...{ sendTimeoutMs: 3_000, trace: false, decision, checkExec: null },
    onRemark: () => undefined,
  })
  open.push(broker, names, client, sender)
  await sender.send({ topic: 'paid', body: 'A-1' })
  return sender.undoneCount
}

describe('transactions with one decision for all', () => {
  it.each([
    ['a commit that the broker takes', 'commit', ResponseCode.SUCCESS, ResponseCode.SUCCESS, 0],
    [
      'a commit that it does not take',
      'commit',
      ResponseCode.SUCCESS,
      ResponseCode.SYSTEM_ERROR,
      1,
    ],
    ['a half that may be lost', 'commit', ResponseCode.FLUSH_DISK_TIMEOUT, ResponseCode.SUCCESS, 1],
    [
      'a rollback of such a half',
      'rollback',
      ResponseCode.FLUSH_DISK_TIMEOUT,
      ResponseCode.SUCCESS,
      0,
    ],
    ['no decision, as was wished', 'unknown', ResponseCode.SUCCESS, ResponseCode.SUCCESS, 0],
  ] as const)('%s: counted as undone only when it is', async (_, decision, half, end, undone) => {
    expect(await undoneAfter(decision, half, end)).toBe(undone)
  })
})

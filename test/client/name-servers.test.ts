import { afterEach, describe, expect, it } from 'vitest'
import { NameServers } from '../../src/client/name-servers.ts'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import { request, respond } from '../../src/protocol/command.ts'
import { RemotingClient } from '../../src/remoting/client.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { ScriptedPeer } from './scripted-peer.ts'

const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

describe('several name servers', () => {
  it('answer two questions that find the same one away at the same time', async () => {
    const living = await ScriptedPeer.start((command) => respond(command, ResponseCode.SUCCESS))
    const away = await ScriptedPeer.start(() => null)
    const addresses = [away.address, living.address]
    await away.close()
    const remoting = new RemotingClient(nodeWorld)
    open.push(living, remoting)
    const names = new NameServers(addresses, remoting, { ...nodeWorld.random, below: () => 0 })
    const ask = () =>
      names.ask(() => request(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER), 3_000)
    const answers = await Promise.all([ask(), ask(), ask()])
    expect(answers.map(({ code }) => code)).toEqual([0, 0, 0])
    expect(names.active).toBe(living.address)
  })
})

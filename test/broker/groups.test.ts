import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { GroupTable } from '../../src/broker/groups.ts'
import { type BrokerOptions, brokerSettings } from '../../src/broker/options.ts'
import { Refusal } from '../../src/broker/refusal.ts'
import { parseBody } from '../../src/protocol/bodies/fields.ts'
import { subscriptionGroupConfig } from '../../src/protocol/bodies/subscription-group-config.ts'
import { ResponseCode } from '../../src/protocol/codes.ts'
import { ManualClock } from '../world/manual-clock.ts'
import { MemoryFile } from './memory-file.ts'

async function aTable(options: BrokerOptions = {}, file = new MemoryFile()) {
  const table = await GroupTable.load({
    clock: new ManualClock(),
    settings: brokerSettings(options),
    file,
    logger: silentLogger,
  })
  return { table, file }
}

function refusalOf(run: () => unknown): number | null {
  try {
    run()
    return null
  } catch (error) {
    return error instanceof Refusal ? error.code : -1
  }
}

describe('the consumer groups of a broker', () => {
  it('leave out names that cannot be here, and leave them in the file for another broker', async () => {
    const row = { groupName: 'order.service', retryMaxTimes: 5 }
    const file = new MemoryFile(
      JSON.stringify({ subscriptionGroupTable: { 'order.service': row } }),
    )
    const { table } = await aTable({}, file)
    expect([...table.names()]).not.toContain('order.service')
    await table.save()
    expect(parseBody(file.content)['subscriptionGroupTable']).toMatchObject({
      'order.service': row,
      TOOLS_CONSUMER: { groupName: 'TOOLS_CONSUMER' },
    })
    expect(await table.tableJson()).not.toContain('order.service')
  })

  it('begin with the groups of the system', async () => {
    const { table } = await aTable()
    expect([...table.names()]).toEqual([
      'TOOLS_CONSUMER',
      'FILTERSRV_CONSUMER',
      'SELF_TEST_C_GROUP',
      'CID_ONS-HTTP-PROXY',
      'CID_ONSAPI_PULL',
      'CID_ONSAPI_PERMISSION',
      'CID_RMQ_SYS_TRANS',
    ])
  })

  it('are made when they are first needed, and stay', async () => {
    const { table, file } = await aTable()
    expect(table.findOrCreate('G1').retryMaxTimes).toBe(16)
    await table.save()
    const again = await aTable({}, file)
    expect(again.table.get('G1')).toEqual(table.get('G1'))
    expect(again.table.dataVersion).toEqual(table.dataVersion)
  })

  it('are not made when that is switched off, beyond the cap, or under an illegal name', async () => {
    const off = await aTable({ autoCreateGroup: false })
    expect(refusalOf(() => off.table.findOrCreate('G1'))).toBe(
      ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
    )
    const { table } = await aTable({ autoCreateGroupsMax: 8 })
    table.findOrCreate('G1')
    expect(refusalOf(() => table.findOrCreate('G2'))).toBe(
      ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
    )
    for (const name of ['..', 'a/b', '', 'x'.repeat(121)]) {
      expect(refusalOf(() => table.findOrCreate(name))).not.toBeNull()
    }
  })

  it('are written as Apache reads them', async () => {
    const { table, file } = await aTable()
    await table.updateAll([subscriptionGroupConfig('G1', { retryMaxTimes: 3 })])
    const body = parseBody(file.content)
    expect(body['subscriptionGroupTable']).toMatchObject({
      G1: { groupName: 'G1', retryMaxTimes: 3, consumeEnable: true, retryQueueNums: 1 },
    })
    expect(body['forbiddenTable']).toEqual({})
  })

  it('are changed all together or not at all', async () => {
    const { table } = await aTable()
    const configs = [subscriptionGroupConfig('G1'), subscriptionGroupConfig('a/b')]
    await expect(table.updateAll(configs)).rejects.toMatchObject({
      code: ResponseCode.INVALID_PARAMETER,
    })
    const wrong = subscriptionGroupConfig('G1', { retryQueueNums: -4 })
    await expect(table.updateAll([wrong])).rejects.toMatchObject({
      code: ResponseCode.INVALID_PARAMETER,
    })
    expect(table.get('G1')).toBeNull()
  })

  it('are deleted, and remember that over a restart', async () => {
    const { table, file } = await aTable()
    table.findOrCreate('G1')
    expect([await table.delete('G1'), await table.delete('G1')]).toEqual([true, false])
    expect((await aTable({}, file)).table.get('G1')).toBeNull()
  })

  it('may be forbidden to read a topic', async () => {
    const { table, file } = await aTable()
    await table.setMayRead('G1', 'T1', false)
    const again = await aTable({}, file)
    expect([again.table.mayRead('G1', 'T1'), again.table.mayRead('G1', 'T2')]).toEqual([
      false,
      true,
    ])
    await again.table.setMayRead('G1', 'T1', true)
    expect(again.table.mayRead('G1', 'T1')).toBe(true)
  })
})

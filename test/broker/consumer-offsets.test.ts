import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { ConsumerOffsets } from '../../src/broker/consumer-offsets.ts'
import { decodeConsumerOffsetTable } from '../../src/protocol/bodies/queue-offsets.ts'
import { ManualClock } from '../world/manual-clock.ts'
import { MemoryFile } from './memory-file.ts'

async function aTable(file = new MemoryFile()) {
  const clock = new ManualClock()
  const log = { flushes: 0, fails: false }
  const table = await ConsumerOffsets.load({
    clock,
    file,
    logger: silentLogger,
    flushMs: 5_000,
    flushLog: () => {
      log.flushes++
      return Promise.resolve(!log.fails)
    },
  })
  return { table, file, clock, log }
}

describe('the progress of consumer groups', () => {
  it('is unknown until it is reported', async () => {
    const { table } = await aTable()
    expect(table.query('G', 'T', 0)).toBeNull()
    expect(table.commit('G', 'T', 0, 7)).toBe(true)
    expect(table.query('G', 'T', 0)).toBe(7)
  })

  it('stays in the file under names that cannot be here: another broker may have it next', async () => {
    const rows = '"%RETRY%order.service@order.service":{0:9},"T@order.service":{3:4,7:8}'
    const text = `{"offsetTable":{"T@G":{0:1},${rows}}}`
    const { table, file } = await aTable(new MemoryFile(text))
    table.commit('G', 'T', 0, 2)
    await table.save()
    expect(file.text).toContain(`"T@G":{0:2},${rows}}`)
    expect((await table.tableBody()).toString()).not.toContain('order.service')
  })

  it('may go back', async () => {
    const { table } = await aTable()
    table.commit('G', 'T', 0, 7)
    table.commit('G', 'T', 0, 3)
    expect(table.get('G', 'T', 0)).toBe(3)
  })

  it.each([-1, Number.NaN, 2 ** 60])('does not take the offset %d', async (offset) => {
    const { table } = await aTable()
    expect(table.commit('G', 'T', 0, offset)).toBe(false)
    expect(table.get('G', 'T', 0)).toBeNull()
  })

  it.each([
    ['G"', 'T'],
    ['G', 'T\n'],
    ['', 'T'],
  ])('does not take the group %j in the topic %j', async (group, topic) => {
    const { table } = await aTable()
    expect(table.commit(group, topic, 0, 1)).toBe(false)
    expect(table.topicsOf(group)).toEqual([])
  })

  it('is written every five seconds, only when it changed', async () => {
    const { table, file, clock } = await aTable()
    table.start()
    table.commit('G', 'T', 1, 9)
    clock.advance(4_999)
    expect(file.saves).toBe(0)
    clock.advance(1)
    await table.save()
    const saves = file.saves
    clock.advance(10_000)
    expect(file.saves).toBe(saves)
    expect(file.text).toContain('"T@G":{1:9}')
  })

  it('is written at the stop, and read at the start', async () => {
    const { table, file } = await aTable()
    for (let queueId = 0; queueId < 4; queueId++) table.commit('G', 'T', queueId, queueId * 10)
    await table.close()
    const again = await aTable(file)
    expect([...again.table.queuesOf('G', 'T')]).toEqual([
      [0, 0],
      [1, 10],
      [2, 20],
      [3, 30],
    ])
  })

  it('reads what Apache writes, with bare keys and the derived table', async () => {
    const { table } = await aTable(
      new MemoryFile(
        '{\n\t"dataVersion":{"counter":2,"stateVersion":0,"timestamp":1700000000000},\n' +
          '\t"groupTopicMap":{"G":["T"]},\n\t"offsetTable":{"T@G":{0:12,1:9},"../x@G":{0:1}\n\t}\n}',
      ),
    )
    expect([table.get('G', 'T', 0), table.get('G', 'T', 1), table.topicsOf('G')]).toEqual([
      12,
      9,
      ['T'],
    ])
    expect(table.dataVersion.counter).toBe(2)
  })

  it('is tried again when the disk failed', async () => {
    const { table, file, clock } = await aTable()
    table.start()
    table.commit('G', 'T', 0, 5)
    file.failing = new Error('no space')
    await expect(table.save()).rejects.toThrow('no space')
    file.failing = null
    clock.advance(5_000)
    await table.save()
    expect(decodeConsumerOffsetTable(file.content).offsets.get('T@G')?.get(0)).toBe(5)
  })

  it('is never ahead of the log on the disk: not written unless that was flushed', async () => {
    const { table, file, log } = await aTable()
    table.commit('G', 'T', 0, 5)
    log.fails = true
    await expect(table.save()).rejects.toThrow('flushed')
    expect([log.flushes, file.saves]).toEqual([1, 0])
    log.fails = false
    await table.close()
    expect([log.flushes, file.saves]).toEqual([2, 1])
    expect(file.text).toContain('"T@G":{0:5}')
  })

  it('is cloned from one group to another', async () => {
    const { table } = await aTable()
    table.commit('G', 'T', 0, 5)
    table.commit('G', 'T', 2, 6)
    table.clone('G', 'H', 'T')
    expect([...table.queuesOf('H', 'T')]).toEqual([
      [0, 5],
      [2, 6],
    ])
  })

  it('is forgotten with its topic or its group', async () => {
    const { table } = await aTable()
    table.commit('G', 'T', 0, 5)
    table.commit('G', 'U', 0, 5)
    table.commit('H', 'T', 0, 5)
    table.forgetTopic('T')
    expect([table.topicsOf('G'), table.groupsOf('T'), table.topicsOf('H')]).toEqual([['U'], [], []])
    table.forgetGroup('G')
    expect(table.topicsOf('G')).toEqual([])
  })
})

describe('a reset', () => {
  it('is answered once, and reports are ignored until then', async () => {
    const { table } = await aTable()
    table.commit('G', 'T', 0, 100)
    table.reset('G', 'T', 0, 10)
    expect(table.commit('G', 'T', 0, 101)).toBe(false)
    expect(table.query('G', 'T', 0)).toBe(10)
    expect(table.takeReset('G', 'T', 0)).toBe(10)
    expect(table.takeReset('G', 'T', 0)).toBeNull()
    expect(table.commit('G', 'T', 0, 11)).toBe(true)
    expect(table.get('G', 'T', 0)).toBe(11)
  })

  it('concerns its queue alone', async () => {
    const { table } = await aTable()
    table.reset('G', 'T', 0, 10)
    expect(table.commit('G', 'T', 1, 5)).toBe(true)
    expect(table.takeReset('G', 'T', 1)).toBeNull()
  })

  it('survives a restart as progress', async () => {
    const { table, file } = await aTable()
    table.reset('G', 'T', 0, 10)
    await table.save()
    expect((await aTable(file)).table.query('G', 'T', 0)).toBe(10)
  })
})

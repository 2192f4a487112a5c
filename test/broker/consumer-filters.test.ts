import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { ConsumerFilters } from '../../src/broker/consumer-filters.ts'
import { sqlSubscription, tagSubscription } from '../../src/protocol/bodies/subscription-data.ts'
import { ResponseCode } from '../../src/protocol/codes.ts'
import { decodeRecords } from '../../src/protocol/record.ts'
import { ManualClock } from '../world/manual-clock.ts'
import { aBroker, aFolder, closeAll } from './a-broker.ts'
import { MemoryFile } from './memory-file.ts'

afterEach(closeAll)

const HOUR_MS = 3_600_000

/** As Apache RocketMQ 5.5's ConsumerFilterManager writes it; the times are ours. */
const ofApache = (deadMs: number): string =>
  '{"filterDataByTopic":{"T1":{"groupFilterData":{"G1":{"bloomFilterData":{"bitNum":112,' +
  '"bitPos":[36,12,100]},"bornTime":1000,"clientVersion":7,"consumerGroup":"G1",' +
  `"dead":${deadMs > 0},"deadTime":${deadMs},"expression":"price > 10 AND region = 'eu'",` +
  '"expressionType":"SQL92","topic":"T1"}},"topic":"T1"}}}'

async function someFilters(file = new MemoryFile()) {
  const clock = new ManualClock()
  const parts = { clock, file, logger: silentLogger, flushMs: 10_000 }
  return { filters: await ConsumerFilters.load(parts), file, clock }
}

describe('the filters of consumers', () => {
  it('are written as Apache writes them', async () => {
    const { filters, file, clock } = await someFilters()
    filters.register('G1', [sqlSubscription('T1', "price > 10 AND region = 'eu'", 7)])
    await filters.close()
    const bornMs = Math.floor(clock.wallMs())
    expect(file.text).toBe(ofApache(0).replace('"bornTime":1000', `"bornTime":${bornMs}`))
  })

  it('are read as Apache writes them, of groups that have been away since the start', async () => {
    const { filters, clock } = await someFilters(new MemoryFile(ofApache(0)))
    expect(filters.get('T1', 'G1')).toMatchObject({
      expression: "price > 10 AND region = 'eu'",
      clientVersion: 7,
      deadMs: Math.floor(clock.wallMs()) - 30_000,
    })
  })

  it('are kept for a day after the last member left', async () => {
    const { filters, file, clock } = await someFilters()
    filters.register('G1', [sqlSubscription('T1', 'a = 1', 7)])
    filters.unregister('G1')
    clock.advance(23 * HOUR_MS)
    await filters.close()
    expect(file.text).toContain('"G1"')
    filters.register('G2', [sqlSubscription('T1', 'a = 1', 7)])
    clock.advance(HOUR_MS)
    await filters.close()
    expect(file.text).not.toContain('"G1"')
  })

  it('begin to live again with their group', async () => {
    const { filters } = await someFilters(new MemoryFile(ofApache(0)))
    filters.register('G1', [sqlSubscription('T1', "price > 10 AND region = 'eu'", 7)])
    expect(filters.get('T1', 'G1')?.deadMs).toBe(0)
  })

  it('follow the newest subscription of their group', async () => {
    const { filters } = await someFilters()
    filters.register('G1', [sqlSubscription('T1', 'a = 2', 2)])
    filters.register('G1', [sqlSubscription('T1', 'a = 1', 1)])
    expect(filters.get('T1', 'G1')?.expression).toBe('a = 2')
    filters.register('G1', [sqlSubscription('T1', 'a = 3', 3)])
    expect(filters.get('T1', 'G1')?.expression).toBe('a = 3')
  })

  it.each([
    ['tags', [tagSubscription('T1', 'A', 2)]],
    ['an expression that cannot be read', [sqlSubscription('T1', 'a = = 1', 2)]],
  ])('are forgotten when the group subscribes by %s instead', async (_, subscriptions) => {
    const { filters } = await someFilters()
    filters.register('G1', [sqlSubscription('T1', 'a = 1', 1)])
    filters.register('G1', subscriptions)
    expect(filters.get('T1', 'G1')).toBeNull()
  })

  it('stay when the group subscribes to other topics only', async () => {
    const { filters, clock } = await someFilters()
    filters.register('G1', [sqlSubscription('T1', 'a = 1', 1)])
    filters.register('G1', [tagSubscription('T2', '*', 2)])
    expect(filters.get('T1', 'G1')?.deadMs).toBe(Math.floor(clock.wallMs()))
  })
})

describe('a message of a retry topic', () => {
  const properties = (price: number, origin: string): string =>
    `RETRY_TOPIC\u0001${origin}\u0002price\u0001${price}\u0002`

  async function retried(filterSupportRetry: boolean, dir: string): Promise<string[]> {
    const { connect } = await aBroker({ filterSupportRetry, store: { dir } })
    const client = connect()
    const topics = ['Other', '%RETRY%G1']
    await client.heartBeat('c', 'G1', topics)
    await client.send('%RETRY%G1', 'cheap', 0, properties(5, 'T1'))
    await client.send('%RETRY%G1', 'dear', 0, properties(50, 'T1') + 'region\u0001eu\u0002')
    await client.send('%RETRY%G1', 'of elsewhere', 0, properties(5, 'T2'))
    const answer = await client.pull('%RETRY%G1', 'G1', 0, { sysFlag: 0 })
    expect(answer.code).toBe(ResponseCode.SUCCESS)
    const { messages } = decodeRecords(answer.body ?? Buffer.alloc(0))
    return messages.map(({ body }) => body.toString())
  }

  async function ofApacheFolder(): Promise<string> {
    const dir = await aFolder()
    await mkdir(path.join(dir, 'config'))
    await writeFile(path.join(dir, 'config', 'consumerFilter.json'), ofApache(0))
    return dir
  }

  it('is filtered by what its group wanted of the topic of origin, also after a restart', async () => {
    const dir = await ofApacheFolder()
    expect(await retried(true, dir)).toEqual(['dear', 'of elsewhere'])
  })

  it('comes whatever it is as long as filterSupportRetry is off', async () => {
    const dir = await ofApacheFolder()
    expect(await retried(false, dir)).toEqual(['cheap', 'dear', 'of elsewhere'])
  })

  it('is filtered by what a heart-beat said before the broker stopped', async () => {
    const dir = await aFolder()
    const { broker, connect } = await aBroker({ store: { dir } })
    const subscription = sqlSubscription('T1', 'price > 10', 1)
    await connect().heartBeat('c', 'G1', [], { subscriptions: [subscription] })
    await broker.close()
    const file = path.join(dir, 'config', 'consumerFilter.json')
    expect(await readFile(file, 'utf8')).toContain('"expression":"price > 10"')
    expect(await retried(true, dir)).toEqual(['dear', 'of elsewhere'])
  })
})

import { describe, expect, it } from 'vitest'
import { type CapacityInput, planCapacity } from '../../src/bench/capacity-plan.ts'
import { costOf, oneMessage, ourCpuCost, wireBytes } from '../../src/bench/capacity.ts'
import { countedBytes, ethernet, linkBytes, trafficOf } from '../../src/bench/framing.ts'
import { readScenario } from '../../src/bench/scenario.ts'
import { frameSizesOf } from '../../src/drivers/frame-sizes.ts'
import { OutBuffer } from '../../src/remoting/out-buffer.ts'
import { SendAnswerWriter } from '../../src/protocol/send-answer.ts'
import { pullAnswerHeadBytes } from '../../src/protocol/pull-answer.ts'
import { RecordParts, recordBytes } from '../../src/protocol/record.ts'
import { PullFrame } from '../../src/drivers/pull-frame.ts'

const { scenario } = readScenario('version: 1\nname: pressure\n', 'pressure.yaml')
const plain = { kind: { tag: null, properties: {} }, weight: 1 }
const frames = { topic: 'T', group: 'G', broker: 'broker-a', kinds: [plain], keyed: false } as const
const sizes = frameSizesOf({ ...frames, mode: 'single' })

function capacity(changes: Partial<CapacityInput> = {}) {
  return planCapacity({
    scenario,
    followers: 2,
    groups: 1,
    readFrom: 'leader',
    brokers: 1,
    linkBitsPerSecond: 1e9,
    diskBytesPerSecond: null,
    diskSizeBytes: null,
    flushMs: null,
    cores: null,
    coresOfBroker: 1,
    cpu: ourCpuCost,
    ratePerSecond: null,
    times: 1,
    ...changes,
  })
}

describe('bytes on a link', () => {
  it('are the stream and the headers of its segments, a part of one at the end of each write', () => {
    const { out } = trafficOf(ethernet, { bytes: 10, perWrite: 1 }, { bytes: 14_480, perWrite: 1 })
    expect(out).toEqual({ payloadBytes: 14_480, segments: 10.5 })
    expect(countedBytes(out, ethernet)).toBe(14_480 + 10.5 * 66)
    expect(linkBytes(out, ethernet)).toBe(14_480 + 10.5 * 90)
  })

  it('acknowledge every second segment, on data that goes the other way when there is some', () => {
    const bulk = trafficOf(ethernet, { bytes: 10, perWrite: 1 }, { bytes: 28_960, perWrite: 1 })
    expect(bulk.in.segments).toBe(20.5 / 2)
    const pingPong = trafficOf(ethernet, { bytes: 900, perWrite: 1 }, { bytes: 200, perWrite: 1 })
    expect([pingPong.in.segments, pingPong.out.segments]).toEqual([1, 1])
  })

  it('share the headers of one write when several messages go in it', () => {
    const { in: way } = trafficOf(ethernet, { bytes: 200, perWrite: 7 }, { bytes: 1, perWrite: 7 })
    expect(way.segments).toBeCloseTo(1 / 7)
  })
})

describe('the sizes of frames', () => {
  it('are those of the frames that client and broker write', () => {
    const out = new OutBuffer()
    const pull = new PullFrame({
      consumerGroup: 'G',
      topic: 'T',
      queueId: 0,
      maxMsgNums: 32,
      sysFlag: 7,
      suspendTimeoutMs: 15_000,
      subscription: '*',
      subVersion: 1_700_000_000_000,
      expressionType: 'TAG',
      maxMsgBytes: null,
    })
    pull.write(out, 1_000_000_000, 1_000_000)
    expect(sizes.pullRequestBytes).toBe(out.length)
    expect(sizes.pullAnswerHeadBytes).toBe(pullAnswerHeadBytes(1e9, 1e6, 0, 1e6))
  })

  it('are those of the broker’s answer and of the record that it stores', () => {
    const storeHost = Buffer.from([127, 0, 0, 1, 0, 0, 42, 159])
    const writer = new SendAnswerWriter(storeHost, 'DefaultRegion', true)
    const answer = Buffer.alloc(writer.bytesMax)
    expect(writer.write(answer, 0, 1_000_000_000, 0, 1_000_000, 0)).toBe(sizes.sendAnswerBytes)
    const parts = new RecordParts()
    parts.topic = Buffer.from('T')
    parts.properties = Buffer.from(`UNIQ_KEY\u0001${'0'.repeat(32)}\u0002WAIT\u0001true\u0002`)
    parts.propertiesEnd = parts.properties.length
    parts.suffix = Buffer.from(
      'MSG_REGION\u0001DefaultRegion\u0002TRACE_ON\u0001true\u0002CLUSTER\u0001DefaultCluster\u0002',
    )
    expect(recordBytes(parts, 8)).toBe(sizes.recordExtraBytes)
  })
})

describe('what a message costs a broker', () => {
  const flow = {
    sizes,
    bodyBytes: 500,
    followers: 0,
    groups: 0,
    framing: ethernet,
    perRequest: 1,
    perWrite: 20,
    perPull: 8,
  }
  const out = (groups: number, followers: number) =>
    wireBytes(costOf(flow), oneMessage({ groups, followers }), 'out', 'counted')

  it('goes out once more for each group and each follower', () => {
    const delivery = out(1, 0) - out(0, 0)
    const recordBytesOf = 500 + sizes.recordExtraBytes
    expect(out(3, 0) - out(0, 0)).toBeCloseTo(3 * delivery)
    expect(delivery).toBeGreaterThan(recordBytesOf)
    expect(delivery).toBeLessThan(recordBytesOf * 1.15)
    const replica = out(0, 1) - out(0, 0)
    expect(replica).toBeGreaterThan(recordBytesOf)
    expect(replica).toBeLessThan(delivery)
  })

  it('is its record and two units on disk, however many read it', () => {
    const bytes = 500 + sizes.recordExtraBytes + 40
    expect([costOf(flow).diskBytes, costOf({ ...flow, groups: 9 }).diskBytes]).toEqual([
      bytes,
      bytes,
    ])
  })
})

describe('capacity', () => {
  it('finds the outgoing side of the link full in the origin’s pressure test', () => {
    const result = capacity({ diskBytesPerSecond: 500e6, cores: 24, coresOfBroker: 16 })
    expect(result.ratePerSecond).toBe(70_000)
    expect(result.first).toBe('nic-tx')
    expect(result.full).toEqual(['nic-tx'])
    const rx = result.limits.find(({ resource }) => resource === 'nic-rx')
    expect(rx?.share).toBeGreaterThan(0.5)
    expect(rx?.share).toBeLessThan(0.75)
  })

  it('finds it just full when the consumers read from followers', () => {
    const [first] = capacity({ readFrom: 'follower' }).limits
    expect(first?.resource).toBe('nic-tx')
    expect(first?.share).toBeGreaterThan(0.85)
    expect(first?.share).toBeLessThan(1.05)
  })

  it('says what breaks when the load grows a hundred times, and how many brokers it takes', () => {
    const result = capacity({
      ratePerSecond: 1000,
      times: 100,
      diskBytesPerSecond: 500e6,
      cores: 4,
    })
    expect(result.full).toEqual([])
    expect(result.fullGrown).toEqual(['nic-tx'])
    expect(result.limits[0]).toMatchObject({ resource: 'nic-tx', brokersGrown: 3 })
    expect(result.limits.map(({ resource }) => resource).sort()).toEqual([
      'cpu-broker',
      'disk-bandwidth',
      'nic-rx',
      'nic-tx',
    ])
  })

  it('spreads over brokers, each with a machine of its own', () => {
    const one = capacity().ceilingPerSecond ?? 0
    expect(capacity({ brokers: 3 }).ceilingPerSecond).toBeGreaterThan(2.9 * one)
  })

  it('lets all senders share one flush, and more brokers do not change that', () => {
    const flush = (brokers: number) =>
      capacity({ linkBitsPerSecond: null, flushMs: 2, brokers }).ceilingPerSecond
    expect([flush(1), flush(4)]).toEqual([80_000, 80_000])
  })

  it('asks for senders, not for brokers, where a flush is shared', () => {
    const { limits } = capacity({
      linkBitsPerSecond: null,
      flushMs: 2,
      ratePerSecond: 40_000,
      times: 10,
    })
    expect(limits).toMatchObject([
      { resource: 'disk-flush', brokersGrown: null, sendersGrown: 160 * 5 },
    ])
  })

  it('judges the followers from which groups read: what comes in once goes out to every group', () => {
    const shared = capacity({ readFrom: 'follower', followers: 2, groups: 12, cores: 4 })
    const of = (name: string, { limits } = shared) =>
      limits.find(({ resource }) => resource === name)?.perSecond ?? 0
    expect(shared.first).toBe('follower-nic-tx')
    // Twelve groups over two followers: each sends six times what it copies.
    expect(of('follower-nic-rx') / of('follower-nic-tx')).toBeGreaterThan(3)
    const twice = capacity({ readFrom: 'follower', followers: 4, groups: 12, cores: 4 })
    expect(of('follower-nic-tx', twice)).toBeGreaterThan(of('follower-nic-tx') * 1.9)
    expect(of('follower-cpu')).toBeCloseTo(1e6 / (ourCpuCost.replicaUs + 6 * ourCpuCost.deliveryUs))
  })

  it('lets no group read from followers that do not exist', () => {
    expect(() => capacity({ readFrom: 'follower', followers: 0 })).toThrow('there are none')
  })

  it('knows when the disk is full', () => {
    const { diskFullHours, perMessage } = capacity({ ratePerSecond: 1000, diskSizeBytes: 360e9 })
    expect(diskFullHours).toBeCloseTo(360e9 / (perMessage.storedBytes * 1000 * 3600))
  })

  it('counts the requests of batches, and no answers to one-way messages', () => {
    const of = (mode: string) => {
      const { scenario } = readScenario(
        `version: 1\nname: x\nproducers: {mode: ${mode}}\n`,
        'x.yaml',
      )
      return capacity({ scenario, groups: 0, followers: 0 })
    }
    const [single, batch, oneWay] = [of('sync'), of('batch'), of('one-way')]
    expect(batch.perMessage.inBytes).toBeLessThan(single.perMessage.inBytes - 200)
    expect(batch.assumptions).toContain('about 32 messages share a request and an answer')
    expect(oneWay.perMessage.outBytes).toBeLessThan(single.perMessage.outBytes / 10)
    expect(oneWay.perMessage.storedBytes).toBe(single.perMessage.storedBytes)
  })

  it('judges nothing of which it was told nothing', () => {
    expect(capacity({ linkBitsPerSecond: null })).toMatchObject({ limits: [], first: null })
  })
})

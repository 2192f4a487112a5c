/**
 * What the broker counts: plain numbers that the write path and the read path add to, sampled once a
 * second. Nothing here is computed until somebody asks.
 * Source of the names: apache/rocketmq store/…/StoreStatsService.java, store/…/stats/BrokerStatsManager.java.
 */
import type { Clock, Stop } from '../world/clock.ts'
import { Meter, type MeterWindow, SampleRing } from './meter.ts'
import type { RuntimeFigures, RuntimeProbe } from './runtime-probe.ts'
import type { Topic } from './topic.ts'

const SAMPLE_MS = 1_000
const RATE_SAMPLES = 600
const MINUTE_SAMPLE_S = 10
const HOUR_SAMPLE_S = 600
const DAY_SAMPLE_S = 3_600
/** A meter that did not move for this long is dropped. */
const METER_IDLE_MS = 24 * 3_600_000
const METERS_MAX = 100_000

/** Latency buckets: eight to each doubling of the microseconds (at most 12.5 % wide), up to 2^31 µs. */
const LATENCY_BUCKETS = 32 * 8
const LATENCY_US_MAX = 0x7fff_ffff

function latencyBucketOf(ms: number): number {
  const us = ms < LATENCY_US_MAX / 1000 ? (ms * 1000) | 0 : LATENCY_US_MAX
  if (us < 8) return us < 0 ? 0 : us
  const exponent = 31 - Math.clz32(us)
  return (exponent << 3) + ((us >>> (exponent - 3)) & 7)
}

/** Where a bucket ends, milliseconds. */
function latencyBucketEndMs(bucket: number): number {
  if (bucket < 8) return (bucket + 1) / 1000
  return ((8 + (bucket & 7) + 1) * 2 ** ((bucket >> 3) - 3)) / 1000
}

export const StatName = {
  topicPutNums: 'TOPIC_PUT_NUMS',
  topicPutSize: 'TOPIC_PUT_SIZE',
  groupGetNums: 'GROUP_GET_NUMS',
  groupGetSize: 'GROUP_GET_SIZE',
  sendBackPutNums: 'SNDBCK_PUT_NUMS',
  brokerPutNums: 'BROKER_PUT_NUMS',
  brokerGetNums: 'BROKER_GET_NUMS',
} as const

/** Totals at the last two midnights, for `clusterList -m`. */
export interface DayTotals {
  readonly yesterdayMorning: number
  readonly todayMorning: number
  readonly now: number
}

export class BrokerStats {
  /** Messages that were stored, and the bytes of their records. */
  puts = 0
  putBytes = 0
  /** Sends that were refused or failed. */
  putFailures = 0
  /** Messages handed to consumers, and the bytes of their records. */
  gets = 0
  getBytes = 0
  /** Pulls that found messages, and pulls that found none. */
  getFound = 0
  getMiss = 0
  /** Longest time of a send in the broker and of a pull, in milliseconds. */
  putMsMax = 0
  getMsMax = 0
  readonly startedMs: number
  readonly #clock: Clock
  readonly #runtime: RuntimeProbe | null
  readonly #clusterName: string
  readonly #putMs = new Float64Array(LATENCY_BUCKETS)
  readonly #rings = {
    puts: new SampleRing(RATE_SAMPLES),
    gets: new SampleRing(RATE_SAMPLES),
    getFound: new SampleRing(RATE_SAMPLES),
    getMiss: new SampleRing(RATE_SAMPLES),
  }
  /** Stat name → key → meter. */
  readonly #meters = new Map<string, Map<string, Meter>>()
  /** Topics whose counters moved since they were last looked at. */
  readonly #movedTopics = new Set<Topic>()
  #meterCount = 0
  #seconds = 0
  #day: number
  #putDays = { yesterdayMorning: 0, todayMorning: 0 }
  #getDays = { yesterdayMorning: 0, todayMorning: 0 }
  #stop: Stop = () => undefined

  constructor(clock: Clock, clusterName: string, runtime: RuntimeProbe | null = null) {
    this.#clock = clock
    this.#clusterName = clusterName
    this.#runtime = runtime
    this.startedMs = clock.wallMs()
    this.#day = dayOf(this.startedMs)
    this.#sampleRates(clock.monotonicMs())
  }

  start(): void {
    this.#stop = this.#clock.every(SAMPLE_MS, () => {
      this.sample()
    })
  }

  stop(): void {
    this.#stop()
  }

  /** Counts messages that were stored. */
  onPut(topic: Topic, messages: number, bytes: number): void {
    this.puts += messages
    this.putBytes += bytes
    topic.puts += messages
    topic.putBytes += bytes
    if (topic.moved) return
    topic.moved = true
    this.#movedTopics.add(topic)
  }

  /** Counts a send that was refused or failed. */
  onPutFailed(): void {
    this.putFailures++
  }

  /** Counts a pull that found nothing. */
  onGetMiss(): void {
    this.getMiss++
  }

  /** Counts a pull that handed messages to a consumer group. */
  countGet(topic: string, group: string, messages: number, bytes: number): void {
    this.gets += messages
    this.getBytes += bytes
    this.getFound++
    const key = `${topic}@${group}`
    this.#meter(StatName.groupGetNums, key)?.add(messages)
    this.#meter(StatName.groupGetSize, key)?.add(bytes)
  }

  /** Notes how long a send took from its frame to its answer. */
  recordPutMs(ms: number): void {
    if (ms > this.putMsMax) this.putMsMax = ms
    const at = latencyBucketOf(ms)
    this.#putMs[at] = (this.#putMs[at] ?? 0) + 1
  }

  /** Milliseconds below which the given share of the sends was answered; 0 when none was measured. */
  putMsAt(share: number): number {
    const total = this.#putMs.reduce((sum, count) => sum + count, 0)
    if (total === 0) return 0
    let seen = 0
    for (let bucket = 0; bucket < this.#putMs.length; bucket++) {
      seen += this.#putMs[bucket] ?? 0
      if (seen >= total * share) return latencyBucketEndMs(bucket)
    }
    return this.putMsMax
  }

  /** Events a second over the last `seconds`. */
  rate(kind: 'puts' | 'gets' | 'getFound' | 'getMiss', seconds: number): number {
    return this.#rings[kind].ratePerSecond(
      this[kind],
      this.#clock.monotonicMs(),
      seconds,
      SAMPLE_MS,
    )
  }

  putTotals(): DayTotals {
    return { ...this.#putDays, now: this.puts }
  }

  getTotals(): DayTotals {
    return { ...this.#getDays, now: this.gets }
  }

  /** The last minute, hour and day of one statistic; null when it never counted. */
  windows(name: string, key: string): [MeterWindow, MeterWindow, MeterWindow] | null {
    this.#collectMoved()
    const meter = this.#meters.get(name)?.get(key)
    if (meter === undefined) return null
    const nowMs = this.#clock.monotonicMs()
    return [meter.window(0, nowMs), meter.window(1, nowMs), meter.window(2, nowMs)]
  }

  /** Messages a second over the last minute; 0 for what never counted. */
  minuteRate(name: string, key: string): number {
    return this.windows(name, key)?.[0].tps ?? 0
  }

  /** Forgets a topic or a group that was deleted. */
  forget(name: string): void {
    for (const table of this.#meters.values()) {
      for (const key of table.keys()) {
        if (key !== name && !key.startsWith(`${name}@`) && !key.endsWith(`@${name}`)) continue
        table.delete(key)
        this.#meterCount--
      }
    }
  }

  runtime(): RuntimeFigures | null {
    return this.#runtime?.read() ?? null
  }

  /** Takes one sample of everything; called once a second. */
  sample(): void {
    const nowMs = this.#clock.monotonicMs()
    this.#sampleRates(nowMs)
    this.#seconds++
    const today = dayOf(this.#clock.wallMs())
    if (today !== this.#day) {
      this.#day = today
      this.#putDays = { yesterdayMorning: this.#putDays.todayMorning, todayMorning: this.puts }
      this.#getDays = { yesterdayMorning: this.#getDays.todayMorning, todayMorning: this.gets }
    }
    if (this.#seconds % MINUTE_SAMPLE_S === 0) this.#sampleMeters(0, nowMs)
    if (this.#seconds % HOUR_SAMPLE_S === 0) this.#sampleMeters(1, nowMs)
    if (this.#seconds % DAY_SAMPLE_S === 0) this.#sampleMeters(2, nowMs)
  }

  #sampleRates(nowMs: number): void {
    this.#rings.puts.add(this.puts, nowMs)
    this.#rings.gets.add(this.gets, nowMs)
    this.#rings.getFound.add(this.getFound, nowMs)
    this.#rings.getMiss.add(this.getMiss, nowMs)
  }

  #sampleMeters(span: 0 | 1 | 2, nowMs: number): void {
    this.#collectMoved()
    for (const table of this.#meters.values()) {
      for (const [key, meter] of table) {
        meter.sample(span, nowMs)
        if (nowMs - meter.lastChangeMs < METER_IDLE_MS) continue
        table.delete(key)
        this.#meterCount--
      }
    }
  }

  /** Brings what the hot paths counted on the topics into the meters. */
  #collectMoved(): void {
    for (const topic of this.#movedTopics) {
      topic.moved = false
      const nums = this.#meter(StatName.topicPutNums, topic.name)
      const bytes = this.#meter(StatName.topicPutSize, topic.name)
      if (nums) nums.calls = nums.count = topic.puts
      if (bytes) {
        bytes.count = topic.putBytes
        bytes.calls = topic.puts
      }
    }
    this.#movedTopics.clear()
    const puts = this.#meter(StatName.brokerPutNums, this.#clusterName)
    const gets = this.#meter(StatName.brokerGetNums, this.#clusterName)
    if (puts) puts.calls = puts.count = this.puts
    if (gets) {
      gets.count = this.gets
      gets.calls = this.getFound
    }
  }

  #meter(name: string, key: string): Meter | null {
    let table = this.#meters.get(name)
    if (table === undefined) {
      table = new Map()
      this.#meters.set(name, table)
    }
    const known = table.get(key)
    if (known !== undefined) return known
    if (this.#meterCount >= METERS_MAX) return null
    const meter = new Meter(this.#clock.monotonicMs())
    table.set(key, meter)
    this.#meterCount++
    return meter
  }
}

/** A number that changes at midnight, local time. */
function dayOf(wallMs: number): number {
  const date = new Date(wallMs)
  return date.getFullYear() * 400 + date.getMonth() * 32 + date.getDate()
}

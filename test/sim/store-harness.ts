/** The store on a simulated disk: a workload of 200 operations that leaves a history. */
import { resolveOptions } from '../../src/base/options.ts'
import { messageOf } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { BatchReader, encodeBatch } from '../../src/protocol/batch-body.ts'
import { AppendRequest, AppendStatus } from '../../src/store/append.ts'
import type { ReplyBuffer } from '../../src/store/log-reader.ts'
import { storeOptions, type StoreSettings } from '../../src/store/options.ts'
import { Store, type StoreHooks } from '../../src/store/store.ts'
import type { Clock } from '../../src/world/clock.ts'
import type { Disk } from '../../src/world/disk.ts'
import type { World } from '../../src/world/world.ts'
import { randomFrom, settle, SimClock } from './sim-clock.ts'
import { type FaultPlan, SimDisk } from './sim-disk.ts'
import type { Snapshot } from './sim-inode.ts'

export const OPERATIONS = 200
/** Operations that are still done after a disk call failed. */
const AFTER_FAULT = 12
export const SEGMENT_BYTES = 4096
export const TOPICS = ['A', 'B'] as const
export const QUEUES = 2

export type Flush = 'sync' | 'async'

export function settingsFor(flush: Flush): StoreSettings {
  return {
    ...resolveOptions(storeOptions, {
      flush,
      segmentBytes: SEGMENT_BYTES,
      queueFileBytes: 400,
      indexSlots: 32,
      indexUnits: 60,
      chunkBytes: 1024,
      tailBytes: 4096,
      stagedBytesMax: 1_000_000,
      cacheBytes: 64 * 1024,
      checkpointIntervalMs: 3_000,
      fileReservedHours: 0,
      deleteWhen: '04',
    }),
    dir: '/store',
    storeHost: '127.0.0.1:10911',
  }
}

const net: World['net'] = {
  connect: () => Promise.reject(new Error('no net here')),
  listen: () => Promise.reject(new Error('no net here')),
}
const random: World['random'] = {
  below: () => 0,
  float: () => 0,
  fill: (target) => target.fill(0),
}

export function worldOf(clock: Clock, disk: Disk): World {
  return { clock, disk, net, random }
}

// ---- history -------------------------------------------------------------------------------------

export interface Sent {
  readonly key: string
  readonly offset: number
  readonly body: string
  /** Its place in the log; of a batch, `end` is that of the whole batch. */
  readonly start: number
  readonly end: number
}

/** What was true at one moment. */
export interface Mark {
  readonly acked: number
  readonly seen: ReadonlyMap<string, number>
  readonly flushed: number
  readonly cleanedTo: number
}

export class History {
  /** Queue → offset → everything that was ever appended there, by its body. */
  readonly candidates = new Map<string, Map<number, Map<string, Sent>>>()
  readonly acked: Sent[] = []
  readonly keys: string[] = []
  /** Queue → behind the last message a consumer could have seen. */
  readonly seen = new Map<string, number>()
  pending: Sent[] = []
  flushed = 0
  cleanedTo = 0

  mark(): Mark {
    return {
      acked: this.acked.length,
      seen: new Map(this.seen),
      flushed: this.flushed,
      cleanedTo: this.cleanedTo,
    }
  }

  appended(sent: Sent): void {
    let offsets = this.candidates.get(sent.key)
    if (!offsets) this.candidates.set(sent.key, (offsets = new Map<number, Map<string, Sent>>()))
    let bodies = offsets.get(sent.offset)
    if (!bodies) offsets.set(sent.offset, (bodies = new Map<string, Sent>()))
    bodies.set(sent.body, sent)
    this.pending.push(sent)
  }

  confirmed(end: number): void {
    let count = 0
    while (count < this.pending.length && (this.pending[count]?.end ?? 0) <= end) count++
    this.acked.push(...this.pending.splice(0, count))
  }

  lost(from: number): void {
    this.pending = this.pending.filter((sent) => sent.end <= from)
  }
}

// ---- the workload --------------------------------------------------------------------------------

export interface RunOptions {
  readonly flush: Flush
  readonly seed: number
  readonly fault?: FaultPlan
  readonly onStep?: (
    disk: SimDisk,
    history: History,
    what: string,
    inFlight: Snapshot['inFlight'],
  ) => void
  /** Planted bugs come in here. */
  readonly wrapDisk?: (disk: Disk) => Disk
  readonly confirm?: StoreHooks['confirm']
}

export interface RunResult {
  readonly disk: SimDisk
  readonly history: History
  readonly calls: number
  /** Why the workload ended early; null when it did not. */
  readonly stopped: string | null
}

class Runner {
  readonly history = new History()
  readonly clock = new SimClock()
  readonly disk: SimDisk
  readonly #options: RunOptions
  readonly #random: (bound: number) => number
  readonly #request = new AppendRequest()
  #store: Store | null = null
  #message = 0

  constructor(options: RunOptions) {
    this.#options = options
    this.#random = randomFrom(options.seed)
    const latency = randomFrom(options.seed + 77)
    this.disk = new SimDisk(
      (run) => this.clock.after(0.05 + latency(100) / 100, run),
      () => this.clock.nowMs,
    )
    this.disk.fault = options.fault ?? null
    this.disk.onStep = (what, inFlight) => {
      options.onStep?.(this.disk, this.history, what, inFlight)
    }
  }

  async run(): Promise<string | null> {
    try {
      await this.#open()
      let left = OPERATIONS
      for (let i = 0; i < OPERATIONS && left > 0; i++) {
        await this.#operation(this.#random(100))
        // What a fault does shows soon after it.
        const { fault } = this.#options
        if (fault && this.disk.calls > fault.call) left = Math.min(left, AFTER_FAULT) - 1
      }
      if (left > 0) await this.#close()
      return null
    } catch (error) {
      return messageOf(error)
    }
  }

  async #open(): Promise<void> {
    const { flush, wrapDisk, confirm } = this.#options
    const disk = wrapDisk ? wrapDisk(this.disk) : this.disk
    const { history } = this
    const hooks: StoreHooks = {
      onAdvanced: () => {
        if (!this.#store) return
        history.flushed = this.#store.watermarks.flushed
        history.confirmed(this.#store.watermarks.confirmed)
      },
      onLost: (from) => {
        history.lost(from)
      },
      onDispatched: (queue) => {
        history.seen.set(`${queue.topic}/${queue.queueId}`, queue.maxOffset)
      },
      ...(confirm ? { confirm } : {}),
    }
    this.#store = await this.#drive(
      Store.open(worldOf(this.clock, disk), settingsFor(flush), hooks, silentLogger),
    )
  }

  async #close(): Promise<void> {
    const store = this.#store
    if (!store) return
    await this.#drive(store.close())
    this.history.confirmed(store.watermarks.confirmed)
    this.history.pending = []
    this.#store = null
  }

  get #opened(): Store {
    if (!this.#store) throw new Error('the store is not open')
    return this.#store
  }

  /** Lets time pass until the promise is settled. */
  async #drive<T>(promise: Promise<T>): Promise<T> {
    const progress = { settled: false }
    const note = () => {
      progress.settled = true
    }
    promise.then(note, note)
    for (let i = 0; i < 20_000; i++) {
      await settle()
      if (progress.settled) return promise
      this.clock.step(this.clock.nowMs + 20)
    }
    throw new Error('an operation of the store never ended')
  }

  async #operation(kind: number): Promise<void> {
    const random = this.#random
    if (kind < 50) await this.#send(1, 12 + random(250))
    else if (kind < 70) await this.#send(2 + random(4), 12 + random(100))
    else if (kind < 77) await this.#sendBatch()
    else if (kind < 83) await this.#sendToFit()
    else if (kind < 89) await this.clock.advance(100 + random(1500))
    else if (kind < 92) await this.#drive(this.#opened.checkpointNow())
    else if (kind < 97) await this.#pull()
    else if (kind < 98) {
      await this.#close()
      await this.#open()
    } else {
      await this.#drive(this.#opened.cleanNow())
      this.history.cleanedTo = this.#opened.facts().minPhysicalOffset
    }
  }

  async #send(count: number, bodyBytes: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.#append(bodyBytes)
    if (this.#random(3) === 0) await this.#confirmed()
  }

  /** One message; the body names its queue and is never the same again. */
  async #append(bodyBytes: number): Promise<void> {
    const topic = TOPICS[this.#random(TOPICS.length)] ?? 'A'
    const queueId = this.#random(QUEUES)
    const n = this.#message++
    const body = `${topic}/${queueId}#${n}`.padEnd(bodyBytes, String.fromCharCode(97 + (n % 26)))
    const request = this.#fill(topic, queueId, `k${n}`, Buffer.from(body))
    if (!(await this.#retried(() => this.#opened.append(request)))) return
    const { queueOffset, physicalOffset: start, end } = this.#opened.lastAppend
    this.history.keys.push(`${topic} k${n}`)
    this.history.appended({ key: `${topic}/${queueId}`, offset: queueOffset, body, start, end })
  }

  #fill(topic: string, queueId: number, key: string, body: Buffer): AppendRequest {
    const request = this.#request
    request.queue = this.#opened.queue(topic, queueId)
    request.body = body
    request.bodyStart = 0
    request.bodyEnd = body.length
    const properties = Buffer.from(`KEYS\x01${key}\x02TAGS\x01t\x02`)
    request.setProperties(properties, 0, properties.length)
    return request
  }

  async #retried(append: () => AppendStatus): Promise<boolean> {
    for (let busy = 0, failed = 0; busy < 12 && failed < 3;) {
      const status = append()
      if (status === AppendStatus.ok) return true
      if (status === AppendStatus.illegal || status === AppendStatus.closed) return false
      if (status === AppendStatus.busy) busy++
      else failed++
      await this.clock.advance(status === AppendStatus.busy ? 2 : 600)
    }
    return false
  }

  async #confirmed(): Promise<void> {
    for (let i = 0; i < 30 && this.history.pending.length > 0; i++) await this.clock.advance(0.5)
  }

  async #sendBatch(): Promise<void> {
    const topic = TOPICS[this.#random(TOPICS.length)] ?? 'A'
    const queueId = this.#random(QUEUES)
    const bodies = [0, 1, 2].map(() => `${topic}/${queueId}#${this.#message++}`.padEnd(60, '.'))
    const items = bodies.map((body, i) => ({
      flag: i,
      body: Buffer.from(body),
      properties: Buffer.from(`KEYS\x01b${this.#message - 3 + i}\x02`),
    }))
    const encoded = encodeBatch(items)
    const request = this.#fill(topic, queueId, '', Buffer.alloc(0))
    const reader = new BatchReader()
    const append = () => this.#opened.appendBatch(request, reader, encoded, 0, encoded.length)
    if (!(await this.#retried(append))) return
    const { queueOffset, physicalOffsets, end } = this.#opened.lastAppend
    const key = `${topic}/${queueId}`
    for (const [i, body] of bodies.entries()) {
      const start = physicalOffsets[i] ?? 0
      this.history.appended({ key, offset: queueOffset + i, body, start, end })
    }
    await this.#confirmed()
  }

  /** A message that ends exactly 7 bytes before the end of the segment, where a blank has no room. */
  async #sendToFit(): Promise<void> {
    const { appended } = this.#opened.watermarks
    const room = SEGMENT_BYTES - (appended % SEGMENT_BYTES)
    const fixed = 91 + 1 + `KEYS\x01k${this.#message}\x02TAGS\x01t\x02`.length
    const bodyBytes = room - 7 - fixed
    await this.#send(1, bodyBytes >= 12 ? bodyBytes : 20)
  }

  async #pull(): Promise<void> {
    const queue = this.#opened.queue('A', this.#random(QUEUES))
    const offset = queue.minOffset + this.#random(Math.max(1, queue.maxOffset - queue.minOffset))
    await this.#drive(this.#opened.pull(queue, offset, 32, 65_536, null, new Reply())).catch(
      () => undefined,
    )
  }
}

export async function runWorkload(options: RunOptions): Promise<RunResult> {
  const runner = new Runner(options)
  const stopped = await runner.run()
  return { disk: runner.disk, history: runner.history, calls: runner.disk.calls, stopped }
}

export class Reply implements ReplyBuffer {
  bytes: Buffer = Buffer.allocUnsafe(64 * 1024)
  length = 0
  reserve(count: number): number {
    if (this.length + count > this.bytes.length) throw new Error('the reply is too long')
    return this.length
  }
}

/** Builders for tests of the store: small files, a temp folder each, and everything that was asked of it. */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { type OptionValues, resolveOptions } from '../../src/base/options.ts'
import type { LogFields, Logger } from '../../src/base/logger.ts'
import { decodeRecords, type StoredMessage } from '../../src/protocol/record.ts'
import { AppendRequest, AppendStatus } from '../../src/store/append.ts'
import type { ReplyBuffer } from '../../src/store/log-reader.ts'
import { storeOptions, type StoreSettings } from '../../src/store/options.ts'
import type { Accept, PullOutcome } from '../../src/store/pull.ts'
import type { Queue } from '../../src/store/queue.ts'
import { Store, type StoreHooks } from '../../src/store/store.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import type { World } from '../../src/world/world.ts'

export type Given = Partial<OptionValues<typeof storeOptions>>

/** Small enough that a few dozen messages roll everything over. */
export const small: Given = {
  segmentBytes: 4096,
  queueFileBytes: 200,
  batchQueueFileBytes: 460,
  indexSlots: 64,
  indexUnits: 50,
  chunkBytes: 2048,
  tailBytes: 8192,
  stagedBytesMax: 1_000_000,
  queueFlushIntervalMs: 20,
  checkpointIntervalMs: 60_000,
  cacheBytes: 64 * 1024,
}

export function settingsFor(dir: string, given: Given = {}): StoreSettings {
  return {
    ...resolveOptions(storeOptions, { ...small, ...given }),
    dir,
    storeHost: '127.0.0.1:10911',
  }
}

/** A logger that keeps its lines. */
export class LogLines implements Logger {
  readonly lines: string[] = []
  info(text: string, fields: LogFields = {}): void {
    this.lines.push(`INFO ${text} ${JSON.stringify(fields)}`)
  }
  warn(text: string, fields: LogFields = {}): void {
    this.lines.push(`WARN ${text} ${JSON.stringify(fields)}`)
  }
  error(text: string, fields: LogFields = {}): void {
    this.lines.push(`ERROR ${text} ${JSON.stringify(fields)}`)
  }
  scope(): Logger {
    return this
  }
  said(text: string): boolean {
    return this.lines.some((line) => line.includes(text))
  }
}

/** A temp folder that is removed after the test. */
export async function tempDir(cleanups: (() => Promise<void>)[]): Promise<string> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'mqctl-store-'))
  cleanups.push(() => rm(dir, { recursive: true, force: true }))
  return dir
}

export class PlainReply implements ReplyBuffer {
  bytes: Buffer = Buffer.alloc(1024)
  length = 0
  reserve(count: number): number {
    if (this.length + count > this.bytes.length) {
      const larger = Buffer.alloc((this.length + count) * 2)
      this.bytes.copy(larger)
      this.bytes = larger
    }
    return this.length
  }
}

export interface Sent {
  topic: string
  queueId: number
  queueOffset: number
  physicalOffset: number
  end: number
  body: string
}

export interface Message {
  body?: string
  tag?: string
  keys?: string
  uniqKey?: string
  sysFlag?: number
  /** Messages in the body, for a batch queue. */
  messages?: number
}

/** A store with its history; every method is a step of a test. */
export class Subject {
  readonly store: Store
  readonly log: LogLines
  readonly lost: number[]
  readonly woken: Queue[]
  readonly #request = new AppendRequest()
  #advanced: (() => void)[]

  constructor(
    store: Store,
    log: LogLines,
    lost: number[],
    woken: Queue[],
    advanced: (() => void)[],
  ) {
    this.store = store
    this.log = log
    this.lost = lost
    this.woken = woken
    this.#advanced = advanced
  }

  static async open(
    dir: string,
    given: Given = {},
    world: World = nodeWorld,
    hooks: Partial<StoreHooks> = {},
  ): Promise<Subject> {
    const log = new LogLines()
    const lost: number[] = []
    const woken: Queue[] = []
    const advanced: (() => void)[] = []
    const store = await Store.open(
      world,
      settingsFor(dir, given),
      {
        onAdvanced: () => {
          for (const wake of advanced.splice(0)) wake()
        },
        onLost: (from) => lost.push(from),
        onDispatched: (queue) => woken.push(queue),
        ...hooks,
      },
      log,
    )
    return new Subject(store, log, lost, woken, advanced)
  }

  fill(topic: string, queueId: number, message: Message): AppendRequest {
    const request = this.#request
    request.queue = this.store.queue(topic, queueId)
    request.body = Buffer.from(message.body ?? 'body')
    request.bodyStart = 0
    request.bodyEnd = request.body.length
    request.sysFlag = message.sysFlag ?? 0
    request.messages = message.messages ?? 1
    request.bornTimestamp = 1_700_000_000_000
    const properties = Buffer.from(
      (message.tag === undefined ? '' : `TAGS\x01${message.tag}\x02`) +
        (message.keys === undefined ? '' : `KEYS\x01${message.keys}\x02`) +
        (message.uniqKey === undefined ? '' : `UNIQ_KEY\x01${message.uniqKey}\x02`),
    )
    request.setProperties(properties, 0, properties.length)
    return request
  }

  /** One append; the status when it was refused. */
  try(topic: string, queueId: number, message: Message = {}): Sent | AppendStatus {
    const request = this.fill(topic, queueId, message)
    const status = this.store.append(request)
    if (status !== AppendStatus.ok) return status
    const { queueOffset, physicalOffset, end } = this.store.lastAppend
    return { topic, queueId, queueOffset, physicalOffset, end, body: message.body ?? 'body' }
  }

  /** One append, again and again while the store is busy, and waits until it is confirmed. */
  async send(topic: string, queueId: number, message: Message = {}): Promise<Sent> {
    for (;;) {
      const sent = this.try(topic, queueId, message)
      if (typeof sent === 'object') {
        await this.confirmed(sent.end)
        return sent
      }
      if (sent !== AppendStatus.busy) throw new Error(`append answered ${sent}`)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async sendMany(topic: string, count: number, queues = 1, bodyBytes = 100): Promise<Sent[]> {
    const all: Sent[] = []
    for (let i = 0; i < count; i++) {
      const body = `${topic}-${i}-`.padEnd(bodyBytes, 'x')
      all.push(
        await this.send(topic, i % queues, { body, tag: i % 2 ? 'odd' : 'even', keys: `k${i}` }),
      )
    }
    return all
  }

  /** `count` appends, as many a turn as are taken, and waits until the last one is confirmed. */
  async bulk(
    topic: string,
    count: number,
    queueOf: (n: number) => number = () => 0,
    messageOf: (n: number) => Message = (n) => ({ body: `${topic}-${n}` }),
  ): Promise<Sent[]> {
    const all: Sent[] = []
    while (all.length < count) {
      const sent = this.try(topic, queueOf(all.length), messageOf(all.length))
      if (typeof sent === 'object') all.push(sent)
      else if (sent === AppendStatus.busy) await new Promise((resolve) => setImmediate(resolve))
      else throw new Error(`append answered ${sent}`)
    }
    await this.confirmed(all[all.length - 1]?.end ?? 0)
    return all
  }

  async confirmed(end: number): Promise<void> {
    while (this.store.watermarks.dispatched < end) {
      await new Promise<void>((resolve) => {
        this.#advanced.push(resolve)
      })
    }
  }

  /** Waits until `met`, looking again whenever something moved or a little later. */
  async until(met: () => boolean): Promise<void> {
    while (!met()) await new Promise((resolve) => setTimeout(resolve, 2))
  }

  pull(
    topic: string,
    queueId: number,
    offset: number,
    messages = 32,
    bytes = 262_144,
    accept: Accept = null,
  ): Promise<{ outcome: PullOutcome; messages: StoredMessage[] }> {
    const target = new PlainReply()
    return this.store
      .pull(this.store.queue(topic, queueId), offset, messages, bytes, accept, target)
      .then((outcome) => {
        const decoded = decodeRecords(target.bytes.subarray(0, target.length))
        if (decoded.fault !== null) throw new Error(decoded.fault)
        return { outcome, messages: decoded.messages }
      })
  }

  /** Everything of a queue, pulled from its minimum on. */
  async readAll(topic: string, queueId: number): Promise<StoredMessage[]> {
    const queue = this.store.queue(topic, queueId)
    const all: StoredMessage[] = []
    for (let offset = queue.minOffset; offset < queue.maxOffset;) {
      const { outcome, messages } = await this.pull(topic, queueId, offset)
      if (outcome.nextBeginOffset <= offset) throw new Error(`stuck: ${JSON.stringify(outcome)}`)
      all.push(...messages)
      offset = outcome.nextBeginOffset
    }
    return all
  }
}

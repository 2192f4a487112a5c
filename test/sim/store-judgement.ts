/**
 * Crash images that are opened again, and the judgement of what came back.
 *
 * Bad recovery is: the store does not open; a queue has a gap (save where a power cut took bytes of
 * that very record that nobody had synced, and recovery names the place), or a message that nobody
 * sent there; a whole record was passed over as damaged; a message is missing that was acknowledged,
 * or that a consumer could have seen; a key leads to a record that does not carry it; the next message
 * does not get the next offset.
 */
import { messageOf } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { decodeRecord, decodeRecords, RECORD_BYTES_MIN } from '../../src/protocol/record.ts'
import { AppendRequest, AppendStatus } from '../../src/store/append.ts'
import type { BadRegion } from '../../src/store/recovery.ts'
import { fileNameOf } from '../../src/store/segments.ts'
import { Store, type StoreHooks } from '../../src/store/store.ts'
import type { Clock } from '../../src/world/clock.ts'
import type { Disk } from '../../src/world/disk.ts'
import type { Image } from './crash-image.ts'
import { settle } from './sim-clock.ts'
import { SimDisk } from './sim-disk.ts'
import { SECTOR_BYTES } from './sim-inode.ts'
import {
  type Flush,
  type History,
  type Mark,
  QUEUES,
  Reply,
  SEGMENT_BYTES,
  type Sent,
  settingsFor,
  TOPICS,
  worldOf,
} from './store-harness.ts'

export interface Recovered {
  /** What is wrong whatever was acknowledged. */
  readonly faults: readonly string[]
  /** Queue → first offset and bodies from there on; null where recovery skipped a damaged record. */
  readonly queues: ReadonlyMap<string, ReadQueue>
  /** Damaged places that recovery passed over because of valid records behind them. */
  readonly damaged: readonly BadRegion[]
}

interface ReadQueue {
  readonly min: number
  readonly bodies: readonly (string | null)[]
}

/** Nothing waits for time here: completions come as microtasks, and timers never fire. */
const immediateClock: Clock = {
  wallMs: () => 1_800_001_000_000,
  monotonicMs: () => 5_000_000,
  monotonicNs: () => 5_000_000_000_000n,
  every: () => () => undefined,
  after: () => () => undefined,
  atEndOfTurn: (run) => {
    queueMicrotask(run)
  },
}

export interface InspectOptions {
  readonly flush: Flush
  readonly keys: readonly string[]
  readonly wrapDisk?: (disk: Disk) => Disk
}

/** Opens the image, reads everything, and goes on sending. */
export async function inspect(image: Image, options: InspectOptions): Promise<Recovered> {
  const simulated = new SimDisk(queueMicrotask, () => immediateClock.wallMs(), image)
  const disk = options.wrapDisk ? options.wrapDisk(simulated) : simulated
  const faults: string[] = []
  const queues = new Map<string, ReadQueue>()
  let store: Store
  const lines: (() => void)[] = []
  try {
    const hooks: StoreHooks = {
      onAdvanced: () => {
        for (const wake of lines.splice(0)) wake()
      },
      onLost: () => faults.push('a write was lost on a healthy disk'),
      onDispatched: () => undefined,
    }
    store = await Store.open(
      worldOf(immediateClock, disk),
      settingsFor(options.flush),
      hooks,
      silentLogger,
    )
  } catch (error) {
    return { faults: [`the store does not open: ${messageOf(error)}`], queues, damaged: [] }
  }
  const damaged = store.facts().recovery.bad
  try {
    for (const topic of TOPICS) {
      for (let queueId = 0; queueId < QUEUES; queueId++) {
        queues.set(`${topic}/${queueId}`, await readQueue(store, topic, queueId, faults))
      }
    }
    for (const region of damaged) faults.push(...wholeRecordsIn(image, region, queues))
    await goOn(store, lines, faults)
    for (const line of options.keys.slice(-12)) {
      const [topic = '', key = ''] = line.split(' ')
      const { records } = await store.queryKey(topic, key, 32, 0, Number.MAX_SAFE_INTEGER)
      for (const record of records) {
        const message = decodeRecord(record, 0, record.length)
        if (message?.properties['KEYS'] !== key) faults.push(`key ${key} leads to another record`)
      }
      const bodies = [...queues.values()].flatMap((queue) => queue.bodies)
      const stored = bodies.some(
        (body) => body?.startsWith(topic) === true && numberOf(body) === key.slice(1),
      )
      if (stored && records.length !== 1)
        faults.push(`key ${key} leads to ${records.length} records`)
    }
  } catch (error) {
    faults.push(`after opening: ${messageOf(error)}`)
  }
  return { faults, queues, damaged }
}

/** Whole records that recovery passed over, though nothing else stands at their place in the queue. */
function wholeRecordsIn(
  image: Image,
  { physicalOffset, bytes }: BadRegion,
  queues: ReadonlyMap<string, ReadQueue>,
): string[] {
  const wrong: string[] = []
  const content = Buffer.alloc(bytes)
  for (let i = 0; i < bytes; i++) content[i] = byteOfLog(image, physicalOffset + i)
  for (let at = 0; at + RECORD_BYTES_MIN <= bytes; at++) {
    const message = decodeRecord(content, at, bytes)
    if (message?.physicalOffset !== physicalOffset + at) continue
    // Zeros at the end are a sector of properties that never came.
    if (content[at + message.sizeBytes - 1] === 0) continue
    const queue = queues.get(`${message.topic}/${message.queueId}`)
    if (queue?.bodies[message.queueOffset - queue.min] !== null) continue
    wrong.push(`a whole record at ${physicalOffset + at} was taken for damaged`)
  }
  return wrong
}

function byteOfLog(image: Image, position: number): number {
  const inFile = position % SEGMENT_BYTES
  const name = `/store/commitlog/${fileNameOf(position - inFile)}`
  const sector = image.get(name)?.sectors.get(Math.floor(inFile / SECTOR_BYTES))
  return sector?.[inFile % SECTOR_BYTES] ?? 0
}

const known = new Map<string, string>()

/** One string for equal bodies: hundreds of thousands of images hold the same ones. */
function interned(body: string): string {
  const one = known.get(body)
  if (one !== undefined) return one
  known.set(body, body)
  return body
}

function numberOf(body: string): string {
  return /#(\d+)/.exec(body)?.[1] ?? ''
}

async function readQueue(
  store: Store,
  topic: string,
  queueId: number,
  faults: string[],
): Promise<ReadQueue> {
  const queue = store.queue(topic, queueId)
  const bodies: (string | null)[] = []
  let expected = queue.minOffset
  for (let offset = queue.minOffset; offset < queue.maxOffset;) {
    const target = new Reply()
    const outcome = await store.pull(queue, offset, 1000, 60_000, null, target)
    const { messages, fault } = decodeRecords(target.bytes.subarray(0, target.length))
    if (fault !== null) faults.push(`${topic}/${queueId}: ${fault}`)
    for (const message of messages) {
      for (; expected < message.queueOffset; expected++) bodies.push(null)
      if (message.queueOffset !== expected) {
        faults.push(`${topic}/${queueId}: ${message.queueOffset} where ${expected} should be`)
        expected = message.queueOffset
      }
      expected++
      bodies.push(interned(message.body.toString()))
    }
    if (outcome.nextBeginOffset <= offset) {
      faults.push(`${topic}/${queueId}: stuck at ${offset}: ${outcome.status}`)
      break
    }
    offset = outcome.nextBeginOffset
  }
  if (expected !== queue.maxOffset) {
    faults.push(`${topic}/${queueId}: ends at ${expected}, said to end at ${queue.maxOffset}`)
  }
  return { min: queue.minOffset, bodies }
}

/** One more message per queue must get the next offset and be readable. */
async function goOn(store: Store, lines: (() => void)[], faults: string[]): Promise<void> {
  const request = new AppendRequest()
  for (const topic of TOPICS) {
    const queue = store.queue(topic, 0)
    const expected = queue.maxOffset
    request.queue = queue
    request.body = Buffer.from('after the crash')
    request.bodyEnd = request.body.length
    request.setProperties(Buffer.alloc(0), 0, 0)
    let status = store.append(request)
    for (let i = 0; i < 20 && status === AppendStatus.busy; i++) {
      await settle()
      status = store.append(request)
    }
    if (status !== AppendStatus.ok) {
      faults.push(`the next append answers ${status}`)
      return
    }
    const { end, queueOffset } = store.lastAppend
    if (queueOffset !== expected) faults.push(`the next offset is ${queueOffset}, not ${expected}`)
    while (store.watermarks.confirmed < end) await new Promise<void>((wake) => lines.push(wake))
    const outcome = await store.pull(queue, expected, 1, 60_000, null, new Reply())
    if (outcome.count !== 1) faults.push(`the next message is not there: ${outcome.status}`)
  }
}

function meets({ physicalOffset, bytes }: BadRegion, sent: Sent): boolean {
  return sent.start < physicalOffset + bytes && sent.end > physicalOffset
}

export type CrashKind = 'kill' | 'power'

/** Everything that is wrong with what came back, given what had happened before the crash. */
export function judge(
  recovered: Recovered,
  history: History,
  mark: Mark,
  flush: Flush,
  crash: CrashKind,
): string[] {
  const wrong = [...recovered.faults]
  for (const [key, { min, bodies }] of recovered.queues) {
    const candidates = history.candidates.get(key)
    for (const [i, body] of bodies.entries()) {
      if (body === null) {
        const lost = [...(candidates?.get(min + i)?.values() ?? [])]
        const named = lost.some((sent) => recovered.damaged.some((region) => meets(region, sent)))
        if (crash === 'kill' || !named) wrong.push(`${key}@${min + i}: missing between others`)
        continue
      }
      if (!candidates?.get(min + i)?.has(body)) {
        wrong.push(`${key}@${min + i}: nobody sent ${body.slice(0, 20)} there`)
      }
    }
    const survives = crash === 'kill' || flush === 'sync'
    const end = min + bodies.length
    if (survives && end < (mark.seen.get(key) ?? 0)) {
      wrong.push(`${key}: ends at ${end}, consumers saw ${mark.seen.get(key) ?? 0}`)
    }
  }
  for (const sent of history.acked.slice(0, mark.acked)) {
    const counts = crash === 'kill' || flush === 'sync' || sent.end <= mark.flushed
    if (!counts || sent.end <= history.cleanedTo) continue
    const queue = recovered.queues.get(sent.key)
    if (queue?.bodies[sent.offset - queue.min] !== sent.body) {
      wrong.push(`${sent.key}@${sent.offset}: acknowledged ${sent.body.slice(0, 20)} is not there`)
    }
  }
  return wrong
}

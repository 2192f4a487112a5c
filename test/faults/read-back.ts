/**
 * What came of a journal: everything that was acknowledged is read back, by mqctl's own client and,
 * where Java can run, by the official one, and compared place by place and byte by byte.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { mqctlBinary, type MqctlCluster } from '../interop/embedded.ts'
import { apacheClassPath, JavaPeer, skipBecause } from '../interop/peers.ts'

/** `queueId queueOffset` → MD5 of the body. */
export type Places = Map<string, string>

/** A journal or a dump: each line is `queueId queueOffset … md5`. */
export function placesIn(file: string): Places {
  const places: Places = new Map()
  for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
    if (line === '') continue
    const fields = line.split(' ')
    const place = `${fields[0]} ${fields[1]}`
    const hash = fields.at(-1) ?? ''
    const before = places.get(place)
    if (before !== undefined && before !== hash) {
      throw new Error(`two different messages were acknowledged at ${place}`)
    }
    places.set(place, hash)
  }
  return places
}

export interface ReadBack {
  readonly places: Places
  /** Places whose body does not prove itself: never sent like that. */
  readonly corrupt: string[]
  /** Messages that came more than once. */
  readonly repeated: number
  /** What the command said beside the messages. */
  readonly remarks: string
}

interface ConsumedLine {
  readonly queueId: number
  readonly queueOffset: number
  readonly body: string
  readonly bodyEncoding: 'utf8' | 'base64'
}

function md5(bytes: Buffer | string): string {
  return createHash('md5').update(bytes).digest('hex')
}

/** Everything in the topic, by `mqctl consume --from start --exit-at-end`. */
export async function readByMqctl(
  cluster: MqctlCluster,
  topic: string,
  folder: string,
): Promise<ReadBack> {
  const file = join(folder, `${topic}.ndjson`)
  const out = fs.openSync(file, 'w')
  const args = ['consume', topic, '-n', cluster.namesrv, '--from', 'start', '--exit-at-end']
  const child = spawn(process.execPath, [mqctlBinary, ...args, '-o', 'ndjson'], {
    env: cluster.environment,
    stdio: ['ignore', out, 'pipe'],
  })
  fs.closeSync(out)
  let remarks = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (remarks += text))
  const code = await new Promise<number | null>((resolve) => {
    child.on('close', resolve)
  })
  if (code !== 0) throw new Error(`mqctl consume ended with ${code}: ${remarks}`)
  const places: Places = new Map()
  const corrupt: string[] = []
  let repeated = 0
  for await (const line of createInterface({ input: fs.createReadStream(file) })) {
    if (line === '') continue
    const message = JSON.parse(line) as ConsumedLine
    const place = `${message.queueId} ${message.queueOffset}`
    const body = Buffer.from(message.body, message.bodyEncoding)
    if (places.has(place)) repeated++
    places.set(place, md5(body))
    if (md5(body.subarray(32)) !== body.toString('latin1', 0, 32)) corrupt.push(place)
  }
  return { places, corrupt, repeated, remarks }
}

/** The same by the official Java pull consumer; null, with the reason printed, where it cannot run. */
export async function readByJava(
  cluster: MqctlCluster,
  topic: string,
  queues: number,
  folder: string,
): Promise<Places | null> {
  const peers = await apacheClassPath()
  if (skipBecause('reading back by the official client', peers.missing)) return null
  if (peers.missing !== null) return null
  const java = await JavaPeer.start(peers.classPath)
  try {
    const file = join(folder, `${topic}.java`)
    const reader = { name: 'reader', group: 'Reader', namesrv: cluster.namesrv }
    await java.call('pull.start', reader)
    await java.call('pull.dump', { ...reader, topic, broker: cluster.brokerName, queues, file })
    return placesIn(file)
  } finally {
    await java.stop()
  }
}

/** Acknowledged places that are not there, or hold something else. */
export function lostOf(acknowledged: Places, found: Places): string[] {
  const lost: string[] = []
  for (const [place, hash] of acknowledged) if (found.get(place) !== hash) lost.push(place)
  return lost
}

/** Places where a queue does not count 0, 1, 2 … */
export function gapsIn(places: Places, queues: number): string[] {
  const counts = new Array<number>(queues).fill(0)
  const highest = new Array<number>(queues).fill(-1)
  for (const place of places.keys()) {
    const [queueId = 0, offset = 0] = place.split(' ').map(Number)
    counts[queueId] = (counts[queueId] ?? 0) + 1
    highest[queueId] = Math.max(highest[queueId] ?? -1, offset)
  }
  return counts.flatMap((count, queueId) =>
    count === (highest[queueId] ?? -1) + 1 ? [] : [`queue ${queueId}`],
  )
}

/**
 * A producer in a process of its own that writes down what the broker acknowledged, as it is
 * acknowledged: the witness of the kill loop. It survives the broker, so its journal does not depend
 * on the disk that is being tested.
 *
 *   node journal.mjs JOURNAL SENT TOPIC QUEUES OUTSTANDING RUN
 *
 * By IPC it gets {host, port} whenever a broker is up, and sends until the connection breaks; then
 * it waits for the next address. {pause: true} stops sending and answers once nothing is owed.
 * Each acknowledgement is a line of JOURNAL: queue id, queue offset, MD5 of the body. SENT counts
 * what was ever written to a socket (an upper bound of what may exist).
 *
 * A body proves itself: its first 32 characters are the MD5 of the rest, and the rest begins with
 * the run and a number that is used once.
 */
import { createHash } from 'node:crypto'
import { openSync, writeSync } from 'node:fs'
import { connect } from 'node:net'

const [journalPath, sentPath, topic, queueText, outstandingText, run] = process.argv.slice(2)
const queues = Number(queueText)
const outstanding = Number(outstandingText)
const journal = openSync(journalPath, 'a')
const sentLog = openSync(sentPath, 'a')

const md5 = (bytes) => createHash('md5').update(bytes).digest('hex')

let sequence = 0
let opaque = 0
/** Requests on the wire: opaque → MD5 of the body. A new map for each connection. */
let owed = new Map()
let socket = null
let paused = false
let onDrained = null

function aBody() {
  const rest = `${run} ${sequence++} ${'x'.repeat((sequence * 7919) % 1800)}`
  return Buffer.from(md5(rest) + rest)
}

function aFrame(body, id) {
  const header = Buffer.from(
    JSON.stringify({
      code: 310,
      extFields: {
        a: 'journal',
        b: topic,
        c: 'TBW102',
        d: String(queues),
        e: String(id % queues),
        f: '0',
        g: String(Date.now()),
        h: '0',
        i: `WAIT\u0001true\u0002KEYS\u0001k${sequence}`,
        j: '0',
        k: 'false',
        m: 'false',
      },
      flag: 0,
      language: 'JAVA',
      opaque: id,
      serializeTypeCurrentRPC: 'JSON',
      version: 479,
    }),
  )
  const frame = Buffer.alloc(8 + header.length + body.length)
  frame.writeUInt32BE(4 + header.length + body.length, 0)
  frame.writeUInt32BE(header.length, 4)
  header.copy(frame, 8)
  body.copy(frame, 8 + header.length)
  return frame
}

function fill(target) {
  if (paused || target.destroyed) return
  if (performance.now() < restUntilMs) {
    setTimeout(() => fill(target), 100)
    return
  }
  const frames = []
  let count = 0
  while (owed.size < outstanding) {
    const body = aBody()
    const id = opaque++
    owed.set(id, md5(body))
    frames.push(aFrame(body, id))
    count++
  }
  if (count === 0) return
  writeSync(sentLog, `${count}\n`)
  target.write(Buffer.concat(frames))
}

/** Told once for each code; the sender then slows down, as a client that is refused does. */
const told = new Set()
let restUntilMs = 0

function refused(answer) {
  restUntilMs = performance.now() + 100
  if (told.has(answer.code)) return
  told.add(answer.code)
  process.send({ refused: String(answer.code), remark: answer.remark ?? '' })
}

function open({ host, port }) {
  owed = new Map()
  const mine = connect({ host, port, noDelay: true })
  socket = mine
  let tail = Buffer.alloc(0)
  mine.on('connect', () => fill(mine))
  mine.on('data', (chunk) => {
    const bytes = tail.length === 0 ? chunk : Buffer.concat([tail, chunk])
    let at = 0
    let lines = ''
    while (bytes.length - at >= 4) {
      const end = at + 4 + bytes.readUInt32BE(at)
      if (end > bytes.length) break
      const headerEnd = at + 8 + (bytes.readUInt32BE(at + 4) & 0xffffff)
      const answer = JSON.parse(bytes.toString('utf8', at + 8, headerEnd))
      const hash = owed.get(answer.opaque)
      owed.delete(answer.opaque)
      if (hash !== undefined && answer.code === 0) {
        lines += `${answer.extFields.queueId} ${answer.extFields.queueOffset} ${hash}\n`
      } else if (answer.code !== 0) refused(answer)
      at = end
    }
    tail = bytes.subarray(at)
    if (lines !== '') writeSync(journal, lines)
    if (paused && owed.size === 0) onDrained?.()
    fill(mine)
  })
  mine.on('error', () => undefined)
  mine.on('close', () => {
    if (socket === mine) {
      socket = null
      owed.clear()
      if (paused) onDrained?.()
    }
  })
}

process.on('message', (message) => {
  if (message.pause) {
    paused = true
    onDrained = () => {
      onDrained = null
      process.send({ drained: true })
    }
    if (socket === null || owed.size === 0) onDrained()
  } else {
    paused = false
    open(message)
  }
})
process.on('disconnect', () => process.exit(0))
process.send({ ready: true })

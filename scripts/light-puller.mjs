#!/usr/bin/env node
/**
 * A light puller: reads a topic from its queues' beginnings to their ends over one connection, one
 * PULL_MESSAGE outstanding a queue, and looks at nothing but positions and lengths.
 *
 *   node scripts/light-puller.mjs --broker 127.0.0.1:10911 --topic T [--queues 8] [--batch 32]
 *
 * As a module: `pullAll(options)` answers {messages, bytes, elapsedMs, ratePerSecond}.
 */
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

function pullFrame(topic, queueId, offset, opaque, { batch, subscription, expressionType }) {
  const header = Buffer.from(
    JSON.stringify({
      code: 11,
      extFields: {
        consumerGroup: 'light-puller',
        topic,
        queueId: String(queueId),
        queueOffset: String(offset),
        maxMsgNums: String(batch),
        // The subscription comes with the pull; nothing is held.
        sysFlag: '4',
        commitOffset: '0',
        suspendTimeoutMillis: '0',
        subscription,
        subVersion: '0',
        expressionType,
      },
      flag: 0,
      language: 'JAVA',
      opaque,
      serializeTypeCurrentRPC: 'JSON',
      version: 479,
    }),
  )
  const frame = Buffer.allocUnsafe(8 + header.length)
  frame.writeUInt32BE(4 + header.length, 0)
  frame.writeUInt32BE(header.length, 4)
  header.copy(frame, 8)
  return frame
}

/**
 * Options: host, port, topic, queues (8), batch (32), messagesMax (all), subscription (`*`) with its
 * expressionType (TAG). `messages` is how far the positions came, also past what a filter left out.
 */
export function pullAll(options) {
  const { host, port, topic, queues = 8, messagesMax = Infinity } = options
  const { batch = 32, subscription = '*', expressionType = 'TAG' } = options
  return new Promise((resolve, reject) => {
    const offsets = new Array(queues).fill(0)
    const socket = connect({ host, port, noDelay: true })
    let open = queues
    let messages = 0
    let bytes = 0
    let tail = null
    let startMs = 0

    const pull = (queueId) => {
      socket.write(
        pullFrame(topic, queueId, offsets[queueId], queueId, {
          batch,
          subscription,
          expressionType,
        }),
      )
    }
    const onAnswer = (buffer, start, end) => {
      const headerEnd = start + 8 + (buffer.readUInt32BE(start + 4) & 0xffffff)
      const answer = JSON.parse(buffer.toString('utf8', start + 8, headerEnd))
      const queueId = answer.opaque
      if (answer.code === 0 && messages < messagesMax) {
        const next = Number(answer.extFields.nextBeginOffset)
        messages += next - offsets[queueId]
        bytes += end - headerEnd
        offsets[queueId] = next
        pull(queueId)
        return
      }
      // 19: the end. 21: the position was corrected, such as when old files are gone. 20: none of the
      // messages up to the next position was wanted.
      if (answer.code === 21 || answer.code === 20) {
        const next = Number(answer.extFields.nextBeginOffset)
        if (answer.code === 20) messages += next - offsets[queueId]
        offsets[queueId] = next
        pull(queueId)
        return
      }
      if (answer.code !== 0 && answer.code !== 19) {
        reject(new Error(`pull: code ${answer.code}: ${answer.remark}`))
        socket.destroy()
        return
      }
      open--
      if (open === 0) {
        const elapsedMs = performance.now() - startMs
        socket.destroy()
        resolve({ messages, bytes, elapsedMs, ratePerSecond: (messages / elapsedMs) * 1000 })
      }
    }
    socket.on('connect', () => {
      startMs = performance.now()
      for (let queueId = 0; queueId < queues; queueId++) pull(queueId)
    })
    socket.on('data', (chunk) => {
      const buffer = tail === null ? chunk : Buffer.concat([tail, chunk])
      let at = 0
      while (buffer.length - at >= 4) {
        const end = at + 4 + buffer.readUInt32BE(at)
        if (end > buffer.length) break
        onAnswer(buffer, at, end)
        at = end
      }
      tail = at === buffer.length ? null : buffer.subarray(at)
    })
    socket.on('error', reject)
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      broker: { type: 'string' },
      topic: { type: 'string', default: 'light_generator' },
      queues: { type: 'string', default: '8' },
      batch: { type: 'string', default: '32' },
    },
  })
  const colon = values.broker.lastIndexOf(':')
  const result = await pullAll({
    host: values.broker.slice(0, colon),
    port: Number(values.broker.slice(colon + 1)),
    topic: values.topic,
    queues: Number(values.queues),
    batch: Number(values.batch),
  })
  process.stdout.write(
    `${result.messages.toLocaleString('en')} messages, ` +
      `${Math.round(result.ratePerSecond).toLocaleString('en')} msg/s, ` +
      `${(result.bytes / result.elapsedMs / 1000).toFixed(0)} MB/s\n`,
  )
}

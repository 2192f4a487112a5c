import { describe, expect, test } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import { BatchReader, encodeBatch } from '../../src/protocol/batch-body.ts'
import { decodeHeartbeatData } from '../../src/protocol/bodies/heartbeat-data.ts'
import { FrameError, decodeFrame } from '../../src/protocol/frame.ts'
import { LenientJsonError, parseLenientJson } from '../../src/protocol/lenient-json.ts'
import { PropertyScan, parseProperties } from '../../src/protocol/properties.ts'
import { RecordParts, decodeRecords, encodeRecord, recordBytes } from '../../src/protocol/record.ts'
import {
  parseMessageOffsets,
  parsePopHandle,
  parseStartOffsets,
} from '../../src/protocol/pop-handle.ts'
import { decodeAck, decodeCheckpoint } from '../../src/protocol/pop-records.ts'
import { decodeBatchAck } from '../../src/protocol/bodies/batch-ack.ts'
import { decodeTraceRecords } from '../../src/protocol/trace-record.ts'
import { SendRequest } from '../../src/protocol/send-request.ts'
import { frameCorpus } from './corpus.ts'
import { Mutator, fuzzMs, fuzzSeed } from './mutator.ts'

/** No input may hold a decoder for long; generous, because machines stall. */
const INPUT_MS_MAX = 1_000

function aRecord(): Buffer {
  const parts = new RecordParts()
  parts.topic = Buffer.from('T1')
  parts.body = Buffer.from('the body of a message')
  parts.bodyEnd = parts.body.length
  parts.properties = Buffer.from('KEYS\u0001k1 k2\u0002TAGS\u0001A\u0002UNIQ_KEY\u0001u\u0002')
  parts.propertiesEnd = parts.properties.length
  const host = Buffer.from([127, 0, 0, 1, 0, 0, 0x2a, 0x9f])
  const bytes = Buffer.alloc(recordBytes(parts, host.length))
  encodeRecord(bytes, 0, parts, host, 1, 2, 3)
  return bytes
}

/** Errors that a decoder may throw: its own kinds, with a reason. Anything else is a bug. */
function isTyped(error: unknown): boolean {
  return (
    error instanceof FrameError || error instanceof LenientJsonError || error instanceof MqError
  )
}

const scan = new PropertyScan()
const send = new SendRequest()
const batch = new BatchReader()

const frames = frameCorpus()
const record = aRecord()
const batchBody = encodeBatch([
  { flag: 0, body: Buffer.from('one'), properties: Buffer.from('a\u0001b\u0002') },
  { flag: 1, body: Buffer.from('two'), properties: Buffer.alloc(0) },
])
const traces = Buffer.from(
  'Pub 5 r g t ID null k h:1 3 4 0 OID true;SubBefore 5 r g q ID 0 k;SubAfter q ID 4 true k 0 9 g;'
    .replaceAll(' ', '\u0001')
    .replaceAll(';', '\u0002'),
)
const json = Buffer.from('{"a":[1,2.5,-3e4,"x\\u0041"],0:{"k":null},{"q":1}:{"$ref":"$.a"},"big":9223372036854775807}') // prettier-ignore

const popTexts = [
  '{"bm":0,"bn":"broker-a","c":"CG","d":[0,1,4],"it":60000,"n":3,"pt":1700000000123,"q":2,"ro":0,"so":7,"t":"T1"}',
  '{"ao":-1,"aol":[7,11],"bn":"broker-a","c":"CG","pt":1700000000123,"q":2,"so":7,"t":"T1"}',
  '{"acks":[{"b":"EQI=","c":"CG","it":60000,"pt":1,"q":2,"r":"0","rq":3,"so":7,"t":"T1"}],"brokerName":"b"}',
  '7 1700000000123 60000 3 0 broker-a 2 8',
  '0 2 7,8,11;2 0 5',
]

const decoders: [name: string, corpus: readonly Buffer[], decode: (bytes: Buffer) => unknown][] = [
  ['frames', frames, (bytes) => decodeFrame(bytes, 0, bytes.length)],
  [
    'send headers',
    frames,
    (bytes) => {
      // The frame reader vouches for the lengths; so does this.
      if (bytes.length < 8) return null
      bytes.writeInt32BE(bytes.length - 4, 0)
      bytes.writeInt32BE((bytes.readInt32BE(4) % (bytes.length - 7)) & 0xff_ffff, 4)
      return send.scan(bytes, 0, bytes.length)
    },
  ],
  ['records', [record, Buffer.concat([record, record])], (bytes) => decodeRecords(bytes)],
  [
    'batches',
    [batchBody],
    (bytes) => {
      batch.open(bytes, 0, bytes.length)
      while (batch.next()) expect(batch.propertiesEnd).toBeLessThanOrEqual(bytes.length)
    },
  ],
  [
    'properties',
    [Buffer.from('KEYS\u0001a\u0002TAGS\u0001b\u0002UNIQ_KEY\u0001c\u0002DELAY\u00013\u0002')],
    (bytes) => {
      scan.scan(bytes, 0, bytes.length)
      expect(scan.keysEnd).toBeLessThanOrEqual(bytes.length)
      return parseProperties(bytes.toString('utf8'))
    },
  ],
  ['message traces', [traces], decodeTraceRecords],
  [
    'records and handles of POP',
    popTexts.map((text) => Buffer.from(text)),
    (bytes) => {
      const text = bytes.toString('utf8')
      const checkpoint = decodeCheckpoint(bytes)
      if (checkpoint !== null) expect(checkpoint.distances.length).toBeLessThanOrEqual(32)
      decodeAck(bytes)
      decodeBatchAck(bytes)
      return [parsePopHandle(text), parseStartOffsets(text), parseMessageOffsets(text)]
    },
  ],
  ['JSON of fastjson', [json], (bytes) => parseLenientJson(bytes.toString('utf8'))],
  [
    'heart-beats',
    frames.map((frame) => frame.subarray(300)),
    (bytes) => decodeHeartbeatData(bytes),
  ],
]

describe(`mutated bytes (seed ${fuzzSeed})`, () => {
  test.each(decoders)('%s give a value or a typed error, quickly', (_name, corpus, decode) => {
    const mutator = new Mutator(fuzzSeed)
    const endMs = performance.now() + fuzzMs / 4
    let inputs = 0
    for (let nowMs = performance.now(); nowMs < endMs; inputs++) {
      const input = mutator.mutate(mutator.pick(corpus), mutator.pick(corpus))
      try {
        decode(input)
      } catch (error) {
        if (!isTyped(error)) {
          throw new Error(`input ${input.toString('hex')}; FUZZ_SEED=${fuzzSeed}`, { cause: error })
        }
      }
      const afterMs = performance.now()
      expect(afterMs - nowMs, input.toString('hex')).toBeLessThan(INPUT_MS_MAX)
      nowMs = afterMs
    }
    expect(inputs).toBeGreaterThan(1_000)
  })
})

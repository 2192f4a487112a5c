import { describe, expect, it } from 'vitest'
import { BatchFrame, BatchItems } from '../../src/drivers/send-batch-frame.ts'
import { FIRST_OPAQUE, SendFrame } from '../../src/drivers/send-frame.ts'
import { BatchReader } from '../../src/protocol/batch-body.ts'
import { decodeFrame } from '../../src/protocol/frame.ts'
import { OutBuffer } from '../../src/remoting/out-buffer.ts'

const fields = {
  group: 'G',
  topic: 'T1',
  broker: 'broker-a',
  queueId: 3,
  kind: { tag: null, properties: {} },
  keyed: true,
  oneWay: false,
  idPrefix: '7F0000011234CAFEBABE',
}
const blue = { ...fields, kind: { tag: 'blue', properties: { region: 'eu' } } }

describe('a batch frame', () => {
  it('holds every message with its body, its id, its key, its tag and its properties', () => {
    const items = new BatchItems([fields, blue])
    const bodies = Buffer.from('one|three')
    items.add(bodies, 0, 3, 0, 7, 0x12, 1)
    items.add(bodies, 4, 9, 1, 123_456_789, 0x12, 2)
    const out = new OutBuffer()
    new BatchFrame(fields).write(out, FIRST_OPAQUE + 5, 1_795_217_880_029, items)
    const frame = Buffer.from(out.filled())
    const command = decodeFrame(frame, 0, frame.length)
    expect(command).toMatchObject({ code: 320, opaque: FIRST_OPAQUE + 5, flag: 0 })
    expect(command.ext).toMatchObject({ b: 'T1', e: '3', g: '1795217880029', m: 'true' })
    const body = command.body ?? Buffer.alloc(0)
    const reader = new BatchReader()
    reader.open(body, 0, body.length)
    const read: string[] = []
    while (reader.next()) {
      read.push(body.toString('utf8', reader.bodyStart, reader.bodyEnd))
      read.push(body.toString('utf8', reader.propertiesStart, reader.propertiesEnd))
    }
    const id = (tail: string) => `UNIQ_KEY\u0001${fields.idPrefix}${tail}\u0002WAIT\u0001true\u0002`
    expect(read).toEqual([
      'one',
      `${id('000000120001')}KEYS\u0001k000000007\u0002`,
      'three',
      `${id('000000120002')}TAGS\u0001blue\u0002KEYS\u0001k123456789\u0002region\u0001eu\u0002`,
    ])
    expect(reader.fault).toBeNull()
  })

  it('can be filled again, beyond the memory it began with', () => {
    const items = new BatchItems([fields])
    const body = Buffer.alloc(40_000, 0x61)
    for (let index = 0; index < 5; index += 1) items.add(body, 0, body.length, 0, 0, 0, index)
    expect([items.count, items.length > 200_000]).toEqual([5, true])
    items.clear()
    items.add(body, 0, 10, 0, 0, 0, 0)
    expect(items.count).toBe(1)
  })
})

describe('a one-way frame', () => {
  it('says so in its flag, so that no broker answers it', () => {
    const out = new OutBuffer()
    const body = Buffer.from('x')
    new SendFrame({ ...fields, oneWay: true }).write(out, FIRST_OPAQUE, 1, 1, 1, body, 0, 1, 42)
    const frame = Buffer.from(out.filled())
    const command = decodeFrame(frame, 0, frame.length)
    expect([command.isOneway, command.ext['i']]).toEqual([
      true,
      expect.stringContaining('KEYS\u0001k000000042\u0002'),
    ])
  })
})

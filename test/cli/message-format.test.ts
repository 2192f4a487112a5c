import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MessageFormat, type FormattedMessage } from '../../src/cli/message-format.ts'

function aMessage(fields: Partial<FormattedMessage> = {}): FormattedMessage {
  return {
    topic: 'orders',
    broker: 'broker-a',
    queueId: 3,
    queueOffset: 42,
    messageId: '7F000001',
    keys: 'k1 k2',
    tags: 'paid',
    properties: { source: 'test', region: 'eu' },
    body: Buffer.from('hello'),
    storedAtMs: Date.UTC(2026, 10, 20, 8, 30, 15, 7),
    reconsumeTimes: 0,
    ...fields,
  }
}

const write = (format: string, message = aMessage()) =>
  MessageFormat.compile(format).render(message).toString('latin1')

describe('writing messages', () => {
  it.each([
    ['%v\\n', 'hello\n'],
    ['%t/%b/%q/%o %i', 'orders/broker-a/3/42 7F000001'],
    ['%k|%g|%s|%r', 'k1 k2|paid|5|0'],
    ['%H{source} %H{none}.', 'test .'],
    ['%H', '{"source":"test","region":"eu"}'],
    ['%v{hex} %v{base64} %v{json}', '68656c6c6f aGVsbG8= "hello"'],
    ['%H{region}{hex}', '6575'],
    ['%d', '2026-11-20T08:30:15.007Z'],
    ['%d{ms}', '1795163415007'],
    ['%d{%Y-%m-%d %H:%M:%S.%L}', '2026-11-20 08:30:15.007'],
    ['100%%\\t\\x7e\\\\', '100%\t~\\'],
  ])('%s', (format, text) => {
    expect(write(format)).toBe(text)
  })

  it('keeps the bytes of a body that is not text', () => {
    const body = Buffer.from([0, 255, 10, 128])
    expect(MessageFormat.compile('%v').render(aMessage({ body }))).toEqual(body)
  })

  it.each([
    ['%z', /unknown token %z/],
    ['50%', /a lone % at the end/],
    ['%v{rot13}', /unknown coding/],
    ['%v{hex', /without }/],
    ['\\q', /unknown escape/],
  ])('%s is refused and says where', (format, message) => {
    expect(() => MessageFormat.compile(format)).toThrow(message)
  })
})

describe('reading messages', () => {
  it('splits records at the last literal and fields at the next', () => {
    const { messages } = MessageFormat.compile('%k %v\\n').read(
      Buffer.from('k1 v1\nk2 v 2\n'),
      true,
    )
    expect(messages.map(({ keys, body }) => [keys, body.toString()])).toEqual([
      ['k1', 'v1'],
      ['k2', 'v 2'],
    ])
  })

  it('keeps what does not end yet for the next chunk', () => {
    const format = MessageFormat.compile('%k %v\\n')
    const { messages, rest } = format.read(Buffer.from('k1 v1\nk2 v'), false)
    expect([messages.length, rest.toString()]).toEqual([1, 'k2 v'])
  })

  it('takes a last line without its newline', () => {
    const { messages } = MessageFormat.compile('%v').read(Buffer.from('a\nb'), true)
    expect(messages.map(({ body }) => body.toString())).toEqual(['a', 'b'])
  })

  it('reads tags, properties and queue, and passes over what cannot be set', () => {
    const { messages } = MessageFormat.compile('%o,%g,%H{source},%q,%v{hex}\\n').read(
      Buffer.from('17,paid,web,2,6869\n'),
      true,
    )
    expect(messages[0]).toEqual({
      body: Buffer.from('hi'),
      keys: null,
      tags: 'paid',
      properties: { source: 'web' },
      queueId: 2,
    })
  })

  it('refuses fields that touch, bad codings and input of another shape', () => {
    const read = (format: string, text: string) => () =>
      MessageFormat.compile(format).read(Buffer.from(text), true)
    expect(read('%k%v\\n', 'x\n')).toThrow(/touch each other/)
    expect(read('%v{hex}\\n', 'xyz\n')).toThrow(/is not hex/)
    expect(read('<%v>\\n', '[x]\n')).toThrow(/does not fit the format/)
  })

  it('reads back any keys, tag and body that it wrote', () => {
    const format = MessageFormat.compile('%k{base64} %g{base64} %v{base64}\\n')
    const texts = fc.string({ unit: 'binary' })
    fc.assert(
      fc.property(texts, texts, fc.uint8Array(), (keys, tags, bytes) => {
        const written = format.render(aMessage({ keys, tags, body: Buffer.from(bytes) }))
        const { messages } = format.read(written, true)
        expect(messages[0]).toMatchObject({ keys, tags, body: Buffer.from(bytes) })
      }),
    )
  })
})

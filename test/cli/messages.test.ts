import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Home, outcomeOf, shows } from './mqctl.ts'

/** What notices the end of a reader; not on macOS, not with BusyBox. */
const hasGnuTail = String(spawnSync('tail', ['--version']).stdout).includes('GNU')

let home: Home

beforeAll(async () => {
  home = await Home.make()
  await home.run(['start', '--detach', '--any-port'])
})
afterAll(() => home.remove())

let topics = 0
async function aTopic(queues = 1): Promise<string> {
  topics += 1
  const name = `topic-${topics}`
  await home.run(['topic', 'create', name, '--queues', String(queues)])
  return name
}

async function read(topic: string, ...args: string[]): Promise<string[]> {
  const { stdout } = await home.run(['consume', topic, '--from', 'start', '--exit-at-end', ...args])
  return stdout.split('\n').slice(0, -1)
}

async function readJson(topic: string) {
  return (await read(topic, '-o', 'ndjson')).map((line) => JSON.parse(line))
}

describe('produce', () => {
  it('sends its argument with key, tag and properties, and gives a receipt', async () => {
    const topic = await aTopic()
    const { document, exitCode } = await home.json([
      ...['produce', topic, 'hello', '--key', 'A-1', '--key', 'A-2', '--tag', 'paid'],
      ...['-H', 'source=web', '-H', 'region=eu=west'],
    ])
    expect([exitCode, document.sent, document.failed]).toEqual([0, 1, 0])
    expect(document.messages).toEqual([
      {
        messageId: expect.stringMatching(/^[0-9A-F]{32}$/),
        offsetMessageId: expect.stringMatching(/^[0-9A-F]{32}$/),
        broker: 'broker-a',
        queueId: 0,
        queueOffset: 0,
        status: 'SEND_OK',
      },
    ])
    const [message] = await readJson(topic)
    expect(message).toMatchObject({
      topic,
      broker: 'broker-a',
      queueId: 0,
      queueOffset: 0,
      messageId: document.messages[0].messageId,
      keys: ['A-1', 'A-2'],
      tags: 'paid',
      properties: { source: 'web', region: 'eu=west' },
      body: 'hello',
      bodyEncoding: 'utf8',
      reconsumeTimes: 0,
    })
    expect(new Date(message.bornAt).getTime()).toBeLessThanOrEqual(Date.parse(message.storedAt) + 1)
  })

  it('sends a message a line of stdin, in order, also without a last newline', async () => {
    const topic = await aTopic()
    const { document } = await home.json(['produce', topic], { input: 'one\ntwo\r\n\nthree' })
    expect(document.sent).toBe(3)
    expect(await read(topic)).toEqual(['one', 'two', 'three'])
  })

  it('sends nothing where stdin is empty, and says so; empty lines are left out and counted', async () => {
    const topic = await aTopic()
    const nothing = await home.run(['produce', topic])
    expect([nothing.exitCode, nothing.stderr]).toEqual([0, 'there was nothing to send\n'])
    const lines = await home.run(['produce', topic, '--count', '2'], { input: '\r\n\na\r\nb\nc' })
    expect(lines.stderr).toContain('2 empty messages left out')
    expect(await read(topic)).toEqual(['a', 'b'])
  })

  it('refuses one message without a body, whatever it comes from, and files that are not there', async () => {
    const topic = await aTopic()
    const empty = path.join(home.directory, 'empty')
    const full = path.join(home.directory, 'full')
    await writeFile(empty, '')
    await writeFile(full, 'x')
    const exitCodes = await Promise.all(
      [
        [''],
        ['--file', empty],
        ['--input', 'whole'],
        ['--file', full, '--file', `${full}.not`],
      ].map(async (args) => (await home.run(['produce', topic, ...args])).exitCode),
    )
    expect([exitCodes, await read(topic)]).toEqual([[2, 2, 2, 2], []])
  })

  it('ends at Ctrl-C while stdin is silent, and says what was sent', async () => {
    const topic = await aTopic()
    const child = home.spawn(['produce', topic, '--json'])
    const outcome = outcomeOf(child)
    child.stdin?.write('first\n')
    await home.run(['consume', topic, '--from', 'start', '--count', '1'])
    child.kill('SIGINT')
    const { stdout, exitCode } = await outcome
    expect([exitCode, JSON.parse(stdout).sent]).toEqual([130, 1])
  })

  it('sends stdin as one message', async () => {
    const topic = await aTopic()
    await home.run(['produce', topic, '--input', 'whole'], { input: 'a\nb\n' })
    expect((await readJson(topic))[0].body).toBe('a\nb\n')
  })

  it('sends files whole, and bytes that are no text come back as they were', async () => {
    const topic = await aTopic()
    const bytes = Buffer.from([0, 255, 10, 13, 128, 1])
    const files = [path.join(home.directory, 'a.bin'), path.join(home.directory, 'b.txt')]
    await writeFile(files[0] ?? '', bytes)
    await writeFile(files[1] ?? '', 'text\n')
    await home.run(['produce', topic, ...files.flatMap((file) => ['--file', file])])
    const [binary, text] = await readJson(topic)
    expect([binary.bodyEncoding, binary.body]).toEqual(['base64', bytes.toString('base64')])
    expect(text.body).toBe('text\n')
  })

  it('reads fields by a format', async () => {
    const topic = await aTopic()
    await home.run(['produce', topic, '--format', '%k,%g,%v\\n'], { input: 'k1,red,x,y\nk2,,z\n' })
    expect(await read(topic, '--format', '%k|%g|%v\\n')).toEqual(['k1|red|x,y', 'k2||z'])
  })

  it('round-trips through NDJSON: keys, tags, properties and any body', async () => {
    const [from, to] = [await aTopic(), await aTopic()]
    const file = path.join(home.directory, 'raw.bin')
    await writeFile(file, Buffer.from([200, 201, 0]))
    await home.run(['produce', from, 'héllo', '--key', 'k', '--tag', 't', '-H', 'a=b c'])
    await home.run(['produce', from, '--file', file])
    const { stdout } = await home.run([
      ...['consume', from, '--from', 'start', '--exit-at-end', '-o', 'ndjson'],
    ])
    await home.run(['produce', to, '--input', 'ndjson'], { input: stdout })
    const content = (messages: Record<string, unknown>[]) =>
      messages.map(({ keys, tags, body, bodyEncoding, properties }) => {
        const { a } = properties as Record<string, string>
        return { keys, tags, body, bodyEncoding, a }
      })
    expect(content(await readJson(to))).toEqual(content(await readJson(from)))
  })

  it('says which line of NDJSON is wrong, and sends nothing from it on', async () => {
    const topic = await aTopic()
    const { stderr, exitCode } = await home.run(['produce', topic, '--input', 'ndjson'], {
      input: '{"body":"ok"}\n{"body":\n',
    })
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('stdin, line 2, is not JSON')])
    expect(await read(topic)).toEqual(['ok'])
  })

  it('repeats its argument', async () => {
    const topic = await aTopic()
    const { document } = await home.json(['produce', topic, 'x', '--count', '500'])
    expect(document.sent).toBe(500)
    expect(await read(topic)).toHaveLength(500)
  })

  it('keeps to a rate', async () => {
    const topic = await aTopic()
    const { document } = await home.json(['produce', topic, 'x', '-c', '11', '--rate', '20/s'])
    expect(document.tookMs).toBeGreaterThanOrEqual(500)
  })

  it('puts messages of one order key into one queue, in order', async () => {
    const topic = await aTopic(8)
    const input = Array.from({ length: 20 }, (_, index) => `${index}\n`).join('')
    const { document } = await home.json(['produce', topic, '--order-key', 'user-1'], { input })
    const queues = document.messages.map(({ queueId }: { queueId: number }) => queueId)
    expect(new Set(queues).size).toBe(1)
    expect(await read(topic)).toEqual(input.trimEnd().split('\n'))
  })

  const refused: readonly (readonly [string, readonly string[], number, RegExp])[] = [
    ['a transaction with a delay', ['--txn', 'commit', '--delay-level', '2'], 2, /--txn|txn/],
    ['an illegal topic', [], 2, /illegal topic name/],
    ['two sources', ['--file', 'x'], 2, /two sources/],
    ['a file that is not there', ['--file', '/no/such/file'], 2, /is not there/],
    ['a property without a value', ['-H', 'novalue'], 2, /not key=value/],
    ['a delay that is too long for the broker', ['--delay', '4d'], 1, /timerMaxDelaySec/],
  ]
  it.each(refused)('refuses %s', async (what, args, exitCode, message) => {
    const topic = what === 'an illegal topic' ? 'a/b' : 'topic-1'
    const body = what.startsWith('a file') ? [] : ['x']
    const outcome = await home.json(['produce', topic, ...body, ...args])
    expect([outcome.exitCode, outcome.document.error.exitCode]).toEqual([exitCode, exitCode])
    expect(outcome.document.error.message).toMatch(message)
  })

  it('exits with 3 when no name server answers', async () => {
    const { document, exitCode } = await home.json(['produce', 'x', 'y', '-n', '127.0.0.1:1'])
    expect([exitCode, document.error.code]).toEqual([3, 'NAMESRV_UNREACHABLE'])
  })
})

describe('consume', () => {
  it('reads by position: offsets, from the end, spans, and times', async () => {
    const topic = await aTopic()
    await home.run(['produce', topic], { input: 'a\nb\nc\nd\n' })
    const from = async (position: string) => {
      const { stdout } = await home.run(['consume', topic, '--from', position, '--exit-at-end'])
      return stdout.replaceAll('\n', '')
    }
    expect(await from('2')).toBe('cd')
    expect(await from('+1')).toBe('bcd')
    expect(await from('-1')).toBe('d')
    expect(await from('1:3')).toBe('bc')
    expect(await from(':2')).toBe('ab')
    expect(await from('@-1h')).toBe('abcd')
    expect(await from('@+1h')).toBe('')
    expect(await from('@-1h:@+1h')).toBe('abcd')
  })

  it('merges queues in the order in which messages were stored', async () => {
    const topic = await aTopic(4)
    const lines = Array.from({ length: 200 }, (_, index) => String(index))
    await home.run(['produce', topic], { input: lines.join('\n') })
    expect(await read(topic)).toEqual(lines)
  })

  it('filters by tag', async () => {
    const topic = await aTopic()
    for (const tag of ['red', 'green', 'blue'])
      await home.run(['produce', topic, tag, '--tag', tag])
    expect(await read(topic, '--filter', 'red || blue')).toEqual(['red', 'blue'])
  })

  it('filters by an SQL92 expression, by position and as a group', async () => {
    const topic = await aTopic()
    for (const price of ['5', '15', 'x', '25']) {
      await home.run(['produce', topic, price, '--header', `price=${price}`])
    }
    expect(await read(topic, '--sql', 'price > 10')).toEqual(['15', '25'])
    const grouped = ['--group', `${topic}-G`, '--from', 'start', '--exit-at-end']
    const { stdout } = await home.run(['consume', topic, ...grouped, '--sql', 'price < 20'])
    expect(stdout.split('\n').filter(Boolean).sort()).toEqual(['15', '5'])
  })

  it('points at what is wrong in an SQL92 expression, and asks nobody', async () => {
    for (const [sql, pointer] of [
      ["price > 'x'", '\n               ^\n'],
      ["price > 10 LIKE 'x'", '\n                  ^\n'],
    ] as const) {
      const command = ['consume', 'T', '--sql', sql, '--namesrv', '127.0.0.1:1']
      const { exitCode, stderr } = await home.run(command)
      expect(exitCode).toBe(2)
      expect(stderr).toContain(sql)
      expect(stderr).toContain(pointer)
    }
  })

  it('gives every broadcast member everything, once, with progress of its own', async () => {
    const topic = await aTopic()
    await home.run(['produce', topic], { input: 'a\nb\n' })
    const broadcast = (...args: string[]) =>
      home.run(['consume', topic, '--group', `${topic}-B`, '--broadcast', '--exit-at-end', ...args])
    const first = await broadcast('--from', 'start')
    const again = await broadcast('--from', 'start')
    const other = await broadcast(
      '--from',
      'start',
      '--offsets-file',
      `${home.directory}/other.json`,
    )
    const lines = [first, again, other].map(({ stdout }) => stdout.split('\n').filter(Boolean))
    expect(lines.map((list) => list.sort())).toEqual([['a', 'b'], [], ['a', 'b']])
  })

  it('stops after a count, and when nothing comes', async () => {
    const topic = await aTopic()
    await home.run(['produce', topic], { input: 'a\nb\nc\n' })
    const counted = await home.run(['consume', topic, '--from', 'start', '--count', '2'])
    const idle = await home.run(['consume', topic, '--from', 'start', '--idle', '300ms'])
    expect([counted.stdout, idle.stdout]).toEqual(['a\nb\n', 'a\nb\nc\n'])
    expect([counted.exitCode, idle.exitCode]).toEqual([0, 0])
  })

  it('shows what comes from now on', async () => {
    const topic = await aTopic()
    await home.run(['produce', topic, 'old'])
    const child = home.spawn(['consume', topic, '--count', '1'])
    const outcome = outcomeOf(child)
    await shows(child, 'waiting for new messages')
    // The position is taken after the remark; a message a tenth of a second is sure to come later.
    const sender = home.run(['produce', topic, 'new', '-c', '30', '--rate', '10/s'])
    expect((await outcome).stdout).toBe('new\n')
    await sender
  })

  it.skipIf(!hasGnuTail)('ends with its reader, also when no further message comes', async () => {
    const topic = await aTopic()
    await home.run(['produce', topic, 'only'])
    const { stdout, stderr } = await home.shell(
      `{ mqctl consume ${topic} --from start; echo "exit $?" >&2; } | head -1`,
    )
    expect([stdout, stderr]).toEqual(['only\n', 'exit 0\n'])
  })

  it('as a group goes on where the group left off', async () => {
    const topic = await aTopic(2)
    await home.run(['produce', topic], { input: 'a\nb\nc\n' })
    const args = ['consume', topic, '--group', `group-${topic}`, '--exit-at-end']
    const first = await home.run([...args, '--from', 'start'])
    await home.run(['produce', topic, 'd'])
    const second = await home.run(args)
    expect(first.stdout.split('\n').sort().join('')).toBe('abc')
    expect(second.stdout).toBe('d\n')
  })

  it('as a new group gets what is there, and with --from end only what comes', async () => {
    const topic = await aTopic()
    await home.run(['produce', topic, 'old'])
    const read = (group: string, ...args: string[]) =>
      home.run(['consume', topic, '-g', `${group}-${topic}`, '--exit-at-end', ...args])
    expect((await read('any')).stdout).toBe('old\n')
    expect((await read('late', '--from', 'end')).stdout).toBe('')
    await home.run(['produce', topic, 'new'])
    expect((await read('late', '--from', 'end')).stdout).toBe('new\n')
  })

  it('reports the progress of a group on Ctrl-C, and exits with 130', async () => {
    const topic = await aTopic()
    const group = `group-${topic}`
    await home.run(['produce', topic], { input: 'a\nb\n' })
    const child = home.spawn(['consume', topic, '--group', group, '--from', 'start'])
    const outcome = outcomeOf(child)
    await shows(child, 'b\n')
    child.kill('SIGINT')
    expect((await outcome).exitCode).toBe(130)
    const { document } = await home.json(['group', 'lag', group, '--topic', topic])
    expect(document.groups[0].queues).toEqual([
      expect.objectContaining({ topic, brokerOffset: 2, consumerOffset: 2, lag: 0 }),
    ])
  })

  it('leaves to the group what it was not asked to take', async () => {
    const topic = await aTopic()
    const group = `group-${topic}`
    await home.run(['produce', topic], { input: 'a\nb\nc\n' })
    const one = await home.run(['consume', topic, '-g', group, '--from', 'start', '--count', '1'])
    const rest = await home.run(['consume', topic, '-g', group, '--exit-at-end'])
    expect([one.stdout, rest.stdout]).toEqual(['a\n', 'b\nc\n'])
  })

  it.each([
    [['--from', 'somewhere'], 2, 'VALUE_INVALID'],
    [['--format', '%z'], 2, 'VALUE_INVALID'],
    [['--group', 'a b'], 2, 'NAME_ILLEGAL'],
  ])('refuses %j', async (args, exitCode, code) => {
    const outcome = await home.json(['consume', 'topic-1', ...args])
    expect([outcome.exitCode, outcome.document.error.code]).toEqual([exitCode, code])
  })

  it('says that a topic does not exist', async () => {
    const { document, exitCode } = await home.json(['consume', 'nothing-here'])
    expect([exitCode, document.error.code]).toEqual([1, 'TOPIC_NOT_FOUND'])
  })
})

describe('message', () => {
  it('is found by key, by id and by place', async () => {
    const topic = await aTopic()
    await home.run(['produce', topic, '{"n":1}', '--key', 'K-1'])
    await home.run(['produce', topic, 'other', '--key', 'K-2'])
    const found = await home.json(['message', 'find', '--topic', topic, '--key', 'K-1'])
    expect(found.document.messages).toHaveLength(1)
    const [message] = found.document.messages
    const byId = await home.json(['message', 'get', message.messageId])
    const byOffsetId = await home.json(['message', 'get', message.offsetMessageId])
    const byPlace = await home.json([
      ...['message', 'get', '--topic', topic, '--queue', '0', '--offset', '0'],
    ])
    expect([byId.document, byOffsetId.document, byPlace.document]).toEqual([
      message,
      message,
      message,
    ])
    const pretty = await home.run(['message', 'get', message.messageId, '--body-as', 'json'])
    expect(pretty.stdout).toContain('"n": 1')
    const raw = await home.run(['message', 'get', message.messageId, '--format', '%v'])
    expect(raw.stdout).toBe('{"n":1}')
  })

  it('that is not there is an error for get, and nothing for find', async () => {
    const topic = await aTopic()
    const id = '7F0000010A2B18B4AAC2000000000000'
    const get = await home.json(['message', 'get', id, '--topic', topic])
    expect([get.exitCode, get.document.error.code]).toEqual([1, 'MESSAGE_NOT_FOUND'])
    const find = await home.json(['message', 'find', '--topic', topic, '--key', 'none'])
    expect([find.exitCode, find.document]).toEqual([0, { messages: [] }])
  })

  it('needs an id or a place', async () => {
    expect((await home.json(['message', 'get'])).document.error.code).toBe('USAGE')
  })

  it('is browsed a page at a time, each message once, in the order of storing', async () => {
    const topic = await aTopic(3)
    const lines = Array.from({ length: 10 }, (_, i) => `m${i}`)
    for (const batch of [lines.slice(0, 4), lines.slice(4)]) {
      await home.run(['produce', topic], { input: `${batch.join('\n')}\n` })
    }
    const bodies: string[] = []
    const sizes: number[] = []
    let next: string | null = null
    do {
      const after: string[] = next === null ? [] : ['--after', next]
      const args = ['message', 'browse', topic, '--limit', '4', ...after]
      const { document } = await home.json(args)
      sizes.push(document.messages.length)
      for (const { body } of document.messages) bodies.push(body)
      next = document.next
    } while (next !== null)
    expect(sizes).toEqual([4, 4, 2])
    expect([...bodies].sort()).toEqual([...lines].sort())
    // Two commands, one after the other: their messages do not mix.
    expect(bodies.slice(0, 4).sort()).toEqual(lines.slice(0, 4))
    const span = await home.json(['message', 'browse', topic, '--queue', '1', '--from', '1:2'])
    expect(span.document.messages).toMatchObject([{ queueId: 1, queueOffset: 1 }])
    expect(span.document.next).toBeNull()
    const nonsense = await home.json(['message', 'browse', topic, '--after', 'x'])
    expect([nonsense.exitCode, nonsense.document.error.code]).toEqual([2, 'VALUE_INVALID'])
  })

  it('is told by its ids, without any broker', async () => {
    const topic = await aTopic()
    const sent = await home.json(['produce', topic, 'hello'])
    const [receipt] = sent.document.messages
    const unique = await home.json(['message', 'decode', receipt.messageId])
    expect(unique.document).toMatchObject({ kind: 'unique', unique: { counter: 0 } })
    const bornMs = Date.parse(unique.document.unique.born)
    expect(Math.abs(Date.now() - bornMs)).toBeLessThan(600_000)
    const { document } = await home.json(['message', 'browse', topic])
    const [message] = document.messages
    const offset = await home.json(['message', 'decode', message.offsetMessageId])
    expect(offset.document).toMatchObject({
      kind: 'offset',
      offset: { storeHost: message.storeHost, physicalOffset: message.physicalOffset },
    })
    const nonsense = await home.json(['message', 'decode', 'order-17'])
    expect([nonsense.exitCode, nonsense.document.error.code]).toEqual([2, 'VALUE_INVALID'])
  })
})

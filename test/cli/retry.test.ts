import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Home, outcomeOf, shows } from './mqctl.ts'

let home: Home

beforeAll(async () => {
  home = await Home.make()
  await home.run(['start', '--detach', '--any-port'])
})
afterAll(() => home.remove())

let names = 0
async function aTopic(...bodies: string[]): Promise<string> {
  names += 1
  const topic = `retry-${names}`
  await home.run(['topic', 'create', topic, '--queues', '1'])
  for (const body of bodies) {
    await home.run([
      'produce',
      topic,
      body,
      '--key',
      `k-${body}`,
      '--tag',
      'red',
      '-H',
      'own=header',
    ])
  }
  return topic
}

/** A command line that runs the script with Node. */
const node = (script: string) => `'${process.execPath}' -e '${script}'`

const consume = (topic: string, group: string, ...args: string[]) =>
  home.run(['consume', topic, '--group', group, '--from', 'start', ...args])

describe('consume --exec', () => {
  it('gives a command the body on stdin and the rest in its environment', async () => {
    const topic = await aTopic('hello')
    const script =
      'process.stdin.on("data", (d) => console.log(String(d), process.env.MQCTL_TOPIC, process.env.MQCTL_KEYS, process.env.MQCTL_TAGS, JSON.parse(process.env.MQCTL_PROPERTIES).own))'
    const outcome = await consume(topic, 'g-env', '--count', '1', '--exec', node(script))
    expect(outcome).toMatchObject({ exitCode: 0, stdout: `hello ${topic} k-hello red header\n` })
  })

  it('does not give the command or the message to a shell', async () => {
    const topic = await aTopic('$(touch by-body)')
    const exec = `echo '$HOME' "; touch by-command" '*'`
    const outcome = await consume(topic, 'g-shell', '--count', '1', '--exec', exec)
    expect(outcome.stdout).toBe('$HOME ; touch by-command *\n')
    for (const name of ['by-body', 'by-command']) {
      await expect(readFile(path.join(home.directory, name))).rejects.toThrow('ENOENT')
    }
  })

  it('gives the message back when the command fails; after its time it comes again', async () => {
    const topic = await aTopic('once')
    const script = 'process.exit(Number(process.env.MQCTL_RECONSUME_TIMES) === 0 ? 7 : 0)'
    const args = ['--exec', node(script), '--retry-delay', '1s', '--count', '2', '-o', 'ndjson']
    const outcome = await consume(topic, 'g-again', ...args)
    expect(outcome.stderr).toContain('failed (try 1): exit code 7')
    expect(outcome.stderr).toContain('1 processed, 1 failed and given back')
    expect(JSON.parse(outcome.stdout)).toMatchObject({ topic, body: 'once', reconsumeTimes: 1 })
  })

  it('stops at once, and loses nothing, when the command cannot be run', async () => {
    const topic = await aTopic('kept')
    const outcome = await consume(topic, 'g-none', '--exec', 'no-such-program-anywhere')
    expect(outcome.exitCode).toBe(2)
    expect(outcome.stderr).toContain('"no-such-program-anywhere" cannot be run: ENOENT')
    const again = await consume(topic, 'g-none', '--exit-at-end')
    expect(again.stdout).toBe('kept\n')
  })

  it('lets the command that runs come to its end at Ctrl-C; what was not begun stays', async () => {
    const topic = await aTopic('one', 'two')
    const script = 'console.log("begun"); setTimeout(() => console.log("ended"), 700)'
    const exec = ['--exec', node(script)]
    const args = ['consume', topic, '--group', 'g-signal', '--from', 'start', ...exec]
    const child = home.spawn(args)
    const outcome = outcomeOf(child)
    await shows(child, 'begun')
    child.kill('SIGINT')
    expect(await outcome).toMatchObject({ exitCode: 130, stdout: 'begun\nended\n' })
    const rest = await consume(topic, 'g-signal', '--exit-at-end')
    expect(rest.stdout).toBe('two\n')
  })

  it('ends a command whose time is up, which is a failed try', async () => {
    const topic = await aTopic('slow')
    const exec = ['--exec', node('setTimeout(() => undefined, 60_000)'), '--exec-timeout', '300ms']
    const outcome = await consume(topic, 'g-slow', '--count', '1', '--retries', '0', ...exec)
    expect(outcome.stderr).toContain('did not end within 300 ms')
  })

  it('runs as many commands at once as it may', async () => {
    const topic = await aTopic('a', 'b')
    // Each waits for the other one's file.
    const script =
      'const fs = require("fs"), b = fs.readFileSync(0, "utf8"); fs.writeFileSync("at-" + b, ""); setInterval(() => { if (fs.existsSync("at-" + (b === "a" ? "b" : "a"))) process.exit(0) }, 20)'
    const args = ['--exec', node(script), '--parallel', '2', '--count', '2', '-o', 'ndjson']
    const outcome = await consume(topic, 'g-parallel', ...args)
    expect(outcome.stdout.trimEnd().split('\n')).toHaveLength(2)
  })

  it('needs a group, and a command that can be split into words', async () => {
    expect((await home.run(['consume', 'T', '--exec', 'cat'])).exitCode).toBe(2)
    const open = await consume('T', 'g', '--exec', `echo 'open`)
    expect([open.exitCode, open.stderr]).toEqual([2, expect.stringContaining('is not closed')])
  })
})

describe('consume --fail-rate', () => {
  it('lets messages fail, which are dead letters after the last try', async () => {
    const topic = await aTopic('x', 'y')
    const args = ['--fail-rate', '100%', '--retries', '0', '--count', '2']
    const outcome = await consume(topic, 'g-fail', ...args)
    expect(outcome).toMatchObject({ exitCode: 0, stdout: '' })
    expect(outcome.stderr).toContain('0 processed, 2 failed and given back')
    const { document } = await home.json(['dlq', 'show', 'g-fail'])
    expect(document.messages.map((one: { body: string }) => one.body).sort()).toEqual(['x', 'y'])
  })

  it('says what is not a share', async () => {
    expect((await consume('T', 'g', '--fail-rate', '2')).exitCode).toBe(2)
    expect((await consume('T', 'g', '--fail-rate', 'many')).exitCode).toBe(2)
  })
})

describe('dead letters', () => {
  async function aGroupWithDeadLetters(...bodies: string[]) {
    const topic = await aTopic(...bodies)
    const group = `g-${topic}`
    const count = String(bodies.length)
    await consume(topic, group, '--fail-rate', '1', '--retries', '0', '--count', count)
    return { topic, group }
  }

  it('are listed, shown with where they were sent first, and exported for produce', async () => {
    const { topic, group } = await aGroupWithDeadLetters('a', 'b')
    const list = await home.json(['dlq', 'list'])
    expect(list.document.groups).toContainEqual({ group, topic: `%DLQ%${group}`, messages: 2 })
    const { document } = await home.json(['dlq', 'show', group, '--limit', '1'])
    expect(document).toMatchObject({
      more: true,
      messages: [{ originalTopic: topic, tags: 'red' }],
    })
    const exported = await home.run(['dlq', 'export', group])
    const repair = await aTopic()
    await home.run(['produce', repair, '--input', 'ndjson'], { input: exported.stdout })
    const read = await home.run(['consume', repair, '--from', 'start', '--exit-at-end'])
    expect(read.stdout.split('\n').sort()).toEqual(['', 'a', 'b'])
  })

  it('are sent again to their group alone, only with --execute, with their ids and headers', async () => {
    const { topic, group } = await aGroupWithDeadLetters('a')
    const plan = await home.json(['dlq', 'resend', group])
    expect(plan.document).toMatchObject({ executed: false, found: 1, sent: 0, to: 'group' })
    const done = await home.json(['dlq', 'resend', group, '--execute'])
    expect([done.exitCode, done.document]).toEqual([
      0,
      expect.objectContaining({ executed: true, found: 1, sent: 1, failed: 0 }),
    ])
    const again = await consume(topic, group, '--count', '1', '-o', 'ndjson')
    expect(JSON.parse(again.stdout)).toMatchObject({
      topic,
      body: 'a',
      messageId: done.document.messageIds[0],
      keys: ['k-a'],
      tags: 'red',
      properties: { own: 'header' },
      reconsumeTimes: 0,
    })
    const others = await home.run(['consume', topic, '--from', 'start', '--exit-at-end'])
    expect(others.stdout).toBe('a\n')
  })

  it('are sent to a topic, those with an id alone', async () => {
    const { topic, group } = await aGroupWithDeadLetters('a', 'b')
    const { document } = await home.json(['dlq', 'show', group])
    const one = document.messages.find(({ body }: { body: string }) => body === 'b')
    const args = ['dlq', 'resend', group, '--id', one.messageId, '--to-original', '--execute']
    const done = await home.json(args)
    expect(done.document).toMatchObject({ to: 'original', sent: 1 })
    const read = await home.run(['consume', topic, '--from', 'start', '--exit-at-end'])
    expect(read.stdout).toBe('a\nb\nb\n')
  })

  it('of a group that has none are no error', async () => {
    const shown = await home.run(['dlq', 'show', 'nobody'])
    expect([shown.exitCode, shown.stderr]).toEqual([0, 'no such dead letters of nobody\n'])
    expect((await home.json(['dlq', 'resend', 'nobody', '--execute'])).document.sent).toBe(0)
  })
})

describe('message resend', () => {
  it('stores a copy with the same id, only with --execute', async () => {
    const topic = await aTopic('a')
    const found = await home.json(['message', 'find', '--topic', topic, '--key', 'k-a'])
    const { messageId } = found.document.messages[0]
    const plan = await home.run(['message', 'resend', messageId, '--topic', topic])
    expect(plan.stdout).toBe(`would send ${messageId} to ${topic}\n`)
    const done = await home.json(['message', 'resend', messageId, '--topic', topic, '--execute'])
    expect(done.document).toMatchObject({ executed: true, to: topic, receipt: { queueOffset: 1 } })
  })

  it('has a connected member of a group process it', async () => {
    const topic = await aTopic('a')
    const child = home.spawn(['consume', topic, '--group', 'g-direct', '--from', 'start'])
    const outcome = outcomeOf(child)
    await shows(child, 'a\n')
    const found = await home.json(['message', 'find', '--topic', topic, '--key', 'k-a'])
    const { messageId } = found.document.messages[0]
    const args = ['message', 'resend', messageId, '--topic', topic, '--group', 'g-direct']
    const done = await home.json([...args, '--execute'])
    expect(done.document).toMatchObject({ executed: true, consumeResult: 'CR_SUCCESS' })
    child.kill('SIGINT')
    expect((await outcome).stdout).toBe('a\na\n')
  })
})

describe('produce --delay', () => {
  it('sends the level that has the time, and consumers see the message then', async () => {
    const topic = await aTopic()
    await home.run(['produce', topic, 'later', '--delay', '1s'])
    const args = ['consume', topic, '--from', 'start', '--count', '1', '-o', 'ndjson']
    const { stdout } = await home.run(args)
    const message = JSON.parse(stdout)
    expect(message.properties.DELAY).toBe('1')
    expect(Date.parse(message.storedAt) - Date.parse(message.bornAt)).toBeGreaterThanOrEqual(1_000)
  })

  it('sends any other time as it is, and the message can be recalled', async () => {
    const topic = await aTopic()
    const sent = await home.json(['produce', topic, 'never', '--delay', '90s'])
    const [{ recallHandle, messageId }] = sent.document.messages
    const recalled = await home.json(['message', 'recall', recallHandle])
    expect(recalled.document).toEqual({ messageId, topic, recalled: true })
    const shown = await home.run(['produce', topic, 'later', '--delay', '2200ms'])
    expect(shown.stdout).toMatch(/mqctl message recall [A-Za-z0-9_-]+={0,2}/)
    const args = ['consume', topic, '--from', 'start', '--count', '1', '-o', 'ndjson']
    const message = JSON.parse((await home.run(args)).stdout)
    expect(message.body).toBe('later')
    expect(Date.parse(message.storedAt) - Date.parse(message.bornAt)).toBeGreaterThanOrEqual(2_200)
  })

  it.each(['nonsense', 'djEgb3JkZXJz'])('recalls nothing by %s', async (handle) => {
    const { exitCode, stderr } = await home.run(['message', 'recall', handle])
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('no recall handle')])
  })
})

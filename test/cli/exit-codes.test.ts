/**
 * One exit code for one reason, whatever the command: every command of the manifest is asked with a
 * flag that nobody has, those that talk to brokers also where nobody answers, and those that are
 * about something also for something that is not there.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Home } from './mqctl.ts'

interface Manifest {
  readonly commands: Readonly<
    Record<string, { readonly hidden: boolean; readonly flags: Readonly<Record<string, unknown>> }>
  >
}

const manifest = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '..', '..', 'oclif.manifest.json'), 'utf8'),
) as Manifest

const shown = Object.entries(manifest.commands)
  .filter(([, { hidden }]) => !hidden)
  .map(([id, { flags }]) => ({ words: id.split(':'), takesNameServer: 'namesrv' in flags }))

const nobody = '127.0.0.1:1'
const id = 'C000020211DE0FC601CD6A58C2760000'
/** Of a message on topic orders that nobody sent. */
const handle = Buffer.from(`v1 orders broker-a 1000 ${id}`).toString('base64')

/** What makes each command that talks to brokers complete. Not here: doctor, to which no answer is an answer. */
const completed: Readonly<Record<string, string>> = {
  bench: 'bench smoke --no-ceiling --quiet',
  'bench balance': 'bench balance --no-ceiling --quiet',
  'bench curve': 'bench curve --no-ceiling --quiet',
  'bench search': 'bench search --no-ceiling --quiet',
  'broker get': 'broker get broker-a',
  'broker list': 'broker list',
  'cluster info': 'cluster info',
  consume: 'consume orders --from start --exit-at-end',
  'dlq export': 'dlq export audit',
  'dlq list': 'dlq list',
  'dlq resend': 'dlq resend audit',
  'dlq show': 'dlq show audit',
  'group copy-offsets': 'group copy-offsets audit audit-green',
  'group get': 'group get audit',
  'group lag': 'group lag audit',
  'group list': 'group list',
  'group reset': 'group reset audit --topic orders --to end',
  'group running-info': 'group running-info audit',
  'group skip': 'group skip audit --topic orders',
  'message browse': 'message browse orders',
  'message find': 'message find --topic orders --key k',
  'message get': `message get ${id} --topic orders`,
  'message recall': `message recall ${handle}`,
  'message resend': `message resend ${id} --topic orders`,
  'message trace': `message trace ${id}`,
  produce: 'produce orders hello',
  reply: 'reply orders --exec cat',
  request: 'request orders hello',
  'topic alter': 'topic alter orders --queues 4',
  'topic create': 'topic create fresh',
  'topic delete': 'topic delete orders --yes',
  'topic forward': 'topic forward orders fresh',
  'topic get': 'topic get orders',
  'topic list': 'topic list',
  'txn list': 'txn list',
  verify: 'verify --feature order',
}

let home: Home
beforeAll(async () => {
  home = await Home.make()
  await home.run(['start', '--detach', '--any-port', '--topic', 'orders'])
  await home.run(['consume', 'orders', '--group', 'audit', '--exit-at-end'])
  await home.run(['topic', 'create', 'locked', '--perm', 'r'])
  await home.run(['topic', 'create', 'blind', '--perm', 'w'])
})
afterAll(() => home.remove())

/** The one document of a failure; nothing else may stand on stdout or stderr. */
async function failure(args: readonly string[]): Promise<{ code: string; exitCode: number }> {
  const { document, stderr, exitCode } = await home.json(args)
  expect(document).toEqual({
    error: {
      code: expect.stringMatching(/^[A-Z_]+$/),
      message: expect.stringMatching(/./),
      hint: expect.stringMatching(/./),
      exitCode,
    },
  })
  expect(stderr).toBe('')
  return document.error
}

describe('exit code 2, not tried', () => {
  it.each(shown)('a flag that $words does not have', async ({ words }) => {
    const { code, exitCode } = await failure([...words, '--no-such-flag'])
    expect([code, exitCode]).toEqual(['USAGE', 2])
  })

  it.each(['no-such-command', 'topic no-such-verb', 'help no-such-page', 'bench no-such-scenario'])(
    '%s',
    async (line) => {
      expect((await failure(line.split(' '))).exitCode).toBe(2)
    },
  )
})

describe('exit code 3, nobody answered', () => {
  it('is asked of every command that takes --namesrv', () => {
    const asked = shown.filter(({ takesNameServer }) => takesNameServer)
    const ids = asked.map(({ words }) => words.join(' ')).filter((words) => words !== 'doctor')
    expect(ids.sort()).toEqual(Object.keys(completed).sort())
  })

  it.each(Object.values(completed))('%s', async (line) => {
    const args = [...line.split(' '), '--namesrv', nobody]
    if (!line.startsWith('bench')) args.push('--timeout', '1s')
    const { code, exitCode } = await failure(args)
    expect([code, exitCode]).toEqual(['NAMESRV_UNREACHABLE', 3])
  })

  it('is the same without --json, in three lines on stderr', async () => {
    const { stdout, stderr, exitCode } = await home.run(['topic', 'list', '--namesrv', nobody])
    expect([exitCode, stdout]).toEqual([3, ''])
    expect(stderr.trimEnd().split('\n')).toEqual([
      expect.stringMatching(/^error mqctl topic list failed \(NAMESRV_UNREACHABLE, exit 3\)$/),
      expect.stringMatching(/^ {2}why {2}.*127\.0\.0\.1:1/),
      expect.stringMatching(/^ {2}try {2}/),
    ])
  })
})

describe('exit code 1, tried and failed', () => {
  it.each([
    ['consume nope --from start', 'TOPIC_NOT_FOUND'],
    ['topic get nope', 'TOPIC_NOT_FOUND'],
    ['topic alter nope --queues 4', 'TOPIC_NOT_FOUND'],
    ['topic delete nope --yes', 'TOPIC_NOT_FOUND'],
    ['message browse nope', 'TOPIC_NOT_FOUND'],
    ['message find --topic nope --key k', 'TOPIC_NOT_FOUND'],
    ['message get --topic nope --queue 0 --offset 0', 'TOPIC_NOT_FOUND'],
    ['group reset audit --topic nope --to end', 'TOPIC_NOT_FOUND'],
    ['group skip audit --topic nope', 'TOPIC_NOT_FOUND'],
    ['group copy-offsets nope audit', 'GROUP_NOT_FOUND'],
    ['group get nope', 'GROUP_NOT_FOUND'],
    ['group lag nope', 'GROUP_NOT_FOUND'],
    [`message get ${id} --topic orders`, 'MESSAGE_NOT_FOUND'],
    [`message trace ${id}`, 'MESSAGE_NOT_FOUND'],
    [`message recall ${handle}`, 'REFUSED'],
    ['topic create orders', 'TOPIC_EXISTS'],
    ['topic create fresh --broker nope', 'BROKER_NOT_FOUND'],
    ['topic create fresh --cluster nope', 'BROKER_NOT_FOUND'],
    ['broker get nope', 'BROKER_NOT_FOUND'],
    ['produce locked hello', 'TOPIC_NOT_PERMITTED'],
    ['produce locked hello --oneway', 'TOPIC_NOT_PERMITTED'],
    ['consume blind --exit-at-end', 'TOPIC_NOT_PERMITTED'],
    ['consume blind --exit-at-end --group audit', 'TOPIC_NOT_PERMITTED'],
    ['start', 'ALREADY_RUNNING'],
    ['purge --yes', 'ALREADY_RUNNING'],
    ['status nope', 'INSTANCE_NOT_FOUND'],
  ])('%s', async (line, expected) => {
    const { code, exitCode } = await failure(line.split(' '))
    expect([code, exitCode]).toEqual([expected, 1])
  })
})

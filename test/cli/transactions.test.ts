import { chmod, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Home } from './mqctl.ts'

let home: Home

beforeAll(async () => {
  home = await Home.make()
  await home.run([
    ...['start', '--detach', '--any-port', '--topic', 'paid:1', '--topic', 'open:1'],
    ...['--topic', 'asked:1'],
    ...['--set', 'transactionCheckInterval=500ms', '--set', 'transactionTimeOut=500ms'],
  ])
})
afterAll(() => home.remove())

async function read(topic: string): Promise<string[]> {
  const { stdout } = await home.run(['consume', topic, '--from', 'start', '--exit-at-end'])
  return stdout.split('\n').slice(0, -1)
}

describe('produce --txn', () => {
  it('delivers what is committed and not what is rolled back', async () => {
    const back = await home.json(['produce', 'paid', 'no', '--txn', 'rollback'])
    const sent = await home.json(['produce', 'paid', 'yes', '--txn', 'commit'])
    expect([back.exitCode, sent.exitCode]).toEqual([0, 0])
    expect(sent.document.messages[0]).toMatchObject({ decision: 'commit', ended: true })
    expect(await read('paid')).toEqual(['yes'])
  })

  it('leaves open what is unknown; txn list shows it', async () => {
    const sent = await home.json([
      'produce',
      'open',
      'perhaps',
      '--txn',
      'unknown',
      '-g',
      'payments',
    ])
    expect(sent.document.messages[0]).toMatchObject({ decision: 'unknown', ended: false })
    const { document } = await home.json(['txn', 'list', '--group', 'payments'])
    expect(document.transactions).toMatchObject([
      { messageId: sent.document.messages[0].messageId, topic: 'open', producerGroup: 'payments' },
    ])
    const { stdout } = await home.run(['txn', 'list', '--topic', 'open'])
    expect(stdout).toMatch(/MESSAGE ID +TOPIC +GROUP +BROKER +AGE +CHECKS/)
    expect(await read('open')).toEqual([])
  })

  it('has a program answer the broker: the body on stdin, the rest in variables, no shell', async () => {
    const seen = path.join(home.directory, 'seen.txt')
    const program = path.join(home.directory, 'is-paid')
    await writeFile(
      program,
      `#!/bin/sh\n{ cat; echo "|$MQCTL_TOPIC|$MQCTL_KEYS|$1"; } >> ${seen}\n`,
    )
    await chmod(program, 0o755)
    const sent = await home.json([
      ...['produce', 'asked', 'A-1', '--key', 'k1', '--txn', 'unknown', '-g', 'askers'],
      ...['--txn-check-exec', `${program} $(id);x`],
    ])
    expect(sent.exitCode).toBe(0)
    expect(await readFile(seen, 'utf8')).toBe('A-1|asked|k1|$(id);x\n')
    expect(await read('asked')).toEqual(['A-1'])
  })
})

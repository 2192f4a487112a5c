import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Home } from './mqctl.ts'

let home: Home

beforeAll(async () => {
  home = await Home.make()
  await home.run(['start', '--detach', '--any-port'])
})
afterAll(() => home.remove())

describe('topic', () => {
  it('is created, changed and deleted', async () => {
    const created = await home.json(['topic', 'create', 'life', '--queues', '4'])
    expect(created.document.topics).toEqual([
      { name: 'life', created: true, brokers: ['broker-a'] },
    ])
    await home.run(['produce', 'life', 'x'])
    const altered = await home.json(['topic', 'alter', 'life', '--queues', '6', '--perm', 'r'])
    expect(altered.exitCode).toBe(0)
    const got = await home.json(['topic', 'get', 'life'])
    expect(got.document).toMatchObject({ name: 'life', queues: 6, perm: 'r', messages: 1 })
    expect(got.document.offsets).toHaveLength(6)
    const deleted = await home.json(['topic', 'delete', 'life', '--yes'])
    expect(deleted.document.topics[0]).toMatchObject({ deleted: true, messages: 1 })
    const gone = await home.json(['topic', 'get', 'life'])
    expect([gone.exitCode, gone.document.error.code]).toEqual([1, 'TOPIC_NOT_FOUND'])
  })

  it('that exists is not created again, unless that is fine', async () => {
    await home.run(['topic', 'create', 'twice'])
    const again = await home.json(['topic', 'create', 'twice'])
    expect([again.exitCode, again.document.error.code]).toEqual([1, 'TOPIC_EXISTS'])
    const fine = await home.json(['topic', 'create', 'twice', '--if-not-exists'])
    expect([fine.exitCode, fine.document.topics[0].created]).toEqual([0, false])
  })

  it('is not touched by a dry run, and not deleted unasked', async () => {
    await home.run(['topic', 'create', 'safe', '--queues', '2'])
    await home.run(['topic', 'alter', 'safe', '--queues', '9', '--dry-run'])
    await home.run(['topic', 'delete', 'safe', '--dry-run'])
    const unasked = await home.run(['topic', 'delete', 'safe'])
    expect([unasked.exitCode, unasked.stderr]).toEqual([2, expect.stringContaining('--yes')])
    expect((await home.json(['topic', 'get', 'safe'])).document.queues).toBe(2)
  })

  it('can be listed by pattern, in every list format', async () => {
    await home.run(['topic', 'create', 'list-a', 'list-b', '--queues', '1'])
    const list = (...args: string[]) => home.run(['topic', 'list', '--match', 'list-?', ...args])
    expect((await list('-o', 'name')).stdout).toBe('list-a\nlist-b\n')
    expect((await list('-o', 'csv')).stdout.split('\r\n')[1]).toBe('list-a,1,rw,NORMAL')
    expect((await list('-o', 'ndjson')).stdout.split('\n')).toHaveLength(3)
    expect((await list()).stdout).toMatch(/^TOPIC +QUEUES +PERM +TYPE\nlist-a +1 {2}rw +NORMAL\n/)
    expect((await home.json(['topic', 'list', '--match', 'none*'])).document).toEqual({
      topics: [],
    })
  })

  it('hides system topics unless asked', async () => {
    const names = async (...args: string[]) =>
      (await home.json(['topic', 'list', ...args])).document.topics.map(
        ({ name }: { name: string }) => name,
      )
    expect(await names()).not.toContain('TBW102')
    expect(await names('--system')).toContain('TBW102')
  })

  it.each([
    ['a/b', 2],
    ['..', 2],
    ['x'.repeat(128), 2],
  ])('%s is no name for one', async (name, exitCode) => {
    const outcome = await home.json(['topic', 'create', name])
    expect([outcome.exitCode, outcome.document.error.code]).toEqual([exitCode, 'NAME_ILLEGAL'])
  })

  it.each([
    ['topic', 'get', 'a/b'],
    ['group', 'lag', 'a b'],
    ['group', 'reset', 'a b', '--topic', 'safe', '--to', 'start'],
  ])('%s %s says of a name that cannot exist that it is none', async (...args) => {
    const outcome = await home.json(args)
    expect([outcome.exitCode, outcome.document.error.code]).toEqual([2, 'NAME_ILLEGAL'])
  })

  it('is not altered by nothing', async () => {
    const { document, exitCode } = await home.json(['topic', 'alter', 'safe'])
    expect([exitCode, document.error.code]).toEqual([2, 'USAGE'])
  })
})

describe('group', () => {
  beforeAll(async () => {
    await home.run(['topic', 'create', 'lagging', '--queues', '2'])
    await home.run(['produce', 'lagging'], { input: 'a\nb\nc\nd\n' })
    await home.run(['consume', 'lagging', '-g', 'slow', '--from', 'start', '--exit-at-end'])
    await home.run(['produce', 'lagging'], { input: 'e\nf\n' })
  })

  it('is listed, with its lag queue by queue', async () => {
    const list = await home.json(['group', 'list', '--match', 'slow'])
    expect(list.document.groups).toMatchObject([{ name: 'slow', members: 0, topics: ['lagging'] }])
    const { document } = await home.json(['group', 'lag', 'slow', '--topic', 'lagging'])
    const [group] = document.groups
    expect([group.name, group.lag]).toEqual(['slow', 2])
    expect(group.lagSeconds).toBeGreaterThanOrEqual(0)
    expect(Object.keys(group.queues[0]).sort()).toEqual([
      'broker',
      'brokerOffset',
      'consumerOffset',
      'lag',
      'lagSeconds',
      'queueId',
      'topic',
    ])
    const all = await home.json(['group', 'lag'])
    expect(all.document.groups.map(({ name }: { name: string }) => name)).toContain('slow')
  })

  it('fails a check on its lag', async () => {
    const critical = await home.json(['group', 'lag', 'slow', '--crit', '2'])
    expect([critical.exitCode, critical.document.warnings.length]).toEqual([1, 1])
    const fine = await home.json(['group', 'lag', 'slow', '--crit', '3', '--warn', '2'])
    expect([fine.exitCode, fine.document.warnings.length]).toEqual([0, 1])
  })

  it('is reset only with --execute, and the new position is verified', async () => {
    const reset = (...args: string[]) =>
      home.json(['group', 'reset', 'slow', '--topic', 'lagging', '--to', 'start', ...args])
    const lag = async () =>
      (await home.json(['group', 'lag', 'slow', '--topic', 'lagging'])).document.groups[0].lag
    const plan = await reset()
    expect(plan.document).toMatchObject({
      executed: false,
      queues: [{ to: 0, verified: null }, {}],
    })
    expect(await lag()).toBe(2)
    const done = await reset('--execute')
    expect(done.exitCode).toBe(0)
    expect(done.document.queues.map(({ verified }: { verified: boolean }) => verified)).toEqual([
      true,
      true,
    ])
    expect(await lag()).toBe(6)
  })

  it('lets another group go on where it is, and skips what it is behind', async () => {
    const flags = ['--topic', 'lagging', '--execute']
    await home.json(['group', 'reset', 'slow', '--to', '1', ...flags])
    const copied = await home.json(['group', 'copy-offsets', 'slow', 'green', ...flags])
    expect(copied.exitCode).toBe(0)
    expect(copied.document).toMatchObject({
      source: 'slow',
      group: 'green',
      queues: [
        { from: null, to: 1, verified: true },
        { from: null, to: 1, verified: true },
      ],
    })
    const skipped = await home.json(['group', 'skip', 'slow', ...flags])
    expect([skipped.exitCode, skipped.document.skipped]).toEqual([0, 4])
    const lag = await home.json(['group', 'lag', 'slow', '--topic', 'lagging'])
    expect(lag.document.groups[0].lag).toBe(0)
  })

  it('that does not exist is an error', async () => {
    const lag = await home.json(['group', 'lag', 'nobody'])
    expect([lag.exitCode, lag.document.error.code]).toEqual([1, 'GROUP_NOT_FOUND'])
    const get = await home.json(['group', 'get', 'nobody'])
    expect([get.exitCode, get.document.error.code]).toEqual([1, 'GROUP_NOT_FOUND'])
  })

  it('shows members and settings', async () => {
    const { document } = await home.json(['group', 'get', 'slow'])
    expect(document).toMatchObject({ name: 'slow', members: [], brokers: [{ name: 'broker-a' }] })
  })
})

describe('cluster and broker', () => {
  it('list what is there', async () => {
    const info = await home.json(['cluster', 'info'])
    expect(info.document.clusters).toMatchObject([
      { name: 'DefaultCluster', brokers: [{ name: 'broker-a', role: 'master', error: null }] },
    ])
    const list = await home.run(['broker', 'list', '-o', 'name'])
    expect(list.stdout).toBe('broker-a\n')
  })

  it('get gives figures and settings by the names of RocketMQ', async () => {
    const { document } = await home.json(['broker', 'get', 'broker-a', '--config'])
    expect(document.runtime).toMatchObject({ brokerVersionDesc: expect.stringMatching(/^V/) })
    expect(document.config).toMatchObject({ brokerName: 'broker-a' })
    const some = await home.json(['broker', 'get', 'broker-a', '--match', 'putTps'])
    expect(Object.keys(some.document.runtime)).toEqual(['putTps'])
  })

  it('get says that a broker is not known', async () => {
    const { document, exitCode } = await home.json(['broker', 'get', 'broker-z'])
    expect([exitCode, document.error.code]).toEqual([1, 'BROKER_NOT_FOUND'])
  })
})

describe('which name server', () => {
  it('is the flag, the environment, then what runs here, and -v says which', async () => {
    const where = async (args: string[], env: Record<string, string>) =>
      (await home.run(['topic', 'list', '-v', '--timeout', '1s', ...args], { env })).stderr.split(
        '\n',
      )[0]
    expect(await where([], {})).toContain('(instance local on this machine)')
    expect(await where([], { NAMESRV_ADDR: '127.0.0.1:1' })).toContain('127.0.0.1:1 (NAMESRV_ADDR)')
    const both = { NAMESRV_ADDR: '127.0.0.1:1', MQCTL_NAMESRV: '127.0.0.1:2' }
    expect(await where([], both)).toContain('127.0.0.1:2 (MQCTL_NAMESRV)')
    expect(await where(['-n', '127.0.0.1:3'], both)).toContain('127.0.0.1:3 (--namesrv)')
  })

  it('that is no address is refused before anything is asked', async () => {
    const { document, exitCode } = await home.json(['topic', 'list', '-n', 'localhost'])
    expect([exitCode, document.error.message]).toEqual([2, expect.stringContaining('an address')])
  })
})

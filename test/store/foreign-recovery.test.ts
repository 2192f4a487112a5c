/** Directories that another broker left: nothing of its log may be lost, and what it deleted stays deleted. */
import { cp, mkdir, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { StoreHooks } from '../../src/store/store.ts'
import { FailingDisk, worldWith } from './failing-disk.ts'
import { type Given, type Sent, Subject, tempDir } from './a-store.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

type How = 'closed' | 'killed'

/** One segment, as most directories have. */
const large = { segmentBytes: 65_536 }

interface Left {
  readonly dir: string
  readonly sent: Sent[]
}

/**
 * A directory with what `fill` put there, without what this store knows of it beyond Apache's files. A
 * killed one was never checkpointed.
 */
async function foreign(
  how: How,
  fill: (subject: Subject) => Promise<Sent[]>,
  given: Given = large,
): Promise<Left> {
  const dir = await tempDir(cleanups)
  const subject = await Subject.open(dir, given)
  const sent = await fill(subject)
  if (how === 'closed') {
    await subject.store.close()
    await rm(path.join(dir, 'mqctl.durable'))
    return { dir, sent }
  }
  cleanups.push(() => subject.store.close())
  const copy = await tempDir(cleanups)
  await cp(dir, copy, { recursive: true })
  for (const name of ['mqctl.durable', 'checkpoint']) {
    await rm(path.join(copy, name), { force: true })
  }
  return { dir: copy, sent }
}

async function reopened(dir: string, hooks: Partial<StoreHooks> = {}): Promise<Subject> {
  const subject = await Subject.open(dir, large, undefined, hooks)
  cleanups.push(() => subject.store.close())
  return subject
}

async function bodiesOf(subject: Subject, topic: string): Promise<string[]> {
  return (await subject.readAll(topic, 0)).map((one) => one.body.toString())
}

const bodies = (sent: readonly Sent[]) => sent.map((one) => one.body)
/** Every file below a directory, by its path. */
async function contentsOf(dir: string): Promise<[string, string][]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const paths = files.map((file) => path.join(file.parentPath, file.name)).sort()
  return Promise.all(paths.map(async (at) => [at, await readFile(at, 'hex')] as [string, string]))
}

const logOf = async (dir: string) => {
  const names = await readdir(path.join(dir, 'commitlog'))
  return readFile(path.join(dir, 'commitlog', names[0] ?? ''))
}

/** Gives a topic a name that this store would refuse: another of the same length. */
async function renamed(dir: string, from: string, to: string): Promise<void> {
  const bytes = await logOf(dir)
  const [name = ''] = await readdir(path.join(dir, 'commitlog'))
  for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1)) bytes.write(to, at)
  await writeFile(path.join(dir, 'commitlog', name), bytes)
  const queues = path.join(dir, 'consumequeue')
  await rename(path.join(queues, from), path.join(queues, to)).catch(() => undefined)
}

describe('recovery of what another broker left', () => {
  it.each<How>(['closed', 'killed'])(
    'goes on behind records of a topic with a name that it does not allow, and keeps them: %s',
    async (how) => {
      const { dir, sent } = await foreign(how, async (subject) => {
        const before = await subject.sendMany('T', 5)
        for (let i = 0; i < 3; i++) await subject.send('LOG_prod_eu', 0, { body: `alien ${i}` })
        const behind = await subject.sendMany('T', 5)
        await subject.send('LOG_prod_eu', 0, { body: 'the last one' })
        return [...before, ...behind]
      })
      await renamed(dir, 'LOG_prod_eu', 'LOG_prod.eu')
      const log = await logOf(dir)
      const subject = await reopened(dir)
      expect(subject.store.facts().recovery).toMatchObject({
        foreign: true,
        cutBytes: 0,
        badCount: 0,
      })
      expect(await bodiesOf(subject, 'T')).toEqual(bodies(sent))
      expect(subject.store.topics()).toEqual(['T'])
      await subject.store.close()
      expect(await logOf(dir)).toEqual(log)
      // It is its own now, and opens it no other way.
      const again = await reopened(dir)
      expect(await bodiesOf(again, 'T')).toEqual(bodies(sent))
      if (how === 'closed') {
        expect(await readdir(path.join(dir, 'consumequeue'))).toContain('LOG_prod.eu')
      }
    },
  )

  it.each<How>(['closed', 'killed'])(
    'takes a record for whole whose properties end with a zero: %s',
    async (how) => {
      const { dir, sent } = await foreign(how, (subject) => subject.sendMany('T', 9))
      const log = await logOf(dir)
      const end = sent[4]?.end ?? 0
      log[end - 1] = 0
      await writeFile(path.join(dir, 'commitlog', '0'.repeat(20)), log)
      const subject = await reopened(dir)
      expect(await bodiesOf(subject, 'T')).toEqual(bodies(sent))
    },
  )

  it('names a record whose queue offset is far ahead, and goes on behind it', async () => {
    const { dir, sent } = await foreign('killed', (subject) => subject.sendMany('T', 9))
    const log = await logOf(dir)
    log.writeBigInt64BE(9_000_000_000n, (sent[4]?.physicalOffset ?? 0) + 20)
    await writeFile(path.join(dir, 'commitlog', '0'.repeat(20)), log)
    const subject = await reopened(dir)
    expect(await bodiesOf(subject, 'T')).toEqual(bodies(sent.filter((_one, i) => i !== 4)))
    expect(subject.store.facts().recovery).toMatchObject({
      cutBytes: 0,
      bad: [{ physicalOffset: sent[4]?.physicalOffset, why: 'queue offset' }],
    })
  })

  it.each(['body', 'size', 'long'])(
    'refuses a log that was closed and ends before its queues do, and changes nothing: %s',
    async (what) => {
      const { dir, sent } = await foreign('closed', (subject) => subject.sendMany('T', 9))
      const log = await logOf(dir)
      const at = sent[4]?.physicalOffset ?? 0
      if (what === 'body') log[at + 90] = 0
      else log.writeInt32BE(what === 'size' ? 3 : 1_000_000, at)
      await writeFile(path.join(dir, 'commitlog', '0'.repeat(20)), log)
      for (let i = 0; i < 2; i++) {
        await expect(Subject.open(dir, large)).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
      }
      expect(await logOf(dir)).toEqual(log)
      // The way out that the message names.
      await writeFile(path.join(dir, 'abort'), '')
      const subject = await reopened(dir)
      expect(await bodiesOf(subject, 'T')).toEqual(bodies(sent.slice(0, 4)))
    },
  )

  describe.each(['whole', 'one of them damaged'])('and its queues: %s', (shape) => {
    it.each([
      ['the last file is missing', 9],
      ['the last file is missing', 90],
      ['the last file is short', 9],
      ['the last file is short', 90],
      ['all files are missing', 9],
      ['the last record is damaged', 9],
    ])(
      'refuses a log that was closed and copied in part, and takes nothing from its queues: %s, %i messages',
      async (what, count) => {
        const given = { segmentBytes: 4_096 * (count > 9 ? 8 : 1), queueFileBytes: 20 * 100 }
        const { dir } = await foreign(
          'closed',
          async (subject) => {
            await subject.sendMany('U', 3)
            return subject.sendMany('T', count * 3)
          },
          given,
        )
        const log = path.join(dir, 'commitlog')
        const names = await readdir(log)
        const last = path.join(log, names.at(-1) ?? '')
        const whole = await readFile(last)
        if (what === 'the last file is missing') await rm(last)
        else if (what === 'the last file is short') await truncate(last, 200)
        else if (what === 'all files are missing') {
          for (const name of names) await rm(path.join(log, name))
        } else {
          const magic = Buffer.from([0xda, 0xa3, 0x20, 0xa7])
          const damaged = Buffer.from(whole)
          damaged.writeInt32BE(3, damaged.lastIndexOf(magic) - 4)
          await writeFile(last, damaged)
        }
        if (shape !== 'whole') {
          await writeFile(path.join(dir, 'consumequeue', 'U', '0', 'alien'), 'x')
        }
        const queues = () => contentsOf(path.join(dir, 'consumequeue'))
        const [kept, before] = [await readdir(log), await queues()]
        for (let i = 0; i < 2; i++) {
          await expect(Subject.open(dir, given)).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
        }
        expect([await readdir(log), await queues()]).toEqual([kept, before])
      },
    )
  })

  it('leaves queues as they are whose units lead to records of another topic, as light queues do', async () => {
    const { dir, sent } = await foreign('closed', (subject) => subject.sendMany('T', 100, 2))
    const light = path.join(dir, 'consumequeue', '%LMQ%x', '0')
    await mkdir(light, { recursive: true })
    const units = sent.flatMap(({ queueId }, i) => (queueId === 1 ? [i] : []))
    const bytes = Buffer.alloc(200 * Math.ceil(units.length / 10))
    for (const [n, i] of units.entries()) {
      bytes.writeBigInt64BE(BigInt(sent[i]?.physicalOffset ?? 0), n * 20)
      bytes.writeInt32BE((sent[i]?.end ?? 0) - (sent[i]?.physicalOffset ?? 0), n * 20 + 8)
    }
    for (let at = 0; at < bytes.length; at += 200) {
      const name = String(at).padStart(20, '0')
      await writeFile(path.join(light, name), bytes.subarray(at, at + 200))
    }
    const before = await contentsOf(light)
    const subject = await reopened(dir)
    expect(subject.store.facts().recovery).toMatchObject({ foreign: true, rebuilt: null })
    await subject.store.close()
    expect(await contentsOf(light)).toEqual(before)
  })

  it.each<How>(['closed', 'killed'])(
    'serves the new messages of a topic that was deleted and made again, and not the old ones: %s',
    async (how) => {
      const { dir, sent } = await foreign(how, async (subject) => {
        await subject.sendMany('T', 50)
        await subject.sendMany('U', 3)
        await subject.store.deleteTopic('T')
        return subject.sendMany('T', 10)
      })
      const subject = await reopened(dir)
      expect(await bodiesOf(subject, 'T')).toEqual(bodies(sent))
      expect(await subject.readAll('U', 0)).toHaveLength(3)
      expect((await subject.send('T', 0)).queueOffset).toBe(10)
    },
  )

  it.each(['closed', 'closed, with a damaged queue'])(
    'leaves a topic deleted that is not among the topics any more: %s',
    async (how) => {
      const { dir, sent } = await foreign('closed', async (subject) => {
        await subject.sendMany('Gone', 20)
        const kept = await subject.sendMany('T', 10)
        await subject.store.deleteTopic('Gone')
        return kept
      })
      if (how !== 'closed') await writeFile(path.join(dir, 'consumequeue', 'T', '0', 'alien'), 'x')
      const hooks = { isKnownTopic: (topic: string) => topic === 'T' }
      const subject = await reopened(dir, hooks)
      expect(subject.store.topics()).toEqual(['T'])
      expect(await bodiesOf(subject, 'T')).toEqual(bodies(sent))
    },
  )

  it('loses no message when it ends while queues are built again', async () => {
    const { dir, sent } = await foreign('closed', async (subject) => {
      const few = await subject.sendMany('U', 5)
      // More than a page of units, which is on the disk before the others are.
      await subject.sendMany('T', 250)
      return few
    })
    await writeFile(path.join(dir, 'consumequeue', 'T', '0', 'alien'), 'x')
    const disk = new FailingDisk()
    disk.fail('sync', 'commitlog', 'EIO')
    await expect(Subject.open(dir, large, worldWith(disk))).rejects.toThrow('EIO')
    const subject = await reopened(dir)
    expect(await bodiesOf(subject, 'U')).toEqual(bodies(sent))
    expect(await subject.readAll('T', 0)).toHaveLength(250)
  })

  it.each(['closed by another broker', 'whose queues are gone', 'both'])(
    'leaves a topic deleted when it is killed before its first checkpoint of a store: %s',
    async (what) => {
      const { dir, sent } = await foreign('closed', async (subject) => {
        await subject.sendMany('Gone', 20)
        const kept = await subject.sendMany('T', 10)
        await subject.store.deleteTopic('Gone')
        return kept
      })
      const hooks = { isKnownTopic: (topic: string) => topic === 'T' || topic === 'U' }
      if (what === 'whose queues are gone') {
        const own = await reopened(dir, hooks)
        await own.store.close()
        await rm(path.join(dir, 'consumequeue'), { recursive: true })
      } else if (what === 'both') {
        await writeFile(path.join(dir, 'consumequeue', 'T', '0', 'alien'), 'x')
      } else {
        // Its queues had not caught up: there is something to put, and so something that fails.
        const file = path.join(dir, 'consumequeue', 'T', '0', '0'.repeat(20))
        await writeFile(file, (await readFile(file)).fill(0, 100))
      }
      // Twice, since what the second start leaves has to say it as well.
      let left = dir
      for (let i = 0; i < 2; i++) {
        const disk = new FailingDisk()
        disk.fail('sync', 'consumequeue', 'EIO')
        const stuck = await Subject.open(left, large, worldWith(disk), hooks)
        cleanups.push(() => stuck.store.close().catch(() => undefined))
        expect(stuck.store.topics()).toEqual(['T'])
        const copy = await tempDir(cleanups)
        await cp(left, copy, { recursive: true })
        left = copy
      }
      const subject = await reopened(left, hooks)
      expect(subject.store.topics()).toEqual(['T'])
      expect(await bodiesOf(subject, 'T')).toEqual(bodies(sent))
      // A checkpoint later nothing has to be built again.
      await subject.store.close()
      const again = await reopened(left, hooks)
      expect(again.store.facts().recovery).toMatchObject({ clean: true, rebuilt: null })
    },
  )

  it('puts what the queues lack of a log that was closed', async () => {
    const { dir, sent } = await foreign('closed', (subject) => subject.sendMany('T', 20))
    // As when the broker was closed before its queues had caught up: the last five units are missing.
    const file = path.join(dir, 'consumequeue', 'T', '0', String(200).padStart(20, '0'))
    const units = await readFile(file)
    units.fill(0, 100)
    await writeFile(file, units)
    const subject = await reopened(dir)
    expect(await bodiesOf(subject, 'T')).toEqual(bodies(sent))
  })
})

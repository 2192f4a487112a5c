import { describe, expect, it } from 'vitest'
import {
  listeningInode,
  mountOf,
  parseCpuTimes,
  parseDisk,
  parseJournalCommits,
  parseMemory,
  parseMounts,
  parseNics,
  parseProcessIo,
  parseTaskStat,
} from '../../src/host/proc-text.ts'

describe('the text of /proc', () => {
  it('counts nice time as user time and keeps steal apart', () => {
    const times = parseCpuTimes('cpu  100 20 30 400 5 6 7 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n')
    expect(times).toEqual({
      userMs: 1200,
      systemMs: 300,
      idleMs: 4000,
      iowaitMs: 50,
      irqMs: 130,
      stealMs: 80,
    })
  })

  it('says nothing of CPUs when the text is not /proc/stat', () => {
    expect(parseCpuTimes('')).toBeNull()
  })

  it('reads memory in bytes and swap traffic from vmstat', () => {
    const memory = parseMemory(
      'MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 500 kB\nCached: 300 kB\nDirty: 4 kB\nSwapTotal: 100 kB\nSwapFree: 40 kB\n',
      'pgfault 9\npswpin 3\npswpout 5\n',
    )
    expect(memory).toEqual({
      totalBytes: 1_024_000,
      availableBytes: 512_000,
      cachedBytes: 307_200,
      dirtyBytes: 4096,
      swapTotalBytes: 102_400,
      swapUsedBytes: 61_440,
      swapInPages: 3,
      swapOutPages: 5,
    })
  })

  const diskstats =
    ' 254 0 vda 10 1 100 20 30 2 200 40 0 50 60 3 0 8 9 11 12\n 254 1 vda1 1 1 1 1 1 1 1 1 1 1 1\n'

  it('finds a device by its numbers and counts its flushes', () => {
    expect(parseDisk(diskstats, 254, 0)).toEqual({
      device: 'vda',
      reads: 10,
      readBytes: 51_200,
      readMs: 20,
      writes: 30,
      writtenBytes: 102_400,
      writeMs: 40,
      busyMs: 50,
      flushes: 11,
      flushMs: 12,
    })
  })

  it('knows no flushes from a kernel that does not count them', () => {
    expect(parseDisk(diskstats, 254, 1)?.flushes).toBeNull()
  })

  it('reads how often a journal has committed', () => {
    const info = '1 transactions (1 requested), each up to 2048 blocks\naverage: \n  0ms waiting\n'
    expect([parseJournalCommits(info), parseJournalCommits('')]).toEqual([1, null])
  })

  it('reads interfaces, also when no space follows the colon', () => {
    const rows = parseNics(
      'Inter-| Receive\n face |bytes\n    lo:100 2 0 0 0 0 0 0 100 2 0 0 0 0 0 0\n  eth0: 5 6 0 7 0 0 0 0 8 9 0 10 0 0 0 0\n',
    )
    expect(
      rows.map((row) => [row.name, row.rxBytes, row.rxDrops, row.txBytes, row.txDrops]),
    ).toEqual([
      ['lo', 100, 0, 100, 0],
      ['eth0', 5, 7, 8, 10],
    ])
  })

  it('reads a process whose name holds spaces and parentheses', () => {
    const stat = `7 (a (b) c) S 1 7 7 0 -1 0 100 0 9 0 150 50 0 0 20 0 12 0 100 0 0`
    expect(parseTaskStat(stat)).toEqual({
      name: 'a (b) c',
      majorFaults: 9,
      userMs: 1500,
      systemMs: 500,
      threadCount: 12,
    })
  })

  it('takes back what a process wrote and then truncated away', () => {
    const io = 'rchar: 1\nread_bytes: 10\nwrite_bytes: 100\ncancelled_write_bytes: 30\n'
    expect(parseProcessIo(io)).toEqual({ readBytes: 10, writtenBytes: 70 })
  })

  it('finds the mount above a path, the longest one', () => {
    const mounts = parseMounts(
      [
        '27 1 254:0 / / rw,relatime - ext4 /dev/vda rw',
        '30 27 0:23 / /dev/shm rw - tmpfs tmpfs rw',
        '31 27 0:24 / /my\\040disk rw - xfs /dev/vdb rw',
      ].join('\n'),
    )
    expect(mountOf(mounts, '/dev/shm/x')?.type).toBe('tmpfs')
    expect(mountOf(mounts, '/dev/shmall')?.type).toBe('ext4')
    expect(mountOf(mounts, '/my disk/a')?.source).toBe('/dev/vdb')
  })

  it('finds who listens on a port and not who is connected to it', () => {
    const tcp =
      '  sl local\n 0: 0100007F:2A9F 0100007F:1 01 0 0 0 0 0 55\n 1: 0100007F:2A9F 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 77 1\n'
    expect(listeningInode(tcp, 10_911)).toBe('77')
    expect(listeningInode(tcp, 9_876)).toBeNull()
  })
})

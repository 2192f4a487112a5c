import path from 'node:path'
import { Flags } from '@oclif/core'
import {
  formatBytes,
  formatDurationMs,
  parseBytesPerSecond,
  parseLinkBits,
} from '../../src/base/units.ts'
import { ourCpuCost } from '../../src/bench/capacity.ts'
import { type CapacityResult, planCapacity } from '../../src/bench/capacity-plan.ts'
import { Catalogue, DEFAULT_SCENARIO } from '../../src/bench/catalogue.ts'
import { overridesOf } from '../../src/bench/overrides.ts'
import { MqctlCommand } from '../../src/cli/command.ts'
import {
  argument,
  durationFlag,
  pairFlag,
  rateFlag,
  sizeFlag,
  wholeFlag,
} from '../../src/cli/flags.ts'
import { renderTable } from '../../src/cli/table.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { bytesPerSecond, grouped, percent } from '../../src/report/figures.ts'

export default class BenchCapacity extends MqctlCommand<CapacityResult> {
  static override summary = 'How many messages a second a machine can carry, and what breaks first.'
  static override description = `Arithmetic alone, nothing is run. Every message comes in once and goes out again to each follower and
each consumer group: that is why 70,000 messages of 500 bytes a second fill a gigabit link. What is
not given (disk, cores) is not judged. With --times the rate is multiplied: what breaks when the load
grows, and how many brokers it takes.`
  static override args = {
    scenario: argument({
      description: 'A scenario that ships with mqctl (see bench list), or a file.',
      default: DEFAULT_SCENARIO,
    }),
  }
  static override flags = {
    link: Flags.custom<number>({
      summary: 'Speed of the link of each broker, as in 1gbit; each way.',
      helpValue: '<link>',
      parse: async (input) => parseLinkBits(input),
      default: 1e9,
      defaultHelp: async () => '1gbit',
    })(),
    disk: Flags.custom<number>({
      summary: 'What the disk of each broker can write, as in 500MB/s.',
      helpValue: '<size/s>',
      parse: async (input) => parseBytesPerSecond(input),
    })(),
    'disk-size': sizeFlag({ summary: 'Room for messages on each broker: says when it is full.' }),
    'flush-time': durationFlag({
      summary: 'One flush of the disk, as in 500us, when answers wait for it.',
    }),
    cores: wholeFlag({ summary: 'Cores of each broker’s machine.', min: 1, max: 4096 }),
    'broker-cores': wholeFlag({
      summary: 'Cores that one broker can use; one of mqctl has one event loop.',
      min: 1,
      max: 4096,
      default: 1,
    }),
    'cpu-per-message': durationFlag({
      summary: 'CPU of the broker for a message that comes in.',
      default: ourCpuCost.sendUs / 1000,
      defaultHelp: async () => `${ourCpuCost.sendUs}us`,
    }),
    followers: wholeFlag({ summary: 'Followers that copy from each leader.', min: 0, max: 16 }),
    groups: wholeFlag({ summary: 'Consumer groups that get every message.', min: 0, max: 1000 }),
    'read-from': Flags.option({
      summary: 'Where the groups read.',
      options: ['leader', 'follower'] as const,
      default: 'leader' as const,
    })(),
    brokers: wholeFlag({ summary: 'Leaders, each on a machine of its own.', min: 1, max: 1000 }),
    rate: rateFlag({ summary: 'Messages a second today; by default the peak of the scenario.' }),
    times: wholeFlag({ summary: 'By how much the rate may grow.', min: 1, default: 1 }),
    size: Flags.string({ summary: 'Bytes of a message body, as in 500B or 4KiB.' }),
    set: pairFlag({
      summary: 'Any key of the scenario, as in producers.threads=160.',
      multiple: true,
    }),
  }
  static override examples = [
    '<%= config.bin %> bench capacity --followers 2 --groups 1',
    '<%= config.bin %> bench capacity --link 10gbit --disk 500MB/s --cores 8 --times 100',
    '<%= config.bin %> bench capacity latency-5k --size 4KiB --groups 3 --json',
  ]

  async run(): Promise<CapacityResult> {
    const { args, flags } = await this.parse(BenchCapacity)
    const catalogue = new Catalogue(path.join(this.config.root, 'scenarios'))
    const { set, size } = flags
    const { scenario } = catalogue.load(args.scenario, overridesOf({ set, size }))
    const result = planCapacity({
      scenario,
      followers: flags.followers ?? scenario.target.topology.slaves,
      groups: flags.groups ?? (scenario.consumers.instances === 0 ? 0 : scenario.consumers.groups),
      readFrom: flags['read-from'],
      brokers: flags.brokers ?? scenario.target.topology.masters,
      linkBitsPerSecond: flags.link,
      diskBytesPerSecond: flags.disk ?? null,
      diskSizeBytes: flags['disk-size'] ?? null,
      flushMs: flags['flush-time'] ?? null,
      cores: flags.cores ?? null,
      coresOfBroker: flags['broker-cores'],
      cpu: { ...ourCpuCost, sendUs: flags['cpu-per-message'] * 1000 },
      ratePerSecond: flags.rate ?? null,
      times: flags.times,
    })
    return this.show(result, {
      rows: (shown) => shown.limits,
      text: (shown, terminal) => capacityText(shown, terminal),
    })
  }
}

function capacityText(result: CapacityResult, terminal: Terminal): string {
  const { ratePerSecond, times, limits, first, ceilingPerSecond, perMessage } = result
  const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`
  const lines = [
    `${grouped(ratePerSecond)} msg/s of ${formatBytes(result.bodyBytes)}: ${result.rateFrom}`,
    `${plural(result.brokers, 'broker')}, ${plural(result.followers, 'follower')}, ${plural(result.groups, 'consumer group')}; a message brings ${grouped(perMessage.inBytes)} B in, ${grouped(perMessage.outBytes)} B out, ${grouped(perMessage.storedBytes)} B on disk`,
    '',
  ]
  const heads = ['BREAKS', 'A MESSAGE', 'THERE IS', 'FULL AT MSG/S', 'NOW']
  if (times > 1) heads.push(`× ${grouped(times)}`, 'BROKERS FOR THAT')
  lines.push(
    renderTable(
      terminal,
      heads.map((head, index) => ({ head, align: index === 0 ? 'left' : 'right' })),
      limits.map((limit) => [
        limit.resource,
        amount(limit.perMessage, limit.unit),
        there(limit.capacity, limit.unit),
        grouped(limit.perSecond),
        percent(limit.share),
        ...(times > 1 ? [percent(limit.shareGrown), grown(limit)] : []),
      ]),
    ),
    '',
  )
  if (first !== null && ceilingPerSecond !== null) {
    const state =
      result.full.length > 0
        ? `full: ${result.full.join(', ')}`
        : `room for ${(ceilingPerSecond / ratePerSecond).toFixed(1)} times as much`
    lines.push(
      `${terminal.out.bold(`${first} breaks first`)}, at ${grouped(ceilingPerSecond)} msg/s; now ${state}`,
    )
  }
  const { diskFullHours, diskFullHoursGrown } = result
  if (diskFullHours !== null && diskFullHoursGrown !== null) {
    const grown = times > 1 ? `, ${formatDurationMs(diskFullHoursGrown * 3.6e6)} at × ${times}` : ''
    lines.push(`the disk is full after ${formatDurationMs(diskFullHours * 3.6e6)}${grown}`)
  }
  for (const one of result.assumptions) lines.push(terminal.out.dim(`assumed: ${one}`))
  return lines.join('\n')
}

/** What the grown rate needs: brokers, or where they do not help, senders. */
function grown({ brokersGrown, sendersGrown }: CapacityResult['limits'][number]): string {
  if (brokersGrown !== null) return grouped(brokersGrown)
  return sendersGrown === null ? '-' : `${grouped(sendersGrown)} senders`
}

/** What a broker's machine has of it. */
function there(value: number, unit: CapacityResult['limits'][number]['unit']): string {
  switch (unit) {
    case 'B':
      return bytesPerSecond(value)
    case 'core-us':
      return `${grouped(value / 1e6)} core${value === 1e6 ? '' : 's'}`
    case 'flush':
      return `${grouped(value)} flushes/s`
  }
}

/** What one message takes of it. */
function amount(value: number, unit: CapacityResult['limits'][number]['unit']): string {
  switch (unit) {
    case 'B':
      return `${grouped(value)} B`
    case 'core-us':
      return `${Number(value.toFixed(2))} µs`
    case 'flush':
      return `1/${grouped(1 / value)} flush`
  }
}

import { MqctlCommand } from '../../src/cli/command.ts'
import { hostFlags, profileFlag, tuningRequest } from '../../src/cli/tuning-flags.ts'
import type { HostFacts } from '../../src/host/tuning/facts.ts'
import { gather } from '../../src/host/tuning/request.ts'

const { facts: _, ...flags } = hostFlags

export default class TuneOsCollect extends MqctlCommand<HostFacts> {
  static override summary = 'Write what the checks would look at, to be judged elsewhere.'
  static override description =
    'One JSON document without secrets: of command lines and configuration files only what a check reads.'
  static override flags = { profile: profileFlag(), ...flags }
  static override examples = [
    '<%= config.bin %> tune-os collect > facts.json',
    '<%= config.bin %> tune-os collect --pid 4711 --window 10s > facts.json',
    '<%= config.bin %> tune-os check --facts facts.json',
  ]

  async run(): Promise<HostFacts> {
    const parsed = await this.parse(TuneOsCollect)
    const facts = await gather(this.world.clock, tuningRequest(parsed.flags, this.config.version))
    return this.show(facts, { text: () => JSON.stringify(facts, null, 2) })
  }
}

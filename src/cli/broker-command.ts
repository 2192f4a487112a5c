/** The base of commands that talk to a broker, embedded or Apache's. */
import type { MqClient } from '../client/client.ts'
import { MqctlCommand } from './command.ts'
import { chooseNameServers, withClient } from './connection.ts'
import { connectionFlags, globalFlags } from './flags.ts'

export abstract class BrokerCommand<Result = unknown> extends MqctlCommand<Result> {
  static override baseFlags = { ...connectionFlags, ...globalFlags }

  /** Gives `use` a client for the name servers that the flags, the environment or this machine name. */
  protected connect<Answer>(
    flags: { readonly namesrv?: readonly string[] | undefined; readonly timeout: number },
    use: (client: MqClient) => Promise<Answer>,
  ): Promise<Answer> {
    const { addresses, source } = chooseNameServers(flags.namesrv, process.env)
    this.detail(`name servers ${addresses.join(';')} (${source})`)
    return withClient(this.world, addresses, flags.timeout, use)
  }
}
